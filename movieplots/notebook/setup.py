"""The first cell of every notebook: working folder, copies on Google Drive, and checks of the machine."""

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

WORK = "movieplots-work"  # on the local disk of the Colab machine, next to the mounted Drive
KEPT = "MyDrive/movieplots"
GB = 1e9


def set_up(name: str, *, drive: bool = True) -> RunNote:
    """Prepare the machine for a notebook and display the note about its run.

    On Colab the notebook works in a folder on the local disk, which is continuously copied to the folder `movieplots`
    on your Google Drive. Copies of an earlier session are restored first, so if a session is lost, run all cells again
    to resume. Boxes warn of a missing GPU and of too little space. Outside Colab the working folder is the checkout
    that contains the notebook, or else the current folder.

    Parameters
    ----------
    name : str
        Path of the notebook in the project, without `.ipynb`.
    drive : bool, default True
        Whether to copy to Google Drive. If False, all results are lost when the Colab session ends.

    Returns
    -------
    RunNote
        The note, to be filled in by its methods `begin` and `end`.

    Raises
    ------
    BadInput
        If Google Drive cannot be mounted.

    Examples
    --------
    >>> from movieplots.notebook.setup import set_up
    >>> note = set_up("DataPreparation")
    <IPython.core.display.Markdown object>
    """
    hide_tracebacks_of_bad_input()
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
            notify(f"Restored {restored} files of an earlier session from {KEPT} on Google Drive.")
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
    """Return what the machine lacks for the notebook and what to do, as HTML."""
    import torch

    needs = NEEDS[name]
    found = []
    if needs.gpu_memory and not torch.cuda.is_available():
        found.append(
            "<b>This machine has no GPU.</b> Choose <b>Runtime → Change runtime type → T4 GPU → Save</b>, then "
            "<b>Runtime → Run all</b>. Without a GPU a full run takes hours; with <b>QUICK = True</b> in the "
            "parameters it takes minutes."
        )
    if (free := shutil.disk_usage(work).free / GB) < needs.disk:
        found.append(
            f"<b>The disk of this machine has {free:.1f} GB left; the notebook needs about {needs.disk:.1f} GB.</b> It "
            "may fail when the disk is full. Choose <b>Runtime → Disconnect and delete runtime</b>, then run all "
            "cells: the copies on Google Drive are restored."
        )
    if copies is None:
        found.append(
            "<b>Google Drive is off (drive=False): all results are lost when the session ends.</b> To keep them, "
            "remove drive=False from the first cell and run all cells again."
        )
    elif (free := (shutil.disk_usage(copies.kept).free + copies.size()) / GB) < needs.drive:
        found.append(
            f"<b>Google Drive has {free:.1f} GB left; the notebook copies up to {needs.drive:.1f} GB to it.</b> Free "
            "space and empty the trash of Drive; otherwise a lost session cannot be resumed."
        )
    return found


def mounted(google_drive: Any, place: Path) -> Path:
    """Mount Google Drive, after the user's consent, and return its folder."""
    try:
        google_drive.mount(str(place))
    except Exception as error:  # Colab raises several types, some of them private
        raise BadInput(
            f"Google Drive could not be mounted ({error}): run all cells again and allow access. Or pass drive=False "
            "to set_up in the first cell; all results are then lost when the session ends."
        ) from None
    return place


def checkout(folder: Path) -> Path:
    """Return the checkout that contains the folder, or else the folder."""
    return next((place for place in (folder, *folder.parents) if (place / "movieplots" / "notebook").is_dir()), folder)


def hide_tracebacks_of_bad_input() -> None:
    """Show BadInput in notebooks as a message without a traceback."""

    def show(
        shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
    ) -> Sequence[str]:
        lines = [f"{kind.__name__}: {error}"]
        shell._showtraceback(kind, error, lines)  # IPython has no public function for this
        return lines

    if (shell := get_ipython()) is not None:
        shell.set_custom_exc((BadInput,), show)
