"""The one exception that is shown to a user as a sentence instead of a traceback."""


class BadInput(ValueError):
    """Something given from outside cannot be used.

    The message is one sentence (or two short ones): what is wrong, where, and what to do about it.
    The command line prints it as it is and exits with status 2.
    """
