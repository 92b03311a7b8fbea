"""Options, each declared once: its name, type, default, range and help, as a field of a frozen dataclass.

    epochs: Annotated[int, Option("Epochs over the training plots.", ge=1)] = 3

From that come the arguments of the Python function (`takes`), with their section of its docstring; the options of the
command (`movieplots.cli.options`); the checks and their messages; the recipe that identifies a run; the command that a
card repeats; and the bounds of the API's schema (`movieplots.serving.schemas`). Adding an option is its declaration and
the code that uses it.
"""

import contextlib
import functools
import inspect
import math
import os
import re
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

Json = Any  # what the module json reads and writes
_LAST = ("seed", "overwrite")  # where a base class has them, they still come after what its subclasses add
P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")
_PLACES = {"data": "DATA", "output_dir": "THIS_FOLDER", "teacher": "TEACHER"}  # where a command names what it was given


@dataclass(frozen=True)
class Option:
    """What an option has beside its name, type and default.

    `help` is one or two sentences. `ge`, `gt`, `le` and `lt` bound a number, `off` is one value outside of them that
    turns the option off; `choices` are all values of a text. `default` says in words what happens without the option
    where its value does not; `metavar` stands for the value in `--help`; `short` is a second name such as `-o`. A list
    is written with commas, or where it is `repeated` by giving the option several times; `item` is the noun for one of
    it. An option that does not `decide` the result is no part of the recipe. A text that `may_be_path` need not be
    UTF-8.
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
    item: str = "name"
    repeated: bool = False
    decides: bool = True
    may_be_path: bool = False

    @property
    def range(self) -> str:
        """The range in words, such as "above 0 and at most 5"; empty where there is none."""
        if self.choices:
            return " or ".join(self.choices)
        if self.ge is not None and self.le is not None:
            text = f"from {_number(self.ge)} to {_number(self.le)}"
        else:
            ends = {"at least": self.ge, "above": self.gt, "at most": self.le, "below": self.lt}
            text = " and ".join(f"{word} {_number(end)}" for word, end in ends.items() if end is not None)
        return text if self.off is None else f"{text}, or {_number(self.off)} (off)"

    def holds(self, value: Any) -> bool:
        """Whether the value is in the range."""
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


Data = Annotated[str | Path, Option("Folder that `movieplots prepare` wrote, or its table.", decides=False)]
OutputDir = Annotated[str | Path, Option("Folder for the result.", short="-o", decides=False)]
Overwrite = Annotated[bool, Option("Start over instead of continuing or reusing what is there.", decides=False)]
Seed = Annotated[int, Option("Sets every random draw: the same seed gives the same result.", ge=0, le=2**32 - 1)]


@dataclass(frozen=True)
class Settings:
    """The options of one function and its command. What is made is checked: out of range it raises BadInput."""

    command_name: ClassVar[str]  # such as `train generator`

    def __post_init__(self) -> None:
        for name, kind, option in declared(type(self)):
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind, option))
        self.check()

    def check(self) -> None:
        """Raise BadInput where options do not go together."""

    def usual(self) -> dict[str, Any]:
        """What takes the place of options that are None, where that depends on others."""
        return {}

    def resolved(self) -> Self:
        """The same with the `usual` value of each option that is None."""
        return replace(self, **{name: value for name, value in self.usual().items() if getattr(self, name) is None})

    def recipe(self) -> dict[str, Json]:
        """The options that decide the result, as JSON, by name."""
        return {name: _plain(getattr(self, name)) for name, _, option in declared(type(self)) if option.decides}

    @classmethod
    def of_recipe(cls, recipe: Mapping[str, Json]) -> Self:
        """The settings that had this recipe; where data and model lie stands in no recipe."""
        known = {name: recipe[name] for name, *_ in declared(cls) if name in recipe and name not in _PLACES}
        places = {name: place for name, place in _PLACES.items() if name in {each.name for each in fields(cls)}}
        return cls(**{**places, **known})

    def command(self) -> str:
        """The command that does this; options left at their defaults are not named."""
        usual, words = self.usual(), [f"movieplots {self.command_name}"]
        for each in fields(self):
            value, default = getattr(self, each.name), _default(each)
            if value == default or (each.name in usual and value == usual[each.name]):
                continue
            flag = f"--{each.name.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(flag if value else f"--no-{flag[2:]}")
            elif option_of(type(self), each.name).repeated:
                words += [f"{flag.removesuffix('s')} {_written(item)}" for item in value]
            elif isinstance(value, tuple):
                words.append(f"{flag} {','.join(map(_written, value))}")
            else:
                words.append(f"{flag} {_written(value)}")
        return " ".join(words)


def declared(kind: type) -> tuple[tuple[str, Any, Option], ...]:
    """(name, type, option) of each field, in the order of the arguments; the type without its annotation."""
    return _declared(kind)


@functools.cache  # which mypy thinks cannot take the class of a dataclass
def _declared(kind: type) -> tuple[tuple[str, Any, Option], ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for each in sorted(fields(kind), key=lambda each: (bool(each.kw_only), each.name in _LAST)):
        base, *extras = get_args(hints[each.name]) if get_origin(hints[each.name]) is Annotated else [hints[each.name]]
        found.append((each.name, base, next(extra for extra in extras if isinstance(extra, Option))))
    return tuple(found)


def option_of(kind: type, name: str) -> Option:
    """The declaration of one option."""
    return next(option for known, _, option in declared(kind) if known == name)


def default_of(kind: type, name: str) -> Any:
    """The default of one option."""
    return next(_default(each) for each in fields(kind) if each.name == name)


class Taking(Protocol[P, S, R]):
    """A function that takes the fields of a settings class as arguments, or with `of` the settings themselves.

    `settings` makes these from the arguments.
    """

    of: Callable[[S], R]
    settings: Callable[P, S]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def takes(settings: Callable[P, S]) -> Callable[[Callable[[S], R]], Taking[P, S, R]]:
    """Let a function of one settings object take its fields as arguments, and describe them in its docstring."""

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
    """The same for a method."""

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
    """Let Python's own errors about arguments name the function, and not its settings."""
    try:
        yield
    except TypeError as error:
        own = f"{settings.__name__}.__init__()"
        if own not in str(error):  # raised further in
            raise
        raise TypeError(str(error).replace(own, f"{function.__name__}()")) from None


def _described(call: Any, function: Any, settings: Any, first: tuple[inspect.Parameter, ...]) -> Any:
    """The function with the signature and the docstring that its settings give it."""
    types = {name: kind for name, kind, _ in declared(settings)}
    taken = inspect.signature(settings).parameters
    parameters = [taken[name].replace(annotation=kind) for name, kind in types.items()]
    returned = get_type_hints(function).get("return", inspect.Signature.empty)
    call.__signature__ = inspect.Signature([*first, *parameters], return_annotation=returned)
    call.__annotations__ = types | ({} if returned is inspect.Signature.empty else {"return": returned})
    call.__doc__ = _with_parameters(inspect.cleandoc(function.__doc__ or ""), settings)
    return call


def _with_parameters(doc: str, settings: type) -> str:
    """The docstring with the section Parameters, before the sections that follow it in numpydoc's order."""
    lines = ["Parameters", "----------"]
    defaults = {each.name: _default(each) for each in fields(settings)}
    for name, kind, option in declared(settings):
        default = defaults[name]
        shown = "" if default is MISSING else f", default {option.default or _quoted(default)}"
        lines.append(f"{name} : {type_name(kind)}{shown}")
        lines += textwrap.wrap(help_of(option), 116, initial_indent="    ", subsequent_indent="    ")
    section = "\n".join(lines)
    following = re.search(r"^(?:Returns|Yields|Raises|Notes|Examples)\n-+$", doc, re.MULTILINE)
    if following is None:
        return f"{doc}\n\n{section}\n"
    return f"{doc[: following.start()].rstrip()}\n\n{section}\n\n{doc[following.start() :]}\n"


def help_of(option: Option) -> str:
    """The help of an option with its range."""
    within = option.range
    if not within or (option.choices and all(choice in option.help for choice in option.choices)):
        return option.help
    return f"{option.help} {within[0].upper()}{within[1:]}."


def type_name(kind: Any) -> str:
    """A type as numpydoc writes it."""
    names = []
    for each in kinds_of(kind):
        if get_origin(each) is Sequence:
            names.append(f"sequence of {getattr(get_args(each)[0], '__name__', get_args(each)[0])}")
        elif get_origin(each) is None:
            names.append(getattr(each, "__name__", str(each)))
        else:
            names.append(re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(each)))
    return " or ".join(names) + (" or None" if _is_union(kind) and NoneType in get_args(kind) else "")


def kinds_of(kind: Any) -> list[Any]:
    """The types that a field may have, without None."""
    return [each for each in get_args(kind) if each is not NoneType] if _is_union(kind) else [kind]


def item_kind(kind: Any) -> Any:
    """The type of a list's items, where the field is a list; else None. What is checked is kept as a tuple."""
    origins = {get_origin(each): each for each in kinds_of(kind)}
    return get_args(origins[Sequence])[0] if Sequence in origins and Mapping not in origins else None


def may_be_path(kind: Any, option: Option) -> bool:
    """Whether a field may name a file or folder, or each item of it: on Linux such a name need not be text."""
    return option.may_be_path or Path in kinds_of(kind) or Path in kinds_of(item_kind(kind))


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _checked(name: str, value: Any, kind: Any, option: Option) -> Any:
    """The value as its type; raises BadInput for one of another type or out of range."""
    kinds = kinds_of(kind)
    if value is None and _is_union(kind) and NoneType in get_args(kind):
        return None
    flag = f"--{name.replace('_', '-')}"
    if inner := item_kind(kind):
        items = as_names(value, option.item) if inner is str else as_list(value, option.item)
        value = tuple(map(float, items) if inner is float else items)
        for item in value:
            if not option.holds(item):
                raise BadInput(f"{flag} must be {option.range or 'finite'}, not {_quoted(item)}.")
        return value
    number = next((each for each in (bool, int, float) if each in kinds), None)
    if number is bool:
        if not isinstance(value, bool):
            raise BadInput(f"{flag} must be true or false, not {value!r}.")
    elif number is int:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise BadInput(f"{flag} must be a whole number, not {value!r}.")
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
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quoted(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
