"""The one life of a training run, whatever is trained.

A run is given its settings and three functions: one makes the model, one trains it, one measures it and writes its
card. All else is done here: the output folder must not be that of the base model or of a teacher; none of these, nor
any model before them, may have learned from held-out plots; a finished run is recognised, a killed one continued; where
memory runs out the run starts again from its last checkpoint with half as many examples at a time; the folder is
written at once and counts as complete only when it is.
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
    """What is needed of a training's settings here."""

    command_name: ClassVar[str]
    several_processes: ClassVar[bool]
    extendable: ClassVar[tuple[str, ...]]

    @property
    def data(self) -> str | Path: ...
    @property
    def output_dir(self) -> str | Path: ...
    @property
    def seed(self) -> int: ...
    @property
    def overwrite(self) -> bool: ...
    @property
    def teacher_folders(self) -> Sequence[str | Path]: ...
    def resolved(self) -> Any: ...
    def recipe(self) -> dict[str, Json]: ...


S = TypeVar("S", bound=RunSettings)
I = TypeVar("I", bound=Info)  # noqa: E741
M = TypeVar("M")
T = TypeVar("T")


@dataclass
class Run(Generic[S]):
    """A run, as its three functions see it.

    `settings` are resolved, `plots` are all plots of the data, `parts` those of each split, and `ids` which plots the
    model and those before it learn from. Of the examples of an optimizer step, `at_once` go through the model together.
    The result goes to `folder`.
    """

    settings: S
    plots: pd.DataFrame
    ids: PlotIds
    recipe: Recipe
    folder: Path
    at_once: int

    @functools.cached_property
    def parts(self) -> dict[str, pd.DataFrame]:
        return {name: self.plots[self.plots["split"] == name] for name in SPLITS}

    @property
    def sources(self) -> list[str]:
        return sorted(self.plots["source"].unique())

    def once(self, name: str, measure: Callable[[], Json]) -> Json:
        """What `measure` gives as JSON, measured at the run's first start only: later the model has been trained."""
        file = self.folder / "checkpoints" / f"{name}.json"
        if file.is_file():
            return read_json(file, "give --overwrite to start over")
        value = measure()
        if main_process():
            write_json(file, value)
        return value


@dataclass(frozen=True)
class Finished(Generic[I]):
    """What a trained model's folder is to hold: its info, its card, and the weights and tokenizer that `save`
    writes."""

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
    """Train by the settings into their output folder and return the info of the model there.

    `make` checks what it needs of the data and gives the model; `train` fits it, continuing at a checkpoint in
    `folder/checkpoints` where there is one; `finish` measures it. `at_once` examples go through the model together, as
    long as memory holds them.
    """
    folder = Path(settings.output_dir)
    if not settings.several_processes:
        one_process(settings.command_name)
    check_folder(folder)
    if (folder / PLOTS).is_file():  # its README.md would be lost
        raise BadInput(f"{folder} holds prepared plots: choose another --output-dir.")
    for teacher in settings.teacher_folders:
        if not Path(teacher).is_dir():
            raise BadInput(f"There is no teacher {teacher}: give the folder of a trained model.")
    base_model = getattr(settings, "base_model", None)  # a student has teachers only
    ancestors = [*filter(None, [base_model]), *settings.teacher_folders]
    for ancestor in ancestors:
        if Path(ancestor).resolve() == folder.resolve():
            raise BadInput(f"{ancestor} is what this training starts from: choose another --output-dir, so it is kept.")
    settings = settings.resolved()
    plots = load_plots(settings.data)
    ids = inherited(PlotIds.of(plots), ancestors)
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
                if not cleared:  # only now that nothing can be wrong with the input any more
                    clear(folder)
                # Noted before anything else is written, so that another recipe cannot continue what this one began.
                write_json(folder / "checkpoints" / "recipe.json", {"recipe": to_json(recipe)})
            cleared = True
            processes().wait_for_everyone()
            finished = finish(run, made, train(run, made))
            break
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
        # Of several processes one alone cannot start again.
        tried, run.at_once = run.at_once, 0 if processes().num_processes > 1 else _half(run.at_once)
        if not run.at_once:
            raise BadInput(
                f"The memory does not hold the model with {tried if tried > 1 else 'one'} of its examples: "
                "lower --batch-size or the length of the examples, or choose a smaller base model."
            )
        notify(f"The memory is too small for that; continuing with {run.at_once} examples at a time.")
        made = None
        gc.collect()
        clear_device_cache()
    if main_process():
        with atomic_folder(folder) as temporary:
            finished.save(temporary)
            write_json(temporary / RUN_FILE, finished.circumstances)
        write_info(folder, finished.info, finished.card, ids)
    processes().wait_for_everyone()  # another process may still read a checkpoint
    if main_process():
        shutil.rmtree(folder / "checkpoints")
    return finished.info


def one_process(command: str) -> None:
    """Raise BadInput where several processes were started for something that only one can do."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput(f"`movieplots {command}` runs in one process: start it without `accelerate launch`.")


def processes() -> PartialState:
    """The processes that train together."""
    return PartialState(cpu=not torch.cuda.is_available())


def _half(count: int) -> int:
    """The largest divisor of a number of examples that is at most half of it; 0 for one."""
    return next((part for part in range(count // 2, 0, -1) if count % part == 0), 0)


def _finished(folder: Path, recipe: Recipe, kind: type[I], settings: RunSettings) -> I | None:
    """The info of a model already trained by this recipe, or None if there is training to do or to continue.

    Raises BadInput where the folder holds the result, or the beginnings, of another recipe.
    """
    what = f"movieplots {settings.command_name}"
    for file in (folder / FILE_NAME, folder / "checkpoints" / "recipe.json"):
        if not file.is_file():
            continue
        content = read_json(file, "give --overwrite to start over")
        before, now = content.get("recipe"), to_json(recipe)
        if not isinstance(before, dict) or "settings" not in before:
            raise BadInput(f"{folder} was begun by an earlier version: choose another --output-dir, or --overwrite it.")
        if before != now:
            if before["command"] != now["command"]:
                raise BadInput(
                    f"{folder} holds what `movieplots {before['command']}` wrote: choose another --output-dir, or give "
                    "--overwrite to start over."
                )
            changed = _changed(before, now)
            if "data" in changed and not comparable(before["data"], recipe.data):
                changed.remove("data")
                if not changed:
                    raise BadInput(
                        f"{folder} is of an earlier version of movieplots, which did not record the titles that it "
                        "learned from, so whether they are the same cannot be told: choose another --output-dir, or "
                        "give --overwrite to start over."
                    )
            more = [
                name
                for name in settings.extendable
                if _is_more(before["settings"].get(name), recipe.settings.get(name))
            ]
            if file.name == FILE_NAME and changed and set(changed) == set(more):
                raise BadInput(
                    f"{folder} already holds a model trained with {_told(before, more)}; to train it further, start "
                    f"from it: `{what} --base-model {folder} --output-dir ANOTHER_FOLDER …`, or --overwrite it."
                )
            raise BadInput(
                f"{folder} holds a model trained with other settings ({', '.join(changed)}): "
                "choose another --output-dir, or give --overwrite to start over."
            )
        if file.name == FILE_NAME:
            notify(f"{folder} already holds this model; --overwrite trains it again.")
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # where a kill came just before that
            return info_of(content, kind, folder, "give --overwrite to start over")
    return None


def _changed(before: dict[str, Json], now: dict[str, Json]) -> list[str]:
    """The names of what differs between two recipes."""
    parts = [name for name in now if name != "settings" and before.get(name) != now[name]]
    one, other = before["settings"], now["settings"]
    return sorted(parts + [name for name in {*one, *other} if one.get(name) != other.get(name)])


def _is_more(before: Json, now: Json) -> bool:
    return isinstance(before, (int, float)) and isinstance(now, (int, float)) and now > before


def _told(before: dict[str, Json], names: list[str]) -> str:
    return " and ".join(f"--{name.replace('_', '-')} {before['settings'][name]:g}" for name in names)
