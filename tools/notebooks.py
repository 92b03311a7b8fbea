"""`make notebooks`: run the notebooks of the checkout and save them with their new outputs.

It runs all notebooks or the given ones: `python -m tools.notebooks text_generation/with-titles/GPT-2/Training.ipynb`.
A notebook is saved only if all its cells succeed. Progress bars, messages, standard error, cell times, and the names of
the machine and its Python are not saved. So the same run gives the same file, apart from speeds and times in the
outputs.

`--base-model NAME` replaces the base model of the notebooks; with `--base-model offline` it is the included one for
their task, which needs no model hub. A line under the title and a text cell after the parameters then name this model.
The cell is text, so a run of the saved notebook uses the original base model.

`--first-lines` only updates the lines under the titles and runs nothing.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from rich.jupyter import JUPYTER_HTML_FORMAT

from movieplots.notebook.needs import NEEDS, sentence
from movieplots.pretrained.base_models import PACKAGED
from movieplots.progress import notify

PLACES = ("*.ipynb", "text_generation/**/*.ipynb", "genre_prediction/**/*.ipynb")
# Without ipywidgets there are no progress bars: they are widgets, invisible without a browser, and nbclient fails if
# one is closed while it is updated. The log level hides a notice about encryption between the kernel and this process.
KERNEL_ARGUMENTS = ["--IPKernelApp.exec_lines=import sys; sys.modules['ipywidgets'] = None", "--log-level=ERROR"]

OFFLINE = {"text_generation": "smollm2-135m", "genre_prediction": "minilm-l6"}
PARAMETERS, INJECTED = "parameters", "injected-parameters"  # tags; the second is papermill's
NOTICE, NEEDED = "**The saved outputs are of ", "**On a free Colab machine "  # beginnings of the lines under a title

_BASE_MODEL = re.compile(r'^BASE_MODEL = "(.+?)"', re.MULTILINE)
_INSTEAD = "The saved outputs were made with these parameters in place of those above:"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_BY_RICH = JUPYTER_HTML_FORMAT.partition("{")[0]
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_GPU = {"accelerator": "GPU", "colab": {"gpuType": "T4"}}  # the machine that Colab provides


def notebooks(root: str | Path = ".") -> list[Path]:
    """Return the notebooks of the checkout `root`, in the order in which they are run."""
    return [
        file for place in PLACES for file in sorted(Path(root).glob(place)) if ".ipynb_checkpoints" not in file.parts
    ]


def name_of(path: str | Path) -> str:
    """Return the notebook's path relative to the current folder, without its suffix."""
    return Path(os.path.relpath(path)).with_suffix("").as_posix()


def run_notebook(path: str | Path, base_model: str | None = None) -> None:
    """Run a notebook in its own folder and save it with its outputs.

    `base_model` replaces the notebook's own, if it has one; "offline" is the included base model for its task. Raises
    CellExecutionError if a cell fails; nothing is saved then.
    """
    path = Path(path)
    name = name_of(path)
    if base_model == "offline":
        base_model = OFFLINE.get(name.partition("/")[0])
    notebook = with_base_model(load_notebook_node(str(path)), base_model)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", extra_arguments=KERNEL_ARGUMENTS, record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    client.execute()
    nbformat.write(tidy(notebook, name), path)


def with_base_model(notebook: NotebookNode, base_model: str | None) -> NotebookNode:
    """Return the notebook with another base model, set in a cell after the parameters.

    The cell is not added if the base model is None or the notebook's own, or if the notebook has none.
    """
    notebook.cells = [cell for cell in notebook.cells if not _has_tag(cell, INJECTED)]
    if base_model is None or _base_model(notebook, PARAMETERS) in (None, base_model):
        return notebook
    return parameterize_notebook(notebook, {"BASE_MODEL": base_model}, kernel_name="python3", language="python")


def tidy(notebook: NotebookNode, name: str) -> NotebookNode:
    """Remove from the notebook, in place, what a reader does not need, such as messages and times, and return it.

    `name` is its path without the suffix. The cell that papermill injected becomes text, so it is not run again.
    """
    without_gpu = name in NEEDS and not NEEDS[name].gpu_memory
    notebook.metadata = nbformat.from_dict(_METADATA | ({} if without_gpu else _GPU))
    notebook.cells = [_as_text(cell) if _has_tag(cell, INJECTED) else cell for cell in notebook.cells]
    count = 0
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = list(_worth_keeping(cell.outputs))
            if cell.execution_count is not None:
                count += 1
                _set_execution_count(cell, count)
    if notebook.cells[0].cell_type == "markdown":
        notebook.cells[0].source = with_first_lines(notebook.cells[0].source, notebook, name)
    return notebook


def with_first_lines(title: str, notebook: NotebookNode, name: str) -> str:
    """Return the title cell with the paragraphs after the title and its links.

    They state the base model of the saved outputs, if it is not the notebook's own, and the requirements of a run.
    """
    heading, *rest = title.split("\n\n")
    rest = [paragraph for paragraph in rest if not paragraph.startswith((NOTICE, NEEDED))]
    links = [rest.pop(0)] if rest and rest[0].startswith("[nbviewer](") else []
    own, base_model = (_base_model(notebook, tag) for tag in (PARAMETERS, INJECTED))
    notice = [_notice(base_model, own)] if base_model and own else []
    needed = [sentence(name)] if name in NEEDS else []
    return "\n\n".join([heading, *links, *notice, *needed, *rest])


def _notice(base_model: str, own: str) -> str:
    why = "The machine that made them had no connection to the model hub; when" if base_model in PACKAGED else "When"
    return f"{NOTICE}`{base_model}`, which stands in for `{own}`.** {why} you run this notebook, it uses `{own}`."


def _has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def _base_model(notebook: NotebookNode, tag: str) -> str | None:
    found = (_BASE_MODEL.search(cell.source) for cell in notebook.cells if _has_tag(cell, tag))
    return next((match[1] for match in found if match), None)


def _as_text(cell: NotebookNode) -> NotebookNode:
    """Return the cell that papermill injected as a text cell with its code."""
    if cell.cell_type == "markdown":
        return cell
    code = re.sub("^# .*\n", "", cell.source).strip()  # without papermill's comment
    return new_markdown_cell(f"{_INSTEAD}\n\n```python\n{code}\n```", id=INJECTED, metadata={"tags": [INJECTED]})


def _set_execution_count(cell: NotebookNode, count: int) -> None:
    """Set the execution count of a cell and its outputs."""
    cell.execution_count = count
    for output in cell.outputs:
        if "execution_count" in output:
            output.execution_count = count


def _worth_keeping(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    for output in outputs:
        data = output.get("data", {})
        if output.get("name") == "stderr" or _WIDGET in data or str(data.get("text/html", "")).startswith(_BY_RICH):
            continue
        if "text/plain" in data:
            data["text/plain"] = _ADDRESS.sub("", data["text/plain"])
        yield output


def main(arguments: Sequence[str]) -> None:
    """Run the given notebooks, or all, and stop at the first that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.notebooks", description="Run notebooks and save them with their outputs."
    )
    parser.add_argument("names", nargs="*", metavar="NOTEBOOK", help="paths of notebooks (default: all)")
    parser.add_argument(
        "--base-model", metavar="NAME", help="base model that replaces the notebooks' own; `offline` needs no model hub"
    )
    parser.add_argument("--first-lines", action="store_true", help="only update the lines under the titles")
    options = parser.parse_args(arguments)
    paths = [Path(name) for name in options.names] or notebooks()
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            sys.exit(f"There is no notebook {path}: give its path relative to the current folder.")
    for path in paths:
        if options.first_lines:
            nbformat.write(tidy(nbformat.read(path, as_version=4), name_of(path)), path)
            continue
        notify(f"Running {path} …")
        try:
            run_notebook(path, options.base_model)
        except CellExecutionError as error:
            sys.exit(f"{path} failed and was not changed.\n{error}")


if __name__ == "__main__":
    main(sys.argv[1:])
