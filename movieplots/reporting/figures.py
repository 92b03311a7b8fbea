"""The style of all figures and tables, for light and dark pages.

The colors are those of Okabe and Ito, which people with any color vision can distinguish.
"""

import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from pandas.io.formats.style import Styler
from pandas.io.formats.style_render import CSSDict

from movieplots.files import fingerprint
from movieplots.formatting import MISSING, number

WIDTH = 8.0  # of a figure in a notebook, in inches
STEPS = [1, 2, 5, 10]  # distances between axis ticks, times a power of ten
_TITLE_WIDTH = 92  # characters that fit into WIDTH
_UPRIGHT = 6  # up to this number of heatmap columns, names fit horizontally
_EDGE = 0.2  # share of the width that a label may need


@dataclass(frozen=True)
class Theme:
    """Colors for one background; `series` distinguishes groups: blue, orange, green, pink, red."""

    background: str
    text: str
    grid: str
    series: tuple[str, str, str, str, str]


LIGHT = Theme("#ffffff", "#1d2127", "#d9dde3", ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"))
DARK = Theme("#1b1f25", "#e6e8eb", "#3b424c", ("#56B4E9", "#E69F00", "#2fbf94", "#CC79A7", "#F0804A"))


def in_dark(svg: str) -> str:
    """Return a matplotlib SVG that was drawn for a light page, in the colors of a dark page."""
    pairs = zip(_colors(LIGHT), _colors(DARK), strict=True)
    dark = {light.lower(): dark.lower() for light, dark in pairs}
    return re.sub("|".join(dark), lambda found: dark[found[0]], svg)


def _colors(theme: Theme) -> list[str]:
    return [theme.background, theme.text, theme.grid, *theme.series]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure with one plot, its size in inches."""
    figure, axes = panels(1, 1, width, height)
    return figure, axes[0]


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return an empty figure with a grid of plots, as an array of shape (rows, columns), or (columns,) for one row."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor=LIGHT.background)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw={"facecolor": LIGHT.background})
    for axes in grid.flat:
        axes.tick_params(colors=LIGHT.text, labelsize=10, length=3)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(LIGHT.text)
            label.set_fontsize(11)
        for name, spine in axes.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_color(LIGHT.grid)
        axes.grid(color=LIGHT.grid, linewidth=0.7)
        axes.set_axisbelow(True)
    return figure, grid[0] if rows == 1 else grid


def titled(title: str, height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return an empty figure with a title, in the size for a notebook."""
    figure, axes = canvas(width, height)
    add_title(figure, title)
    return figure, axes


def add_title(figure: Figure, title: str) -> None:
    """Add a title to a figure, wrapped to its width."""
    lines = textwrap.wrap(title, int(_TITLE_WIDTH * figure.get_figwidth() / WIDTH))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11.5, color=LIGHT.text)


def legend(axes: Axes, columns: int = 2) -> None:
    """Add a legend above the plot, so that it hides no data."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns, frameon=False, labelcolor=LIGHT.text, fontsize=10,
        borderaxespad=0, handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip


def mark(axes: Axes, x: float, row: int, color: str, style: str, label: str, side: str = "") -> None:
    """Draw a labeled vertical line; labels in different rows (0 is the top row) do not overlap.

    The label is at the `side` ("left" or "right") if it has room there. By default, it is at the side with more room.
    """
    top = 0.93 - 0.1 * row
    axes.axvline(x, ymax=top + 0.03, color=color, linestyle=style, linewidth=1.4)
    place = axes.transAxes.inverted().transform(axes.transData.transform((x, 1)))[0]
    right = place < {"": 0.5, "left": _EDGE, "right": 1 - _EDGE}[side]
    axes.annotate(
        label, (x, top), (7 if right else -7, 0), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
        ha="left" if right else "right", va="center", color=color, fontsize=9.5,
        path_effects=[withStroke(linewidth=3, foreground=LIGHT.background)],  # readable in front of a curve
    )  # fmt: skip


def heatmap(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], labels: tuple[str, str], scale: str,
    title: str = "", framed: np.ndarray | None = None,
) -> Figure:  # fmt: skip
    """Draw values of shape (rows, columns) as colors, multiplied by 100; NaN is gray.

    Cells that are `framed` or reach a tenth of the maximum show their number. `labels` are the labels of the row axis
    and of the column axis, `scale` is the label of the color bar.
    """
    figure, axes = canvas(max(WIDTH, 0.34 * len(columns) + 2.6), 0.34 * len(rows) + 2.2)
    if title:
        add_title(figure, title)
    axes.grid(False)
    axes.set_facecolor("#d3d6db")  # visible in cells without a value
    framed = np.zeros_like(values, dtype=bool) if framed is None else framed
    cells = 100 * values
    highest = max(float(np.nanmax(cells)), 1)
    image = axes.imshow(cells, cmap="Blues", vmin=0, vmax=highest, aspect="auto")
    for i, j in zip(*np.nonzero(framed | (np.nan_to_num(cells) >= 0.1 * highest)), strict=True):
        color = "#eeeeee" if cells[i, j] > 0.55 * highest else "#111111"  # not among the colors that `in_dark` replaces
        written = axes.text(
            j, i, f"{cells[i, j]:z.{0 if highest > 10 else 1}f}", ha="center", va="center", fontsize=8, color=color
        )
        written.set_in_layout(False)  # it is inside the axes; computing its extent would be slow
        if framed[i, j]:
            axes.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=LIGHT.series[4], linewidth=1.6, clip_on=False)
            )
    axes.set_xticks(range(len(columns)), columns, rotation=90 if len(columns) > _UPRIGHT else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_ylabel(labels[0])
    axes.set_xlabel(labels[1])
    bar = figure.colorbar(image, ax=axes, pad=0.015, fraction=0.03)
    bar.set_label(scale, color=LIGHT.text)
    bar.ax.tick_params(colors=LIGHT.text)
    bar.outline.set_visible(False)
    return figure


def length_histogram(title: str, lengths: np.ndarray, bounds: Sequence[float], what: str) -> tuple[Figure, Axes]:
    """Draw a histogram of text lengths on a logarithmic axis that includes the `bounds`, with room for marked lines.

    Bars get wider to the right; their height is the mean number of texts per length, so that all are comparable.
    """
    figure, axes = titled(title, 3.8)
    edges = [int(lengths.min())]
    while edges[-1] <= lengths.max():
        edges.append(edges[-1] + max(1, edges[-1] // 12))
    heights = np.histogram(lengths, np.array(edges) - 0.5)[0] / np.diff(edges)
    axes.bar(np.array(edges[:-1]) - 0.5, heights, np.diff(edges), align="edge", color=LIGHT.series[0])
    axes.set_xscale("log")
    ends = [lengths.min(), lengths.max(), *bounds]
    axes.set_xlim(min(ends) * 0.8, max(ends) * 1.25)
    axes.set_ylim(0, 1.5 * heights.max())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xlabel(f"{what} (logarithmic scale)")
    axes.set_ylabel("plots per length")
    return figure, axes


def sentence_figure(sentence: str) -> Figure:
    """Return a figure that shows a sentence instead of data."""
    figure = Figure(figsize=(WIDTH, 0.6), dpi=100, facecolor=LIGHT.background)
    axes = figure.add_axes((0, 0, 1, 1))  # a notebook does not show a figure without axes
    axes.set_axis_off()
    axes.text(0.01, 0.5, sentence, color=LIGHT.text, fontsize=11, va="center")
    return figure


def whole_steps(most: int) -> MaxNLocator:
    """Return a locator of at most `most` ticks at whole numbers."""
    return MaxNLocator(most, integer=True, steps=STEPS)


def shown(table: pd.DataFrame, decimals: int | None = None) -> Styler:
    """Return a table styled for a notebook: no row numbers, text aligned left, numbers aligned right.

    Parameters
    ----------
    table : pandas.DataFrame
        Table to show.
    decimals : int, optional
        Digits after the decimal point of all fractions. By default, each fraction has three significant digits.

    Returns
    -------
    pandas.io.formats.style.Styler
        The same for the same table, so that a notebook run again gives the same page.

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.figures import shown
    >>> "17,531" in shown(pd.DataFrame({"split": ["train"], "plots": [17531]})).to_html()
    True
    """
    numbers = [place for place, name in enumerate(table) if pd.api.types.is_numeric_dtype(table[name])]
    styles: list[CSSDict] = [{"selector": "th, td", "props": "text-align: left; vertical-align: top"}]
    styles += [{"selector": f"th.col{place}, td.col{place}", "props": "text-align: right"} for place in numbers]
    # A random name would change the page at each run; tables of one page need different names.
    styler = Styler(table, uuid=fingerprint(list(table)), cell_ids=False).hide(axis="index").set_table_styles(styles)
    if list(table) == [""]:
        styler = styler.hide(axis="columns")
    if decimals is not None:
        numbers = [place for place in numbers if not pd.api.types.is_float_dtype(table.iloc[:, place])]
        styler = styler.format(precision=decimals, na_rep=MISSING)
    return styler.format(number, subset=table.columns[numbers])  # type: ignore[arg-type]  # all these cells are numbers


def escaped(text: str) -> str:
    """Escape a text for Markdown, HTML and formulas, and allow line breaks in very long words."""
    text = re.sub(r"(\S{60})", "\\1\u200b", text)
    return re.sub(r"([\\`*_\[\]#$~|])", r"\\\1", html.escape(text, quote=False))
