"""Which learning rate? One short training over growing rates, as Smith 2017 and fastai's `lr_find` do.

The rate grows exponentially from step to step; the loss first stands still, then falls, then bursts. A good rate is
where it falls fastest. The weights are left changed: throw the model away.
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
SMOOTHING = 0.8  # weight of what went before in the moving average
UNSETTLED = 5  # steps until the average smooths
BURST = 1.5  # the search ends where the smoothed loss is that many times its lowest


@dataclass(frozen=True)
class LrSearch:
    """Learning rates in ascending order, the loss of the step at each, and the rate where the loss falls fastest."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float


class LrSettings(Protocol):
    """What is needed of a search's settings here."""

    @property
    def data(self) -> str | Path: ...
    @property
    def base_model(self) -> str: ...
    def resolved(self) -> Self: ...
    def recipe(self) -> dict[str, Json]: ...


P = ParamSpec("P")
S = TypeVar("S", bound=LrSettings)


@dataclass(frozen=True)
class _Kept:
    """A search as its file holds it, with all that it depends on."""

    of: dict[str, Json]
    search: LrSearch


def kept_search(file: str | Path, find: Taking[P, S, LrSearch], *args: P.args, **kwargs: P.kwargs) -> LrSearch:
    """The search that one of the `find_lr` makes with these arguments, made once and kept in a JSON file.

    Where the file holds the search of the same `find_lr`, settings, plots and base model, it is read; that of others,
    or a damaged one, is replaced. Raises BadInput for a file that holds something else or cannot be written.
    """
    file = check_file(file, "learning_rates.json")
    settings = find.settings(*args, **kwargs).resolved()
    of = {
        "module": find.__module__,  # fastai's `find_lr` takes the settings of the Trainer's
        "settings": settings.recipe(),
        "data": data_fingerprint(load_plots(settings.data)),
        "base_model": _content(settings.base_model),
    }
    kept = _read(file)
    if kept is not None and kept.of == of:
        notify(f"The learning-rate search kept in {file} is used; delete the file to search again.")
        return kept.search
    search = find.of(settings)
    write_json(file, asdict(_Kept(of, search)))
    return search


def _content(base_model: str) -> Json:
    """What tells a folder's model from the one that it held before: how it was trained here, or its files."""
    if recipe := recipe_of(base_model):
        return to_json(recipe)
    return content_fingerprint(base_model) if Path(base_model).is_dir() else None


def _read(file: Path) -> _Kept | None:
    """What the file holds; None where there is none or it is damaged."""
    if not file.is_file():
        return None
    try:
        return msgspec.convert(read_json(file, "searching the learning rate again"), _Kept)
    except BadInput as damaged:
        notify(str(damaged))
        return None
    except msgspec.ValidationError:
        raise BadInput(f"{file} holds no search of a learning rate: choose another file, or delete it.") from None


class _Watcher(TrainerCallback):
    """Collects the loss and the rate of each step, shows progress, and stops where the loss bursts."""

    def __init__(self, steps: int) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.progress = bar()
        self.task = self.progress.add_task("Searching the rate", total=steps, note="")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        self.losses.append(logs["loss"])
        self.rates.append(logs["learning_rate"])
        self.progress.update(self.task, advance=1, note=f"loss {logs['loss']:.3f}")
        smoothed = smooth(self.losses)
        if not np.isfinite(self.losses[-1]) or smoothed[-1] > BURST * min(smoothed):
            control.should_training_stop = True


def search_lr(
    model: torch.nn.Module,
    parameters: Callable[[torch.nn.Module], list[torch.nn.Parameter]],
    steps: int,
    arguments: dict[str, Any],
    **trainer_arguments: Any,
) -> LrSearch:
    """Train the `parameters` of `model` for at most `steps` steps over rates from 1e-6 to 1 and find the best.

    There are at least 20 `steps`. `arguments` go to `TrainingArguments`, `trainer_arguments` to the `Trainer`.
    """
    growth = (HIGHEST / LOWEST) ** (1 / (steps - 1))
    optimizer = torch.optim.AdamW(parameters(model), lr=LOWEST, weight_decay=WEIGHT_DECAY, fused=True)
    watcher = _Watcher(steps)
    with TemporaryDirectory() as folder, watcher.progress:
        trainer = Trainer(
            model=model,
            args=training_arguments(
                output_dir=folder,
                max_steps=steps,
                logging_steps=1,
                logging_nan_inf_filter=False,
                save_strategy="no",
                **arguments,
            ),
            optimizers=(optimizer, LambdaLR(optimizer, lambda step: growth**step)),
            callbacks=[watcher],
            **trainer_arguments,
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
    finite = [(rate, loss) for rate, loss in zip(watcher.rates, watcher.losses, strict=True) if np.isfinite(loss)]
    rates, losses = [rate for rate, _ in finite], [loss for _, loss in finite]
    return LrSearch(rates, losses, smooth(losses), steepest(rates, losses))


def smooth(losses: Sequence[float], spans: Sequence[float] | None = None) -> list[float]:
    """An exponential moving average, corrected for its start (as Adam corrects its own).

    `spans` says how much each loss stands for, where that differs: one step beside the mean of ten counts a tenth.
    """
    average, passed, result = 0.0, 0.0, []
    for loss, span in zip(losses, [1.0] * len(losses) if spans is None else spans, strict=True):
        kept = SMOOTHING**span
        average, passed = kept * average + (1 - kept) * loss, passed + span
        result.append(average / (1 - SMOOTHING**passed))
    return result


def steepest(rates: list[float], losses: list[float]) -> float:
    """The rate at which the smoothed loss falls fastest per decade, before it reaches its lowest point.

    The slope is that of a line through five neighbouring points, since the loss of one step is noise. The first few
    points are left out: there the average has little to smooth.
    """
    smoothed, logs = np.array(smooth(losses)), np.log10(rates)
    lowest = UNSETTLED + int(smoothed[UNSETTLED:].argmin()) if len(losses) > UNSETTLED else 0
    middles = range(UNSETTLED + 2, lowest - 1)
    slopes = [np.polyfit(logs[i - 2 : i + 3], smoothed[i - 2 : i + 3], 1)[0] for i in middles]
    if not slopes or min(slopes) >= 0:
        raise BadInput("The loss fell at no rate: search over more steps, or in a larger corpus.")
    return float(rates[middles[int(np.argmin(slopes))]])
