"""The note at the top of a notebook that says what made its outputs: base model, data, device, date and duration."""

import os
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from IPython.display import Markdown, display

from movieplots.files import read_json
from movieplots.notebook.live_curves import show_live_curves
from movieplots.plots import data_fingerprint, load_plots
from movieplots.runs.folder import FILE_NAME, RUN_FILE


class RunNote:
    """Shown by the notebook's first cell, and filled in there while the others run."""

    def __init__(self) -> None:
        show_live_curves()
        self.started = time.monotonic()
        self.lines = {"What made these outputs": "known once the cells below have run."}
        self.before = ""
        self.handle = display(self._text(), display_id=True)

    def begin(self, base_model: str, meant: str, data: str | Path, output_dir: str | Path) -> None:
        """State base model, data and device; `meant` is the base model that the notebook is written for."""
        plots = load_plots(data)
        sources = ", ".join(sorted(plots["source"].unique()))
        training = (plots["split"] == "train").sum()
        if (Path(output_dir) / FILE_NAME).is_file():
            self.before = "; the model had been trained before, by an earlier run"
        elif (Path(output_dir) / "checkpoints").is_dir():
            self.before = "; continued from where an earlier run was stopped"
        self.lines = {
            "Base model": f"`{base_model}`" if base_model == meant else stand_in(base_model, meant),
            "Data": f"{sources}, {len(plots):,} plots, of which {training:,} for training; fingerprint "
            f"`{data_fingerprint(plots)}`",
            "Device": f"{device()}; torch {version('torch')}, transformers {version('transformers')}",
            "Date": f"{date.today().day} {date.today():%B %Y}",
            "Duration": "the run has not come to its end.",
        }
        self.handle.update(self._text())

    def end(self, *folders: str | Path) -> None:
        """State how long all took, from the first cell to here, and when and how long each model was trained."""
        self.lines["Duration"] = duration(time.monotonic() - self.started) + self.before
        for folder in folders:
            run = read_json(Path(folder) / RUN_FILE, "train the model again with --overwrite")
            self.lines[f"Training of `{Path(folder).as_posix()}`"] = (
                f"{duration(60 * run['minutes'])} on {run['device']}, finished on {run['date']}"
            )
        self.handle.update(self._text())

    def _text(self) -> Markdown:
        return Markdown("\n".join(f"- **{name}:** {text}" for name, text in self.lines.items()))


def stand_in(base_model: str, meant: str) -> str:
    """That another base model was used than the notebook is written for; of a folder only the name."""
    used = Path(base_model).name
    return (
        f"`{used}` **stands in for `{meant}`**, which this notebook is written for: every output below is of `{used}`. "
        f'With `BASE_MODEL = "{meant}"`, and its learning rate where the parameters name one, nothing else changes.'
    )


def device() -> str:
    """What torch computes on, and in which numbers."""
    import torch

    from movieplots.runs.fit import mixed_precision

    half = next((name for name, on in mixed_precision().items() if on), None)
    numbers = {"bf16": "bfloat16", "fp16": "float16", None: "float32"}[half]
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {numbers}"
    threads, cores = torch.get_num_threads(), os.cpu_count()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"CPU with {capability}, {threads} of {cores} cores, no GPU, {numbers}"


def duration(seconds: float) -> str:
    """In seconds, minutes, or hours and minutes."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{minutes} minutes" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
