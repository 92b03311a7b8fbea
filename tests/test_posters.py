"""Typographic posters, and those of hosted providers against a server that imitates them."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from movieplots.errors import BadInput
from movieplots.genres import GENRES
from movieplots.serving.posters import Poster, ProviderFailed, make_poster, providers
from movieplots.serving.typographic_poster import HEIGHT, MARGIN, STYLES, TITLE_BOTTOM, TITLE_TOP, WIDTH, draw_poster

SALT = Poster("Salt (2009)", ["horror", "drama"], ["sea", "lighthouse"], seed=3)


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"), dtype=int)


def test_every_genre_has_its_own_style():
    assert set(STYLES) == set(GENRES)
    assert len(set(map(repr, STYLES.values()))) == len(GENRES)
    drawn = [pixels(draw_poster("Salt", [genre])) for genre in GENRES[::6]]
    assert {image.shape for image in drawn} == {(HEIGHT, WIDTH, 3)}
    assert len({image[::10, ::10].tobytes() for image in drawn}) == len(drawn)


def test_posters_depend_only_on_the_words_and_the_seed():
    assert draw_poster("Salt", ["horror"], ["sea"], 1) == draw_poster("Salt", ["horror"], ["sea"], 1)
    assert draw_poster("Salt", ["horror"], ["sea"], 1) != draw_poster("Salt", ["horror"], ["sea"], 2)


@pytest.mark.parametrize(
    "title",
    [
        "A",
        "",
        "x" * 200,
        "Word " * 40,
        '"Dark" (2017) {Low Tide (#1.3)}',
        "Ünïcödé – Ωμέγα",
        "🦊 Fox",
        "{{{(((",
        "\n\t",
        "Salt \x1e\x00\u2029 \ud800 Water",
    ],
)
def test_any_title_stays_inside_its_place(title):
    image = pixels(draw_poster(title, ["short"], ["k" * 100] * 10))
    background = image[TITLE_TOP - 20, 5]
    title_rows = image[TITLE_TOP - 20 : TITLE_BOTTOM + 60]
    assert (title_rows[:, : MARGIN - 12] == background).all() and (
        title_rows[:, WIDTH - MARGIN + 12 :] == background
    ).all()
    assert (title_rows != background).any()


def test_a_poster_without_genres():
    assert draw_poster("Salt").startswith(b"\x89PNG")
    assert draw_poster("Salt", ["no such genre"]) == draw_poster("Salt", ["no such genre"])


class FakeProvider(BaseHTTPRequestHandler):
    """Imitates the hosted providers, and records the requests."""

    requests: list = []  # noqa: RUF012
    answers: dict = {}  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        FakeProvider.requests.append((self.path, dict(self.headers), body))
        self.answer(FakeProvider.answers[self.path])

    def do_GET(self):
        self.answer((200, "image/png", draw_poster("Remote")))

    def answer(self, answer):
        status, kind, body = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def provider_server(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeProvider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name, value in {
        "STABILITY_API_KEY": "s", "STABILITY_URL": url, "REPLICATE_API_TOKEN": "r", "REPLICATE_URL": url,
        "OPENAI_API_KEY": "o", "OPENAI_BASE_URL": url + "/v1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    FakeProvider.requests, FakeProvider.answers = [], {}
    yield url
    server.shutdown()
    server.server_close()


def image_json(**extra):
    return 200, "application/json", json.dumps(extra).encode()


STABILITY, REPLICATE = "/v2beta/stable-image/generate/core", "/v1/models/black-forest-labs/flux-schnell/predictions"
OPENAI = "/v1/images/generations"


def test_stability(provider_server):
    FakeProvider.answers[STABILITY] = (200, "image/png", draw_poster("Remote"))
    assert make_poster(SALT, "stability") == (draw_poster("Remote"), "image/png")
    ((_, headers, body),) = FakeProvider.requests
    assert headers["Authorization"] == "Bearer s" and b'called "Salt"' in body and b"2:3" in body


def test_replicate(provider_server):
    done = {"status": "succeeded", "output": [f"{provider_server}/image.png"]}
    FakeProvider.answers[REPLICATE] = image_json(**done)
    assert make_poster(SALT, "replicate") == (draw_poster("Remote"), "image/png")
    ((_, headers, body),) = FakeProvider.requests
    assert headers["Authorization"] == "Bearer r" and json.loads(body)["input"]["seed"] == 3


@pytest.mark.parametrize("by_address", [False, True])
def test_openai(provider_server, by_address):
    image = draw_poster("Remote")
    data = {"url": f"{provider_server}/image.png"} if by_address else {"b64_json": base64.b64encode(image).decode()}
    FakeProvider.answers[OPENAI] = image_json(data=[data])
    assert make_poster(SALT, "openai") == (image, "image/png")
    ((_, headers, body),) = FakeProvider.requests
    assert headers["Authorization"] == "Bearer o" and json.loads(body)["prompt"] == SALT.prompt


@pytest.mark.parametrize(
    ("provider", "path", "answer", "says"),
    [
        ("stability", STABILITY, (402, "application/json", b'{"message": "no credits"}'), "status 402: .*no credits"),
        ("stability", STABILITY, (200, "text/plain", b"hello"), "data that is not an image"),
        ("replicate", REPLICATE, (200, "application/json", b'{"status": "failed", "error": "NSFW"}'), "no image: NSFW"),
        ("openai", OPENAI, (200, "application/json", b'{"data": []}'), "returned no image"),
        ("openai", OPENAI, (200, "text/html", b"<p>"), "not a JSON object"),
    ],
)  # fmt: skip
def test_failures_of_providers_are_reported(provider_server, provider, path, answer, says):
    FakeProvider.answers[path] = answer
    with pytest.raises(ProviderFailed, match=says):
        make_poster(SALT, provider)


def test_a_provider_that_cannot_be_reached(monkeypatch):
    monkeypatch.setenv("STABILITY_API_KEY", "s")
    monkeypatch.setenv("STABILITY_URL", "http://127.0.0.1:1")
    with pytest.raises(ProviderFailed, match="stability cannot be reached"):
        make_poster(SALT, "stability")


def test_providers_name_their_requirements(monkeypatch):
    for provider in providers()[1:]:
        for name in ("STABILITY_API_KEY", "REPLICATE_API_TOKEN", "OPENAI_API_KEY", "MOVIEPLOTS_DIFFUSION_MODEL"):
            monkeypatch.delenv(name, raising=False)
        assert not provider.available()
        with pytest.raises(BadInput, match=f"{provider.name} is not set up: it requires"):
            make_poster(SALT, provider.name)
