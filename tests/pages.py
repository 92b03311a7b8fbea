"""The notebooks of the project, and what is in one."""

from pathlib import Path

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]


def pages():
    """The notebooks by their paths in the project, in the order in which they are run."""
    return [path.relative_to(ROOT).as_posix() for path in notebooks.notebooks(ROOT)]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def figures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def page(output):
    """What an output shows of text, as one string."""
    data = output.get("data", {})
    return "".join(str(data.get(kind, "")) for kind in ("text/html", "text/markdown"))
