"""The training curves as a picture that grows while training runs in a notebook."""

import io
import time
from typing import Any

from IPython.display import DisplayHandle, Image, display
from transformers import TrainerCallback

from movieplots.generation import training
from movieplots.progress import console
from movieplots.reporting.training import training_curves
from movieplots.runs.folder import Logged

SECONDS = 5.0  # between two pictures, at least
SHARE = 0.02  # of the time that drawing may take, at most
DPI = 200  # twice what a page shows, for sharp letters


class LiveCurves(TrainerCallback):
    """Draws the curves again every few seconds, always in the same place, so that only the last picture stays."""

    def __init__(self) -> None:
        self.handle: DisplayHandle | None = None
        self.next = 0.0

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and time.monotonic() >= self.next:
            self._draw(state.log_history)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._draw(state.log_history)

    def _draw(self, history: list[Logged]) -> None:
        if not any("loss" in entry or "eval_loss" in entry for entry in history):
            return
        started = time.monotonic()
        picture = draw(history)
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)
        now = time.monotonic()
        self.next = now + max(SECONDS, (now - started) / SHARE)


def show_live_curves() -> None:
    """Let each training of a generator draw its curves as it runs, where there is a page to show them on."""
    if console.is_jupyter and LiveCurves not in training.watchers:
        training.watchers.append(LiveCurves)


def draw(history: list[Logged]) -> Image:
    """The curves as a PNG of twice the resolution, whatever the notebook's own settings are."""
    buffer = io.BytesIO()
    training_curves(history).savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Image(buffer.getvalue(), format="png", retina=True)
