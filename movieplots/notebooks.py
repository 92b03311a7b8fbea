"""`make notebooks`: run every notebook of the checkout again and write it back with its new outputs.

A notebook is written only when all its cells ran. What a run leaves behind that tells a reader nothing is left out:
progress bars and messages, standard error, times, the names of the machine and of its Python. So the same run gives
the same file.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from rich.jupyter import JUPYTER_HTML_FORMAT

from movieplots.progress import say

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


def main() -> None:
    """Run all notebooks, and stop at the first that fails."""
    for path in notebooks():
        say(f"Running {path} …")
        try:
            run_notebook(path)
        except CellExecutionError as error:
            sys.exit(f"{path} failed and was left as it was.\n{error}")


if __name__ == "__main__":
    main()
