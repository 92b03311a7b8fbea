"""Figures of the training of a generator or a classifier: the learning-rate search, and the losses by step."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from movieplots.formatting import number, perplexity, plural
from movieplots.reporting.figures import LIGHT, WIDTH, add_title, legend, mark, panels, titled, whole_steps
from movieplots.runs.find_lr import LrSearch, smooth
from movieplots.runs.folder import Logged

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT = LIGHT.text
LOSS = "cross-entropy, nats/token"

History = Sequence[Logged]


def learning_rates(search: LrSearch, used: float, loss: str = LOSS) -> Figure:
    """Plot the loss at increasing learning rates, with the rate of the steepest descent and the one to be used.

    Parameters
    ----------
    search : LrSearch
        Result of a learning-rate search.
    used : float
        Learning rate that training will use.
    loss : str, default "cross-entropy, nats/token"
        Label of the loss axis.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from movieplots.reporting.training import learning_rates
    >>> from movieplots.runs.find_lr import LrSearch
    >>> losses = [5.0, 4.8, 3.9, 9.0]
    >>> search = LrSearch(rates=[1e-5, 1e-4, 1e-3, 1e-2], losses=losses, smoothed=losses, suggestion=4e-4)
    >>> type(learning_rates(search, used=1e-3)).__name__
    'Figure'
    """
    figure, axes = titled("Learning-rate search: loss of each step at increasing learning rates", 3.6)
    axes.plot(search.rates, search.losses, color=BLUE, alpha=0.35, linewidth=1.2, label="loss per step")
    axes.plot(search.rates, search.smoothed, color=BLUE, linewidth=2, label="smoothed")
    axes.set_xscale("log")
    lowest = int(np.argmin(search.smoothed))
    low, high = min(search.losses), max(search.losses[: lowest + 1])  # a diverging loss leaves the figure
    axes.set_ylim(low - 0.06 * (high - low), high + 0.25 * (high - low))
    sides = ("left", "right") if search.suggestion <= used else ("right", "left")
    mark(axes, search.suggestion, 0, RED, "--", f"steepest descent: {_rate(search.suggestion)}", sides[0])
    mark(axes, used, 1, TEXT, ":", f"used in training: {_rate(used)}", sides[1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: _rate(rate)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("learning rate (logarithmic scale)")
    axes.set_ylabel(loss)
    legend(axes)
    return figure


def training_curves(runs: dict[str, History] | History, loss: str = LOSS, guided: bool = False) -> Figure:
    """Plot the training loss, lightly smoothed, and the validation loss by step, of one run or of several.

    Parameters
    ----------
    runs : sequence of dict, or dict of str to sequence of dict
        Training history of one run, or the histories of several runs by name. Each entry has a `step`, and a `loss`
        (training) or an `eval_loss` (validation).
    loss : str, default "cross-entropy, nats/token"
        Label of the loss axis. With the default, the title also shows perplexities.
    guided : bool, default False
        Whether the run trained on guidance. Its training loss is then a divergence from the guided predictions, and is
        shown in a panel of its own.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from movieplots.reporting.training import training_curves
    >>> history = [{"step": 0, "eval_loss": 4.5}, {"step": 10, "loss": 4.0}, {"step": 10, "eval_loss": 3.7}]
    >>> training_curves(history).get_suptitle()
    'Validation loss: 4.50 → 3.70 after 10 steps (perplexity 90 → 40.4)'
    """
    named = runs if isinstance(runs, dict) else {"": runs}
    figure, grid = panels(2 if guided else 1, 1, WIDTH, 6.0 if guided else 3.8)
    add_title(figure, _curves_title(named, with_perplexity=loss == LOSS))
    above, below = grid.flat[0], grid.flat[-1]
    several = len(named) > 1
    colors = [(color, color) for color in (ORANGE, BLUE, GREEN, PINK, RED)] if several else [(BLUE, ORANGE)]
    for (name, history), (of_training, of_validation) in zip(named.items(), colors, strict=False):
        trained, validated = _points(history, "loss"), _points(history, "eval_loss")
        prefix = f"{name}: " if name else ""
        if trained:
            steps, losses = zip(*trained, strict=True)
            if not several:
                below.plot(steps, losses, color=of_training, alpha=0.25, linewidth=1)
            style: dict[str, Any] = {"linewidth": 1, "alpha": 0.6} if several else {"linewidth": 1.6}
            spans = np.diff(steps, prepend=0)  # each loss is a mean over the steps since the previous one
            smoothed = smooth(losses, spans / spans.max())
            below.plot(steps, smoothed, color=of_training, label=f"{prefix}training loss", **style)
        if validated:
            above.plot(
                *zip(*validated, strict=True), color=of_validation, linewidth=1.8, marker="o", markersize=5.5,
                label=f"{prefix}validation loss", zorder=3,
            )  # fmt: skip
    below.set_xlabel("training step")
    above.set_ylabel(loss)
    if guided:
        below.sharex(above)
        below.set_ylabel("KL divergence from guided\npredictions, nats/token")
    for axes in grid.flat:
        axes.xaxis.set_major_locator(whole_steps(10))
        if axes.get_legend_handles_labels()[0]:
            legend(axes, columns=2)
    return figure


def _points(history: History, key: Literal["loss", "eval_loss"]) -> list[tuple[float, float]]:
    return [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]


def _curves_title(named: dict[str, History], with_perplexity: bool) -> str:
    def shown(*losses: float) -> str:
        perplexities = " → ".join(number(perplexity(loss)) for loss in losses)
        return f" (perplexity {perplexities})" if with_perplexity else ""

    measured = {name: points for name in named if (points := _points(named[name], "eval_loss"))}
    if not measured:
        return "Training loss (the validation loss has not been computed yet)"
    step = max(points[-1][0] for points in measured.values())
    after = f"after {plural(step, 'step')}"
    if len(named) > 1:
        lasts = {name: points[-1][1] for name, points in measured.items()}
        return f"Validation loss {after}: " + ", ".join(
            f"{name} {last:.2f}{shown(last)}" for name, last in lasts.items()
        )
    (points,) = measured.values()
    first, last = points[0][1], points[-1][1]
    if step == 0:
        return f"Validation loss before training: {first:.2f}{shown(first)}"
    return f"Validation loss: {first:.2f} → {last:.2f} {after}{shown(first, last)}"


def _rate(rate: float) -> str:
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
