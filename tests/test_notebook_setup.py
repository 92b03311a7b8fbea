"""The first cell of a notebook: where it works, and what it says of a machine that will not do."""

import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from movieplots.errors import BadInput
from movieplots.notebook import setup
from movieplots.notebook.drive_copies import DriveCopies
from movieplots.notebook.needs import NEEDS
from movieplots.notebook.setup import BOX, WORK, checkout, problems, set_up
from tests.pages import ROOT

NAME = "text_generation/with-titles/GPT-2/Training"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def shown(monkeypatch):
    """What is displayed as HTML."""
    texts = []
    monkeypatch.setattr(setup, "display", lambda text: texts.append(text.data))
    monkeypatch.setattr(setup, "RunNote", lambda copies=None: SimpleNamespace(copies=copies))
    return texts


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """Colab's package, with a Drive whose `mount` can be replaced; the test stands where Colab starts."""
    google, package, drive = (ModuleType(name) for name in ("google", "google.colab", "google.colab.drive"))
    google.colab, package.drive = package, drive
    drive.mount = lambda place: Path(place, "MyDrive").mkdir(parents=True, exist_ok=True)
    for module in (google, package, drive):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(DriveCopies, "start", lambda copies: None)
    monkeypatch.chdir(tmp_path)
    return drive


def test_it_works_in_the_checkout_that_the_notebook_lies_in(monkeypatch, shown):
    monkeypatch.chdir(ROOT / "text_generation" / "with-titles" / "GPT-2")
    assert set_up(NAME).copies is None
    assert Path.cwd() == ROOT and not shown


def test_outside_of_a_checkout_it_works_where_the_notebook_lies(tmp_path):
    assert checkout(tmp_path) == tmp_path


def test_on_colab_it_works_on_the_local_disk_and_copies_to_drive(colab, shown, tmp_path):
    note = set_up(NAME)
    assert Path.cwd() == tmp_path / WORK == note.copies.work
    assert note.copies.kept == tmp_path / "drive" / "MyDrive" / "movieplots"
    Path("data").mkdir()
    Path("data", "plots").write_text("plots")
    note.copies.save()
    again = set_up(NAME)  # the cell a second time
    assert Path.cwd() == tmp_path / WORK and again.copies.kept == note.copies.kept
    assert (again.copies.kept / "data" / "plots").read_text() == "plots"


def test_without_drive_it_warns_that_nothing_is_kept(colab, shown):
    assert set_up(NAME, drive=False).copies is None
    assert any("lost when the session ends" in text for text in shown)


def test_a_drive_that_is_refused_is_a_sentence_that_says_how_to_go_on(colab, shown):
    def refused(place):
        raise RuntimeError("credential propagation was unsuccessful")

    colab.mount = refused
    with pytest.raises(BadInput, match=r"could not be mounted \(credential propagation .* drive=False"):
        set_up(NAME)


def test_it_says_how_to_switch_a_gpu_on(colab, shown):
    set_up(NAME)
    (text,) = [text for text in shown if "GPU" in text]
    assert "Runtime → Change runtime type → T4 GPU" in text and text.startswith(BOX.partition("{}")[0])
    shown.clear()
    set_up("DataPreparation")
    assert not [text for text in shown if "GPU" in text]


def test_it_says_where_space_is_short(monkeypatch, tmp_path):
    needs = NEEDS["genre_prediction/BERT/Training"]
    copies = DriveCopies(tmp_path / "work", tmp_path / "kept")
    for folder in (copies.work, copies.kept):
        folder.mkdir()
    free = {copies.work: needs.disk, copies.kept: needs.drive}
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda place: Usage(0, 0, int(free[place] * 1e9) + 1))
    found = problems("genre_prediction/BERT/Training", copies.work, copies)
    assert not [text for text in found if "GB left" in text]
    free[copies.work] -= 0.1
    free[copies.kept] -= 0.1
    disk, drive = (
        text for text in problems("genre_prediction/BERT/Training", copies.work, copies) if "GB left" in text
    )
    assert "Disconnect and delete runtime" in disk and f"needs about {needs.disk:.1f} GB" in disk
    assert "trash" in drive and f"copies up to {needs.drive:.1f} GB" in drive


def test_bad_input_is_shown_as_its_sentence_alone(monkeypatch, capsys):
    shell = InteractiveShell()
    monkeypatch.setattr(setup, "get_ipython", lambda: shell)
    setup.hide_tracebacks_of_bad_input()
    result = shell.run_cell(
        "from movieplots.errors import BadInput\nraise BadInput('There is no such file: give one.')"
    )
    assert isinstance(result.error_in_exec, BadInput)  # so that a run of all cells stops there
    assert capsys.readouterr().out.strip() == "BadInput: There is no such file: give one."
    shell.run_cell("1 / 0")
    assert "Traceback" in capsys.readouterr().out
