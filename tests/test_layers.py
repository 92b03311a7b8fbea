"""Who may import whom: every module imports from its own layer or from those below it, and no two import each other."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
# From the ground up. What stands in one row knows nothing of its neighbors; the modules of the root are the ground.
LAYERS = (
    ("runs", "sources"),
    ("pretrained",),
    ("measures", "preparation"),
    ("generation", "classification"),
    ("evaluation",),
    ("reporting", "serving"),
    ("notebook", "cli"),
)


def modules() -> dict[str, Path]:
    """Name -> file of every module of the package."""
    files = {file: file.relative_to(ROOT).with_suffix("").parts for file in (ROOT / "movieplots").rglob("*.py")}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): file for file, parts in files.items()}


def imports(name: str, known: dict[str, Path]) -> set[str]:
    """The modules that it imports, also those that a function of it imports."""
    found = set()
    for node in ast.walk(ast.parse(known[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            below = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            found |= below or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known.keys()


def test_nothing_imports_upwards():
    known = modules()
    height = {layer: row for row, layers in enumerate(LAYERS, 1) for layer in layers}
    root = {name for name in known if len(name.split(".")) == 2 and name.split(".")[1] not in height}

    def layer(name: str) -> str:
        return name.split(".")[1] if name.count(".") and name not in root else ""

    upwards = [
        f"{name} imports {other}"
        for name in known.keys() - {"movieplots", "movieplots.__main__"}
        for other in imports(name, known) - {"movieplots"}
        if layer(other) != layer(name) and height.get(layer(other), 0) >= height.get(layer(name), 0)
    ]
    assert not sorted(upwards)


def test_nothing_imports_in_a_circle():
    known = modules()
    order = list(TopologicalSorter({name: imports(name, known) for name in known}).static_order())  # raises CycleError
    assert set(order) == set(known)


def test_the_root_holds_what_everything_may_import():
    names = {file.stem for file in (ROOT / "movieplots").glob("*.py")}
    assert names == {
        "__init__", "__main__", "errors", "files", "formatting", "genres", "intervals", "plots", "progress", "settings",
        "texts", "titles", "words",
    }  # fmt: skip
