"""`make notebooks`: run the notebooks of the checkout again and write them back with their new outputs.

All of them, or those that are named: `python -m tools.notebooks text_generation/with-titles/GPT-2/Training.ipynb`.
A notebook is written only when all its cells ran. What a run leaves behind that tells a reader nothing is left out:
progress bars and messages, standard error, the times of cells, the names of the machine and of its Python. So the same
run gives the same file, but for the speeds and times that a notebook itself states.

With `--base NAME` another base model stands in for that of the notebooks; `--base offline` takes the one of their kind
that needs no model hub. Such a page says so under its title and in a cell after its parameters. That cell is text, so
who runs the page runs the notebook's own base model.

`--first-lines` runs nothing: it only writes the lines under the titles anew.
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
# For a run without a browser. Progress bars are widgets, which nobody would see, and nbclient fails on one that is
# closed while it is written to: without the package ipywidgets there are none. The log level hides a notice about
# encryption between the kernel and this process.
KERNEL_ARGUMENTS = ["--IPKernelApp.exec_lines=import sys; sys.modules['ipywidgets'] = None", "--log-level=ERROR"]

OFFLINE = {"text_generation": "smollm2-135m", "genre_prediction": "minilm-l6"}
PARAMETERS, INJECTED = "parameters", "injected-parameters"  # tags; the second is papermill's
NOTICE, NEEDED = "**The saved outputs are of ", "**On a free Colab machine "  # how the lines under a title begin

_BASE_MODEL = re.compile(r'^BASE_MODEL = "(.+?)"', re.MULTILINE)
_INSTEAD = "The saved outputs were made with these parameters in place of those above:"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_BY_RICH = JUPYTER_HTML_FORMAT.partition("{")[0]
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_GPU = {"accelerator": "GPU", "colab": {"gpuType": "T4"}}  # what Colab gives to who opens the notebook


def notebooks(root: str | Path = ".") -> list[Path]:
    """The notebooks of the checkout `root`, in the order in which they are run."""
    return [
        file for place in PLACES for file in sorted(Path(root).glob(place)) if ".ipynb_checkpoints" not in file.parts
    ]


def name_of(path: str | Path) -> str:
    """The notebook's path in the checkout that the program runs in, without its suffix."""
    return Path(os.path.relpath(path)).with_suffix("").as_posix()


def run_notebook(path: str | Path, base_model: str | None = None) -> None:
    """Run a notebook in its own folder and write it back.

    `base_model` stands in for the notebook's own, where it has one; "offline" is the one of its kind that needs no
    model hub. Raises CellExecutionError where a cell fails, and writes nothing then.
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
    """The notebook, as papermill reads it, with a base model in place of its own: in a cell after the parameters.

    It has no such cell where the base model is None or the notebook's own, or where the notebook has none.
    """
    notebook.cells = [cell for cell in notebook.cells if not _has_tag(cell, INJECTED)]
    if base_model is None or _base_model(notebook, PARAMETERS) in (None, base_model):
        return notebook
    return parameterize_notebook(notebook, {"BASE_MODEL": base_model}, kernel_name="python3", language="python")


def tidy(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook, changed in place, as it is kept: without what a run leaves behind that tells a reader nothing.

    `name` is its path without the suffix. What papermill injected becomes text, so that it is run no more.
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
                _count_as(cell, count)
    if notebook.cells[0].cell_type == "markdown":
        notebook.cells[0].source = with_first_lines(notebook.cells[0].source, notebook, name)
    return notebook


def with_first_lines(title: str, notebook: NotebookNode, name: str) -> str:
    """The title's cell with the paragraphs that follow the title and its links.

    They say which base model the saved outputs are of, where it is not the notebook's own, and what a run needs.
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
    """The cell that papermill injected, as a text that shows it."""
    if cell.cell_type == "markdown":
        return cell
    code = re.sub("^# .*\n", "", cell.source).strip()  # without papermill's comment
    return new_markdown_cell(f"{_INSTEAD}\n\n```python\n{code}\n```", id=INJECTED, metadata={"tags": [INJECTED]})


def _count_as(cell: NotebookNode, count: int) -> None:
    """Let it be the cell that was run as number `count`."""
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
    """Run the named notebooks, or all, and stop at the first that fails."""
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description="Run notebooks and write them back.")
    parser.add_argument("names", nargs="*", metavar="NOTEBOOK", help="paths of notebooks; without any all are run")
    parser.add_argument(
        "--base", metavar="NAME", help="base model in place of the notebooks' own; offline needs no hub"
    )
    parser.add_argument("--first-lines", action="store_true", help="write only the lines under the titles anew")
    options = parser.parse_args(arguments)
    paths = [Path(name) for name in options.names] or notebooks()
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            sys.exit(f"There is no notebook {path}: give the path of one from the folder you are in.")
    for path in paths:
        if options.first_lines:
            nbformat.write(tidy(nbformat.read(path, as_version=4), name_of(path)), path)
            continue
        notify(f"Running {path} …")
        try:
            run_notebook(path, options.base)
        except CellExecutionError as error:
            sys.exit(f"{path} failed and was left as it was.\n{error}")


if __name__ == "__main__":
    main(sys.argv[1:])
