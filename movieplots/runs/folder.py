"""What a trained model's folder holds beside its weights: `movieplots.json`, `run.json`, `plot_ids.npz`, `README.md`.

`movieplots.json` is written last, so a folder that has it is complete. Its `recipe` names everything the result depends
on; the same recipe again reuses the folder.
"""

import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypedDict, TypeVar

import msgspec

from movieplots.errors import BadInput
from movieplots.files import read_json, write_json, write_text
from movieplots.runs.lineage import FILE_NAME as PLOT_IDS
from movieplots.runs.lineage import MODEL_FILE, PlotIds
from movieplots.settings import Json, Settings

FILE_NAME = MODEL_FILE
RUN_FILE = "run.json"  # when, where and how long: apart from `movieplots.json`, which the recipe alone decides
_WEIGHTS = ("adapter_*", "*.safetensors", "*config.json", "*.onnx", "engine.json", PLOT_IDS)
_VERBS = {"generation": "generator", "classification": "classifier", "mlm": "mlm"}

K = TypeVar("K", bound=Settings)
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """Everything a trained model depends on.

    `command` is the one that trains so, without `movieplots`, `settings` are its options by name, and `data` is the
    fingerprint of the plots. `base_recipe` is that of a base model that was trained here, `teachers` are those of the
    models that it learned from.
    """

    command: str
    settings: dict[str, Json]
    data: str
    base_recipe: "Recipe | None" = None
    teachers: list["Recipe"] = field(default_factory=list)

    def settings_as(self, kind: type[K]) -> K:
        """The settings as they were given."""
        return kind.of_recipe(self.settings)

    def in_words(self) -> dict[str, str]:
        """The settings that are not off, as a card shows them."""
        return {name.replace("_", " "): str(value) for name, value in self.settings.items() if value is not None}


class Logged(TypedDict, total=False):
    """What was logged at a step of training: the training loss, or the validation loss, in nats."""

    step: int
    loss: float
    eval_loss: float


class Circumstances(TypedDict):
    """What of a run is not in its recipe."""

    date: str
    device: str
    processes: int
    minutes: float
    torch: str
    transformers: str


@dataclass(frozen=True)
class _HasRecipe:
    """An info as far as every task has it."""

    recipe: Recipe


class Info(Protocol):
    """What `movieplots.json` holds, whatever the task: see `GeneratorInfo`, `ClassifierInfo`, `MlmInfo`."""

    TASK: ClassVar[str]

    @property
    def base_model(self) -> str: ...

    @property
    def recipe(self) -> Recipe: ...


I = TypeVar("I", bound=Info)  # noqa: E741


def read_info(folder: str | Path, kind: type[I]) -> I:
    """The `movieplots.json` of a finished model: a `GeneratorInfo`, `ClassifierInfo` or `MlmInfo`.

    Raises BadInput where the folder holds no finished model, one for another task, or one of an earlier version.
    """
    file = Path(folder) / FILE_NAME
    verb = _VERBS[kind.TASK]
    if not file.is_file():
        raise BadInput(f"{folder} is not a trained model: run `movieplots train {verb} … --output-dir {folder}` first.")
    remedy = f"run `movieplots train {verb}` with --overwrite to make the model anew"
    return info_of(read_json(file, remedy), kind, folder, remedy)


def info_of(content: Any, kind: type[I], where: str | Path, remedy: str) -> I:
    """The same from what JSON holds; `where` it stands and the `remedy` are for the message."""
    _check_version(content, where, remedy)
    task = content.get("task") if isinstance(content, dict) else None
    if task != kind.TASK:
        raise BadInput(f"{where} holds a model for {task}, not for {kind.TASK}: choose a {_VERBS[kind.TASK]}'s folder.")
    return _converted(content, kind, where, remedy)


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that was written completely, or None."""
    complete = [file.parent for file in folder.glob("checkpoint-*/complete.json")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def recipe_of(folder: str | Path) -> Recipe | None:
    """The recipe of a model of any task that was trained here; None for any other folder or name."""
    file, remedy = Path(folder) / FILE_NAME, "train it again with --overwrite"
    if not file.is_file():
        return None
    content = read_json(file, remedy)
    _check_version(content, folder, remedy)
    return _converted(content, _HasRecipe, folder, remedy).recipe


def _check_version(content: Any, where: str | Path, remedy: str) -> None:
    if isinstance(content, dict) and "base" in content and "base_model" not in content:
        raise BadInput(f"{where} is of an earlier version of movieplots, which named its settings otherwise: {remedy}.")


def _converted(content: Any, kind: type[T], where: str | Path, remedy: str) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where} holds a model that cannot be read ({error}): {remedy}.") from None


def to_json(info: Any) -> dict[str, Json]:
    """A dataclass as JSON; an info with its task first."""
    task = {"task": info.TASK} if hasattr(info, "TASK") else {}
    return task | {each.name: msgspec.to_builtins(getattr(info, each.name)) for each in fields(info)}


def clear(folder: Path) -> None:
    """Forget the model in this folder, finished or begun: an adapter left beside whole weights would be loaded."""
    weights = [path for pattern in _WEIGHTS for path in folder.glob(pattern)]
    for path in (folder / FILE_NAME, folder / RUN_FILE, folder / "README.md", *weights):
        path.unlink(missing_ok=True)
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)


def write_info(folder: Path, info: Any, card: str, plots: PlotIds) -> None:
    """Write which plots the model has read, its card, and then `movieplots.json`: now the folder counts as complete."""
    plots.write(folder)
    write_text(folder / "README.md", card)
    write_json(folder / FILE_NAME, to_json(info))
