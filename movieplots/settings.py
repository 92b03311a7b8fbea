"""Options, each declared once: its name, type, default, range and help, as a field of a frozen dataclass.

    epochs: Annotated[int, Option("Number of epochs.", ge=1)] = 3

A declaration gives the argument of the Python function (`takes`) and its entry in the docstring, the option of the
command (`movieplots.cli.options`), the checks and their error messages, the recipe that identifies a run, the command
in a model card, and the bounds in the API's schema (`movieplots.serving.schemas`). To add an option, declare it and
write the code that uses it.
"""

import contextlib
import functools
import inspect
import math
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Concatenate,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from movieplots.errors import BadInput
from movieplots.texts import as_list, as_names

Json = Any  # any value that the module json reads and writes
_LAST = ("seed", "overwrite")  # inherited fields that come after the fields of the subclass
P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")
_PLACES = {"data": "DATA", "output_dir": "THIS_FOLDER", "teacher": "TEACHER"}  # placeholders for paths, in a card


@dataclass(frozen=True)
class Option:
    """The declaration of an option, except for its name, type and default.

    Attributes
    ----------
    help : str
        One or two sentences.
    ge, gt, le, lt : float, optional
        Bounds of a number: at least, above, at most, below.
    off : float, optional
        A value outside the bounds that turns the option off.
    choices : tuple of str, default ()
        All values of a text; empty for any.
    default : str, default ""
        The default in words, if its value does not say enough.
    metavar : str, optional
        Placeholder for the value in `--help`; by default it follows from the type.
    short : str, default ""
        Short name, such as `-o`.
    item : str, default "value"
        Noun for one value of an option that is repeated to give several.
    negatable : bool, default False
        Whether a flag that is off by default has a `--no-` form, too.
    decides : bool, default True
        Whether the option changes the result and is part of the recipe.
    may_be_path : bool, default False
        Whether a text may be a path, which need not be UTF-8.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    off: float | None = None
    choices: tuple[str, ...] = ()
    default: str = ""
    metavar: str | None = None
    short: str = ""
    item: str = "value"
    negatable: bool = False
    decides: bool = True
    may_be_path: bool = False

    @property
    def range(self) -> str:
        """The range in words, such as "above 0 and at most 5"; empty if there is none."""
        if self.choices:
            return " or ".join(self.choices) if len(self.choices) == 2 else f"one of {', '.join(self.choices)}"
        if self.ge is not None and self.le is not None:
            text = f"from {_number(self.ge)} to {_number(self.le)}"
        else:
            ends = {"at least": self.ge, "above": self.gt, "at most": self.le, "below": self.lt}
            text = " and ".join(f"{word} {_number(end)}" for word, end in ends.items() if end is not None)
        return text if self.off is None else f"{text}, or {_number(self.off)} (off)"

    def holds(self, value: Any) -> bool:
        """Return whether the value is in the range."""
        if self.choices:
            return value in self.choices
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if self.off is not None and value == self.off:
            return True
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


Data = Annotated[
    str | Path,
    Option("Folder written by `movieplots prepare`, or its plots.parquet file.", metavar="DIR", decides=False),
]
OutputDir = Annotated[str | Path, Option("Folder for the result.", metavar="DIR", short="-o", decides=False)]
Overwrite = Annotated[bool, Option("Start over instead of resuming or reusing what is in the folder.", decides=False)]
LAST_SEED = 2**32 - 1
Seed = Annotated[int, Option("Random seed. The same seed gives the same result on one machine.", ge=0, le=LAST_SEED)]


@dataclass(frozen=True)
class Settings:
    """Options of a function and its command, checked when they are created.

    Raises
    ------
    BadInput
        If an option has the wrong type, is out of range, or conflicts with another.
    """

    command_name: ClassVar[str]  # such as `train generator`

    def __post_init__(self) -> None:
        """Convert and check all options."""
        for name, kind, option in declared(type(self)):
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind, option))
        self.check()

    def check(self) -> None:
        """Raise BadInput if options conflict."""

    def usual(self) -> dict[str, Any]:
        """Return the defaults that depend on other options, for options that are None."""
        return {}

    def resolved(self) -> Self:
        """Return a copy in which options that are None have their `usual` value."""
        return replace(self, **{name: value for name, value in self.usual().items() if getattr(self, name) is None})

    def recipe(self) -> dict[str, Json]:
        """Return the options that change the result, by name, as JSON."""
        return {name: _plain(getattr(self, name)) for name, _, option in declared(type(self)) if option.decides}

    @classmethod
    def of_recipe(cls, recipe: Mapping[str, Json]) -> Self:
        """Return the settings of a recipe, with placeholders for paths, which are not part of it."""
        known = {name: recipe[name] for name, *_ in declared(cls) if name in recipe and name not in _PLACES}
        places = {name: place for name, place in _PLACES.items() if name in {each.name for each in fields(cls)}}
        return cls(**{**places, **known})

    def command(self) -> str:
        """Return the equivalent command, without options that have their default value."""
        usual, words = self.usual(), [f"movieplots {self.command_name}"]
        kinds = {name: kind for name, kind, _ in declared(type(self))}
        for each in fields(self):
            value, default = getattr(self, each.name), _default(each)
            if value == default or (each.name in usual and value == usual[each.name]):
                continue
            flag = flag_of(each.name, kinds[each.name])
            if isinstance(value, bool):
                words.append(flag if value else f"--no-{flag[2:]}")
            elif isinstance(value, Mapping):
                words += [f"{flag} {_written(f'{key}={item}')}" for key, item in value.items()]
            elif isinstance(value, (tuple, list)):
                words += [f"{flag} {_written(item)}" for item in value]
            else:
                words.append(f"{flag} {_written(value)}")
        return " ".join(words)


def declared(kind: type) -> tuple[tuple[str, Any, Option], ...]:
    """Return (name, type, option) of each field, in the order of the arguments."""
    return _declared(kind)


@functools.cache  # separate because mypy does not let a cached function take the class of a dataclass
def _declared(kind: type) -> tuple[tuple[str, Any, Option], ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for each in sorted(fields(kind), key=lambda each: (bool(each.kw_only), each.name in _LAST)):
        base, *extras = get_args(hints[each.name]) if get_origin(hints[each.name]) is Annotated else [hints[each.name]]
        found.append((each.name, base, next(extra for extra in extras if isinstance(extra, Option))))
    return tuple(found)


def option_of(kind: type, name: str) -> Option:
    """Return the declaration of one option."""
    return next(option for known, _, option in declared(kind) if known == name)


def default_of(kind: type, name: str) -> Any:
    """Return the default of one option."""
    return next(_default(each) for each in fields(kind) if each.name == name)


class Taking(Protocol[P, S, R]):
    """A function that takes the fields of a settings class as arguments.

    `of` takes a settings object instead, and `settings` creates one from the arguments.
    """

    of: Callable[[S], R]
    settings: Callable[P, S]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        ...


def takes(settings: Callable[P, S]) -> Callable[[Callable[[S], R]], Taking[P, S, R]]:
    """Return a decorator: the function takes the fields of its settings as arguments and documents them."""

    def decorate(function: Callable[[S], R]) -> Taking[P, S, R]:
        def given(*args: P.args, **kwargs: P.kwargs) -> S:
            with _named(function, settings):
                return settings(*args, **kwargs)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(given(*args, **kwargs))

        made: Taking[P, S, R] = _described(call, function, settings, ())
        made.of, made.settings = function, given
        return made

    return decorate


def method_takes(settings: Callable[P, S]) -> Callable[[Callable[[T, S], R]], Callable[Concatenate[T, P], R]]:
    """Return the same decorator for a method."""

    def decorate(function: Callable[[T, S], R]) -> Callable[Concatenate[T, P], R]:
        @functools.wraps(function)
        def call(self: T, *args: P.args, **kwargs: P.kwargs) -> R:
            with _named(function, settings):
                given = settings(*args, **kwargs)
            return function(self, given)

        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        made: Callable[Concatenate[T, P], R] = _described(call, function, settings, (own,))
        return made

    return decorate


@contextlib.contextmanager
def _named(function: Any, settings: Any) -> Iterator[None]:
    """Name the function instead of its settings in Python's errors about arguments."""
    try:
        yield
    except TypeError as error:
        own = f"{settings.__name__}.__init__()"
        if own not in str(error):  # raised inside
            raise
        raise TypeError(str(error).replace(own, f"{function.__name__}()")) from None


def _described(call: Any, function: Any, settings: Any, first: tuple[inspect.Parameter, ...]) -> Any:
    """Return the function with the signature and docstring that follow from its settings."""
    types = {name: kind for name, kind, _ in declared(settings)}
    taken = inspect.signature(settings).parameters
    parameters = [taken[name].replace(annotation=kind) for name, kind in types.items()]
    returned = get_type_hints(function).get("return", inspect.Signature.empty)
    call.__signature__ = inspect.Signature([*first, *parameters], return_annotation=returned)
    call.__annotations__ = types | ({} if returned is inspect.Signature.empty else {"return": returned})
    call.__doc__ = _with_parameters(inspect.cleandoc(function.__doc__ or ""), settings)
    return call


def _with_parameters(doc: str, settings: type) -> str:
    """Return the docstring with its section Parameters, before the sections that follow it in numpydoc's order."""
    lines = ["Parameters", "----------"]
    defaults = {each.name: _default(each) for each in fields(settings)}
    for name, kind, option in declared(settings):
        lines.append(f"{name} : {_type_and_default(kind, option, defaults[name])}")
        text = help_of(option) + (f" Default: {option.default}." if option.default else "")
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    section = "\n".join(lines)
    following = re.search(r"^(?:Returns|Yields|Raises|See Also|Notes|Examples)\n-+$", doc, re.MULTILINE)
    if following is None:
        return f"{doc}\n\n{section}\n"
    return f"{doc[: following.start()].rstrip()}\n\n{section}\n\n{doc[following.start() :]}\n"


def _type_and_default(kind: Any, option: Option, default: Any) -> str:
    name = f"{{{', '.join(map(repr, option.choices))}}}" if option.choices else type_name(kind)
    if default is MISSING:
        return name
    return f"{name}, optional" if default is None or option.default else f"{name}, default {_quoted(default)}"


def help_of(option: Option) -> str:
    """Return the help of an option with its range."""
    within = "" if option.choices else option.range
    return f"{option.help} {within[0].upper()}{within[1:]}." if within else option.help


def type_name(kind: Any) -> str:
    """Return a type as numpydoc writes it, without None."""
    names = []
    for each in kinds_of(kind):
        inner = [type_name(part) for part in get_args(each)]
        if get_origin(each) is Sequence:
            names.append(f"sequence of {inner[0]}")
        elif get_origin(each) is Mapping:
            names.append(f"mapping of {inner[0]} to {inner[1]}")
        else:
            names.append(getattr(each, "__name__", str(each)))
    return " or ".join(names)


def flag_of(name: str, kind: Any) -> str:
    """Return the option of a field, such as `--top-p`; one that is repeated to give several values is singular."""
    several = any(get_origin(each) in (Sequence, Mapping) for each in kinds_of(kind))
    return f"--{(name.removesuffix('s') if several else name).replace('_', '-')}"


def kinds_of(kind: Any) -> list[Any]:
    """Return the types that a field may have, without None."""
    return [each for each in get_args(kind) if each is not NoneType] if _is_union(kind) else [kind]


def item_kind(kind: Any) -> Any:
    """Return the type of the items if the field is a list, else None. Checked lists are tuples."""
    origins = {get_origin(each): each for each in kinds_of(kind)}
    return get_args(origins[Sequence])[0] if Sequence in origins and Mapping not in origins else None


def may_be_path(kind: Any, option: Option) -> bool:
    """Return whether a field or its items may be paths. On Linux a path need not be text."""
    return option.may_be_path or Path in kinds_of(kind) or Path in kinds_of(item_kind(kind))


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _checked(name: str, value: Any, kind: Any, option: Option) -> Any:
    """Return the value as its type; raise BadInput if it has another type or is out of range."""
    kinds = kinds_of(kind)
    if value is None and _is_union(kind) and NoneType in get_args(kind):
        return None
    flag = flag_of(name, kind)
    if inner := item_kind(kind):
        items = as_names(value, option.item) if inner is str else as_list(value, option.item)
        return tuple(_checked_item(flag, item, kinds_of(inner), option) for item in items)
    return _checked_item(flag, value, kinds, option)


def _checked_item(flag: str, value: Any, kinds: list[Any], option: Option) -> Any:
    """Check one value, or one item of a list."""
    number = next((each for each in (bool, int, float) if each in kinds), None)
    if number is bool:
        if not isinstance(value, bool):
            raise BadInput(f"{flag} must be true or false, not {value!r}.")
    elif number is int:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise BadInput(f"{flag} must be an integer, not {value!r}.")
        value = int(value)
    elif number is float:
        if not isinstance(value, Real) or isinstance(value, bool):
            raise BadInput(f"{flag} must be a number, not {value!r}.")
        value = float(value)
    elif str in kinds and Path not in kinds and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if (number is not None or str in kinds) and not option.holds(value):
        raise BadInput(f"{flag} must be {option.range or 'finite'}, not {_quoted(value)}.")
    return value


def _default(each: "Field[Any]") -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _plain(value: Any) -> Json:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _written(value: Any) -> str:
    """Return a value as it is written in a shell."""
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))


def _quoted(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
