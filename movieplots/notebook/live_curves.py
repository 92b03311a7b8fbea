"""Training curves that are updated in the notebook during training."""

import io
import time
from typing import Any

from IPython.display import DisplayHandle, Image, display
from transformers import TrainerCallback

from movieplots.generation import training
from movieplots.progress import console
from movieplots.reporting.training import training_curves
from movieplots.runs.folder import Logged

SECONDS = 5.0  # minimum between two updates
SHARE = 0.02  # of the training time that drawing may take
DPI = 200  # twice the resolution of the page, for sharp text


class LiveCurves(TrainerCallback):
    """A callback that redraws the curves every few seconds in the same output."""

    def __init__(self) -> None:
        self.handle: DisplayHandle | None = None
        self.next = 0.0

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Redraw the curves if the last update is old enough."""
        if state.is_world_process_zero and time.monotonic() >= self.next:
            self._draw(state.log_history)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Draw the final curves."""
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
    """Show live curves of every generator that is trained in this notebook; do nothing outside Jupyter.

    Examples
    --------
    >>> from movieplots.notebook.live_curves import show_live_curves
    >>> show_live_curves()
    """
    if console.is_jupyter and LiveCurves not in training.watchers:
        training.watchers.append(LiveCurves)


def draw(history: list[Logged]) -> Image:
    """Return the curves as a high-resolution PNG, independent of the notebook's settings."""
    buffer = io.BytesIO()
    training_curves(history).savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Image(buffer.getvalue(), format="png", retina=True)
