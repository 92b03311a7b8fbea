"""`make links REPO=owner/name [REF=tag-or-commit]`: write the project's public address into every place that needs it.

Those are the table of notebooks in `README.md`, whose column `open` then leads to nbviewer and Colab; the first cell of
every notebook of that table, which gets the same two links, and its setup cell, which installs the package from there;
and `[project.urls]` in `pyproject.toml`. Links and setup cells name a tag or a commit, never a branch, so that they
lead to the same files for good. A commit cannot name itself, but a tag can name the commit that it is put on: the usual
ref is `v` and the version, to be tagged after the links are committed. Without a REPO all of these places get back
what they have as long as nobody knows the address. The same call twice changes nothing, and of a notebook nothing
changes but these lines.

It needs nothing but Python, so that a fresh checkout has its links without an environment: of the package it imports
only what needs no other package.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from movieplots.errors import BadInput, sentences
from movieplots.files import write_text

HOST = "https://github.com/"
NBVIEWER = "https://nbviewer.org/github/"
COLAB = "https://colab.research.google.com/github/"
README, PROJECT = "README.md", "pyproject.toml"
# The line of the setup cell while nobody knows the address. The piece of shell in it runs on pip's command line: it
# asks Colab which page on GitHub the notebook was opened from, and prints that repository at the branch's commit.
NO_ADDRESS = (
    r'REPOSITORY = "$(curl -s http://$COLAB_JUPYTER_IP:$KMP_TARGET_PORT/api/sessions'
    r" | sed -En 's|.*fileId=https%3A//(github.com/[^/]+/[^/]+)/blob/([^/]+)/.*|https://\\1 \\2|p'"
    r" | (read url ref; [ $url ] && commit=$(git ls-remote $url refs/heads/$ref | cut -f1)"
    r" && echo git+$url@${commit:-$ref}"
    r" || echo 'movieplots is not installed. On Colab, replace the line of REPOSITORY by"
    r" REPOSITORY = \"git+https://github.com/owner/name@tag\" and run all cells again. In a clone, run: make lab' >&2))"
    r'"  # else `make links` writes the address'
)

_REPO = re.compile(r"[A-Za-z0-9][\w-]{0,38}/(?!\.+$)[\w.-]{1,100}(?<!\.git)", re.ASCII)
# Of the names that git allows those that need no care in an address or a shell.
_REF = re.compile(r"(?!HEAD$)(?!.*\.\.)[A-Za-z0-9][\w.-]{0,99}(?<!\.)(?<!\.lock)", re.ASCII)
_ROW = re.compile(r"^(\| \[[^\]]+\]\(([^)\s]+\.ipynb)\) \|.*\| )([^|\n]*)( \|)$", re.MULTILINE)
_SECTION = re.compile(r"^## Notebooks\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINKS = re.compile(rf"\n\n\[nbviewer\]\({re.escape(NBVIEWER)}\S+\) · \[Colab\]\({re.escape(COLAB)}\S+\)")
_SETUP = re.compile(r'^REPOSITORY = ".*$', re.MULTILINE)
_URLS, _NEXT = "[project.urls]\n", "[project.scripts]\n"


class Address(NamedTuple):
    """Where the project is on GitHub: owner/name, and a tag or a commit."""

    repo: str
    ref: str

    def __str__(self) -> str:
        return f"{HOST}{self.repo} at {self.ref}"


def current(root: str | Path = ".") -> Address | None:
    """What the links of the checkout `root` lead to, or None where they are relative."""
    repo = _project(Path(root)).get("urls", {}).get("Repository", "").removeprefix(HOST)
    ref = re.search(rf"\]\({re.escape(NBVIEWER + repo)}/blob/([^/\s]+)/", _read(Path(root, README)))
    return Address(repo, ref[1]) if repo and ref else None


def usual_address(repo: str, root: str | Path = ".") -> Address:
    """The repository with the ref that its links get where none is named: a tag of the version in `pyproject.toml`.

    The commit that gets the tag has to have the links already. So the ref that stands in the links stays if nothing
    would change, or if it is no tag yet; a tag that is there already is not named anew, but one with the commit's hash.
    """
    root = Path(root)
    tag = f"v{_project(root)['version']}"
    now = current(root)
    if (
        now
        and now.repo == repo
        and (now.ref == tag or now.ref.startswith(f"{tag}-"))
        and (not _commit(root, now.ref) or not _changes(now, root))
    ):
        return now
    return Address(repo, f"{tag}-{_git(root, 'rev-parse', '--short', 'HEAD')}" if _commit(root, tag) else tag)


def write_links(address: Address | None, root: str | Path = ".") -> list[Path]:
    """Let all links of the checkout `root` lead to the address, and return the files that this changed.

    Nothing is written before all is known to fit. Raises BadInput where the address or a file does not.
    """
    root = Path(root)
    if address and not _REPO.fullmatch(address.repo):
        raise BadInput(
            f"{address.repo!r} is no name of a repository: give REPO=owner/name, or no REPO for links in the checkout."
        )
    if address and not _REF.fullmatch(address.ref):
        raise BadInput(f"{address.ref!r} cannot be a tag or a commit in a link: give another REF, such as v0.1.0.")
    if address and _git(root, "for-each-ref", f"refs/heads/{address.ref}", f"refs/remotes/*/{address.ref}"):
        raise BadInput(f"{address.ref} is a branch, whose files change: give REF the name of a tag or a commit.")
    changes = _changes(address, root)
    for path, text in changes.items():
        write_text(path, text)
    return list(changes)


def public_links(address: Address, path: str) -> str:
    """The two links to a notebook, as Markdown; `path` is its path in the repository."""
    where = f"{address.repo}/blob/{address.ref}/{quote(path)}"
    return f"[nbviewer]({NBVIEWER}{where}) · [Colab]({COLAB}{where})"


def _git(root: Path, *arguments: str) -> str:
    """What git prints about the checkout, or nothing where it fails: in a folder that is no repository, without git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _commit(root: Path, ref: str) -> str:
    """The commit that a ref names in the checkout's repository, if it names one there."""
    return _git(root, "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")


def _read(path: Path, remedy: str = "run this in the folder of the checkout") -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise BadInput(f"There is no {path}: {remedy}.") from None


def _project(root: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(_read(root / PROJECT))["project"]
    return project


def _changes(address: Address | None, root: Path) -> dict[Path, str]:
    """The files that do not lead to the address, with what they have to be."""
    readme, project = root / README, root / PROJECT
    page, paths = _with_links(_read(readme), address)
    old = {path: _read(path) for path in (readme, project)}
    old |= {root / path: _read(root / path, f"take its row out of the table in {README}") for path in paths}
    new = {readme: page, project: _with_address(old[project], address)}
    new |= {root / path: _linked_notebook(path, old[root / path], address) for path in paths}
    return {path: new[path] for path in old if new[path] != old[path]}


def _with_links(text: str, address: Address | None) -> tuple[str, list[str]]:
    """The README with the last cell of each row in its table of notebooks written anew, and their paths."""
    section = _SECTION.search(text)
    if section is None or not _ROW.search(section[0]):
        raise BadInput(
            f"{README} has no table of notebooks under `## Notebooks`, so there is no place for their links."
        )
    rows = _ROW.sub(
        lambda row: row[1] + (public_links(address, row[2]) if address else f"[file]({row[2]})") + row[4], section[0]
    )
    return text[: section.start()] + rows + text[section.end() :], [row[2] for row in _ROW.finditer(section[0])]


def _with_address(text: str, address: Address | None) -> str:
    """The project's metadata with the repository's address; a table `[project.urls]` without addresses is left out."""
    text = re.sub(r'^Repository = ".*"\n', "", text, flags=re.MULTILINE)
    if address is None:
        return text.replace(f"{_URLS}\n", "")
    if _URLS not in text:
        text = text.replace(_NEXT, f"{_URLS}\n{_NEXT}")
    return text.replace(_URLS, f'{_URLS}Repository = "{HOST}{address.repo}"\n')


def _linked_notebook(path: str, text: str, address: Address | None) -> str:
    """The notebook with the links below its title, and the address in its setup cell."""
    try:
        notebook = json.loads(text)
        title, *others = notebook["cells"]
    except (ValueError, LookupError, TypeError):
        raise BadInput(f"{path} is no notebook that can be read: repair it first.") from None
    if _laid_out(notebook) != text:
        raise BadInput(f"{path} is not laid out as Jupyter lays notebooks out: open it there and save it.")
    heading, *body = _LINKS.sub("", "".join(title["source"])).partition("\n")
    links = f"\n\n{public_links(address, path)}" if address else ""
    title["source"] = f"{heading}{links}{''.join(body)}".splitlines(keepends=True)
    line = f'REPOSITORY = "git+{HOST}{address.repo}@{address.ref}"' if address else NO_ADDRESS
    for cell in others:
        if cell["cell_type"] == "code":
            cell["source"] = _SETUP.sub(lambda _: line, "".join(cell["source"])).splitlines(keepends=True)
    return _laid_out(notebook)


def _laid_out(notebook: dict[str, Any]) -> str:
    """The text of a notebook as Jupyter writes it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def main(arguments: Sequence[str]) -> None:
    """Let the links lead to the repository that is named, or, where none is, into the checkout.

    Prints the ref that they name, and on standard error what is left to do.
    """
    if len(arguments) > 2:
        raise BadInput("There is one repository at a time: give REPO=owner/name, and REF=tag-or-commit if you like.")
    address = None
    if arguments:
        repo, *ref = arguments
        address = Address(repo, *ref) if ref else usual_address(repo)
    changed = write_links(address)
    _say(f"The links lead {f'to {address}' if address else 'into the checkout'}.")
    _say(f"Files changed: {len(changed)}.")
    if address:
        print(address.ref)
        if not _commit(Path(), address.ref):
            _say(f"Now commit, then `git tag {address.ref}` and `git push --atomic origin HEAD {address.ref}`.")
        elif changed:
            _say("Now commit and push.")


if __name__ == "__main__":
    with sentences():
        main(sys.argv[1:])
