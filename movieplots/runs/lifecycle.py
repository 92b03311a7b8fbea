"""The steps that every training run shares, from the check of the output folder to the finished model.

A run gets its settings and three functions, which make the model, train it, and measure it. Everything else is done
here. The output folder must not be that of the base model or of a teacher. None of these, nor the models that they were
made from, may have been trained on validation or test plots of the data. A finished run is recognized, and an
interrupted one resumed. If memory runs out, the run restarts from its last checkpoint with half as many examples per
forward pass. The result is written atomically, and a folder counts as complete only after that.
"""

import functools
import gc
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from transformers import set_seed

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, read_json, write_json
from movieplots.formatting import plural
from movieplots.plots import FILE_NAME as PLOTS
from movieplots.plots import SPLITS, comparable, data_fingerprint, load_plots
from movieplots.progress import notify
from movieplots.runs.fit import main_process
from movieplots.runs.folder import (
    FILE_NAME,
    RUN_FILE,
    Circumstances,
    Info,
    Recipe,
    clear,
    info_of,
    recipe_of,
    to_json,
    write_info,
)
from movieplots.runs.lineage import PlotIds, inherited
from movieplots.settings import Json


class RunSettings(Protocol):
    """The settings that a training run needs."""

    command_name: ClassVar[str]
    several_processes: ClassVar[bool]
    extendable: ClassVar[tuple[str, ...]]

    @property
    def data(self) -> str | Path:
        """The prepared plots."""

    @property
    def output_dir(self) -> str | Path:
        """Folder for the model."""

    @property
    def seed(self) -> int:
        """Random seed."""

    @property
    def overwrite(self) -> bool:
        """Whether to train again what the folder already holds."""

    @property
    def teacher_folders(self) -> Sequence[str | Path]:
        """Folders of the teachers, if any."""

    def resolved(self) -> Any:
        """Return the settings with all defaults filled in."""

    def recipe(self) -> dict[str, Json]:
        """Return the settings that determine the result."""


S = TypeVar("S", bound=RunSettings)
I = TypeVar("I", bound=Info)  # noqa: E741
M = TypeVar("M")
T = TypeVar("T")


@dataclass
class Run(Generic[S]):
    """The state of a run that its three functions get.

    `settings` are resolved, `plots` are all plots of the data, `parts` those of each split, and `ids` the plots that
    the model and the models it was made from are trained on. Of the examples of an optimizer step, `at_once` share a
    forward pass. The model is written to `folder`.
    """

    settings: S
    plots: pd.DataFrame
    ids: PlotIds
    recipe: Recipe
    folder: Path
    at_once: int

    @functools.cached_property
    def parts(self) -> dict[str, pd.DataFrame]:
        """The plots of each split."""
        return {name: self.plots[self.plots["split"] == name] for name in SPLITS}

    @property
    def sources(self) -> list[str]:
        """The corpora of the plots, sorted."""
        return sorted(self.plots["source"].unique())

    def once(self, name: str, measure: Callable[[], Json]) -> Json:
        """Return the JSON value of `measure`, computed only at the first start of a run, before any training."""
        file = self.folder / "checkpoints" / f"{name}.json"
        if file.is_file():
            return read_json(file, "give --overwrite to start over")
        value = measure()
        if main_process():
            write_json(file, value)
        return value


@dataclass(frozen=True)
class Finished(Generic[I]):
    """The content of a trained model's folder: info, card, and a function that saves weights and tokenizer."""

    info: I
    card: str
    save: Callable[[Path], None]
    circumstances: Circumstances


def run_training(
    settings: S,
    info: type[I],
    at_once: int,
    make: Callable[[Run[S]], M],
    train: Callable[[Run[S], M], T],
    finish: Callable[[Run[S], M, T], Finished[I]],
) -> I:
    """Train with the settings and return the info of the model in their output folder.

    `make` checks the data and returns the model. `train` fits it and resumes from a checkpoint in `folder/checkpoints`
    if there is one. `finish` measures it. `at_once` examples share a forward pass if memory suffices.
    """
    folder = Path(settings.output_dir)
    if not settings.several_processes:
        one_process(settings.command_name)
    check_folder(folder)
    if (folder / PLOTS).is_file():  # whose README.md would be overwritten
        raise BadInput(f"{folder} holds prepared plots: choose another --output-dir.")
    for teacher in settings.teacher_folders:
        if not Path(teacher).is_dir():
            raise BadInput(f"There is no teacher {teacher}: choose the folder of a trained model.")
    base_model = getattr(settings, "base_model", None)  # a distilled generator has only a teacher
    predecessors = [*filter(None, [base_model]), *settings.teacher_folders]
    for predecessor in predecessors:
        if Path(predecessor).resolve() == folder.resolve():
            raise BadInput(f"{predecessor} is a model that this training starts from: choose another --output-dir.")
    settings = settings.resolved()
    plots = load_plots(settings.data)
    ids = inherited(PlotIds.of(plots), predecessors)
    base_recipe = None if base_model is None else recipe_of(base_model)
    teachers = [recipe for teacher in settings.teacher_folders if (recipe := recipe_of(teacher)) is not None]
    recipe = Recipe(settings.command_name, settings.recipe(), data_fingerprint(plots), base_recipe, teachers)
    if not settings.overwrite and (done := _finished(folder, recipe, info, settings)):
        return done
    run = Run(settings, plots, ids, recipe, folder, at_once)
    cleared = not settings.overwrite
    made: M | None = None
    while True:
        try:
            set_seed(settings.seed)
            made = make(run)
            if main_process():
                if not cleared:  # only after all input has been checked
                    clear(folder)
                # Written first, so that a run with another recipe cannot resume this one.
                write_json(folder / "checkpoints" / "recipe.json", {"recipe": to_json(recipe)})
            cleared = True
            processes().wait_for_everyone()
            finished = finish(run, made, train(run, made))
            break
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
        # One of several processes cannot restart alone.
        tried, run.at_once = run.at_once, 0 if processes().num_processes > 1 else half_of(run.at_once)
        if not run.at_once:
            raise BadInput(
                f"There is not enough memory for the model and {plural(tried, 'example')}: lower --batch-size or the "
                "length of the examples, or choose a smaller base model."
            )
        notify(f"Out of memory: continuing with {plural(run.at_once, 'example')} at a time and gradient accumulation.")
        made = None
        gc.collect()
        clear_device_cache()
    if main_process():
        with atomic_folder(folder) as temporary:
            finished.save(temporary)
            write_json(temporary / RUN_FILE, finished.circumstances)
        write_info(folder, finished.info, finished.card, ids)
    processes().wait_for_everyone()  # another process may still be reading a checkpoint
    if main_process():
        shutil.rmtree(folder / "checkpoints")
    return finished.info


def one_process(command: str) -> None:
    """Raise BadInput if several processes were started for a command that supports only one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput(f"`movieplots {command}` runs in one process: start it without `accelerate launch`.")


def processes() -> PartialState:
    """Return the processes that train together."""
    return PartialState(cpu=not torch.cuda.is_available())


def half_of(count: int) -> int:
    """Return the largest divisor of a number of examples that is at most half of it; 0 for one."""
    return next((part for part in range(count // 2, 0, -1) if count % part == 0), 0)


def _finished(folder: Path, recipe: Recipe, kind: type[I], settings: RunSettings) -> I | None:
    """Return the info of a model already trained with this recipe, or None if it is to be trained or resumed.

    Raises BadInput if the folder holds a model, or an unfinished run, of another recipe.
    """
    what = f"movieplots {settings.command_name}"
    for file in (folder / FILE_NAME, folder / "checkpoints" / "recipe.json"):
        if not file.is_file():
            continue
        content = read_json(file, "give --overwrite to start over")
        before, now = content.get("recipe"), to_json(recipe)
        if not isinstance(before, dict) or "settings" not in before:
            raise BadInput(
                f"{folder} was begun by an earlier version: choose another --output-dir, or give --overwrite."
            )
        if before != now:
            if before["command"] != now["command"]:
                raise BadInput(
                    f"{folder} holds a result of `movieplots {before['command']}`: choose another --output-dir, or "
                    "give --overwrite to start over."
                )
            changed = _changed(before, now)
            if "data" in changed and not comparable(before["data"], recipe.data):
                changed.remove("data")
                if not changed:
                    raise BadInput(
                        f"{folder} is of an earlier version of movieplots, which did not record the titles of the "
                        "training plots, so it is unknown whether they are the same: choose another --output-dir, or "
                        "give --overwrite to start over."
                    )
            more = [
                name
                for name in settings.extendable
                if _is_more(before["settings"].get(name), recipe.settings.get(name))
            ]
            if file.name == FILE_NAME and changed and set(changed) == set(more):
                raise BadInput(
                    f"{folder} already holds a model trained with {_as_options(before, more)}. To train it further, "
                    f"start from it: `{what} --base-model {folder} --output-dir ANOTHER_FOLDER …`. To train it again, "
                    "give --overwrite."
                )
            raise BadInput(
                f"{folder} holds a model trained with other settings ({', '.join(changed)}): "
                "choose another --output-dir, or give --overwrite to start over."
            )
        if file.name == FILE_NAME:
            notify(f"{folder} already holds this model; use --overwrite to train it again.")
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # left behind by an interrupt just before that
            return info_of(content, kind, folder, "give --overwrite to start over")
    return None


def _changed(before: dict[str, Json], now: dict[str, Json]) -> list[str]:
    """Return the names of the settings in which two recipes differ."""
    parts = [name for name in now if name != "settings" and before.get(name) != now[name]]
    one, other = before["settings"], now["settings"]
    return sorted(parts + [name for name in {*one, *other} if one.get(name) != other.get(name)])


def _is_more(before: Json, now: Json) -> bool:
    """Return whether a number has grown."""
    return isinstance(before, (int, float)) and isinstance(now, (int, float)) and now > before


def _as_options(before: dict[str, Json], names: list[str]) -> str:
    """Return the options of these names as text."""
    return " and ".join(f"--{name.replace('_', '-')} {before['settings'][name]:g}" for name in names)
