"""Commands of `movieplots` in pages."""

import shlex

import typer

from movieplots.cli import app


def commands():
    """Yield every command with its words, groups included."""

    def below(command, words):
        yield command, words
        for name, sub in getattr(command, "commands", {}).items():
            yield from below(sub, [*words, name])

    return below(typer.main.get_command(app), [])


def parse(command):
    """Raise if the command or one of its options does not exist; nothing is run."""
    name, *words = shlex.split(command, comments=True)
    found = typer.main.get_command(app)
    while hasattr(found, "commands"):
        name, *words = words
        found = found.commands[name]
    found.make_context(name, words).close()
