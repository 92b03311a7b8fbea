"""The metadata in a trained model's folder: `movieplots.json`, `run.json`, `plot_ids.npz`, `README.md`.

`movieplots.json` is written last, so a folder with it is complete. Its `recipe` names everything that determines the
result; training with the same recipe again returns the finished model.
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
RUN_FILE = "run.json"  # date, device and duration, which are not part of the recipe
_WEIGHTS = ("adapter_*", "*.safetensors", "*config.json", "*.onnx", "engine.json", PLOT_IDS)
_VERBS = {"generation": "generator", "classification": "classifier", "mlm": "mlm"}

K = TypeVar("K", bound=Settings)
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a trained model.

    Attributes
    ----------
    command : str
        The training command, without `movieplots`.
    settings : dict
        Its options by name, as JSON values.
    data : str
        Fingerprint of the plots.
    base_recipe : Recipe or None, default None
        Recipe of the base model, if that was trained here.
    teachers : list of Recipe, default []
        Recipes of the teachers.
    """

    command: str
    settings: dict[str, Json]
    data: str
    base_recipe: "Recipe | None" = None
    teachers: list["Recipe"] = field(default_factory=list)

    def settings_as(self, kind: type[K]) -> K:
        """Return the settings as an object.

        Parameters
        ----------
        kind : type
            Class of the settings, such as `ClassifierSettings`.

        Returns
        -------
        Settings
            The settings of the training.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.classification.training_settings import ClassifierSettings
        >>> from movieplots.pretrained import shipped
        >>> recipe = GenreClassifier.from_pretrained(shipped.CLASSIFIER).info.recipe
        >>> recipe.settings_as(ClassifierSettings).epochs
        3
        """
        return kind.of_recipe(self.settings)

    def in_words(self) -> dict[str, str]:
        """Return the settings as text, without those that are None.

        Returns
        -------
        dict of str to str
            Values by name, with spaces for underscores.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> recipe = GenreClassifier.from_pretrained(shipped.CLASSIFIER).info.recipe
        >>> recipe.in_words()["batch size"]
        '48'
        """
        return {name.replace("_", " "): str(value) for name, value in self.settings.items() if value is not None}


class Logged(TypedDict, total=False):
    """A log entry of training: `step` with the training loss or the validation loss (per token for language models)."""

    step: int
    loss: float
    eval_loss: float


class Circumstances(TypedDict):
    """Date, device, duration and versions of a run, which are not part of its recipe."""

    date: str
    device: str
    processes: int
    minutes: float
    torch: str
    transformers: str


@dataclass(frozen=True)
class _HasRecipe:
    """The part of the metadata that is the same for every task."""

    recipe: Recipe


class Info(Protocol):
    """The content of `movieplots.json` for any task: `GeneratorInfo`, `ClassifierInfo` or `MlmInfo`."""

    TASK: ClassVar[str]

    @property
    def base_model(self) -> str:
        """The base model."""

    @property
    def recipe(self) -> Recipe:
        """The recipe of the training."""


I = TypeVar("I", bound=Info)  # noqa: E741


def read_info(folder: str | Path, kind: type[I]) -> I:
    """Read the `movieplots.json` of a finished model.

    Returns
    -------
    GeneratorInfo, ClassifierInfo or MlmInfo
        The content, as the dataclass `kind`.

    Raises
    ------
    BadInput
        If the folder does not contain a finished model of this task and version.
    """
    file = Path(folder) / FILE_NAME
    verb = _VERBS[kind.TASK]
    if not file.is_file():
        raise BadInput(
            f"{folder} is not a trained model: give the folder of one. A base model must be trained first, with "
            f"`movieplots train {verb}`. The folders of the pretrained models are in `movieplots.pretrained.shipped`."
        )
    remedy = f"run `movieplots train {verb}` with --overwrite to train the model again"
    return info_of(read_json(file, remedy), kind, folder, remedy)


def info_of(content: Any, kind: type[I], where: str | Path, remedy: str) -> I:
    """Convert parsed JSON to the same; `where` and `remedy` are for the error message."""
    _check_version(content, where, remedy)
    task = content.get("task") if isinstance(content, dict) else None
    if task != kind.TASK:
        raise BadInput(f"{where} holds a model for {task}, not for {kind.TASK}: choose a {_VERBS[kind.TASK]}'s folder.")
    return _converted(content, kind, where, remedy)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest complete checkpoint, or None."""
    complete = [file.parent for file in folder.glob("checkpoint-*/complete.json")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def recipe_of(folder: str | Path) -> Recipe | None:
    """Return the recipe of a model that was trained here; None for any other folder or name."""
    file, remedy = Path(folder) / FILE_NAME, "train it again with --overwrite"
    if not file.is_file():
        return None
    content = read_json(file, remedy)
    _check_version(content, folder, remedy)
    return _converted(content, _HasRecipe, folder, remedy).recipe


def _check_version(content: Any, where: str | Path, remedy: str) -> None:
    if isinstance(content, dict) and "base" in content and "base_model" not in content:
        raise BadInput(
            f"{where} is of an earlier version of movieplots, which named its settings differently: {remedy}."
        )


def _converted(content: Any, kind: type[T], where: str | Path, remedy: str) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where} holds a model that cannot be read ({error}): {remedy}.") from None


def to_json(info: Any) -> dict[str, Json]:
    """Convert a dataclass to JSON; metadata start with the task."""
    task = {"task": info.TASK} if hasattr(info, "TASK") else {}
    return task | {each.name: msgspec.to_builtins(getattr(info, each.name)) for each in fields(info)}


def clear(folder: Path) -> None:
    """Delete the finished or unfinished model in this folder: a leftover adapter would be loaded with new weights."""
    weights = [path for pattern in _WEIGHTS for path in folder.glob(pattern)]
    for path in (folder / FILE_NAME, folder / RUN_FILE, folder / "README.md", *weights):
        path.unlink(missing_ok=True)
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)


def write_info(folder: Path, info: Any, card: str, plots: PlotIds) -> None:
    """Write the ids of the model's plots, its card, and last `movieplots.json`, which makes the folder complete."""
    plots.write(folder)
    write_text(folder / "README.md", card)
    write_json(folder / FILE_NAME, to_json(info))
