"""What all commands share: the apps, options made from settings, and printing."""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from movieplots.errors import BadInput
from movieplots.settings import Option, Settings, declared, help_of, item_kind, kinds_of, may_be_path

C = TypeVar("C", bound=Callable[..., Any])
S = TypeVar("S", bound=Settings)

# In a pipe a plot stays on one line; on a terminal it is wrapped between words.
output = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


class App(typer.Typer):
    """Typer whose commands refuse a text that is no UTF-8, such as one cut inside a character.

    What may be a path, by its type or by `with_options`, is let through: on Linux it need not be text.
    """

    def command(self, *arguments: Any, **settings: Any) -> Callable[[C], C]:
        register = super().command(*arguments, **settings)

        def decorate(command: C) -> C:
            paths = getattr(command, "paths", ())

            @functools.wraps(command)
            def checked(**given: Any) -> None:
                for name, value in given.items():
                    for text in value if isinstance(value, list) else [value]:
                        if isinstance(text, str) and name not in paths:
                            _check_utf8(text, name)
                command(**given)

            register(checked)
            return command

        return decorate


def _check_utf8(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        option = {"texts": "The text", "sources": "The source"}.get(name, f"--{name}")
        raise BadInput(
            f"{option.replace('_', '-')} is no UTF-8 from character {error.start + 1} on: "
            "perhaps it was cut inside a character."
        ) from None


app = App(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fine-tune transformers to write movie plots and to detect genres.\n\n"
    "The stages in order: `fetch`, `prepare`, `train generator`, `dump`, `train classifier`, `evaluate`; "
    "then `generate` and `genres` use what was trained.",
)


def with_options(kind: type[S]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that a settings class declares; it gets the settings as its first argument.

    The command's further parameters are options of its own. One with the name of a field stands in that field's place;
    such a command makes the settings with `settings(...)`, a function that takes the fields in whose place it has its
    own.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *further = inspect.signature(command).parameters.values()
        own = {each.name: each for each in further}
        parameters: list[inspect.Parameter] = []
        taken: dict[str, Any] = {}
        known = {each.name: each for each in fields(kind)}
        for name, annotation, option in declared(kind):
            if name not in own:
                taken[name] = annotation
            parameters.append(own.pop(name) if name in own else _parameter(known[name], annotation, option))
        whole = len(taken) == len(parameters)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            values = {name: _value(given.pop(name), annotation, name) for name, annotation in taken.items()}
            # A list that may be given several times and was not: its default, since Typer has only None for that.
            values = {name: value for name, value in values.items() if value is not None or known[name].default is None}
            command(kind(**values) if whole else functools.partial(kind, **values), **given)

        parameters += own.values()
        parameters.sort(key=lambda each: each.default is not inspect.Parameter.empty)
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.paths = {  # type: ignore[attr-defined]
            name for name, annotation, option in declared(kind) if may_be_path(annotation, option)
        }
        return run

    return decorate


def _parameter(field: Any, annotation: Any, option: Option) -> inspect.Parameter:
    """The parameter of a command that Typer makes an option of."""
    kinds = kinds_of(annotation)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    flag = f"--{field.name.replace('_', '-')}"
    shown: Any = True
    text = help_of(option)
    if item_kind(annotation):
        text += " May be given several times." if option.repeated else " Separated by commas."
        if option.repeated:
            taken: Any = list[str] | None
            flag = f"--{field.name.removesuffix('s').replace('_', '-')}"
            default = None if default in (None, ()) else default
        else:
            taken = str if default is not None else str | None
            default = (
                default
                if default in (None, MISSING)
                else ",".join(x if isinstance(x, str) else f"{x:g}" for x in default)
            )
    elif Path in kinds:
        taken = Path if default is not None else Path | None
    else:
        taken = kinds[0] if default is not None else kinds[0] | None
    if bool in kinds and default is not False:
        flag = f"{flag}/--no-{flag[2:]}"
    if option.default:
        shown = option.default
    elif default in ("", None):
        shown = False
    info = typer.Option(
        *([flag, option.short] if option.short else [flag]), help=text, metavar=option.metavar,
        show_default=shown,
    )  # fmt: skip
    empty = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=Annotated[taken, info]
    )


def _value(given: Any, annotation: Any, name: str) -> Any:
    """What was given on the command line, as the field's type: lists are written with commas."""
    inner = item_kind(annotation)
    if inner is None or given is None:
        return given
    if not isinstance(given, str):
        return tuple(given)
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if inner is not float:
        return tuple(parts)
    flag = f"--{name.replace('_', '-')}"
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        raise BadInput(f"{flag} takes numbers separated by commas, not {given!r}.") from None
    if not numbers:
        raise BadInput(f"{flag} is empty: give at least one number.")
    return numbers


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
