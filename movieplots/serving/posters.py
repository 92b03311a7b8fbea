"""Posters by several providers: `make_poster` calls the one that is named.

`typographic` needs nothing and is always available. The other providers use image models: hosted ones, which
need a key in an environment variable, or a local one with `diffusers`. There is no fallback: if a provider fails, the
error is reported.
"""

import base64
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from movieplots.errors import BadInput
from movieplots.serving.typographic_poster import draw_poster
from movieplots.settings import Json
from movieplots.titles import parse_title

PROVIDER_SECONDS = 120  # time limit of a request to a provider
SIZE = (832, 1216)  # pixels of a poster by diffusers


class ProviderFailed(Exception):
    """A provider returned no image; the message names the provider and the cause."""


@dataclass(frozen=True)
class Poster:
    """The contents of a poster; in `genres` and `keywords` the most important comes first."""

    title: str
    genres: Sequence[str] = ()
    keywords: Sequence[str] = ()
    seed: int = 0

    @property
    def prompt(self) -> str:
        """A prompt for an image model."""
        kind = " ".join(self.genres[:2]) or "feature"
        about = ", ".join(self.keywords[:6])
        name = parse_title(self.title).primary if self.title.strip() else ""
        parts = [
            f"Movie poster for a {kind} film",
            f'called "{name}"' if name else "",
            f"about {about}" if about else "",
        ]
        return " ".join(part for part in parts if part) + ". Striking composition, strong light, no lettering."


@dataclass(frozen=True)
class Provider:
    """A provider: its name, what it `requires` to be `available`, and a function that makes PNG, JPEG or WebP bytes."""

    name: str
    requires: str
    available: Callable[[], bool]
    make: Callable[[Poster], bytes]


def providers() -> list[Provider]:
    """Return all providers, `typographic` first."""
    return list(_PROVIDERS.values())


def make_poster(poster: Poster, provider: str = "typographic") -> tuple[bytes, str]:
    """Return an image and its media type; raise BadInput for an unavailable provider, ProviderFailed if it fails."""
    chosen = _PROVIDERS.get(provider)
    if chosen is None:
        raise BadInput(f"Unknown poster provider {provider!r}: choose from {', '.join(_PROVIDERS)}.")
    if not chosen.available():
        raise BadInput(f"The poster provider {provider} is not set up: it requires {chosen.requires}.")
    image = chosen.make(poster)
    return image, _media_type(image, provider)


def _media_type(image: bytes, provider: str) -> str:
    for start, kind in ((b"\x89PNG", "png"), (b"\xff\xd8", "jpeg"), (b"RIFF", "webp")):
        if image.startswith(start):
            return f"image/{kind}"
    raise ProviderFailed(f"{provider} returned data that is not an image.")


def _stability(poster: Poster) -> bytes:
    url = os.environ.get("STABILITY_URL", "https://api.stability.ai") + "/v2beta/stable-image/generate/core"
    fields = {"prompt": poster.prompt, "aspect_ratio": "2:3", "seed": str(poster.seed), "output_format": "png"}
    headers = {"Authorization": f"Bearer {os.environ['STABILITY_API_KEY']}", "Accept": "image/*"}
    return _request("stability", url, headers, files={name: (None, value) for name, value in fields.items()}).content


def _replicate(poster: Poster) -> bytes:
    model = os.environ.get("REPLICATE_MODEL", "black-forest-labs/flux-schnell")
    url = os.environ.get("REPLICATE_URL", "https://api.replicate.com") + f"/v1/models/{model}/predictions"
    headers = {"Authorization": f"Bearer {os.environ['REPLICATE_API_TOKEN']}", "Prefer": "wait=60"}
    settings = {"prompt": poster.prompt, "aspect_ratio": "2:3", "seed": poster.seed, "output_format": "png"}
    response = _json("replicate", _request("replicate", url, headers, json={"input": settings}))
    if response.get("status") not in ("succeeded", "processing") or not response.get("output"):
        raise ProviderFailed(f"replicate returned no image: {response.get('error') or response.get('status')}.")
    output = response["output"]
    image = output if isinstance(output, str) else output[0] if isinstance(output, list) else None
    if not isinstance(image, str):
        raise ProviderFailed("replicate returned no image.")
    return _request("replicate", image, {}, method="GET").content


def _openai(poster: Poster) -> bytes:
    url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/images/generations"
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    settings = {
        "model": os.environ.get("OPENAI_IMAGE_MODEL", "gpt-image-1"),
        "prompt": poster.prompt,
        "n": 1,
        "size": "1024x1536",
    }
    response = _json("openai", _request("openai", url, headers, json=settings))
    try:
        first = response["data"][0]
        if first.get("b64_json"):
            return base64.b64decode(first["b64_json"])
        return _request("openai", first["url"], {}, method="GET").content
    except (KeyError, IndexError, TypeError, ValueError):
        raise ProviderFailed("openai returned no image.") from None


def _diffusers(poster: Poster) -> bytes:
    import torch

    pipeline = _pipeline(os.environ["MOVIEPLOTS_DIFFUSION_MODEL"])
    image = pipeline(
        poster.prompt, width=SIZE[0], height=SIZE[1], generator=torch.Generator().manual_seed(poster.seed)
    ).images[0]
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@cache
def _pipeline(model: str) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    gpu = torch.cuda.is_available()
    try:
        pipeline = DiffusionPipeline.from_pretrained(model, torch_dtype=torch.float16 if gpu else torch.float32)
    except (OSError, ValueError) as error:
        raise ProviderFailed(f"diffusers cannot load {model}: {str(error).splitlines()[0]}") from None
    return pipeline.to("cuda" if gpu else "cpu")


def _has_diffusers() -> bool:
    import importlib.util

    return bool(os.environ.get("MOVIEPLOTS_DIFFUSION_MODEL")) and importlib.util.find_spec("diffusers") is not None


def _request(provider: str, url: str, headers: dict[str, str], method: str = "POST", **body: Any) -> httpx.Response:
    try:
        response = httpx.request(method, url, headers=headers, timeout=PROVIDER_SECONDS, follow_redirects=True, **body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderFailed(f"{provider} cannot be reached ({type(error).__name__}).") from None
    if response.is_error:
        raise ProviderFailed(
            f"{provider} returned the HTTP status {response.status_code}: {' '.join(response.text.split())[:200]}"
        )
    return response


def _json(provider: str, response: httpx.Response) -> dict[str, Json]:
    try:
        return dict(response.json())
    except (ValueError, TypeError):
        raise ProviderFailed(f"{provider} returned data that is not a JSON object.") from None


def _key(name: str) -> Callable[[], bool]:
    return lambda: bool(os.environ.get(name))


_PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider("typographic", "nothing", lambda: True, lambda p: draw_poster(p.title, p.genres, p.keywords, p.seed)),
        Provider("stability", "a key in STABILITY_API_KEY", _key("STABILITY_API_KEY"), _stability),
        Provider("replicate", "a key in REPLICATE_API_TOKEN", _key("REPLICATE_API_TOKEN"), _replicate),
        Provider("openai", "a key in OPENAI_API_KEY (and OPENAI_BASE_URL)", _key("OPENAI_API_KEY"), _openai),
        Provider(
            "diffusers", "the package diffusers, and the folder or hub id of a model in MOVIEPLOTS_DIFFUSION_MODEL",
            _has_diffusers, _diffusers,
        ),
    )
}  # fmt: skip
