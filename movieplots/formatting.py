"""How numbers, lists and tables are written for a reader: each of them one way, wherever they are shown."""

import math
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from movieplots.intervals import Estimate

SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
MISSING = "–"  # for what was not measured


def percent(share: float | None) -> str:
    """A share as a percentage: whole, or with one digit below 10 %.

    It is 0 or 100 % only where that is exact: `99.6 %`, `0.04 %`, and no nearer than `0.01 %` and `99.99 %`.
    """
    if share is None or math.isnan(share):
        return MISSING
    digits = 1 if 0 < share < 0.0995 else 0
    if 0 < share < 1:
        share = min(max(share, 0.0001), 0.9999)
        while round(100 * share, digits) in (0, 100):
            digits += 1
    return f"{100 * share:.{digits}f}{SPACE}%"


def number(value: float | None) -> str:
    """A number as a reader wants it: whole ones in full, others with three digits that count."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if isinstance(value, Integral) or abs(value) >= 100 else f"{value:.3g}"


def interval(value: "Estimate", show: Callable[[float], str] = "{:.2f}".format) -> str:
    """An estimate with the ends of its interval: `0.62 (0.55 to 0.69)`."""
    return f"{show(value.value)} ({show(value.low)} to {show(value.high)})"


def bounds(value: "Estimate", show: Callable[[float], str] = "{:.2f}".format) -> str:
    """The ends of its interval in a sentence: `95 % interval 0.55 to 0.69`."""
    return f"95{SPACE}% interval {show(value.low)} to {show(value.high)}"


def top_p_words(value: float) -> str:
    """Top-p as text; 0 stands for off."""
    return f"{value:g}" if value else "off"


def plural(count: float, noun: str) -> str:
    """`1 word`, `2 words`, `1,200 words`."""
    text = f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"
    return f"{text} {noun}{'' if count == 1 else 's'}"


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown; numbers are written as `number` writes them, text as it stands."""
    head = list(head)
    return "\n".join([_row(head), "|---" * len(head) + "|", *map(_row, rows)])


def _row(cells: Iterable[object]) -> str:
    texts = [number(cell) if isinstance(cell, int | float) else str(cell) for cell in cells]
    return "|" + "|".join(f" {text} ".replace("\n", " ").replace("|", "\\|") for text in texts) + "|"
