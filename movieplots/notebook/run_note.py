"""The note at the top of a notebook: base model, data, device, software, date and duration of the run."""

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

WAITING = "About this run"


class RunNote:
    """A note that the first cell of a notebook displays and later cells fill in.

    Parameters
    ----------
    copies : DriveCopies or None, default None
        Copies of the working folder on Google Drive.

    Examples
    --------
    >>> from movieplots.notebook.run_note import RunNote
    >>> note = RunNote()
    <IPython.core.display.Markdown object>
    >>> note.commands("movieplots generate --genre horror")
    <IPython.core.display.Markdown object>
    """

    def __init__(self, copies: DriveCopies | None = None) -> None:
        show_live_curves()
        self.copies = copies
        self.started = time.monotonic()
        self.lines = {WAITING: "shown when the cells below have run."}
        self.earlier = ""
        self.handle = display(self._text(), display_id=True)

    def begin(self, base_model: str | None, data: str | Path, output_dir: str | Path) -> None:
        """Show base model, data, device, software and date.

        Parameters
        ----------
        base_model : str or None
            Name, folder or hub id of the base model; None for a notebook without one.
        data : str or Path
            Folder that `prepare` wrote.
        output_dir : str or Path
            Folder of the model. The note tells whether an earlier run trained it, completely or in part.
        """
        plots = load_plots(data)
        sources = ", ".join(sorted(plots["source"].unique()))
        training = (plots["split"] == "train").sum()
        out = Path(output_dir)
        if (out / FILE_NAME).is_file():
            self.earlier = "; the model was trained by an earlier run"
        elif any(out.parent.glob(f"{out.name}*/**/checkpoints")):  # of this model, or of one that it starts from
            self.earlier = "; resumed from a checkpoint of an earlier run"
        named = base_model and (Path(base_model).name if Path(base_model).is_dir() else base_model)
        self.lines = ({"Base model": f"`{named}`"} if named else {}) | {
            "Data": f"{sources}, {len(plots):,} plots ({training:,} for training), fingerprint "
            f"`{data_fingerprint(plots)}`",
            "Device": device(),
            "Software": software(),
            "Date": f"{date.today().day} {date.today():%B %Y}",
            "Duration": "the run is not finished.",
        }
        self.handle.update(self._text())

    def end(self, *folders: str | Path) -> None:
        """Show the duration of the run since the first cell, and of the training of each model.

        Parameters
        ----------
        *folders : str or Path
            Folders of the trained models.
        """
        import torch

        if self.copies:
            self.copies.save()
            megabytes = self.copies.size() / 1e6
            size = f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
            self.lines["Copies"] = self.copies.problem or f"{size} in `{self.copies.kept.name}` on Google Drive"
        self.lines["Duration"] = duration(time.monotonic() - self.started) + self.earlier
        if torch.cuda.is_available():
            self.lines["GPU memory"] = f"at most {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        for folder in folders:
            run = read_json(Path(folder) / RUN_FILE, "train the model again with --overwrite")
            self.lines[f"Training of `{Path(folder).as_posix()}`"] = (
                f"{duration(60 * run['minutes'])} on {run['device']}, finished on {run['date']}"
            )
        self.handle.update(self._text())

    def commands(self, *commands: str) -> None:
        """Show shell commands that use the results of the notebook.

        Parameters
        ----------
        *commands : str
            Commands, such as `movieplots generate --model runs/model`.
        """
        display(Markdown("```bash\n" + "\n".join(commands) + "\n```"))

    def _text(self) -> Markdown:
        return Markdown("\n".join(f"- **{name}:** {text}" for name, text in self.lines.items()))


def device() -> str:
    """Return the device that torch uses and its precision."""
    import torch

    from movieplots.runs.fit import mixed_precision

    half = next((name for name, on in mixed_precision().items() if on), None)
    precision = {"bf16": "bfloat16", "fp16": "float16", None: "float32"}[half]
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {precision}"
    threads, cores = torch.get_num_threads(), os.cpu_count()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"CPU with {capability}, {threads} of {cores} cores, no GPU, {precision}"


def software() -> str:
    """Return the versions of the main packages, and the commit if movieplots was installed from a repository."""
    origin = json.loads(distribution("movieplots").read_text("direct_url.json") or "{}")
    commit = origin.get("vcs_info", {}).get("commit_id", "")
    where = f" at commit `{commit[:10]}`" if commit else ""
    others = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return f"movieplots {version('movieplots')}{where}, {others}"


def duration(seconds: float) -> str:
    """Format a duration in seconds, minutes, or hours and minutes."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{minutes} minutes" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
