"""Progress bars and messages on standard error; standard output is for results only."""

import os
from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
# In distributed training only the first process writes messages; the launcher sets RANK.
console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")


class _Progress(Progress):
    """A progress display that prints nothing if it has no bars; rich prints an empty line into log files."""

    def stop(self) -> None:
        """Stop the display."""
        if self.tasks:
            super().stop()
        else:
            self.live.stop()


def bar() -> Progress:
    """Return a progress bar for 80 columns: description, bar, count, time remaining, and the field `note`."""
    return _Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar; give `total` for items without a length."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar() as progress:
        # Rich's own loop redraws at time intervals, so an item costs almost nothing.
        yield from progress.track(items, task_id=progress.add_task(what, total=total, note=""))


def working(what: str) -> AbstractContextManager[object]:
    """Show a spinner during a step of unknown length."""
    if console.is_jupyter:  # there the spinner is a widget, which breaks programs that run notebooks
        notify(what)
        return nullcontext()
    return console.status(what)


def notify(message: str) -> None:
    """Print one line on standard error."""
    console.print(message, highlight=False, markup=False, soft_wrap=True)
