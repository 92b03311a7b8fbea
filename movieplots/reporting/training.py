"""Figures of a training, whatever is trained: the search for a learning rate, and the losses over its steps.

`loss` names the axis of the losses.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from movieplots.formatting import plural
from movieplots.reporting.figures import LIGHT, WIDTH, add_title, legend, mark, panels, titled, whole_steps
from movieplots.runs.find_lr import LrSearch, smooth
from movieplots.runs.folder import Logged

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT = LIGHT.text
LOSS = "loss, nats per token"

History = Sequence[Logged]


def learning_rates(search: LrSearch, used: float, loss: str = LOSS) -> Figure:
    """The loss at growing learning rates, with the rate where it falls fastest and the one that training will use."""
    title = f"The loss falls fastest near a learning rate of {_rate(search.suggestion)}; training uses {_rate(used)}"
    figure, axes = titled(title, 3.6)
    axes.plot(search.rates, search.losses, color=BLUE, alpha=0.35, linewidth=1.2, label="loss of one step")
    axes.plot(search.rates, search.smoothed, color=BLUE, linewidth=2, label="smoothed")
    axes.set_xscale("log")
    lowest = int(np.argmin(search.smoothed))
    low, high = min(search.losses), max(search.losses[: lowest + 1])  # where it bursts, the lines leave the figure
    axes.set_ylim(low - 0.06 * (high - low), high + 0.25 * (high - low))
    sides = ("left", "right") if search.suggestion <= used else ("right", "left")
    mark(axes, search.suggestion, 0, RED, "--", f"falls fastest: {_rate(search.suggestion)}", sides[0])
    mark(axes, used, 1, TEXT, ":", f"used: {_rate(used)}", sides[1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: _rate(rate)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("learning rate (logarithmic scale)")
    axes.set_ylabel(loss)
    legend(axes)
    return figure


def training_curves(runs: dict[str, History] | History, loss: str = LOSS, guided: bool = False) -> Figure:
    """Training loss (thin lines, lightly smoothed) and held-out loss (dots), of one run or of several by name.

    In a training with guidance they measure different things, so each has axes of its own, one above the other.
    """
    named = runs if isinstance(runs, dict) else {"": runs}
    figure, grid = panels(2 if guided else 1, 1, WIDTH, 6.0 if guided else 3.8)
    add_title(figure, _curves_title(named))
    above, below = grid.flat[0], grid.flat[-1]
    several = len(named) > 1
    colours = [(colour, colour) for colour in (ORANGE, BLUE, GREEN, PINK, RED)] if several else [(BLUE, ORANGE)]
    for (name, history), (of_training, of_held_out) in zip(named.items(), colours, strict=False):
        trained, held_out = _points(history, "loss"), _points(history, "eval_loss")
        prefix = f"{name}: " if name else ""
        if trained:
            steps, losses = zip(*trained, strict=True)
            if not several:
                below.plot(steps, losses, color=of_training, alpha=0.25, linewidth=1)
            style: dict[str, Any] = {"linewidth": 1, "alpha": 0.6} if several else {"linewidth": 1.6}
            spans = np.diff(steps, prepend=0)  # each loss is a mean over the steps since the one before
            smoothed = smooth(losses, spans / spans.max())
            below.plot(steps, smoothed, color=of_training, label=f"{prefix}training plots", **style)
        if held_out:
            above.plot(
                *zip(*held_out, strict=True), color=of_held_out, linewidth=1.8, marker="o", markersize=5.5,
                label=f"{prefix}held-out plots", zorder=3,
            )  # fmt: skip
    below.set_xlabel("training step")
    above.set_ylabel(loss)
    if guided:
        below.sharex(above)
        below.set_ylabel("distance from guidance,\nnats per token")
    for axes in grid.flat:
        axes.xaxis.set_major_locator(whole_steps(10))
        if axes.get_legend_handles_labels()[0]:
            legend(axes, columns=2)
    return figure


def _points(history: History, key: Literal["loss", "eval_loss"]) -> list[tuple[float, float]]:
    return [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]


def _curves_title(named: dict[str, History]) -> str:
    measured = {name: points for name in named if (points := _points(named[name], "eval_loss"))}
    if not measured:
        return "No held-out loss has been measured yet"
    step = max(points[-1][0] for points in measured.values())
    after = f"after {plural(step, 'step')}"
    if len(named) > 1:
        return f"Held-out loss {after}: " + ", ".join(f"{name} {p[-1][1]:.2f}" for name, p in measured.items())
    (points,) = measured.values()
    first, last = points[0][1], points[-1][1]
    if step == 0:
        return f"Before training the held-out loss is {first:.2f}"
    if f"{first:.2f}" == f"{last:.2f}":
        return f"The held-out loss is {last:.2f} as before, {after}"
    return f"The held-out loss {'fell' if last < first else 'rose'} from {first:.2f} to {last:.2f} {after}"


def _rate(rate: float) -> str:
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
