"""Learning-rate range test, as in Smith 2017 and fastai's `lr_find`.

In one short training run the learning rate grows exponentially. The loss first stays level, then falls, then diverges.
A good learning rate is where the loss falls fastest. The run changes the weights, so the model must be discarded.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import msgspec
import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from movieplots.errors import BadInput
from movieplots.files import check_file, content_fingerprint, read_json, write_json
from movieplots.plots import data_fingerprint, load_plots
from movieplots.progress import bar, notify
from movieplots.runs.fit import WEIGHT_DECAY, training_arguments
from movieplots.runs.folder import recipe_of, to_json
from movieplots.settings import Json, Taking

LOWEST, HIGHEST = 1e-6, 1.0
SMOOTHING = 0.8  # decay of the moving average
SKIPPED = 5  # first steps, in which the average does not smooth yet
DIVERGED = 1.5  # ratio of the smoothed loss to its minimum at which the search stops


@dataclass(frozen=True)
class LrSearch:
    """The result of a learning-rate range test.

    Attributes
    ----------
    rates : list of float
        Learning rates in ascending order.
    losses : list of float
        Training loss of the step at each learning rate.
    smoothed : list of float
        The losses as an exponential moving average.
    suggestion : float
        The learning rate at which the smoothed loss falls fastest.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float


class LrSettings(Protocol):
    """The settings that a learning-rate search needs."""

    @property
    def data(self) -> str | Path:
        """The prepared plots."""

    @property
    def base_model(self) -> str:
        """The base model."""

    def resolved(self) -> Self:
        """Return the settings with all defaults filled in."""

    def recipe(self) -> dict[str, Json]:
        """Return the settings that determine the result."""


P = ParamSpec("P")
S = TypeVar("S", bound=LrSettings)


@dataclass(frozen=True)
class _SavedSearch:
    """The content of a search's file: the search and what it depends on."""

    of: dict[str, Json]
    search: LrSearch


def kept_search(file: str | Path, find: Taking[P, S, LrSearch], *args: P.args, **kwargs: P.kwargs) -> LrSearch:
    """Run a learning-rate search once, and read its result from a JSON file afterwards.

    Parameters
    ----------
    file : str or path
        JSON file for the result. If it holds a search with other settings, plots or another base model, or is damaged,
        it is replaced.
    find : callable
        The `find_lr` of `movieplots.classification.training`, `movieplots.classification.fastai_training` or
        `movieplots.generation.training`.
    *args, **kwargs
        Arguments of `find`.

    Returns
    -------
    LrSearch
        The result of the search.

    Raises
    ------
    BadInput
        If the file holds something other than a search, or cannot be written.

    Examples
    --------
    >>> from movieplots.classification.training import find_lr
    >>> from movieplots.runs.find_lr import kept_search
    >>> search = kept_search("learning_rates.json", find_lr, "data/plots", "minilm-l6")  # doctest: +SKIP
    >>> search.suggestion  # doctest: +SKIP
    """
    file = check_file(file, "learning_rates.json")
    settings = find.settings(*args, **kwargs).resolved()
    of = {
        "module": find.__module__,  # the `find_lr` of fastai and that of the Trainer have the same settings
        "settings": settings.recipe(),
        "data": data_fingerprint(load_plots(settings.data)),
        "base_model": _content(settings.base_model),
    }
    kept = _read(file)
    if kept is not None and kept.of == of:
        notify(f"The learning-rate search kept in {file} is used; delete the file to search again.")
        return kept.search
    search = find.of(settings)
    write_json(file, asdict(_SavedSearch(of, search)))
    return search


def _content(base_model: str) -> Json:
    """Identify the model in a folder: by its recipe if it was trained here, otherwise by a hash of its files."""
    if recipe := recipe_of(base_model):
        return to_json(recipe)
    return content_fingerprint(base_model) if Path(base_model).is_dir() else None


def _read(file: Path) -> _SavedSearch | None:
    """Return the content of the file; None if it is missing or damaged."""
    if not file.is_file():
        return None
    try:
        return msgspec.convert(read_json(file, "searching the learning rate again"), _SavedSearch)
    except BadInput as damaged:
        notify(str(damaged))
        return None
    except msgspec.ValidationError:
        raise BadInput(f"{file} is not a learning-rate search: choose another file, or delete this one.") from None


class _LossRecorder(TrainerCallback):
    """Records the loss and the learning rate of each step, shows progress, and stops when the loss diverges."""

    def __init__(self, steps: int) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.progress = bar()
        self.task = self.progress.add_task("Searching the learning rate", total=steps, note="")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Record a step's loss and learning rate."""
        if not logs or "loss" not in logs:
            return
        self.losses.append(logs["loss"])
        self.rates.append(logs["learning_rate"])
        self.progress.update(self.task, advance=1, note=f"loss {logs['loss']:.3f}")
        smoothed = smooth(self.losses)
        if not np.isfinite(self.losses[-1]) or smoothed[-1] > DIVERGED * min(smoothed):
            control.should_training_stop = True


def search_lr(
    model: torch.nn.Module,
    parameters: Callable[[torch.nn.Module], list[torch.nn.Parameter]],
    steps: int,
    arguments: dict[str, Any],
    **trainer_arguments: Any,
) -> LrSearch:
    """Train the `parameters` of `model` over learning rates from 1e-6 to 1 and find the best.

    It takes at most `steps` steps, and at least 20 are needed. `arguments` are passed to `TrainingArguments`,
    `trainer_arguments` to the `Trainer`.

    Returns
    -------
    LrSearch
        The learning rates, their losses, and the suggestion.
    """
    growth = (HIGHEST / LOWEST) ** (1 / (steps - 1))
    optimizer = torch.optim.AdamW(parameters(model), lr=LOWEST, weight_decay=WEIGHT_DECAY, fused=True)
    recorder = _LossRecorder(steps)
    with TemporaryDirectory() as folder, recorder.progress:
        trainer = Trainer(
            model=model,
            args=training_arguments(
                model,
                output_dir=folder,
                max_steps=steps,
                logging_steps=1,
                logging_nan_inf_filter=False,
                save_strategy="no",
                **arguments,
            ),
            optimizers=(optimizer, LambdaLR(optimizer, lambda step: growth**step)),
            callbacks=[recorder],
            **trainer_arguments,
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
    finite = [(rate, loss) for rate, loss in zip(recorder.rates, recorder.losses, strict=True) if np.isfinite(loss)]
    rates, losses = [rate for rate, _ in finite], [loss for _, loss in finite]
    return LrSearch(rates, losses, smooth(losses), steepest(rates, losses))


def smooth(losses: Sequence[float], spans: Sequence[float] | None = None) -> list[float]:
    """Compute an exponential moving average with bias correction, as in Adam.

    `spans` are the numbers of steps that each loss averages, if they differ.

    Returns
    -------
    list of float
        One average per loss.
    """
    average, passed, result = 0.0, 0.0, []
    for loss, span in zip(losses, [1.0] * len(losses) if spans is None else spans, strict=True):
        kept = SMOOTHING**span
        average, passed = kept * average + (1 - kept) * loss, passed + span
        result.append(average / (1 - SMOOTHING**passed))
    return result


def steepest(rates: list[float], losses: list[float]) -> float:
    """Return the learning rate at which the smoothed loss falls fastest per decade, before its minimum.

    The slope is that of a line through five neighboring points, since the loss of one step is noisy. The first few
    points are skipped, as the average has little to smooth there.

    Returns
    -------
    float
        The learning rate.

    Raises
    ------
    BadInput
        If the loss did not fall at any learning rate.
    """
    smoothed, logs = np.array(smooth(losses)), np.log10(rates)
    lowest = SKIPPED + int(smoothed[SKIPPED:].argmin()) if len(losses) > SKIPPED else 0
    middles = range(SKIPPED + 2, lowest - 1)
    slopes = [np.polyfit(logs[i - 2 : i + 3], smoothed[i - 2 : i + 3], 1)[0] for i in middles]
    if not slopes or min(slopes) >= 0:
        raise BadInput("The loss did not fall at any learning rate: search over more steps, or on a larger corpus.")
    return float(rates[middles[int(np.argmin(slopes))]])
