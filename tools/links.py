"""`make links REPO=owner/name`: write the repository's public address on GitHub into every place that needs it.

Those are the table of notebooks in `README.md`, whose column `open` then leads to nbviewer and Colab; the first cell of
every notebook, which gets the same two links, and its setup cell, which installs the package from there; and
`[project.urls]` in `pyproject.toml`, where the address that is in force can be read. Without a REPO all of them get
back what they have as long as nobody knows the address: links within the checkout, and no address. The same call twice
changes nothing, and of a notebook nothing changes but these lines.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import nbformat

from movieplots.errors import BadInput, sentences
from movieplots.files import write_text
from movieplots.progress import notify
from tools.notebooks import notebooks

HOST = "https://github.com/"
NBVIEWER = "https://nbviewer.org/github/"
COLAB = "https://colab.research.google.com/github/"
BRANCH = "main"
README, PROJECT = "README.md", "pyproject.toml"

_REPO = re.compile(r"[A-Za-z0-9][\w-]{0,38}/(?!\.+$)[\w.-]{1,100}(?<!\.git)", re.ASCII)
_ROW = re.compile(r"^(\| \[[^\]]+\]\(([^)\s]+\.ipynb)\) \|.*\| )[^|\n]*( \|)$", re.MULTILINE)
_SECTION = re.compile(r"^## Notebooks\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINKS = re.compile(rf"\n\n\[nbviewer\]\({re.escape(NBVIEWER)}\S+\) · \[Colab\]\({re.escape(COLAB)}\S+\)")
_SETUP = re.compile(r'^REPOSITORY = "[^"\n]*"', re.MULTILINE)
_URLS, _NEXT = "[project.urls]\n", "[project.scripts]\n"


def current(root: str | Path = ".") -> str | None:
    """The repository, as owner/name, that the links of the checkout `root` lead to, or None where they are relative."""
    project = tomllib.loads(_read(Path(root, PROJECT)))["project"]
    return project.get("urls", {}).get("Repository", "").removeprefix(HOST) or None


def write_links(repo: str | None, root: str | Path = ".") -> list[Path]:
    """Let all links of the checkout `root` lead to the repository, and return the files that this changed.

    Nothing is written before all is known to fit. Raises BadInput where the repository's name or a file does not.
    """
    if repo is not None and not _REPO.fullmatch(repo):
        raise BadInput(
            f"{repo!r} is no repository on GitHub: give REPO=owner/name, or no REPO for links in the checkout."
        )
    root = Path(root)
    texts = {path: _read(path) for path in (root / README, root / PROJECT, *notebooks(root))}
    new = {path: _rewritten(path.relative_to(root), text, repo) for path, text in texts.items()}
    changed = [path for path in texts if new[path] != texts[path]]
    for path in changed:
        write_text(path, new[path])
    return changed


def public_links(repo: str, path: str) -> str:
    """The two links to a notebook, as Markdown; `path` is its path in the repository."""
    where = f"{repo}/blob/{BRANCH}/{quote(path)}"
    return f"[nbviewer]({NBVIEWER}{where}) · [Colab]({COLAB}{where})"


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise BadInput(f"There is no {path}: run this in the folder of the checkout.") from None


def _rewritten(path: Path, text: str, repo: str | None) -> str:
    if path.name == README:
        return _with_links(text, repo)
    return _with_address(text, repo) if path.name == PROJECT else _linked_notebook(path, text, repo)


def _with_links(text: str, repo: str | None) -> str:
    """The README with the last cell of each row in its table of notebooks written anew."""
    section = _SECTION.search(text)
    if section is None or not _ROW.search(section[0]):
        raise BadInput(
            f"{README} has no table of notebooks under `## Notebooks`, so there is no place for their links."
        )
    rows = _ROW.sub(
        lambda row: row[1] + (public_links(repo, row[2]) if repo else f"[file]({row[2]})") + row[3], section[0]
    )
    return text[: section.start()] + rows + text[section.end() :]


def _with_address(text: str, repo: str | None) -> str:
    """The project's metadata with the repository's address; a table `[project.urls]` without addresses is left out."""
    text = re.sub(r'^Repository = ".*"\n', "", text, flags=re.MULTILINE)
    if repo is None:
        return text.replace(f"{_URLS}\n", "")
    if _URLS not in text:
        text = text.replace(_NEXT, f"{_URLS}\n{_NEXT}")
    return text.replace(_URLS, f'{_URLS}Repository = "{HOST}{repo}"\n')


def _linked_notebook(path: Path, text: str, repo: str | None) -> str:
    """The notebook with the links below its title, and the address in its setup cell."""
    try:
        notebook = nbformat.reads(text, as_version=4)
    except ValueError:
        raise BadInput(f"{path} is no notebook that can be read: repair it first.") from None
    if nbformat.writes(notebook) + "\n" != text:
        raise BadInput(f"{path} is not laid out as Jupyter lays notebooks out: open it there and save it.")
    title, *others = notebook.cells
    title.source = _LINKS.sub("", title.source)
    if repo:
        heading, *_ = title.source.partition("\n")
        title.source = title.source.replace(heading, f"{heading}\n\n{public_links(repo, path.as_posix())}", 1)
    address = f'REPOSITORY = "git+{HOST}{repo}"' if repo else 'REPOSITORY = ""'
    for cell in others:
        if cell.cell_type == "code":
            cell.source = _SETUP.sub(address, cell.source)
    return nbformat.writes(notebook) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Let the links lead to the repository that is named, or, where none is, into the checkout."""
    if len(arguments) > 1:
        raise BadInput("There is one repository at a time: give REPO=owner/name.")
    repo = arguments[0] if arguments else None
    changed = write_links(repo)
    notify(f"The links lead {f'to {HOST}{repo}' if repo else 'into the checkout'}; files changed: {len(changed)}.")


if __name__ == "__main__":
    with sentences():
        main(sys.argv[1:])
