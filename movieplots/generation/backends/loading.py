"""Which backend writes, and how a generator's folder becomes one."""

from pathlib import Path

from movieplots.errors import BadInput
from movieplots.generation.backends.base import Backend
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import PromptTokenizer, SavedTokenizer
from movieplots.generation.sampling_settings import check_backend, is_address
from movieplots.progress import notify
from movieplots.runs.folder import read_info


def load_backend(folder: str | Path, name: str = "auto") -> tuple[Backend, PromptTokenizer, GeneratorInfo]:
    """(backend, tokenizer, info) of a trained generator's folder; torch is needed for transformers only.

    `name` is one of BACKENDS or the address of an OpenAI-compatible server. Raises BadInput.
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
            notify(f"{error} So transformers writes, which is slower.")
        else:
            return LlamaBackend(gguf, context), PromptTokenizer.of(SavedTokenizer(folder), info), info
    from movieplots.generation.backends.transformers import TransformersBackend
    from movieplots.generation.model import load_generator

    model, tokenizer, info = load_generator(folder)
    return TransformersBackend(model), tokenizer, info


def choose_backend(name: str = "auto") -> str:
    """`transformers` or `llama.cpp`: the one named, or with `auto` the faster one here. Raises BadInput."""
    check_backend(name)
    if name == "transformers" or (name == "auto" and _has_gpu()):
        return "transformers"
    missing = _missing_for_llama()
    if name == "llama.cpp" and missing:
        raise BadInput(f"The backend llama.cpp cannot run here: {missing}, or choose transformers.")
    if missing:
        notify(f"Without a GPU transformers writes slowly: {missing}, which makes it several times as fast.")
    return "transformers" if missing else "llama.cpp"


def _missing_for_llama() -> str:
    """What to do before llama.cpp can be used; nothing where it can."""
    try:
        import xllamacpp  # noqa: F401
    except ModuleNotFoundError:
        return "run `pip install xllamacpp`"
    except ImportError as error:  # the wheel needs one library that small systems lack
        return f"install what it misses ({error}), on Debian and Ubuntu with `apt-get install libgomp1`"
    return ""


def _has_gpu() -> bool:
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):  # spares importing torch where there is none
        return False
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return torch.cuda.is_available()
