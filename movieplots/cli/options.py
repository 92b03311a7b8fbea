"""What all commands share: the app, options made from settings, and printing."""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from rich.console import Console
from typer.core import TyperArgument, TyperCommand, TyperGroup

from movieplots import __version__
from movieplots.classification.training_settings import QuantizeSettings
from movieplots.errors import BadInput
from movieplots.generation.sampling_settings import DumpSettings
from movieplots.settings import (
    Data,
    Option,
    Settings,
    declared,
    flag_of,
    help_of,
    item_kind,
    kinds_of,
    may_be_path,
    option_of,
)

C = TypeVar("C", bound=Callable[..., Any])
S = TypeVar("S", bound=Settings)

# The parts of `movieplots --help`.
USE, DATA, TRAIN, EVALUATE = "Write plots and detect genres", "Prepare data", "Train models", "Evaluate generators"
_ORDER = (
    "generate", "genres", "studio", "api", "sources", "fetch", "prepare", "train", "find-lr", "distill", "quantize",
    "export", "dump", "evaluate", "novelty",
)  # fmt: skip
_METAVARS = {int: "INTEGER", float: "FLOAT", str: "TEXT", Path: "PATH"}

# In a pipe each plot is one line; a terminal wraps it between words.
output = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DataFolder = Annotated[Path, typer.Option("--data", help=get_args(Data)[-1].help, metavar="DIR")]
GeneratorFolder = Annotated[
    Path,
    typer.Option(
        "--model", help=option_of(DumpSettings, "model").help, metavar="DIR", show_default="the pretrained one"
    ),
]
ClassifierFolder = Annotated[
    Path,
    typer.Option(
        "--model", help=option_of(QuantizeSettings, "model").help, metavar="DIR", show_default="the pretrained one"
    ),
]
NoveltyFile = Annotated[
    Path | None,
    typer.Option(
        "--novelty",
        help="File written by `movieplots novelty` from the generator's training plots.",
        metavar="FILE",
        show_default="the included file, if it covers the generator's training plots",
    ),
]
BackendName = Annotated[str, typer.Option("--backend", help=option_of(DumpSettings, "backend").help, metavar="NAME")]


class _Plain:
    """A command whose `--help` has no Python types: flags have no placeholder, and arguments only their own."""

    def get_params(self, context: Any) -> list[Any]:
        """Return the parameters, `--help` included."""
        parameters: list[Any] = super().get_params(context)  # type: ignore[misc]
        for each in parameters:
            if isinstance(each, TyperArgument):
                each.display_type_rich = lambda ctx: ""  # type: ignore[method-assign]
            elif getattr(each, "is_flag", False) and each.metavar is None:
                each.metavar = ""
        return parameters


class _Command(_Plain, TyperCommand):
    def format_help(self, context: Any, formatter: Any) -> None:
        """Write the help page, with negative names in the help text: their own column cuts others at 80 characters."""
        options: list[Any] = self.params
        for each in options:
            if each.secondary_opts:
                each.help = f"{each.help} `{each.secondary_opts[0]}` turns this off."
                each.secondary_opts = []
        super().format_help(context, formatter)


class _Group(_Plain, TyperGroup):
    def list_commands(self, context: Any) -> list[str]:
        """Return the names of the commands in the order of `--help`."""
        names: list[str] = super().list_commands(context)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


class App(typer.Typer):
    """A Typer app whose commands reject texts that are not UTF-8, such as one cut inside a character.

    Paths are accepted: on Linux a path need not be text.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, **settings)

    def command(self, *arguments: Any, **settings: Any) -> Callable[[C], C]:
        """Register a command."""
        register = super().command(*arguments, cls=_Command, **settings)

        def decorate(command: C) -> C:
            paths = getattr(command, "paths", ())
            names = _names(command)

            @functools.wraps(command)
            def checked(**given: Any) -> None:
                for name, value in given.items():
                    for text in value if isinstance(value, list) else [value]:
                        if isinstance(text, str) and name not in paths:
                            _check_utf8(text, names[name])
                command(**given)

            register(checked)
            return command

        return decorate


def _names(command: Callable[..., Any]) -> dict[str, str]:
    """Return how a message names each parameter of a command."""
    names = {}
    for each in inspect.signature(command).parameters.values():
        info = next((info for info in get_args(each.annotation) if isinstance(info, typer.models.ParameterInfo)), None)
        if isinstance(info, typer.models.ArgumentInfo):
            names[each.name] = f"The {each.name.removesuffix('s')}"
        else:
            flags = info.param_decls if info else None
            names[each.name] = flags[0].partition("/")[0] if flags else f"--{each.name.replace('_', '-')}"
    return names


def _check_utf8(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{name} is not valid UTF-8 from character {error.start + 1}: perhaps it was cut inside a character."
        ) from None


app = App(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Fine-tune transformers to write movie plots and to detect genres.

To start, use the pretrained models: `movieplots generate --genre horror`

To train your own, in this order:

- `prepare` cleans a corpus and splits it; `sources` lists the corpora and `fetch` downloads one.
- `train generator` and `train classifier` fine-tune models on it.
- `dump` samples plots from the generator.
- `evaluate` measures them and writes a report.
- `generate`, `genres`, `api` and `studio` use the models.

`movieplots COMMAND --help` explains a command with examples.""",
)


def _print_version(asked: bool) -> None:
    if asked:
        output.print(f"movieplots {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def with_options(kind: type[S]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator: the command gets the options of a settings class, and the settings as its first argument.

    Other parameters of the command are options of its own. One with the name of a field replaces that field's option;
    such a command gets a function in place of the settings, which takes the replaced fields and returns the settings.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *further = inspect.signature(command).parameters.values()
        own = {each.name: each for each in further}
        parameters: list[inspect.Parameter] = []
        taken: dict[str, tuple[Any, Option]] = {}
        known = {each.name: each for each in fields(kind)}
        for name, annotation, option in declared(kind):
            if name not in own:
                taken[name] = annotation, option
            parameters.append(own.pop(name) if name in own else _parameter(known[name], annotation, option))
        whole = len(taken) == len(parameters)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            values = {name: _value(given.pop(name), name, *declaration) for name, declaration in taken.items()}
            # Typer gives None for a list that was not given, whatever its default.
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


def _metavar(kind: Any) -> str:
    return next((name for each, name in _METAVARS.items() if each in (kind, *kinds_of(kind))), "TEXT")


def _parameter(field: Any, annotation: Any, option: Option) -> inspect.Parameter:
    """Return the parameter of a command that becomes the option of a field."""
    kinds = kinds_of(annotation)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    flag = flag_of(field.name, annotation)
    text = help_of(option)
    metavar = option.metavar
    shown: Any = option.default.replace("`", "") or default not in ("", None, ())
    item = item_kind(annotation)
    if item:
        text += " Repeat the option to give several."
        taken: Any = list[str] | None
        metavar = metavar or _metavar(item)
        if default not in (None, MISSING):
            shown = shown if option.default else ", ".join(f"{x:g}" if isinstance(x, float) else x for x in default)
            default = None
    elif bool in kinds:
        taken = bool if default is not None else bool | None
        if default is not False or option.negatable:
            flag = f"{flag}/--no-{flag[2:]}"
    else:
        taken = Path if Path in kinds else kinds[0]
        # The help names the choices; a list of them here would leave no room for it on a narrow terminal.
        metavar = metavar or ("NAME" if option.choices else _metavar(taken))
        taken = taken if default is not None else taken | None
    info = typer.Option(
        *([flag, option.short] if option.short else [flag]), help=text, metavar=metavar, show_default=shown or False
    )
    empty = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=Annotated[taken, info]
    )


def _value(given: Any, name: str, annotation: Any, option: Option) -> Any:
    """Return what was given on the command line as a value for the field."""
    item = item_kind(annotation)
    if item is None or given is None:
        return given
    flag = flag_of(name, annotation)
    if not may_be_path(annotation, option):
        for text in given:
            check_one(text, flag, option.item)
    return tuple(map(_as_float, given) if item is float else given)


def check_one(text: str, flag: str, item: str) -> None:
    """Raise BadInput if a text looks like several values separated by commas."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if "," in text and parts:
        repeated = " ".join(f"{flag} {part}" for part in parts)
        raise BadInput(f"{flag} takes one {item}, not {text!r}: write {repeated}.")


def _as_float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # the settings' check names it


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
