"""Write docs/reference.md from the signatures and docstrings of the front door, `movieplots.__all__`.

python docs/reference.py            writes the page
python docs/reference.py --check    ends with status 1 and one sentence where the page is out of date
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import movieplots

PAGE = Path(__file__).parent / "reference.md"
# As a user meets them; a name that is not here comes last.
ORDER = (
    "prepare", "load_plots", "parse_title", "base_models", "train_generator", "train_classifier", "PlotGenerator",
    "GenreClassifier", "sample_dump", "read_dump", "evaluate", "BadInput",
)  # fmt: skip
WIDTH = 100  # characters of a signature, from which on it takes a line an argument
OPENING = """\
# Reference

What `import movieplots` offers, in the order in which one meets it: prepare plots, train on them, write new ones and
detect genres, measure what was written. Each name is imported when it is first used. Input that cannot be used, be it
an option or a file, raises [`BadInput`](#badinput) with a sentence that says what to do about it. `make reference`
writes this page from the docstrings.
"""


@dataclass(frozen=True)
class Entry:
    """A section of the page: a name of the front door, or below it, with that as its `owner`, a method or a type."""

    name: str
    thing: Any
    owner: str = ""

    @property
    def anchor(self) -> str:
        """The section's address on the page, as GitHub makes it from the heading."""
        return re.sub(r"[^\w-]", "", self.name.lower())

    @property
    def link(self) -> str:
        return f"[`{self.name}`](#{self.anchor})"

    @property
    def text(self) -> str:
        """The docstring without its indentation."""
        return inspect.cleandoc(self.thing.__doc__ or "")


def main() -> None:
    """Write the page, or check it."""
    made = page()
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != made:
        sys.exit(f"docs/{PAGE.name} is out of date: run `make reference`.")


def page() -> str:
    """The whole page."""
    found = list(entries())
    return "\n".join([OPENING, contents(found), *(section(entry, found) for entry in found)])


def entries() -> Iterator[Entry]:
    """Every section in order: each name, its public methods, and the types of ours that these take or return."""
    place = {name: number for number, name in enumerate(ORDER)}
    described: set[type] = set()
    for name in sorted(movieplots.__all__, key=lambda name: place.get(name, len(place))):
        thing = getattr(movieplots, name)
        methods = dict(public_methods(thing)) if inspect.isclass(thing) else {}
        yield Entry(name, thing)
        for method, function in methods.items():
            yield Entry(f"{name}.{method}", function, name)
        for function in methods.values() or [thing]:
            for kind in records(function):
                if kind not in described:
                    described.add(kind)
                    yield Entry(kind.__name__, kind, name)


def public_methods(kind: type) -> Iterator[tuple[str, Any]]:
    """The methods and properties that a class itself defines, in its order; a class method comes bound."""
    for name, member in vars(kind).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, (classmethod, property))):
            yield name, member if isinstance(member, property) else getattr(kind, name)


def records(thing: Any, deep: bool = True) -> Iterator[type]:
    """The dataclasses of ours that stand in the annotations of a function, and with `deep` those in their fields."""
    if isinstance(thing, property) or not (inspect.isroutine(thing) or dataclasses.is_dataclass(thing)):
        return
    waiting = list(thing.__annotations__.values())
    while waiting:
        kind = waiting.pop(0)
        waiting += get_args(kind)
        if dataclasses.is_dataclass(kind):
            yield kind
            yield from records(kind) if deep else ()


def contents(found: list[Entry]) -> str:
    """The table of contents: a line a name with its first sentence, and below it what belongs to it."""
    lines = []
    for entry in found:
        if not entry.owner:
            sentence = re.match(r".+?[.](?=\s|$)", entry.text, re.DOTALL)
            lines.append(f"- {entry.link}: {prose(sentence[0]) if sentence else ''}")
            lines += [f"    - {other.link}" for other in found if other.owner == entry.name]
    return "\n".join(lines) + "\n"


def section(entry: Entry, found: list[Entry]) -> str:
    """Heading, import and signature, docstring."""
    links = {other.name: other.link for other in found}
    # Inside a class its methods go by their bare names.
    class_name = entry.owner if "." in entry.name else entry.name
    inside = [other for other in found if other.name.startswith(f"{class_name}.")]
    links |= {bare: f"[`{bare}`](#{other.anchor})" for other in inside for bare in [other.name.partition(".")[2]]}
    for own in (entry.name, entry.name.partition(".")[2]):
        links.pop(own, None)
    level = "###" if entry.owner else "##"
    return f"{level} {entry.name}\n\n{code(declaration(entry))}\n{markdown(entry.text, links)}"


def declaration(entry: Entry) -> str:
    """How to import it, and what it takes and gives."""
    thing, name = entry.thing, entry.name
    if isinstance(thing, property):
        return f"{name.partition('.')[2]}: {annotated(thing.fget.__annotations__['return'])}"
    if "." in name:
        return signature(name if inspect.ismethod(thing) else name.partition(".")[2], thing)
    lines = [f"from {thing.__module__ if entry.owner else 'movieplots'} import {name}"]
    if inspect.isfunction(thing) or dataclasses.is_dataclass(thing):
        lines += ["", signature(name, thing)]
    elif issubclass(thing, Exception):
        lines += ["", f"class {name}({', '.join(base.__name__ for base in thing.__bases__)})"]
    return "\n".join(lines)  # any other class is not made by calling it, but by its class methods


def signature(name: str, function: Any) -> str:
    """On one line, or where that would be long with a line an argument; `self` is left out."""
    found = inspect.signature(function)
    arguments = []
    for argument in found.parameters.values():
        if argument.name == "self":
            continue
        if argument.kind is argument.KEYWORD_ONLY and not any(text.startswith("*") for text in arguments):
            arguments.append("*")
        text = str(argument.replace(annotation=argument.empty, default=argument.empty))
        text += "" if argument.annotation is argument.empty else f": {annotated(argument.annotation)}"
        # Strings in the quotes of our code.
        text += "" if argument.default is argument.empty else f" = {repr(argument.default).replace(chr(39), chr(34))}"
        arguments.append(text)
    end = ")" if inspect.isclass(function) else f") -> {annotated(found.return_annotation)}"
    line = f"{name}({', '.join(arguments)}{end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), end])


def annotated(kind: Any) -> str:
    """A type as it is written, without the modules that its names come from."""
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", kind if isinstance(kind, str) else inspect.formatannotation(kind))


def markdown(docstring: str, links: dict[str, str]) -> str:
    """The docstring's paragraphs; an interactive session becomes code, the first mention of another section a link."""
    links, parts = dict(links), []
    for paragraph in docstring.split("\n\n"):
        if paragraph.startswith(">>>"):
            parts.append(code(paragraph))
        else:
            text = prose(paragraph, keep_lines=True)
            parts.append(re.sub(r"`([\w.]+)`", lambda name: links.pop(name[1], name[0]), text) + "\n")
    return "\n".join(parts)


def prose(text: str, keep_lines: bool = False) -> str:
    """Text in which Markdown finds nothing but the code between backticks."""
    text = text if keep_lines else " ".join(text.split())
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else re.sub(r"([<*])", r"\\\1", piece) for piece in pieces)


def code(text: str) -> str:
    """A block of Python."""
    return f"```python\n{text}\n```\n"


if __name__ == "__main__":
    main()
