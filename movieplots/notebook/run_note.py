"""The note at the top of a notebook that says what made its outputs: base model, data, device, date and duration."""

import json
import os
import time
from datetime import date
from importlib.metadata import distribution, version
from pathlib import Path

from IPython.display import Markdown, display

from movieplots.files import read_json
from movieplots.notebook.drive_copies import DriveCopies
from movieplots.notebook.live_curves import show_live_curves
from movieplots.plots import data_fingerprint, load_plots
from movieplots.runs.folder import FILE_NAME, RUN_FILE

WAITING = "What made these outputs"


class RunNote:
    """Shown by the notebook's first cell, and filled in there while the others run.

    `copies` are those on Google Drive, where there are any.
    """

    def __init__(self, copies: DriveCopies | None = None) -> None:
        show_live_curves()
        self.copies = copies
        self.started = time.monotonic()
        self.lines = {WAITING: "known once the cells below have run."}
        self.before = ""
        self.handle = display(self._text(), display_id=True)

    def begin(self, base_model: str | None, data: str | Path, output_dir: str | Path) -> None:
        """State base model, where there is one, data, device and software."""
        plots = load_plots(data)
        sources = ", ".join(sorted(plots["source"].unique()))
        training = (plots["split"] == "train").sum()
        out = Path(output_dir)
        if (out / FILE_NAME).is_file():
            self.before = "; the model had been trained before, by an earlier run"
        elif any(out.parent.glob(f"{out.name}*/**/checkpoints")):  # of this model, or of one that it starts from
            self.before = "; continued from where an earlier run was stopped"
        named = base_model and (Path(base_model).name if Path(base_model).is_dir() else base_model)
        self.lines = ({"Base model": f"`{named}`"} if named else {}) | {
            "Data": f"{sources}, {len(plots):,} plots, of which {training:,} for training; fingerprint "
            f"`{data_fingerprint(plots)}`",
            "Device": device(),
            "Software": software(),
            "Date": f"{date.today().day} {date.today():%B %Y}",
            "Duration": "the run has not come to its end.",
        }
        self.handle.update(self._text())

    def end(self, *folders: str | Path) -> None:
        """State how long all took, from the first cell to here, and when and how long each model was trained."""
        import torch

        if self.copies:
            self.copies.save()
            megabytes = self.copies.size() / 1e6
            size = f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
            self.lines["Copies"] = self.copies.problem or f"{size} in `{self.copies.kept.name}` on Google Drive"
        self.lines["Duration"] = duration(time.monotonic() - self.started) + self.before
        if torch.cuda.is_available():
            self.lines["GPU memory"] = f"at most {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        for folder in folders:
            run = read_json(Path(folder) / RUN_FILE, "train the model again with --overwrite")
            self.lines[f"Training of `{Path(folder).as_posix()}`"] = (
                f"{duration(60 * run['minutes'])} on {run['device']}, finished on {run['date']}"
            )
        self.handle.update(self._text())

    def commands(self, *commands: str) -> None:
        """Show commands that continue from here, as a terminal takes them."""
        display(Markdown("```bash\n" + "\n".join(commands) + "\n```"))

    def _text(self) -> Markdown:
        return Markdown("\n".join(f"- **{name}:** {text}" for name, text in self.lines.items()))


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


def software() -> str:
    """The versions that count; of the package also the commit, where it was installed from a repository."""
    origin = json.loads(distribution("movieplots").read_text("direct_url.json") or "{}")
    commit = origin.get("vcs_info", {}).get("commit_id", "")
    where = f" at commit `{commit[:10]}`" if commit else ""
    others = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return f"movieplots {version('movieplots')}{where}, {others}"


def duration(seconds: float) -> str:
    """In seconds, minutes, or hours and minutes."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{minutes} minutes" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
