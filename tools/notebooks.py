"""`make notebooks`: run the notebooks of the checkout again and write them back with their new outputs.

All of them, or those that are named: `python -m tools.notebooks text_generation/with-titles/GPT-2/Training.ipynb`.
A notebook is written only when all its cells ran. What a run leaves behind that tells a reader nothing is left out:
progress bars and messages, standard error, the times of cells, the names of the machine and of its Python. So the same
run gives the same file, but for the speeds and times that a notebook itself states.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from rich.jupyter import JUPYTER_HTML_FORMAT

from movieplots.progress import notify

PLACES = ("*.ipynb", "text_generation/**/*.ipynb", "genre_prediction/**/*.ipynb")
# For a run without a browser. Progress bars are widgets, which nobody would see, and nbclient fails on one that is
# closed while it is written to: without the package ipywidgets there are none. The log level hides a notice about
# encryption between the kernel and this process.
KERNEL_ARGUMENTS = ["--IPKernelApp.exec_lines=import sys; sys.modules['ipywidgets'] = None", "--log-level=ERROR"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_BY_RICH = JUPYTER_HTML_FORMAT.partition("{")[0]
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebooks(root: str | Path = ".") -> list[Path]:
    """The notebooks of the checkout `root`, in the order in which they are run."""
    return [
        file for place in PLACES for file in sorted(Path(root).glob(place)) if ".ipynb_checkpoints" not in file.parts
    ]


def run_notebook(path: str | Path) -> None:
    """Run a notebook in its own folder and write it back.

    Raises CellExecutionError where a cell fails, and writes nothing then.
    """
    path = Path(path)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", extra_arguments=KERNEL_ARGUMENTS, record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    client.execute()
    nbformat.write(tidy(notebook), path)


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The notebook, changed in place, without what a run leaves behind that tells a reader nothing."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = list(_worth_keeping(cell.outputs))
    return notebook


def _worth_keeping(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    for output in outputs:
        data = output.get("data", {})
        if output.get("name") == "stderr" or _WIDGET in data or str(data.get("text/html", "")).startswith(_BY_RICH):
            continue
        if "text/plain" in data:
            data["text/plain"] = _ADDRESS.sub("", data["text/plain"])
        yield output


def main(names: Sequence[str]) -> None:
    """Run the named notebooks, or all, and stop at the first that fails."""
    paths = [Path(name) for name in names] or notebooks()
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            sys.exit(f"There is no notebook {path}: give the path of one from the folder you are in.")
    for path in paths:
        notify(f"Running {path} …")
        try:
            run_notebook(path)
        except CellExecutionError as error:
            sys.exit(f"{path} failed and was left as it was.\n{error}")


if __name__ == "__main__":
    main(sys.argv[1:])
