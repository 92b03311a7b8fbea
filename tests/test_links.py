"""`make links`: the public address goes into every place that needs it, and out again without a trace."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from movieplots.errors import BadInput
from tools import links
from tools.notebooks import notebooks

ROOT = Path(__file__).resolve().parents[1]
_GIT = subprocess.run(["git", "ls-files", "*.md", "*.ipynb"], cwd=ROOT, capture_output=True, text=True)
TRACKED = [name for name in _GIT.stdout.splitlines() if (ROOT / name).is_file()]  # none where there is only a copy
NOTEBOOKS = [path.relative_to(ROOT).as_posix() for path in notebooks(ROOT)]
TWO = ["DataPreparation.ipynb", "text_generation/with-titles/GPT-2/Training.ipynb"]
PLACES = ("https://nbviewer.org/github", "https://colab.research.google.com/github")


@pytest.fixture
def checkout(tmp_path):
    """A copy of README.md, pyproject.toml and two notebooks, as they are while nobody knows the address."""
    for name in ("README.md", "pyproject.toml", *TWO):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    links.write_links(None, tmp_path)
    return tmp_path


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def table(folder):
    """The rows of the table of notebooks: path -> the last cell."""
    section = (folder / "README.md").read_text(encoding="utf-8").partition("## Notebooks\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:2] == "| "
    ]
    assert rows[0] == ["notebook", "what", "device, time", "open"] and {len(row) for row in rows} == {4}
    paths = [re.fullmatch(r"\[[^\]]+\]\((.*?)\)", row[0])[1] for row in rows[1:]]
    assert len(set(paths)) == len(paths)
    return dict(zip(paths, (row[3] for row in rows[1:]), strict=True))


def sources(folder, name):
    return ["".join(cell["source"]) for cell in json.loads((folder / name).read_text(encoding="utf-8"))["cells"]]


def targets(text):
    """What of a page or of a notebook's cells leads to a file: the targets of its relative links."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [target.partition("#")[0] for target in found if not re.match(r"[a-z]+:|#", target)]


def test_without_a_repository_the_links_lead_to_files(checkout):
    for name, cell in table(checkout).items():
        assert cell == f"[file]({name})"
        assert (checkout / name).is_file() or name not in TWO
    assert links.current(checkout) is None
    assert "urls" not in tomllib.loads((checkout / "pyproject.toml").read_text())["project"]


def test_with_a_repository_each_notebook_has_both_addresses_once(checkout):
    changed = links.write_links("ada/plots", checkout)
    assert {path.relative_to(checkout).as_posix() for path in changed} == {"README.md", "pyproject.toml", *TWO}
    for name, cell in table(checkout).items():
        nbviewer, colab = (f"{place}/ada/plots/blob/main/{name}" for place in PLACES)
        assert cell == f"[nbviewer]({nbviewer}) · [Colab]({colab})"
        if name in TWO:
            title, *others = sources(checkout, name)
            assert title.startswith("# ") and title.split("\n\n")[1] == cell
            assert (title + "".join(others)).count(nbviewer) == (title + "".join(others)).count(colab) == 1
    page = (checkout / "README.md").read_text(encoding="utf-8")
    assert [page.count(f"{place}/ada/plots/") for place in PLACES] == [len(table(checkout))] * 2


def test_the_setup_cell_installs_from_the_repository(checkout):
    links.write_links("ada/plots", checkout)
    nowhere = checkout / "nowhere"  # without a checkout, as on Colab
    nowhere.mkdir()
    printer = "import subprocess\nsubprocess.run = lambda command, check: print(*command[1:], check)\n"
    for name in TWO:
        setup = next(source for source in sources(checkout, name) if "REPOSITORY = " in source)
        code = printer + setup.partition("\n\nnote = ")[0]
        done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=nowhere, capture_output=True, text=True)
        assert done.stdout == "-m pip install --quiet movieplots[train] @ git+https://github.com/ada/plots True\n"


def test_of_a_notebook_only_the_title_and_the_setup_change(checkout):
    before = {name: (checkout / name).read_text(encoding="utf-8").splitlines() for name in TWO}
    links.write_links("ada/plots", checkout)
    for name in TWO:
        after = (checkout / name).read_text(encoding="utf-8").splitlines()
        new = [line for line in after if line not in set(before[name])]
        assert len(new) == 2 and "[nbviewer](" in new[0] and "REPOSITORY = " in new[1]
        assert len(after) == len(before[name]) + 2  # the links and a blank line
        cells, once = (json.loads("\n".join(lines))["cells"] for lines in (after, before[name]))
        assert [cell.get("outputs") for cell in cells] == [cell.get("outputs") for cell in once]


def test_the_address_stands_in_the_metadata(checkout):
    links.write_links("ada/plots", checkout)
    assert links.current(checkout) == "ada/plots"
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace("[project.urls]\n", '[project.urls]\nHomepage = "https://a.org"\n'))
    links.write_links("bo/films", checkout)
    urls = tomllib.loads(project.read_text())["project"]["urls"]
    assert urls == {"Homepage": "https://a.org", "Repository": "https://github.com/bo/films"}
    links.write_links(None, checkout)
    assert tomllib.loads(project.read_text())["project"]["urls"] == {"Homepage": "https://a.org"}


def test_twice_is_once_and_back_is_the_original(checkout):
    original = contents(checkout)
    links.write_links("ada/plots", checkout)
    once = contents(checkout)
    assert links.write_links("ada/plots", checkout) == [] and contents(checkout) == once != original
    links.write_links("bo-2/films.of_bo", checkout)
    other = contents(checkout)
    assert {name: text.replace(b"bo-2/films.of_bo", b"ada/plots") for name, text in other.items()} == once
    links.write_links(None, checkout)
    assert contents(checkout) == original
    assert links.write_links(None, checkout) == []


BAD = [
    "foo",
    "",
    "/",
    "a/",
    "/b",
    "a/b/c",
    "a b/c",
    "a/..",
    "a/b.git",
    "-a/b",
    "a/b\n",
    "https://github.com/a/b",
    'a/"b',
]


@pytest.mark.parametrize("repo", BAD)
def test_a_bad_name_changes_nothing(checkout, repo):
    before = contents(checkout)
    with pytest.raises(BadInput, match=r"is no repository on GitHub: give REPO=owner/name"):
        links.write_links(repo, checkout)
    assert contents(checkout) == before


@pytest.mark.parametrize("arguments", [["foo"], ["ada/plots", "bo/films"]])
def test_as_a_program_it_ends_with_a_sentence_and_status_2(checkout, arguments):
    before = contents(checkout)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tools.links", *arguments], cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("movieplots: ") and done.stderr.count("\n") == 1 and "REPO=owner/name" in done.stderr
    assert contents(checkout) == before


def test_what_does_not_fit_is_named_and_nothing_is_written(checkout):
    last = checkout / TWO[1]
    whole = last.read_text(encoding="utf-8")
    for text, complaint in (
        (json.dumps(json.loads(whole)), "not laid out as Jupyter"),
        ("<<<<", "no notebook that can"),
    ):
        last.write_text(text, encoding="utf-8")
        before = contents(checkout)
        with pytest.raises(BadInput, match=rf"Training\.ipynb is {complaint}"):
            links.write_links("ada/plots", checkout)
        assert contents(checkout) == before
    (checkout / "README.md").write_text("# Plots\n")
    with pytest.raises(BadInput, match=r"no table of notebooks"):
        links.write_links("ada/plots", checkout)
    with pytest.raises(BadInput, match=r"There is no .*README\.md: run this in the folder of the checkout"):
        links.write_links("ada/plots", checkout / "text_generation")


# What is committed


def test_every_notebook_stands_in_the_table():
    assert sorted(table(ROOT)) == sorted(NOTEBOOKS)
    assert set(NOTEBOOKS) >= {name for name in TRACKED if name.endswith(".ipynb")}


def test_all_links_lead_to_the_repository_that_the_metadata_name(tmp_path):
    for name in ("README.md", "pyproject.toml", *NOTEBOOKS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert links.write_links(links.current(tmp_path), tmp_path) == []


@pytest.mark.parametrize("name", TRACKED)
def test_relative_links_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    if name in NOTEBOOKS:
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert [target for target in targets(text) if not ((ROOT / name).parent / target).exists()] == []
