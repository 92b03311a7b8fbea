"""What a trained model's folder holds beside its weights: `movieplots.json`, `run.json`, `plot_ids.npz`, `README.md`.

`movieplots.json` is written last, so a folder that has it is complete. Its `recipe` names everything the result depends
on; the same recipe again reuses the folder.
"""

import shutil
from pathlib import Path
from typing import Any

from movieplots.errors import BadInput
from movieplots.files import read_json, write_json, write_text
from movieplots.lineage import FILE_NAME as PLOT_IDS
from movieplots.lineage import PlotIds

FILE_NAME = "movieplots.json"
_WEIGHTS = ("adapter_*", "*.safetensors", "*config.json", "*.onnx", "engine.json", PLOT_IDS)
RUN_FILE = "run.json"  # when, where and how long: apart from `movieplots.json`, which the recipe alone decides


def read_info(folder: str | Path, task: str) -> dict[str, Any]:
    """The `movieplots.json` of a finished model of this task (`generation`, `classification` or `language-model`)."""
    file = Path(folder) / FILE_NAME
    verb = {"generation": "generator", "classification": "classifier"}.get(task, task)
    if not file.is_file():
        raise BadInput(f"{folder} is not a trained model: run `movieplots train {verb} … --out {folder}` first.")
    info = read_json(file, f"run `movieplots train {verb}` with --fresh to make the model anew")
    if info.get("task") != task:
        raise BadInput(f"{folder} holds a model for {info.get('task')}, not for {task}: choose a {verb}'s folder.")
    return info


def finished(folder: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The info of a model already trained by this recipe, or None if there is training to do or to continue.

    Raises BadInput where the folder holds the result, or the beginnings, of another recipe.
    """
    for file in (folder / FILE_NAME, folder / "checkpoints" / "recipe.json"):
        if not file.is_file():
            continue
        info = read_json(file, "give --fresh to start over")
        before = info.get("recipe", {})
        changed = sorted(key for key in {*recipe, *before} if before.get(key) != recipe.get(key))
        if changed:
            raise BadInput(
                f"{folder} holds a model trained with other settings ({', '.join(changed)}): "
                "choose another --out, or give --fresh to start over."
            )
        if file.name == FILE_NAME:
            return info
    return None


def begin(folder: Path, recipe: dict[str, Any]) -> None:
    """Note the recipe before anything else is written, so that another one cannot go on with what this one began."""
    write_json(folder / "checkpoints" / "recipe.json", {"recipe": recipe})


def clear(folder: Path) -> None:
    """Forget the model in this folder, finished or begun: an adapter left beside whole weights would be loaded."""
    weights = [path for pattern in _WEIGHTS for path in folder.glob(pattern)]
    for path in (folder / FILE_NAME, folder / RUN_FILE, folder / "README.md", *weights):
        path.unlink(missing_ok=True)
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)


def write_info(folder: Path, info: dict[str, Any], card: str, plots: PlotIds) -> None:
    """Write which plots the model has read, its card, and then `movieplots.json`: now the folder counts as complete."""
    plots.write(folder)
    write_text(folder / "README.md", card)
    write_json(folder / FILE_NAME, info)


def table(rows: dict[str, Any]) -> str:
    """A two-column Markdown table; floats with three decimals, smaller ones with the digits that count."""
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in rows.items())])


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"
