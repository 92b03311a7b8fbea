"""Write the reference: docs/reference.md from signatures and docstrings, docs/commands.md from the command line.

python tools/reference.py            write both pages
python tools/reference.py --check    exit with code 1 and one sentence if a page is out of date
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_args, get_type_hints

import typer
from typer.cli import get_docs_for_click

import movieplots
from movieplots.cli import app
from movieplots.settings import Settings, takes

DOCS = Path(__file__).parents[1] / "docs"
# The public API in the order in which a user meets it.
ORDER = (
    "prepare", "load_plots", "parse_title", "base_models", "train_generator", "train_classifier", "PlotGenerator",
    "GenreClassifier", "sample_dump", "read_dump", "evaluate", "BadInput",
)  # fmt: skip
# What README.md names besides, and the functions of the commands that have no other place here.
FURTHER = (
    "movieplots.pretrained.shipped",
    "movieplots.sources.fetching.fetch_missing",
    "movieplots.classification.fastai_training.train_with_fastai",
    "movieplots.classification.mlm.train_mlm",
    "movieplots.generation.distillation.distill",
    "movieplots.generation.training.find_lr",
    "movieplots.classification.training.find_lr",
    "movieplots.classification.quantization.quantize",
    "movieplots.generation.export.export_gguf",
    "movieplots.classification.explanation.explain",
    "movieplots.measures.novelty_index.load_comparison",
    "movieplots.notebook.live_curves.show_live_curves",
)
WIDTH = 100  # characters; a longer signature has one line per argument
SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)  # the heading of a section in numpydoc
LISTS = ("Parameters", "Attributes", "Returns", "Yields", "Raises")  # sections that consist of items
OPENING = """\
# Python reference

The public API of `movieplots`, in the order of use: prepare plots, train on them, generate new plots, detect genres,
and evaluate the samples. Each name is imported when it is first used. Functions raise [`BadInput`](#badinput) for
options and files that they cannot use; its message says what is wrong and what to do. Results are dataclasses,
documented after the function that returns them. [commands.md](commands.md) documents the command line.

`make reference` writes this page from the docstrings.
"""
COMMANDS = """\
# Command-line reference

Each command prints its result on standard output and everything else on standard error. The exit code is 0 on
success, 2 for bad input (with one sentence on standard error), and 130 if the command was interrupted. An option that
takes several values is repeated, as in `--genre horror --genre comedy`.

`make reference` writes this page from `movieplots --help`.
"""


@dataclass(frozen=True)
class Entry:
    """A section of the page: a public name, or a method or dataclass that belongs to the public name `owner`."""

    name: str
    thing: Any
    owner: str = ""

    @property
    def anchor(self) -> str:
        """The anchor that GitHub makes from the heading."""
        return re.sub(r"[^\w-]", "", self.name.lower())

    @property
    def link(self) -> str:
        """A link to the section."""
        return f"[`{self.name}`](#{self.anchor})"

    @property
    def text(self) -> str:
        """The docstring without indentation. For a settings class it includes the section Parameters."""
        thing = self.thing
        if inspect.isclass(thing) and issubclass(thing, Settings):

            def make(settings: Settings) -> None: ...

            make.__doc__ = thing.__doc__
            return inspect.cleandoc(takes(thing)(make).__doc__ or "")
        return inspect.cleandoc(thing.__doc__ or "")


def main() -> None:
    """Write the pages, or check them."""
    check = sys.argv[1:] == ["--check"]
    for name, made in {"reference.md": page(), "commands.md": commands()}.items():
        file = DOCS / name
        if not check:
            file.write_text(made, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != made:
            sys.exit(f"docs/{name} is out of date: run `make reference`.")


def page() -> str:
    """Return the page of the Python API."""
    found = list(entries())
    return "\n".join([OPENING, contents(found), *(section(entry, found) for entry in found)])


def commands() -> str:
    """Return the page of the command line, in the order of `movieplots --help`."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="movieplots"), name="movieplots")
    return f"{COMMANDS}\n{text[text.index('## ') :].rstrip()}\n"


def entries() -> Iterator[Entry]:
    """Yield the sections in order: each public name, its public methods, and the dataclasses in their annotations."""
    place = {name: number for number, name in enumerate(ORDER)}
    public = sorted(movieplots.__all__, key=lambda name: place.get(name, len(place)))
    described: set[type] = set()
    for name, thing in [
        *((name, getattr(movieplots, name)) for name in public),
        *((name, resolve_name(name)) for name in FURTHER),
    ]:
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
    """Yield the public methods and properties of a class in the order of its definition, class methods bound."""
    for name, member in vars(kind).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, (classmethod, property))):
            yield name, member if isinstance(member, property) else getattr(kind, name)


def records(thing: Any, deep: bool = True) -> Iterator[type]:
    """Yield the dataclasses in the annotations of a function or dataclass, and its base classes.

    With `deep`, also those in the annotations of the dataclasses found.
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
    """Return the table of contents: one line per public name with its summary, then the names that belong to it."""
    lines = []
    for entry in found:
        if not entry.owner:
            sentence = re.match(r".+?[.](?=\s|$)", entry.text, re.DOTALL)
            lines.append(f"- {entry.link}: {prose(sentence[0]) if sentence else ''}")
            lines += [f"    - {other.link}" for other in found if other.owner == entry.name]
    return "\n".join(lines) + "\n"


def section(entry: Entry, found: list[Entry]) -> str:
    """Return one section: heading, import statement, signature and docstring."""
    links = {other.name: other.link for other in found}
    # Docstrings of a class name its methods without the class.
    class_name = entry.owner if entry.owner and "." in entry.name else entry.name
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
    """Return the import statement and the signature."""
    thing, name = entry.thing, entry.name
    if isinstance(thing, property):
        return f"{name.partition('.')[2]}: {annotated(thing.fget.__annotations__['return'])}"
    if entry.owner and "." in name:
        return signature(name if inspect.ismethod(thing) else name.partition(".")[2], thing)
    module, _, name = name.rpartition(".") if not entry.owner else (thing.__module__, "", name)
    if inspect.ismodule(thing):
        constants = [constant for constant in vars(thing) if constant.isupper()]
        return f"from {thing.__name__} import {', '.join(constants)}"
    lines = [f"from {module or 'movieplots'} import {name}"]
    if inspect.isfunction(thing) or dataclasses.is_dataclass(thing):
        lines += ["", signature(name, thing)]
    elif issubclass(thing, Exception):
        lines += ["", f"class {name}({', '.join(base.__name__ for base in thing.__bases__)})"]
    return "\n".join(lines)  # other classes are made by their class methods


def signature(name: str, function: Any) -> str:
    """Return the signature without `self`, on one line or with one line per argument."""
    found = inspect.signature(function)
    types = get_type_hints(function)  # without the metadata of Annotated
    arguments = []
    for argument in found.parameters.values():
        if argument.name == "self":
            continue
        if argument.kind is argument.KEYWORD_ONLY and not any(text.startswith("*") for text in arguments):
            arguments.append("*")
        hint = types.get(argument.name, argument.annotation)
        text = str(argument.replace(annotation=argument.empty, default=argument.empty))
        text += "" if hint is argument.empty else f": {annotated(hint)}"
        # Strings in double quotes, as in the code.
        text += "" if argument.default is argument.empty else f" = {repr(argument.default).replace(chr(39), chr(34))}"
        arguments.append(text)
    end = ")" if inspect.isclass(function) else f") -> {annotated(found.return_annotation)}"
    line = f"{name}({', '.join(arguments)}{end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), end])


def annotated(kind: Any) -> str:
    """Return the name of a type without modules."""
    if kind is type(None):
        return "None"
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", kind if isinstance(kind, str) else inspect.formatannotation(kind))


def markdown(docstring: str, links: dict[str, str]) -> str:
    """Return a docstring as Markdown, in which the first mention of each other section is a link."""
    links, parts = dict(links), []
    first, *sections = SECTION.split(docstring)
    for head, text in [("", first), *zip(sections[::2], sections[1::2], strict=True)]:
        if head:
            parts.append(f"**{head}**\n")
        parts += [linked("\n".join(items(text)), links) + "\n"] if head in LISTS else paragraphs(text, links)
    return "\n".join(parts)


def paragraphs(text: str, links: dict[str, str]) -> Iterator[str]:
    """Yield paragraphs as Markdown, interactive sessions as code."""
    for paragraph in text.strip().split("\n\n"):
        is_code = paragraph.startswith(">>>")
        yield code(paragraph) if is_code else linked(prose(paragraph, keep_lines=True), links) + "\n"


def linked(text: str, links: dict[str, str]) -> str:
    """Link the first mention of each name in `links`, and remove that name from `links`."""
    return re.sub(r"`([\w.]+)`", lambda name: links.pop(name[1], name[0]), text)


def items(text: str) -> Iterator[str]:
    """Yield the items of a numpydoc section, one line of Markdown each."""
    for item in re.split(r"\n(?=\S)", text.strip()):
        head, _, meaning = item.partition("\n")
        name, colon, kind = head.partition(" : ")
        kind = f" : {prose(kind)}" if colon else ""
        yield f"- {f'**`{name}`**' if colon else f'`{name}`'}{kind} — {prose(meaning)}"


def prose(text: str, keep_lines: bool = False) -> str:
    """Escape everything that Markdown would interpret, except code between backticks."""
    text = text if keep_lines else " ".join(text.split())
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else re.sub(r"([<*])", r"\\\1", piece) for piece in pieces)


def code(text: str) -> str:
    """Return a block of Python code."""
    return f"```python\n{text}\n```\n"


if __name__ == "__main__":
    main()
