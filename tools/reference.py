"""Write docs/reference.md from the signatures and docstrings of the front door, `movieplots.__all__`.

python tools/reference.py            writes the page
python tools/reference.py --check    ends with status 1 and one sentence where the page is out of date
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import movieplots
from movieplots.settings import Settings, takes

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
# As a user meets them; a name that is not here comes last.
ORDER = (
    "prepare", "load_plots", "parse_title", "base_models", "train_generator", "train_classifier", "PlotGenerator",
    "GenreClassifier", "sample_dump", "read_dump", "evaluate", "BadInput",
)  # fmt: skip
WIDTH = 100  # characters of a signature, from which on it takes a line an argument
SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)  # the head of a section, as numpydoc writes it
LISTS = ("Parameters", "Returns", "Yields", "Raises")  # sections of items: a line each, and indented what it means
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
        """The docstring without its indentation; that of settings with a section of their options."""
        thing = self.thing
        if inspect.isclass(thing) and issubclass(thing, Settings):

            def make(settings: Settings) -> None: ...

            make.__doc__ = thing.__doc__
            return inspect.cleandoc(takes(thing)(make).__doc__ or "")
        return inspect.cleandoc(thing.__doc__ or "")


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
    """The dataclasses that stand in the annotations of a function, or of one and among its bases.

    With `deep` those that stand in these, too.
    """
    if isinstance(thing, property) or not (inspect.isroutine(thing) or dataclasses.is_dataclass(thing)):
        return
    found = {thing, Settings}
    waiting = [*get_type_hints(thing).values(), *getattr(thing, "__bases__", ())]
    while waiting:
        kind = waiting.pop(0)
        waiting += get_args(kind)
        if inspect.isclass(kind) and dataclasses.is_dataclass(kind) and kind not in found:
            found.add(kind)
            yield kind
            waiting += [*get_type_hints(kind).values(), *kind.__bases__] if deep else []


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
    text = entry.text
    others = [kind.__name__ for kind in records(entry.thing, deep=False) if kind.__name__ in links]
    others = [name for name in others if not re.search(rf"`{name}`|^{name}$", text, re.MULTILINE)]
    if others:
        names = ", ".join(f"`{name}`" for name in others)
        text += f"\n\nSee also {names}."
    return f"{level} {entry.name}\n\n{code(declaration(entry))}\n{markdown(text, links)}"


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
    types = get_type_hints(function)  # without what a declaration adds to a type
    arguments = []
    for argument in found.parameters.values():
        if argument.name == "self":
            continue
        if argument.kind is argument.KEYWORD_ONLY and not any(text.startswith("*") for text in arguments):
            arguments.append("*")
        hint = types.get(argument.name, argument.annotation)
        text = str(argument.replace(annotation=argument.empty, default=argument.empty))
        text += "" if hint is argument.empty else f": {annotated(hint)}"
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
    if kind is type(None):
        return "None"
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", kind if isinstance(kind, str) else inspect.formatannotation(kind))


def markdown(docstring: str, links: dict[str, str]) -> str:
    """The docstring's paragraphs and sections; the first mention of another section of the page becomes a link."""
    links, parts = dict(links), []
    first, *sections = SECTION.split(docstring)
    for head, text in [("", first), *zip(sections[::2], sections[1::2], strict=True)]:
        if head:
            parts.append(f"**{head}**\n")
        parts += [linked("\n".join(items(text)), links) + "\n"] if head in LISTS else paragraphs(text, links)
    return "\n".join(parts)


def paragraphs(text: str, links: dict[str, str]) -> Iterator[str]:
    """Paragraphs as Markdown; an interactive session becomes code."""
    for paragraph in text.strip().split("\n\n"):
        is_code = paragraph.startswith(">>>")
        yield code(paragraph) if is_code else linked(prose(paragraph, keep_lines=True), links) + "\n"


def linked(text: str, links: dict[str, str]) -> str:
    """The text with a link where one of the names stands for the first time; that name is then taken out of `links`."""
    return re.sub(r"`([\w.]+)`", lambda name: links.pop(name[1], name[0]), text)


def items(text: str) -> Iterator[str]:
    """What a section of numpydoc lists, a line of Markdown each: the name or type, and what it means."""
    for item in re.split(r"\n(?=\S)", text.strip()):
        head, _, meaning = item.partition("\n")
        name, colon, kind = head.partition(" : ")
        kind = f" : {prose(kind)}" if colon else ""
        yield f"- {f'**`{name}`**' if colon else f'`{name}`'}{kind} — {prose(meaning)}"


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
