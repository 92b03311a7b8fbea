"""Stands in for Google Drive: a folder that outlives the session.

`REHEARSAL_DRIVE` is that folder, and `REHEARSAL_LOG` a file that gets all that the notebook says, also what it clears
from the page. With `REHEARSAL_KILL` the session ends without warning, as soon as the first checkpoint has been copied.
"""

import os
import signal
from pathlib import Path


def mount(mountpoint):
    place = Path(mountpoint)
    place.mkdir(exist_ok=True)
    if not (place / "MyDrive").exists():
        (place / "MyDrive").symlink_to(os.environ["REHEARSAL_DRIVE"])
    _log_what_is_said()
    if os.environ.get("REHEARSAL_KILL"):
        _end_after_the_first_checkpoint()


def _log_what_is_said():
    from movieplots.progress import console

    say = console.print

    def logged(*texts, **options):
        with open(os.environ["REHEARSAL_LOG"], "a") as log:
            print(*texts, file=log)
        say(*texts, **options)

    console.print = logged


def _end_after_the_first_checkpoint():
    from movieplots.notebook.drive_copies import DriveCopies
    from movieplots.runs import fit

    made = []
    start = DriveCopies.start
    DriveCopies.start = lambda copies: (made.append(copies), start(copies))
    fit.SECONDS_BETWEEN_CHECKPOINTS = 0  # trainings of a few seconds would end before their first

    def ending(method):
        def then_end(self, *arguments, **options):
            method(self, *arguments, **options)
            made[0].save()
            os.kill(os.getpid(), signal.SIGKILL)

        return then_end

    fit._CheckpointCallback.on_save = ending(fit._CheckpointCallback.on_save)
    try:
        from movieplots.classification import fastai_training
    except ValueError:  # without fastai
        return
    fastai_training.SECONDS_BETWEEN_CHECKPOINTS = 0
    fastai_training._CheckpointCallback._save = ending(fastai_training._CheckpointCallback._save)
