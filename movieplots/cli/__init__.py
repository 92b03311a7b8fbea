"""The command line: one verb a stage. Commands only parse arguments, call the library and print.

Results go to standard output, everything else to standard error. A command ends with status 0, with 2 and one line for
bad input, or with 130 where it was stopped; whatever needs torch is imported inside its command, so `--help` is quick.
"""

import io
import sys

# isort: off
from movieplots.cli import prepare, train, generate, evaluate, detect, serve  # noqa: F401  # they add their commands

# isort: on
from movieplots.cli.options import app
from movieplots.errors import BadInput, sentences


def main() -> None:
    """Run the command line; every foreseeable error is one line on standard error and status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a file need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    with sentences():
        try:
            status = app(standalone_mode=False)
        except Exception as error:
            # Typer's own usage errors (a missing option, a wrong type) know how to say what is wrong.
            if not hasattr(error, "format_message"):
                raise
            context = getattr(error, "ctx", None)
            # Behind the program's own name, whatever that is here.
            words = context.command_path.split()[1:] if context else []
            path = [word for word in words if word not in ("-m", "movieplots")]
            message = error.format_message().rstrip(".") or "A command is missing"
            raise BadInput(f"{message}. See `{' '.join(['movieplots', *path])} --help`.") from None
        if status == 130:  # Typer's word for an interrupt
            raise KeyboardInterrupt
    sys.exit(status or 0)
