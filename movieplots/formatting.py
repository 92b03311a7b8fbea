"""Format numbers, lists and tables the same way in every report, card and message."""

import math
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from movieplots.intervals import Estimate

SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
MISSING = "–"  # a value that was not measured


def percent(share: float | None) -> str:
    """Format a share as a percentage: without decimals from 10 %, with one below.

    Only an exact 0 or 1 gives `0 %` or `100 %`. A share close to them gets more decimals: `99.6 %`, `0.04 %`, up to
    `0.01 %` and `99.99 %`.
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
    """Format a number: integers in full, others with three significant digits."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if isinstance(value, Integral) or abs(value) >= 100 else f"{value:.3g}"


def perplexity(loss: float) -> float:
    """Return the perplexity of a cross-entropy in nats/token."""
    return math.exp(min(loss, 700))  # above, exp overflows


def interval(value: "Estimate", show: Callable[[float], str] = "{:.2f}".format) -> str:
    """Format an estimate with the bounds of its interval: `0.62 (0.55 to 0.69)`."""
    return f"{show(value.value)} ({show(value.low)} to {show(value.high)})"


def bounds(value: "Estimate", show: Callable[[float], str] = "{:.2f}".format) -> str:
    """Return the bounds of the 95 % confidence interval: `95 % CI 0.55 to 0.69`."""
    return f"95{SPACE}% CI {show(value.low)} to {show(value.high)}"


def top_p_words(value: float) -> str:
    """Format top-p, with `off` for 0."""
    return f"{value:g}" if value else "off"


def plural(count: float, noun: str) -> str:
    """Format a count with its noun: `1 word`, `2 words`, `1,200 words`."""
    text = f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"
    return f"{text} {noun}{'' if count == 1 else 's'}"


def listed(items: Iterable[str]) -> str:
    """Join items as in a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; numbers are formatted by `number`, text is unchanged."""
    head = list(head)
    return "\n".join([_row(head), "|---" * len(head) + "|", *map(_row, rows)])


def _row(cells: Iterable[object]) -> str:
    texts = [number(cell) if isinstance(cell, int | float) else str(cell) for cell in cells]
    return "|" + "|".join(f" {text} ".replace("\n", " ").replace("|", "\\|") for text in texts) + "|"
