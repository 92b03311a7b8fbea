"""The one exception that is shown to a user as a sentence instead of a traceback."""

import contextlib
import sys
from collections.abc import Iterator


class BadInput(ValueError):
    """Something given from outside cannot be used.

    The message is one sentence (or two short ones): what is wrong, where, and what to do about it.
    """


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """For programs: end with one line on standard error and status 2 for bad input, with 130 where interrupted."""
    try:
        yield
    except BadInput as error:
        print("movieplots: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped; the same command continues where it was.", file=sys.stderr)
        sys.exit(130)
