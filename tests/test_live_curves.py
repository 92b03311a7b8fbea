"""The picture that grows in a notebook while a model is trained, and the note on what made its outputs."""

import json
import re
import shutil
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from movieplots.generation import training as generator_training
from movieplots.notebook import live_curves, run_note
from movieplots.notebook.drive_copies import DriveCopies
from movieplots.notebook.live_curves import LiveCurves
from movieplots.progress import console
from tools import notebooks

SOURCE = """
from types import SimpleNamespace
from movieplots.notebook import live_curves
live_curves.SECONDS = live_curves.SHARE = 1e-9
live_curves.SHARE = 1e9
curves = live_curves.LiveCurves()
state = SimpleNamespace(log_history=[], is_world_process_zero=True)
for step in range(1, 5):
    state.log_history.append({"step": step, "loss": 5 - step})
    curves.on_log(None, state, None)
curves.on_train_end(None, state, None)
print(curves.handle.display_id != "")
"""


class Screen:
    """Stands for the notebook's display: keeps every picture."""

    def __init__(self):
        self.pictures, self.places = [], 0

    def display(self, picture, display_id):
        self.places += 1
        self.pictures.append(picture)
        return SimpleNamespace(update=self.pictures.append)


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(live_curves, "display", screen.display)
    monkeypatch.setattr(live_curves, "draw", lambda history: len(history))
    return screen


def training(curves, steps, first=True):
    state = SimpleNamespace(log_history=[], is_world_process_zero=first)
    for step in range(steps):
        state.log_history.append({"step": step, "loss": 1.0})
        curves.on_log(None, state, None)
    curves.on_train_end(None, state, None)


def test_it_draws_now_and_then_and_at_the_end(screen, monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(live_curves, "time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(live_curves, "SHARE", 0.5)
    training(LiveCurves(), 20)
    assert screen.places == 1  # each picture takes the place of the one before
    assert screen.pictures[0] == 1 and screen.pictures[-1] == 20
    assert 2 < len(screen.pictures) < 10


def test_pictures_that_take_long_are_drawn_rarely(screen, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(live_curves, "time", SimpleNamespace(monotonic=lambda: clock.now))
    curves = LiveCurves()
    monkeypatch.setattr(live_curves, "draw", lambda history: setattr(clock, "now", clock.now + 2))
    training(curves, 1)
    assert curves.next - clock.now == pytest.approx(2 / live_curves.SHARE)


def test_it_is_silent_in_other_processes_and_outside_of_notebooks(screen, monkeypatch):
    training(LiveCurves(), 3, first=False)
    assert not screen.pictures
    monkeypatch.setattr(generator_training, "watchers", [])
    live_curves.show_live_curves()
    assert generator_training.watchers == []
    monkeypatch.setattr(console, "is_jupyter", True)
    live_curves.show_live_curves()
    live_curves.show_live_curves()
    assert generator_training.watchers == [LiveCurves]


@pytest.mark.slow
def test_only_the_last_picture_stays_in_the_notebook(tmp_path):
    path = tmp_path / "live.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(SOURCE)]), path)
    notebooks.run_notebook(path)
    picture, printed = nbformat.read(path, as_version=4).cells[0].outputs
    assert printed.text == "True\n"
    assert list(picture.metadata) == ["image/png"] and picture.metadata["image/png"]["width"] == 800
    assert len(picture.data["image/png"]) > 10_000


# The note


@pytest.fixture
def note(monkeypatch):
    shown = []

    def display(text, display_id):
        shown.append(text.data)
        return SimpleNamespace(update=lambda text: shown.append(text.data))

    monkeypatch.setattr(run_note, "display", display)
    return run_note.RunNote(), shown


def test_the_note_says_what_made_the_outputs(note, corpus, tmp_path):
    note, shown = note
    note.begin("smollm2-135m", corpus, tmp_path)
    assert "**Base model:** `smollm2-135m`\n" in shown[-1]
    assert "sample, 420 plots (330 for training), fingerprint `" in shown[-1]
    assert re.search(r"\*\*Software:\*\* movieplots 0\.1\.0.*, torch 2\.\d+.*, transformers 5\.\d+", shown[-1])
    assert "the run is not finished" in shown[-1]
    run = {"minutes": 65.0, "device": "CPU, 2 threads", "date": "2026-02-01"}
    (tmp_path / "run.json").write_text(json.dumps(run))
    note.end(tmp_path)
    assert re.search(r"\*\*Duration:\*\* \d+ seconds?\n", shown[-1])
    assert "`:** 65 minutes on CPU, 2 threads, finished on 2026-02-01" in shown[-1]


def test_of_a_local_base_model_the_note_names_the_folder_alone(note, corpus, trained):
    note, shown = note
    note.begin(str(trained[0]), corpus, trained[0])
    assert f"**Base model:** `{trained[0].name}`\n" in shown[-1]
    note.end()
    assert "; the model was trained by an earlier run" in shown[-1]


def test_the_note_says_that_a_run_was_continued(note, corpus, tmp_path):
    note, shown = note
    (tmp_path / "bert-blocks-128" / "checkpoints").mkdir(parents=True)  # of an encoder that `bert` starts from
    note.begin("bert", corpus, tmp_path / "bert")
    note.end()
    assert "; resumed from a checkpoint of an earlier run" in shown[-1]


def test_the_note_says_what_is_on_drive_or_why_nothing_is(note, corpus, tmp_path):
    note, shown = note
    work, kept = tmp_path / "work", tmp_path / "drive" / "movieplots"
    work.mkdir()
    kept.mkdir(parents=True)
    note.copies = DriveCopies(work, kept)
    (work / "model").write_bytes(b"w" * 150_000_000)
    note.begin(None, corpus, work)
    assert "Base model" not in shown[-1]
    note.end()
    assert "**Copies:** 150 MB in `movieplots` on Google Drive" in shown[-1]
    shutil.rmtree(tmp_path / "drive")
    (tmp_path / "drive").write_text("unmounted")
    (work / "more").write_text("w")
    note.end()
    assert re.search(r"\*\*Copies:\*\* Copying to .* failed", shown[-1])


def test_commands_are_shown_as_a_terminal_takes_them(note, monkeypatch):
    note, shown = note
    monkeypatch.setattr(run_note, "display", lambda text: shown.append(text.data))
    note.commands("movieplots generate -n 3", "movieplots evaluate --help")
    assert shown[-1] == "```bash\nmovieplots generate -n 3\nmovieplots evaluate --help\n```"


@pytest.mark.parametrize(
    ("seconds", "words"), [(7, "7 seconds"), (600, "10 minutes"), (5940, "99 minutes"), (7500, "2 h 5 min")]
)
def test_durations(seconds, words):
    assert run_note.duration(seconds) == words
