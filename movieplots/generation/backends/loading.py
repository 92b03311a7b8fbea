"""Choose a backend and load a generator's folder with it."""

from pathlib import Path

from movieplots.errors import BadInput
from movieplots.generation.backends.base import Backend
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import PromptTokenizer, SavedTokenizer
from movieplots.generation.sampling_settings import check_backend, is_address
from movieplots.progress import notify
from movieplots.runs.folder import read_info


def load_backend(folder: str | Path, name: str = "auto") -> tuple[Backend, PromptTokenizer, GeneratorInfo]:
    """Load backend, tokenizer and info of a trained generator.

    `name` is one of BACKENDS or the address of an OpenAI-compatible server; only transformers needs torch. Raises
    BadInput if the folder is not a generator, or the backend is not available.
    """
    check_backend(name)
    info = read_info(folder, GeneratorInfo)
    if is_address(name):
        from movieplots.generation.backends.openai import OpenAIBackend

        backend = OpenAIBackend(name, Path(folder).resolve().name)
        return backend, PromptTokenizer.of(SavedTokenizer(folder), info), info
    if choose_backend(name) == "llama.cpp":
        from movieplots.generation.backends.llama_cpp import LlamaBackend
        from movieplots.generation.export import UnsupportedModel, cached_gguf

        try:
            gguf, context = cached_gguf(folder, info)
        except UnsupportedModel as error:
            if name != "auto":
                raise
            notify(f"{error} Using transformers instead, which is slower.")
        else:
            return LlamaBackend(gguf, context), PromptTokenizer.of(SavedTokenizer(folder), info), info
    from movieplots.generation.backends.transformers import TransformersBackend
    from movieplots.generation.model import load_generator

    model, tokenizer, info = load_generator(folder)
    return TransformersBackend(model), tokenizer, info


def choose_backend(name: str = "auto") -> str:
    """Return `transformers` or `llama.cpp`: the given name, or for `auto` the faster one on this machine.

    Raises BadInput if the backend is unknown or not available.
    """
    check_backend(name)
    if name == "transformers" or (name == "auto" and _has_gpu()):
        return "transformers"
    missing = _missing_for_llama()
    if name == "llama.cpp" and missing:
        raise BadInput(f"The backend llama.cpp is not available: {missing}, or choose transformers.")
    if missing:
        notify(f"The backend transformers is slow without a GPU. To generate several times faster, {missing}.")
    return "transformers" if missing else "llama.cpp"


def _missing_for_llama() -> str:
    """Return what to do to make llama.cpp available, or an empty string if it is available."""
    try:
        import xllamacpp  # noqa: F401
    except ModuleNotFoundError:
        return "run `pip install xllamacpp`"
    except ImportError as error:  # the wheel needs a library that minimal systems lack
        return f"install the missing library ({error}), on Debian and Ubuntu with `apt-get install libgomp1`"
    return ""


def _has_gpu() -> bool:
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):  # avoids importing torch without a GPU
        return False
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return torch.cuda.is_available()
