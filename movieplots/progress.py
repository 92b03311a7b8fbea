"""Progress bars and messages on standard error, so that standard output stays free for results."""

import os
from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
# Of several processes training together, the first one speaks; the launcher numbers them.
console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")


def bar() -> Progress:
    """A progress display that fits 80 columns: what, bar, count, time remaining, and a note in the field `note`."""
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar; `total` says how many items there are where they do not know it themselves."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar() as progress:
        # Rich's own loop redraws by the clock, which costs next to nothing per item.
        yield from progress.track(items, task_id=progress.add_task(what, total=total, note=""))


def working(what: str) -> AbstractContextManager[object]:
    """A context in which a spinner says that something of unknown length is going on."""
    if console.is_jupyter:  # there the spinner is a widget that stops programs which run notebooks
        notify(what)
        return nullcontext()
    return console.status(what)


def notify(message: str) -> None:
    """One line on standard error."""
    console.print(message, highlight=False, markup=False, soft_wrap=True)
