"""How every figure looks, on a light and on a dark page.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart.
"""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours for one background; `series` tells groups apart: blue, orange, green, pink, red."""

    background: str
    text: str
    grid: str
    series: tuple[str, str, str, str, str]


LIGHT = Theme("#ffffff", "#1d2127", "#d9dde3", ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"))
DARK = Theme("#1b1f25", "#e6e8eb", "#3b424c", ("#56B4E9", "#E69F00", "#2fbf94", "#CC79A7", "#F0804A"))


def canvas(width: float, height: float, theme: Theme = LIGHT) -> tuple[Figure, Axes]:
    """An empty figure of that size in inches: two axes, a quiet grid behind the data."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor=theme.background)
    axes = figure.add_subplot(facecolor=theme.background)
    axes.tick_params(colors=theme.text, labelsize=10, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.text)
        label.set_fontsize(11)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(theme.grid)
    axes.grid(color=theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def legend(axes: Axes, theme: Theme = LIGHT, columns: int = 2) -> None:
    """The legend above the plot, where it can hide no data."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns, frameon=False, labelcolor=theme.text, fontsize=10,
        borderaxespad=0, handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
