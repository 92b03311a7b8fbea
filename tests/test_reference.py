"""The reference page is up to date, and the docstrings behind it explain everything that can be passed in.

Every argument stands in the section Parameters, or in backticks, in the docstring of what takes it. A docstring may
instead say "arguments as for `generate`": then those that the named function explains, a method of the same class or a
name of the front door, count as explained here, too. The fields of what is returned are held to the same; those that a
dataclass inherits are explained where they come from.
"""

import dataclasses
import inspect
import re

import pytest

import movieplots
from tools import reference

CLASSES = ("GenreClassifier", "PlotGenerator")


@pytest.fixture(scope="module")
def sections():
    """Name -> section of everything on the page."""
    return {entry.name: entry for entry in reference.entries()}


def named(entry):
    """What a docstring names in backticks, or in a section as `name : type`."""
    return set(re.findall(r"`(\w+)`", entry.text)) | set(re.findall(r"^(\w+) : ", entry.text, re.MULTILINE))


def between(entry, sections):
    """The fields that a docstring names as "from `first` to `last`", in the order of the class."""
    if not dataclasses.is_dataclass(entry.thing):
        return set()
    names = [field.name for field in dataclasses.fields(entry.thing)]
    texts = [sections[kind.__name__].text for kind in entry.thing.__mro__ if kind.__name__ in sections]
    ends = re.findall(r"from\s+`(\w+)`\s+to\s+`(\w+)`", " ".join(texts))
    return {name for one, other in ends for name in names[names.index(one) : names.index(other)]}


def explained(entry, sections):
    """What a docstring names, and what those name that it refers to or that the class inherits from."""
    names = named(entry)
    for other in re.findall(r"arguments\s+as\s+for\s+`(\w+)`", entry.text, re.IGNORECASE):
        names |= named(sections.get(f"{entry.owner}.{other}") or sections[other])
    for kind in getattr(entry.thing, "__mro__", ()):
        names |= named(sections[kind.__name__]) if kind.__name__ in sections else set()
    return names


def test_the_page_is_up_to_date():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make reference`"


def test_making_the_page_again_changes_nothing():
    assert reference.page() == reference.page()


def test_check_says_when_the_page_is_out_of_date(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "PAGE", tmp_path / "reference.md")
    monkeypatch.setattr("sys.argv", ["reference.py"])
    reference.main()
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    reference.main()
    with reference.PAGE.open("a") as page:
        page.write("More.\n")
    with pytest.raises(SystemExit) as stopped:
        reference.main()
    # A text as its code: Python prints it to standard error and ends with status 1.
    assert stopped.value.code == "docs/reference.md is out of date: run `make reference`."


def test_the_whole_front_door_is_on_the_page_in_order(sections):
    assert [name for name, entry in sections.items() if not entry.owner] == list(reference.ORDER)
    assert sorted(reference.ORDER) == movieplots.__all__
    public = {f"{name}.{own}" for name in CLASSES for own in vars(getattr(movieplots, name)) if own[0] != "_"}
    returned = {"Preparation", "Title", "GeneratorInfo", "ClassifierInfo", "Sample", "Report"}
    assert public | returned <= sections.keys()


def test_every_link_leads_to_a_section():
    page = reference.PAGE.read_text(encoding="utf-8")
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
    assert "\n**Parameters**\n\n- **`data`** : str or Path — Folder that" in text
    assert "\n**Returns**\n\n- [`GeneratorInfo`](#generatorinfo) — What " in text
    assert "\n- **`lr_scheduler_type`** : str, default 'linear' — How " in text
    assert not re.search(r"^-{3,}$", reference.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
