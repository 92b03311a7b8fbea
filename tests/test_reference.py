"""The reference is up to date, and its docstrings explain every argument, field and result, with an example.

An argument is explained in the section Parameters, or in backticks elsewhere in the docstring. A docstring may say
"arguments as for `generate`" instead; then the explanations of that function, a method of the same class or a public
name, count as well. Fields that a dataclass inherits are explained in the class that defines them.
"""

import dataclasses
import importlib.util
import inspect
import re

import pytest

import movieplots
from tools import reference

CLASSES = ("GenreClassifier", "PlotGenerator")


@pytest.fixture(scope="module")
def sections():
    """Return all sections of the page by name."""
    return {entry.name: entry for entry in reference.entries()}


def named(entry):
    """Return the names in backticks, and those of the items in sections."""
    items = re.findall(r"^(\w+(?:, \w+)*) : ", entry.text, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", entry.text)) | {name for item in items for name in item.split(", ")}


def between(entry, sections):
    """Return the fields that a docstring names as "from `first` to `last`", in the order of the class."""
    if not dataclasses.is_dataclass(entry.thing):
        return set()
    names = [field.name for field in dataclasses.fields(entry.thing)]
    texts = [sections[kind.__name__].text for kind in entry.thing.__mro__ if kind.__name__ in sections]
    ends = re.findall(r"from\s+`(\w+)`\s+to\s+`(\w+)`", " ".join(texts))
    return {name for one, other in ends for name in names[names.index(one) : names.index(other)]}


def explained(entry, sections):
    """Return the names in a docstring, and in the docstrings it refers to or inherits from."""
    names = named(entry)
    for other in re.findall(r"arguments\s+as\s+for\s+`(\w+)`", entry.text, re.IGNORECASE):
        names |= named(sections.get(f"{entry.owner}.{other}") or sections[other])
    for kind in getattr(entry.thing, "__mro__", ()):
        names |= named(sections[kind.__name__]) if kind.__name__ in sections else set()
    return names


@pytest.mark.parametrize(("name", "make"), [("reference.md", reference.page), ("commands.md", reference.commands)])
def test_pages_are_up_to_date(name, make):
    assert (reference.DOCS / name).read_text(encoding="utf-8") == make(), "run `make reference`"


def test_check_says_which_page_is_out_of_date(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    monkeypatch.setattr("sys.argv", ["reference.py"])
    reference.main()
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    reference.main()
    for name in ("commands.md", "reference.md"):
        with (tmp_path / name).open("a") as page:
            page.write("More.\n")
        with pytest.raises(SystemExit) as stopped:
            reference.main()
        # Python prints a text to standard error and exits with code 1.
        assert stopped.value.code == f"docs/{name} is out of date: run `make reference`."


def test_all_public_names_are_on_the_page_in_order(sections):
    names = [*reference.ORDER, *reference.FURTHER]
    assert [name for name, entry in sections.items() if not entry.owner] == names
    assert sorted(reference.ORDER) == movieplots.__all__
    public = {f"{name}.{own}" for name in CLASSES for own in vars(getattr(movieplots, name)) if own[0] != "_"}
    returned = {"Preparation", "Title", "GeneratorInfo", "ClassifierInfo", "Sample", "Report"}
    assert public | returned <= sections.keys()


def test_everything_that_the_readme_and_help_name_is_on_a_page(sections):
    pages = "".join((reference.DOCS / name).read_text(encoding="utf-8") for name in ("reference.md", "commands.md"))
    readme = (reference.DOCS.parent / "README.md").read_text(encoding="utf-8")
    readme = re.sub(r"## Renamed options.*?(?=\n## )", "", readme, flags=re.DOTALL)
    named = re.findall(r"\bmovieplots(?:\.[A-Za-z_]\w*)+", readme.replace("movieplots.json", "") + movieplots.__doc__)
    shipped = sections["movieplots.pretrained.shipped"].thing
    known = {
        *sections,
        *(f"movieplots.{name}" for name in sections),
        *(f"{shipped.__name__}.{name}" for name in vars(shipped)),
    }
    known |= {f"{entry.thing.__module__}.{name}" for name, entry in sections.items() if inspect.isclass(entry.thing)}
    assert {name for name in named if name not in known and not is_module(name)} == set()
    commands = set(re.findall(r"\bmovieplots ((?:train |find-lr )?[a-z]+(?:-lr)?)\b", readme))
    assert {name for name in commands if f"## `movieplots {name}`" not in pages} == set()


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_every_function_says_what_it_returns_and_has_an_example(sections):
    missing = []
    for name, entry in sections.items():
        heads = reference.SECTION.findall(entry.text)
        if inspect.isroutine(entry.thing):
            returned = inspect.signature(entry.thing).return_annotation
            if returned not in (None, type(None), "None") and not {"Returns", "Yields"} & set(heads):
                missing.append(f"{name}: Returns")
            if "Examples" not in heads:
                missing.append(f"{name}: Examples")
        elif not entry.owner and "Examples" not in heads and not issubclass(entry.thing, Exception):
            missing.append(f"{name}: Examples")
    assert missing == []


def test_every_link_leads_to_a_section():
    page = reference.page()
    anchors = [re.sub(r"[^\w-]", "", heading.lower()) for heading in re.findall(r"^#+ (\S+)$", page, re.MULTILINE)]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= set(anchors)


def test_everything_on_the_page_has_a_docstring(sections):
    # A dataclass without one gets its signature for it.
    bare = [name for name, entry in sections.items() if not entry.text or entry.text.startswith(f"{name}(")]
    assert not bare


def test_every_argument_and_field_is_explained(sections):
    missing = {}
    for name, entry in sections.items():
        if inspect.isroutine(entry.thing):
            taken = inspect.signature(entry.thing).parameters.keys() - {"self"}
        elif dataclasses.is_dataclass(entry.thing):
            taken = {field.name for field in dataclasses.fields(entry.thing)}
        else:
            continue
        taken -= between(entry, sections)
        if unexplained := taken - explained(entry, sections):
            missing[name] = sorted(unexplained)
    assert not missing


def test_every_type_is_linked_where_it_is_taken_or_returned(sections):
    for entry in sections.values():
        text = reference.section(entry, list(sections.values()))
        for kind in reference.records(entry.thing, deep=False):
            assert f"[`{kind.__name__}`](#{kind.__name__.lower()})" in text, entry.name


def test_sections_of_docstrings_become_lists(sections):
    text = reference.section(sections["train_generator"], list(sections.values()))
    assert "\n**Parameters**\n\n- **`data`** : str or Path — Folder " in text
    assert "\n**Returns**\n\n- [`GeneratorInfo`](#generatorinfo) — " in text
    assert "\n- **`lr_scheduler_type`** : {'linear', 'cosine'}, default 'linear' — " in text
    assert not re.search(r"^-{3,}$", reference.page(), re.MULTILINE)
