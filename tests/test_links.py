"""`make links`: the public address goes into every place that needs it, and out again without a trace."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from movieplots.errors import BadInput
from tools import links
from tools.links import Address
from tools.notebooks import notebooks

ROOT = Path(__file__).resolve().parents[1]
_GIT = subprocess.run(["git", "ls-files", "*.md", "*.ipynb"], cwd=ROOT, capture_output=True, text=True)
TRACKED = [name for name in _GIT.stdout.splitlines() if (ROOT / name).is_file()]  # none where there is only a copy
NOTEBOOKS = [path.relative_to(ROOT).as_posix() for path in notebooks(ROOT)]
TWO = ["DataPreparation.ipynb", "text_generation/with-titles/GPT-2/Training.ipynb"]
PLACES = ("https://nbviewer.org/github", "https://colab.research.google.com/github")
TAG = "v" + tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
ADA = Address("ada/plots", TAG)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project with two notebooks, as it is while nobody knows the address."""
    folder = tmp_path / "checkout"
    files = ["README.md", "pyproject.toml", "Makefile", ".gitignore", *TWO]
    files += [
        path.relative_to(ROOT).as_posix()
        for package in ("movieplots", "tools")
        for path in ROOT.glob(f"{package}/*.py")
    ]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    page = (ROOT / "README.md").read_text(encoding="utf-8").splitlines(keepends=True)
    others = [f"]({name}) |" for name in NOTEBOOKS if name not in TWO]
    (folder / "README.md").write_text("".join(line for line in page if not any(name in line for name in others)))
    links.write_links(None, folder)
    return folder


@pytest.fixture
def repository(checkout, monkeypatch):
    """The same as a git repository with one commit on the branch main."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "MAKE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(checkout.parent))  # without anybody's name and settings
    git(checkout, "init", "--quiet", "--initial-branch", "main")
    commit(checkout)
    return checkout


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--message", "A commit")


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def table(folder):
    """The rows of the table of notebooks: path -> the last cell."""
    section = (folder / "README.md").read_text(encoding="utf-8").partition("## Notebooks\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:2] == "| "
    ]
    assert rows[0] == ["notebook", "content", "device, time", "open"] and {len(row) for row in rows} == {4}
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
    assert table(checkout) == {name: f"[file]({name})" for name in TWO}
    assert links.current(checkout) is None
    assert "urls" not in tomllib.loads((checkout / "pyproject.toml").read_text())["project"]


def test_with_a_repository_each_notebook_has_both_addresses_once(checkout):
    changed = links.write_links(ADA, checkout)
    assert {path.relative_to(checkout).as_posix() for path in changed} == {"README.md", "pyproject.toml", *TWO}
    for name, cell in table(checkout).items():
        nbviewer, colab = (f"{place}/ada/plots/blob/{TAG}/{name}" for place in PLACES)
        assert cell == f"[nbviewer]({nbviewer}) · [Colab]({colab})"
        title, *others = sources(checkout, name)
        assert title.startswith("# ") and title.split("\n\n")[1] == cell
        assert (title + "".join(others)).count(nbviewer) == (title + "".join(others)).count(colab) == 1
    page = (checkout / "README.md").read_text(encoding="utf-8")
    assert [page.count(f"{place}/ada/plots/") for place in PLACES] == [len(TWO)] * 2


def setup_line(folder, name):
    """What the setup cell of a notebook calls REPOSITORY."""
    lines = [line for source in sources(folder, name) for line in source.splitlines() if line[:13] == "REPOSITORY = "]
    assert len(lines) == 1
    values = {}
    exec(lines[0], values)
    return values["REPOSITORY"]


def test_the_setup_cell_installs_from_the_repository(checkout):
    links.write_links(ADA, checkout)
    assert [setup_line(checkout, name) for name in TWO] == [f"git+https://github.com/ada/plots@{TAG}"] * 2


def test_without_a_repository_the_setup_cell_asks_colab(checkout):
    for name in TWO:
        assert links.NO_ADDRESS in "".join(sources(checkout, name)).splitlines()
        shell = setup_line(checkout, name)
        assert shell.startswith("$(curl ") and r"https://\1 \2|p'" in shell and shell.endswith(">&2))")
        assert subprocess.run(["bash", "-n"], input=f'echo "{shell}"', text=True).returncode == 0


def test_of_a_notebook_only_the_title_and_the_setup_change(checkout):
    before = {name: (checkout / name).read_text(encoding="utf-8").splitlines() for name in TWO}
    links.write_links(ADA, checkout)
    for name in TWO:
        after = (checkout / name).read_text(encoding="utf-8").splitlines()
        new = [line for line in after if line not in set(before[name])]
        assert len(new) == 2 and "[nbviewer](" in new[0] and "REPOSITORY = " in new[1]
        assert len(after) == len(before[name]) + 2  # the links and a blank line
        cells, once = (json.loads("\n".join(lines))["cells"] for lines in (after, before[name]))
        assert [cell.get("outputs") for cell in cells] == [cell.get("outputs") for cell in once]


def test_the_address_stands_in_the_metadata(checkout):
    links.write_links(ADA, checkout)
    assert links.current(checkout) == ADA
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace("[project.urls]\n", '[project.urls]\nHomepage = "https://a.org"\n'))
    links.write_links(Address("bo/films", TAG), checkout)
    urls = tomllib.loads(project.read_text())["project"]["urls"]
    assert urls == {"Homepage": "https://a.org", "Repository": "https://github.com/bo/films"}
    links.write_links(None, checkout)
    assert tomllib.loads(project.read_text())["project"]["urls"] == {"Homepage": "https://a.org"}


def test_twice_is_once_and_back_is_the_original(checkout):
    original = contents(checkout)
    links.write_links(ADA, checkout)
    once = contents(checkout)
    assert links.write_links(ADA, checkout) == [] and contents(checkout) == once != original
    links.write_links(Address("bo-2/films.of_bo", "0f1e2d3"), checkout)
    other = contents(checkout)
    assert {
        name: text.replace(b"bo-2/films.of_bo", b"ada/plots").replace(b"0f1e2d3", TAG.encode())
        for name, text in other.items()
    } == once
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
    with pytest.raises(BadInput, match=r"is not the name of a repository: use REPO=owner/name"):
        links.write_links(Address(repo, TAG), checkout)
    assert contents(checkout) == before


@pytest.mark.parametrize(
    "ref", ["", "HEAD", "-v1", "v 1", "a/b", "v1..2", "v1.", "v1.lock", "v1\n", 'v"1', "v$1", "$(id)"]
)
def test_a_ref_that_is_none_changes_nothing(checkout, ref):
    before = contents(checkout)
    with pytest.raises(BadInput, match=r"cannot be a tag or a commit in a link: use another REF"):
        links.write_links(Address("ada/plots", ref), checkout)
    assert contents(checkout) == before


def test_a_branch_is_no_ref(repository, tmp_path):
    git(repository, "branch", "next")
    clone = tmp_path / "clone"  # whose branch `next` is only a remote one
    git(tmp_path, "clone", "--quiet", repository, clone)
    for folder, ref in ((repository, "main"), (repository, "next"), (clone, "next")):
        with pytest.raises(BadInput, match=rf"{ref} is a branch, which changes: set REF to a tag"):
            links.write_links(Address("ada/plots", ref), folder)
        assert git(folder, "status", "--porcelain") == ""


def program(folder, *arguments):
    """Run the program as `make links` does, in a Python that has no packages."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "tools.links", *arguments], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.parametrize("arguments", [["foo"], ["ada/plots", TAG, "bo/films"]])
def test_as_a_program_it_ends_with_a_sentence_and_exit_code_2(checkout, arguments):
    before = contents(checkout)
    done = program(checkout, *arguments)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("movieplots: ") and done.stderr.count("\n") == 1 and "REPO=owner/name" in done.stderr
    assert contents(checkout) == before


def test_as_a_program_it_prints_the_ref_and_says_what_is_left_to_do(repository):
    first = program(repository, "ada/plots")
    assert first.returncode == 0 and first.stdout == f"{TAG}\n"
    assert "Files changed: 4.\n" in first.stderr
    assert f"commit, then `git tag {TAG}` and `git push --atomic origin HEAD {TAG}`" in first.stderr
    commit(repository)
    git(repository, "tag", TAG)
    again = program(repository, "ada/plots")
    assert again.stdout == f"{TAG}\n" and "Files changed: 0." in again.stderr and "commit" not in again.stderr
    named = program(repository, "bo/films", TAG)
    assert named.stdout == f"{TAG}\n" and "Now commit and push." in named.stderr
    back = program(repository)
    assert back.returncode == 0 and not back.stdout and "files of the checkout" in back.stderr


# The ref that is taken where none is named


def test_the_usual_ref_is_the_tag_of_the_version(checkout, repository):
    assert links.usual_address("ada/plots", checkout) == ADA
    shutil.rmtree(repository / ".git")
    assert links.usual_address("ada/plots", checkout) == ADA


def test_a_tag_without_the_links_is_not_named(repository):
    git(repository, "tag", TAG)
    ref = f"{TAG}-{git(repository, 'rev-parse', '--short', 'HEAD')}"
    assert links.usual_address("ada/plots", repository) == ("ada/plots", ref)
    links.write_links(Address("ada/plots", ref), repository)
    commit(repository)
    for _ in range(2):  # before and after the tag is made
        assert links.usual_address("ada/plots", repository) == ("ada/plots", ref)
        git(repository, "tag", "--force", ref)
    assert links.usual_address("bo/films", repository).ref == f"{TAG}-{git(repository, 'rev-parse', '--short', 'HEAD')}"


def test_a_tag_is_named_as_long_as_it_has_all_the_links(repository):
    links.write_links(ADA, repository)
    commit(repository)
    git(repository, "tag", TAG)
    assert links.usual_address("ada/plots", repository) == ADA
    page = repository / "README.md"
    page.write_text(page.read_text().replace("[nbviewer]", "[gone]", 1))  # as where a notebook was added
    assert links.usual_address("ada/plots", repository).ref.startswith(f"{TAG}-")


def test_what_does_not_fit_is_named_and_nothing_is_written(checkout):
    last = checkout / TWO[1]
    whole = last.read_text(encoding="utf-8")
    for text, complaint in (
        (json.dumps(json.loads(whole)), "not formatted as Jupyter"),
        ("<<<<", "not a readable notebook"),
    ):
        last.write_text(text, encoding="utf-8")
        before = contents(checkout)
        with pytest.raises(BadInput, match=rf"Training\.ipynb is {complaint}"):
            links.write_links(ADA, checkout)
        assert contents(checkout) == before
    (checkout / "README.md").write_text("# Plots\n")
    with pytest.raises(BadInput, match=r"no table of notebooks"):
        links.write_links(ADA, checkout)
    with pytest.raises(BadInput, match=r"README\.md does not exist: run this in the folder of the checkout"):
        links.write_links(ADA, checkout / "text_generation")


def test_a_row_without_its_notebook_is_named(checkout):
    (checkout / TWO[1]).unlink()
    before = contents(checkout)
    with pytest.raises(BadInput, match=r"Training\.ipynb does not exist: remove its row from the table in README\.md"):
        links.write_links(ADA, checkout)
    assert contents(checkout) == before


# The workflow


def run_workflow(bare, folder, repo="ada/plots"):
    """What GitHub does at a push: the workflow's own command in a fresh clone, in a Python that has no packages."""
    if not folder.exists():
        git(folder.parent, "clone", "--quiet", bare, folder)
    [job] = yaml.safe_load((ROOT / ".github" / "workflows" / "links.yml").read_text())["jobs"].values()
    [command] = [step["run"] for step in job["steps"] if "run" in step]
    environment = {**os.environ, "GITHUB_REPOSITORY": repo, "PYTHON": f"{sys.executable} -S"}
    return subprocess.run(["bash", "-e", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def bare(repository, tmp_path):
    """A bare repository, as on GitHub, that the checkout pushes to."""
    folder = tmp_path / "plots.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", folder)
    git(repository, "remote", "add", "origin", folder)
    git(repository, "push", "--quiet", "origin", "main")
    return folder


def push(folder):
    commit(folder)
    git(folder, "push", "--quiet", "origin", "main")


def refs(bare):
    lines = git(bare, "for-each-ref", "--format", "%(refname:short) %(objectname)").splitlines()
    return dict(line.split() for line in lines)


def test_the_first_push_gets_its_links_and_their_tag(bare, tmp_path):
    pushed = refs(bare)["main"]
    done = run_workflow(bare, tmp_path / "first")
    assert done.returncode == 0, done.stderr
    assert refs(bare).keys() == {"main", TAG} and refs(bare)["main"] == refs(bare)[TAG]
    assert git(bare, "rev-parse", f"{TAG}^") == pushed
    assert git(bare, "log", "-1", "--format=%an: %s", TAG) == f"github-actions[bot]: Links to ada/plots at {TAG}"
    assert set(git(bare, "diff", "--name-only", pushed, TAG).splitlines()) == {"README.md", "pyproject.toml", *TWO}
    git(tmp_path, "clone", "--quiet", "--branch", TAG, bare, "tagged")
    assert links.current(tmp_path / "tagged") == ADA and links.write_links(ADA, tmp_path / "tagged") == []
    assert {setup_line(tmp_path / "tagged", name) for name in TWO} == {f"git+https://github.com/ada/plots@{TAG}"}

    before = refs(bare)
    assert run_workflow(bare, tmp_path / "second").returncode == 0 and refs(bare) == before


def test_a_raised_version_gets_a_tag_of_its_own(bare, tmp_path):
    run_workflow(bare, tmp_path / "first")
    old = refs(bare)[TAG]
    project = tmp_path / "first" / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{TAG[1:]}"', 'version = "99.0"'))
    push(project.parent)
    assert run_workflow(bare, tmp_path / "second").returncode == 0
    assert refs(bare) == {"main": refs(bare)["main"], TAG: old, "v99.0": refs(bare)["main"]}
    assert links.current(tmp_path / "second") == ("ada/plots", "v99.0")


def test_a_notebook_that_the_tag_does_not_have_gets_a_tag_that_has_it(repository, bare, tmp_path):
    work = tmp_path / "first"
    run_workflow(bare, work)
    shutil.copy(repository / TWO[1], work / "New.ipynb")
    page = (work / "README.md").read_text()
    row = next(line for line in page.splitlines() if f"]({TWO[1]}) |" in line)
    new = "| [New](New.ipynb) | a notebook | CPU | [file](New.ipynb) |"
    (work / "README.md").write_text(page.replace(row, f"{row}\n{new}"))
    push(work)
    assert run_workflow(bare, tmp_path / "second").returncode == 0
    ref = f"{TAG}-{git(work, 'rev-parse', '--short', 'HEAD')}"
    assert refs(bare)[ref] == refs(bare)["main"] and links.current(tmp_path / "second") == ("ada/plots", ref)
    assert f"/blob/{ref}/New.ipynb" in table(tmp_path / "second")["New.ipynb"]


def test_links_that_were_written_by_hand_get_their_tag(repository, bare, tmp_path):
    links.write_links(ADA, repository)
    push(repository)
    assert run_workflow(bare, tmp_path / "first").returncode == 0
    assert refs(bare) == dict.fromkeys(("main", TAG), git(repository, "rev-parse", "main"))


def test_a_copy_with_the_tags_gets_its_own_links(bare, tmp_path):
    run_workflow(bare, tmp_path / "first")
    git(tmp_path, "clone", "--quiet", "--mirror", bare, "copy.git")
    copy = tmp_path / "copy.git"
    assert run_workflow(copy, tmp_path / "second", "bo/films").returncode == 0
    repo, ref = links.current(tmp_path / "second")
    assert repo == "bo/films" and ref.startswith(f"{TAG}-") and refs(copy)[ref] == refs(copy)["main"]


def test_where_a_push_comes_between_nothing_is_tagged(repository, bare, tmp_path):
    git(tmp_path, "clone", "--quiet", bare, "late")
    (repository / "new").touch()
    push(repository)
    before = refs(bare)
    assert run_workflow(bare, tmp_path / "late").returncode != 0
    assert refs(bare) == before


# What is committed


def test_every_notebook_stands_in_the_table():
    assert sorted(table(ROOT)) == sorted(NOTEBOOKS)
    assert set(NOTEBOOKS) >= {name for name in TRACKED if name.endswith(".ipynb")}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_laid_out_as_jupyter_does(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert links._formatted(json.loads(text)) == nbformat.writes(nbformat.reads(text, as_version=4)) + "\n" == text


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
