"""The first cell of every notebook: where it works, what is kept, and whether the machine is fit for it."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from IPython import get_ipython
from IPython.display import HTML, display

from movieplots.errors import BadInput
from movieplots.notebook.drive_copies import DriveCopies
from movieplots.notebook.needs import NEEDS
from movieplots.notebook.run_note import RunNote
from movieplots.progress import notify

WORK = "movieplots-work"  # beside the mounted Drive, on the local disk of a Colab machine
KEPT = "MyDrive/movieplots"
GB = 1e9


def set_up(name: str, *, drive: bool = True) -> RunNote:
    """Make the machine ready for a notebook and show the note that says what made its outputs.

    On Colab the notebook works on the local disk, in a folder that is copied to `movieplots` on your Google Drive as it
    fills; what an earlier session left there is brought back first, so that running all cells again continues where the
    session ended. A missing GPU and too little space are said in a box. Anywhere else the notebook works in the
    checkout that it lies in, or in its own folder where there is none.

    Parameters
    ----------
    name : str
        The notebook's path in the project, without `.ipynb`.
    drive : bool, default=True
        Whether to copy to Google Drive. Without, everything is lost when the Colab session ends.

    Returns
    -------
    RunNote
        Filled in by `begin` and `end`.

    Raises
    ------
    BadInput
        If Google Drive cannot be mounted.

    Examples
    --------
    >>> from movieplots.notebook.setup import set_up
    >>> note = set_up("text_generation/with-titles/GPT-2/Training")  # doctest: +SKIP
    """
    say_bad_input_in_a_sentence()
    try:
        from google.colab import drive as google_drive
    except ImportError:
        os.chdir(checkout(Path.cwd()))
        return RunNote()
    here = Path.cwd() if Path.cwd().name != WORK else Path.cwd().parent
    work = here / WORK
    work.mkdir(exist_ok=True)
    copies = None
    if drive:
        kept = mounted(google_drive, here / "drive") / KEPT
        kept.mkdir(parents=True, exist_ok=True)
        copies = DriveCopies(work, kept)
        if restored := copies.restore():
            notify(f"Brought back {restored} files of an earlier session from {KEPT} on Google Drive.")
        copies.start()
    os.chdir(work)
    for problem in problems(name, work, copies):
        display(HTML(BOX.format(problem)))
    return RunNote(copies)


BOX = (
    '<div style="border: 3px solid #c62828; padding: 0.8em 1em; font-size: 1.2em; color: #c62828; '
    'background: #fff5f5; line-height: 1.4">{}</div>'
)


def problems(name: str, work: Path, copies: DriveCopies | None) -> list[str]:
    """What the machine lacks for the notebook, and what to do, a sentence or two each, as HTML."""
    import torch

    needs = NEEDS[name]
    found = []
    if needs.gpu_memory and not torch.cuda.is_available():
        found.append(
            "<b>This machine has no GPU.</b> Choose <b>Runtime → Change runtime type → T4 GPU → Save</b>, then "
            "<b>Runtime → Run all</b>. The notebook goes on without one, but a whole run takes hours; with "
            "<b>QUICK = True</b> in the parameters it takes minutes."
        )
    if (free := shutil.disk_usage(work).free / GB) < needs.disk:
        found.append(
            f"<b>The disk of this machine has {free:.1f} GB left; the notebook needs about {needs.disk:.1f} GB.</b> It "
            "goes on, but may stop in the middle. Choose <b>Runtime → Disconnect and delete runtime</b>, then run all "
            "cells: what is on Google Drive is brought back."
        )
    if copies is None:
        found.append(
            "<b>Google Drive is off (drive=False): all results are lost when the session ends.</b> To keep them, take "
            "drive=False out of the first cell and run all cells again."
        )
    elif (free := (shutil.disk_usage(copies.kept).free + copies.size()) / GB) < needs.drive:
        found.append(
            f"<b>Google Drive has {free:.1f} GB left; the notebook keeps up to {needs.drive:.1f} GB there.</b> It goes "
            "on, but free some space and empty the trash of Drive, or a lost session cannot be continued."
        )
    return found


def mounted(google_drive: Any, place: Path) -> Path:
    """Mount Google Drive, which asks the user, and return where it is."""
    try:
        google_drive.mount(str(place))
    except Exception as error:  # Colab has several types for it, of which some are not public
        raise BadInput(
            f"Google Drive could not be mounted ({error}): run all cells again and allow access, or give set_up in the "
            "first cell drive=False, after which all results are lost when the session ends."
        ) from None
    return place


def checkout(folder: Path) -> Path:
    """The checkout that a folder lies in, or the folder itself where it lies in none."""
    return next((place for place in (folder, *folder.parents) if (place / "movieplots" / "notebook").is_dir()), folder)


def say_bad_input_in_a_sentence() -> None:
    """Let the notebook show bad input as its sentence, without a traceback, which tells a user nothing more."""

    def show(
        shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
    ) -> Sequence[str]:
        lines = [f"{kind.__name__}: {error}"]
        shell._showtraceback(kind, error, lines)  # IPython has no public way to show an error of one's own
        return lines

    if (shell := get_ipython()) is not None:
        shell.set_custom_exc((BadInput,), show)
