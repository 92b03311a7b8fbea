"""`make links REPO=owner/name [REF=tag-or-commit]`: write links to a GitHub repository into the checkout.

It changes the table of notebooks in `README.md` (the column `open` links to nbviewer and Colab), the first cell of each
notebook in this table (the same two links), its setup cell (which installs the package from the repository), and
`[project.urls]` in `pyproject.toml`. Links contain a tag or a commit, never a branch, so their targets do not change.
A commit cannot contain its own hash. The default is therefore a tag, `v` and the version, to be created after the links
are committed. Without REPO, the links are relative again. A repeated call changes nothing; other lines of a notebook
are never changed.

It runs with Python alone, without an environment, so it imports only modules of the package without dependencies.
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
# The line of the setup cell without an address. Its shell code runs on pip's command line: it asks Colab for the GitHub
# page that the notebook was opened from, and prints that repository with the current commit of the branch.
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
# Names of tags and commits that need no quoting in a URL or a shell; git allows more.
_REF = re.compile(r"(?!HEAD$)(?!.*\.\.)[A-Za-z0-9][\w.-]{0,99}(?<!\.)(?<!\.lock)", re.ASCII)
_ROW = re.compile(r"^(\| \[[^\]]+\]\(([^)\s]+\.ipynb)\) \|.*\| )([^|\n]*)( \|)$", re.MULTILINE)
_SECTION = re.compile(r"^## Notebooks\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINKS = re.compile(rf"\n\n\[nbviewer\]\({re.escape(NBVIEWER)}\S+\) · \[Colab\]\({re.escape(COLAB)}\S+\)")
_SETUP = re.compile(r'^REPOSITORY = ".*$', re.MULTILINE)
_URLS, _NEXT = "[project.urls]\n", "[project.scripts]\n"


class Address(NamedTuple):
    """The address of the project on GitHub: owner/name, and a tag or a commit."""

    repo: str
    ref: str

    def __str__(self) -> str:
        """Format the address for messages."""
        return f"{HOST}{self.repo} at {self.ref}"


def current(root: str | Path = ".") -> Address | None:
    """Return the address in the links of the checkout `root`, or None if they are relative."""
    repo = _project(Path(root)).get("urls", {}).get("Repository", "").removeprefix(HOST)
    ref = re.search(rf"\]\({re.escape(NBVIEWER + repo)}/blob/([^/\s]+)/", _read(Path(root, README)))
    return Address(repo, ref[1]) if repo and ref else None


def usual_address(repo: str, root: str | Path = ".") -> Address:
    """Return the repository with the default ref: the tag of the version in `pyproject.toml`.

    The tagged commit must already contain the links. So the current ref of the links is kept if nothing would change,
    or if the tag does not exist yet. If the tag of the version exists, the new one also contains the commit's hash.
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
    """Write the address into all links of the checkout `root`, and return the changed files.

    Raises BadInput if the address or a file is not valid; nothing is written then.
    """
    root = Path(root)
    if address and not _REPO.fullmatch(address.repo):
        raise BadInput(
            f"{address.repo!r} is not the name of a repository: use REPO=owner/name, or no REPO for relative links."
        )
    if address and not _REF.fullmatch(address.ref):
        raise BadInput(f"{address.ref!r} cannot be a tag or a commit in a link: use another REF, such as v0.1.0.")
    if address and _git(root, "for-each-ref", f"refs/heads/{address.ref}", f"refs/remotes/*/{address.ref}"):
        raise BadInput(f"{address.ref} is a branch, which changes: set REF to a tag or a commit.")
    changes = _changes(address, root)
    for path, text in changes.items():
        write_text(path, text)
    return list(changes)


def public_links(address: Address, path: str) -> str:
    """Return the two links to a notebook as Markdown; `path` is its path in the repository."""
    where = f"{address.repo}/blob/{address.ref}/{quote(path)}"
    return f"[nbviewer]({NBVIEWER}{where}) · [Colab]({COLAB}{where})"


def _git(root: Path, *arguments: str) -> str:
    """Return the output of git in the checkout, or '' if it fails (not a repository, or git is not installed)."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _commit(root: Path, ref: str) -> str:
    """Return the commit of a ref in the checkout's repository, or '' if there is none."""
    return _git(root, "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")


def _read(path: Path, remedy: str = "run this in the folder of the checkout") -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist: {remedy}.") from None


def _project(root: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(_read(root / PROJECT))["project"]
    return project


def _changes(address: Address | None, root: Path) -> dict[Path, str]:
    """Return the new text of each file whose links have to change."""
    readme, project = root / README, root / PROJECT
    page, paths = _with_links(_read(readme), address)
    old = {path: _read(path) for path in (readme, project)}
    old |= {root / path: _read(root / path, f"remove its row from the table in {README}") for path in paths}
    new = {readme: page, project: _with_address(old[project], address)}
    new |= {root / path: _linked_notebook(path, old[root / path], address) for path in paths}
    return {path: new[path] for path in old if new[path] != old[path]}


def _with_links(text: str, address: Address | None) -> tuple[str, list[str]]:
    """Return the README with new links in its table of notebooks, and the paths of the notebooks."""
    section = _SECTION.search(text)
    if section is None or not _ROW.search(section[0]):
        raise BadInput(f"{README} has no table of notebooks under `## Notebooks`: add it, with one row per notebook.")
    rows = _ROW.sub(
        lambda row: row[1] + (public_links(address, row[2]) if address else f"[file]({row[2]})") + row[4], section[0]
    )
    return text[: section.start()] + rows + text[section.end() :], [row[2] for row in _ROW.finditer(section[0])]


def _with_address(text: str, address: Address | None) -> str:
    """Return pyproject.toml with the repository's address; an empty table `[project.urls]` is removed."""
    text = re.sub(r'^Repository = ".*"\n', "", text, flags=re.MULTILINE)
    if address is None:
        return text.replace(f"{_URLS}\n", "")
    if _URLS not in text:
        text = text.replace(_NEXT, f"{_URLS}\n{_NEXT}")
    return text.replace(_URLS, f'{_URLS}Repository = "{HOST}{address.repo}"\n')


def _linked_notebook(path: str, text: str, address: Address | None) -> str:
    """Return the notebook with the links below its title and the address in its setup cell."""
    try:
        notebook = json.loads(text)
        title, *others = notebook["cells"]
    except (ValueError, LookupError, TypeError):
        raise BadInput(f"{path} is not a readable notebook: repair it first.") from None
    if _formatted(notebook) != text:
        raise BadInput(f"{path} is not formatted as Jupyter saves notebooks: open it in Jupyter and save it.")
    heading, *body = _LINKS.sub("", "".join(title["source"])).partition("\n")
    links = f"\n\n{public_links(address, path)}" if address else ""
    title["source"] = f"{heading}{links}{''.join(body)}".splitlines(keepends=True)
    line = f'REPOSITORY = "git+{HOST}{address.repo}@{address.ref}"' if address else NO_ADDRESS
    for cell in others:
        if cell["cell_type"] == "code":
            cell["source"] = _SETUP.sub(lambda _: line, "".join(cell["source"])).splitlines(keepends=True)
    return _formatted(notebook)


def _formatted(notebook: dict[str, Any]) -> str:
    """Return the text of a notebook as Jupyter saves it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _notify(message: str) -> None:
    print(message, file=sys.stderr)


def main(arguments: Sequence[str]) -> None:
    """Write links to the given repository, or relative links without one.

    Prints the ref of the links, and the remaining steps on standard error.
    """
    if len(arguments) > 2:
        raise BadInput("Too many arguments: use one REPO=owner/name, and optionally one REF=tag-or-commit.")
    address = None
    if arguments:
        repo, *ref = arguments
        address = Address(repo, *ref) if ref else usual_address(repo)
    changed = write_links(address)
    _notify(f"The links point to {address or 'the files of the checkout'}.")
    _notify(f"Files changed: {len(changed)}.")
    if address:
        print(address.ref)
        if not _commit(Path(), address.ref):
            _notify(f"Now commit, then `git tag {address.ref}` and `git push --atomic origin HEAD {address.ref}`.")
        elif changed:
            _notify("Now commit and push.")


if __name__ == "__main__":
    with sentences():
        main(sys.argv[1:])
