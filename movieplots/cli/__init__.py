"""The command line. Commands parse arguments, call the library and print.

Results go to standard output, everything else to standard error. The exit code is 0 after success, 2 after one line
about bad input, and 130 after an interrupt. Commands import torch only when they run, so `--help` is quick.
"""

import io
import sys

# isort: off
from movieplots.cli import detect, evaluate, generate, prepare, serve, train  # noqa: F401  # they add their commands

# isort: on
from movieplots.cli.options import app
from movieplots.errors import BadInput, sentences


def main() -> None:
    """Run the command line. Bad input gives one line on standard error and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    with sentences():
        try:
            status = app(standalone_mode=False, prog_name="movieplots")
        except Exception as error:
            # A usage error of Typer, such as a missing option, has its own message.
            if not hasattr(error, "format_message"):
                raise
            context = getattr(error, "ctx", None)
            path = context.command_path if context else "movieplots"
            message = error.format_message() or "A command is missing."
            end = "" if message.endswith((".", "?")) else "."
            raise BadInput(f"{message}{end} See `{path} --help`.") from None
        if status == 130:  # Typer's code for an interrupt
            raise KeyboardInterrupt
    sys.exit(status or 0)
