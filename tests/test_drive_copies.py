"""Copies of a working folder on Google Drive: a later session on a new machine continues from them."""

import errno
import json
import shutil
import signal
import subprocess
import sys
from zipfile import ZipFile

import pytest

from movieplots.notebook import drive_copies
from movieplots.notebook.drive_copies import ARCHIVES, LISTING, DriveCopies


@pytest.fixture
def folders(tmp_path):
    """The working folder and the folder on Drive."""
    for name in ("work", "drive"):
        (tmp_path / name).mkdir()
    return tmp_path / "work", tmp_path / "drive"


def write(folder, **files):
    """Files by name, with `__` for a folder's slash."""
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_json", ".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def new_machine(work, drive):
    """What a later session starts with: an empty working folder."""
    shutil.rmtree(work)
    work.mkdir()
    return DriveCopies(work, drive)


def checkpoint(run, step, complete=True):
    write(run / f"checkpoints/checkpoint-{step}", weights=f"weights of {step}")
    if complete:
        write(run / f"checkpoints/checkpoint-{step}", complete_json="{}")


def test_what_is_finished_is_copied_and_brought_back(folders):
    work, drive = folders
    write(work, data__plots="plots", models__gpt2__movieplots_json="{}", models__gpt2__weights="w")
    DriveCopies(work, drive).save()
    assert (drive / "models" / "gpt2" / "weights").read_text() == "w"
    before = contents(work)
    assert new_machine(work, drive).restore() == 3
    assert contents(work) == before


def test_what_is_still_written_or_can_be_fetched_is_not_copied(folders):
    work, drive = folders
    write(work, data__raw__netflix="rows", data__plots="plots")
    write(work / "data", **{".plots.tmp": "half", ".unfinished.1__part": "half"})
    DriveCopies(work, drive).save()
    assert sorted(contents(drive)) == [f"data/{LISTING}", "data/plots"]


def test_a_file_is_written_again_only_where_it_changed(folders):
    work, drive = folders
    write(work, one="1", two="2")
    copies = DriveCopies(work, drive)
    copies.save()
    place = (drive / "one").stat().st_ino
    (drive / "two").write_text("?")  # would be seen if it were written again
    write(work, one="1, and more")
    copies.save()
    assert (drive / "one").read_text() == "1, and more" and (drive / "two").read_text() == "?"
    assert (drive / "one").stat().st_ino == place  # the same file on Drive, none in its trash
    (drive / "two").write_text("2")
    DriveCopies(work, drive).save()  # a kernel that was started again has not copied anything yet
    assert (drive / "two").read_text() == "2"


def test_what_went_is_not_brought_back(folders):
    work, drive = folders
    write(work, dump__samples_partial="lines")
    copies = DriveCopies(work, drive)
    copies.save()
    (work / "dump" / "samples_partial").unlink()
    write(work, dump__samples="lines")
    copies.save()
    assert (drive / "dump" / "samples_partial").read_bytes() == b""  # takes no space, and nothing is in the trash
    new_machine(work, drive).restore()
    assert sorted(contents(work)) == ["dump/samples"]


def test_another_notebook_may_keep_files_in_the_same_folder(folders, tmp_path):
    work, drive = folders
    write(work, models__gpt2__movieplots_json="{}")
    write(tmp_path, other__models__gpt2__report="page")
    one, other = DriveCopies(work, drive), DriveCopies(tmp_path / "other", drive)
    for copies in (one, other, one):
        copies.save()
    new_machine(work, drive).restore()
    assert sorted(contents(work)) == ["models/gpt2/movieplots.json", "models/gpt2/report"]


def test_a_copy_that_was_cut_short_is_left_out(folders):
    work, drive = folders
    write(work, data__plots="plots", data__report="report", data__card="card")
    DriveCopies(work, drive).save()
    (drive / "data" / "plots").write_text("plo")
    (drive / "data" / "report").write_text("repo\0\0")
    assert new_machine(work, drive).restore() == 1
    assert sorted(contents(work)) == ["data/card"]
    (drive / "data" / LISTING).write_text('{"card"')
    assert new_machine(work, drive).restore() == 0


def test_an_unfinished_training_is_one_archive_under_two_names_in_turn(folders):
    work, drive = folders
    run = work / "models" / "gpt2"
    write(run, learning_rates="{}", checkpoints__recipe_json="{}")
    copies = DriveCopies(work, drive)
    for step in (1, 2, 3):
        checkpoint(run, step)
        copies.save()
        copies.save()  # nothing has changed
    checkpoint(run, 4, complete=False)
    copies.save()
    kept = drive / "models" / "gpt2"
    assert sorted(contents(kept)) == sorted(ARCHIVES)
    with ZipFile(kept / ARCHIVES[0]) as newest, ZipFile(kept / ARCHIVES[1]) as before:
        names = {newest: "checkpoint-3", before: "checkpoint-2"}
        for archive, name in names.items():
            assert sorted(archive.namelist()) == [
                f"checkpoints/{name}/complete.json", f"checkpoints/{name}/weights", "checkpoints/recipe.json",
                "learning_rates",
            ]  # fmt: skip
    new_machine(work, drive).restore()
    assert (run / "checkpoints" / "checkpoint-3" / "weights").read_text() == "weights of 3"


def test_what_was_brought_back_is_not_archived_again(folders):
    work, drive = folders
    checkpoint(work / "run", 1)
    DriveCopies(work, drive).save()
    before = {name: (drive / "run" / name).is_file() for name in ARCHIVES}
    copies = new_machine(work, drive)
    copies.restore()
    copies.save()  # of a notebook that only looks on, while another trains
    assert (
        {name: (drive / "run" / name).is_file() for name in ARCHIVES}
        == before
        == {ARCHIVES[0]: True, ARCHIVES[1]: False}
    )


def test_the_archives_of_a_notebook_that_trains_elsewhere_are_left_alone(folders, tmp_path):
    work, drive = folders
    checkpoint(work / "run", 1)
    write(tmp_path, other__run__report="page")  # in the same folder, since before that training began
    one, other = DriveCopies(work, drive), DriveCopies(tmp_path / "other", drive)
    one.save()
    before = (drive / "run" / ARCHIVES[0]).read_bytes()
    other.save()
    assert (drive / "run" / ARCHIVES[0]).read_bytes() == before


def test_archives_that_were_left_when_the_session_ended_are_emptied_by_the_next(folders):
    work, drive = folders
    copies = DriveCopies(work, drive)
    checkpoint(work / "run", 1)
    copies.save()
    left = (drive / "run" / ARCHIVES[0]).read_bytes()
    shutil.rmtree(work / "run" / "checkpoints")
    write(work, run__movieplots_json="{}")
    copies.save()
    (drive / "run" / ARCHIVES[0]).write_bytes(left)
    copies = new_machine(work, drive)
    copies.restore()
    copies.save()
    assert sorted(contents(work)) == ["run/movieplots.json"]
    assert (drive / "run" / ARCHIVES[0]).read_bytes() == b""


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_where_the_newest_archive_is_damaged_the_other_is_taken(folders, damage):
    work, drive = folders
    run = work / "run"
    copies = DriveCopies(work, drive)
    for step in (1, 2):
        checkpoint(run, step)
        copies.save()
    newest = drive / "run" / ARCHIVES[1]
    whole = newest.read_bytes()
    newest.write_bytes({"cut": whole[:-20], "changed": whole.replace(b"weights of", b"weights"), "empty": b""}[damage])
    copies = new_machine(work, drive)
    copies.restore()
    assert (run / "checkpoints" / "checkpoint-1" / "weights").read_text() == "weights of 1"
    checkpoint(run, 5)
    copies.save()
    assert b"weights of 5" in newest.read_bytes()  # not over the one that is whole


def test_a_training_that_came_to_its_end_leaves_its_model_and_empty_archives(folders):
    work, drive = folders
    run = work / "run"
    copies = DriveCopies(work, drive)
    for step in (1, 2):
        checkpoint(run, step)
        copies.save()
    shutil.rmtree(run / "checkpoints")
    write(run, movieplots_json="{}", weights="w")
    copies.save()
    assert [(drive / "run" / name).stat().st_size for name in ARCHIVES] == [0, 0]
    new_machine(work, drive).restore()
    assert sorted(contents(work)) == ["run/movieplots.json", "run/weights"]


def test_a_model_that_is_trained_anew_is_not_brought_back_as_finished(folders):
    work, drive = folders
    run = work / "run"
    write(run, movieplots_json="{}", weights="w")
    copies = DriveCopies(work, drive)
    copies.save()
    (run / "movieplots.json").unlink()
    checkpoint(run, 1)
    copies.save()
    new_machine(work, drive).restore()
    assert (run / "checkpoints" / "checkpoint-1").is_dir() and not (run / "movieplots.json").exists()


def test_a_kernel_that_was_started_again_keeps_what_is_on_its_disk(folders):
    work, drive = folders
    write(work, note="old")
    checkpoint(work / "run", 1)
    DriveCopies(work, drive).save()
    write(work, note="new")
    checkpoint(work / "run", 2)
    assert DriveCopies(work, drive).restore() == 0
    assert (work / "note").read_text() == "new" and (work / "run" / "checkpoints" / "checkpoint-2").is_dir()


def test_a_full_drive_is_said_once_and_does_not_stop_the_work(folders, monkeypatch, capsys):
    work, drive = folders
    write(work, note="text")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(drive_copies, "_copy", full)  # no test can fill a disk
        copies = DriveCopies(work, drive)
        copies.save()
        copies.save()
    assert copies.problem.startswith("Google Drive is full, so nothing is copied: free space")
    assert capsys.readouterr().err.count("Google Drive is full") == 1
    copies.save()
    assert not copies.problem and (drive / "note").read_text() == "text"


def test_what_was_copied_before_drive_was_full_is_brought_back_as_well(folders, monkeypatch):
    work, drive = folders
    write(work, first="1", second="2")
    copy = drive_copies._copy

    def full_at_the_second(file, target):
        if file.name == "second":
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(file, target)

    copies = DriveCopies(work, drive)
    with monkeypatch.context() as patched:
        patched.setattr(drive_copies, "_copy", full_at_the_second)
        copies.save()
    copies.save()
    assert new_machine(work, drive).restore() == 2


def test_a_listing_of_another_form_counts_as_none(folders):
    work, drive = folders
    write(work, note="text")
    (drive / LISTING).write_text('{"note": 1}')
    assert DriveCopies(work, drive).restore() == 0
    DriveCopies(work, drive).save()
    assert new_machine(work, drive).restore() == 1


def test_whatever_goes_wrong_is_said(folders, monkeypatch, capsys):
    work, drive = folders
    write(work, note="text")
    copies = DriveCopies(work, drive)
    monkeypatch.setattr(drive_copies, "_stamp", None)
    monkeypatch.setattr(drive_copies, "_copy", None)
    copies.save()
    assert copies.problem.startswith("Copying to ") and copies.problem in capsys.readouterr().err


def test_a_drive_that_went_away_is_said(folders):
    work, drive = folders
    copies = DriveCopies(work, drive)
    drive.rmdir()
    drive.write_text("no folder any more")
    write(work, note="text")
    copies.save()
    assert copies.problem.endswith(": mount Google Drive again.")


KILLED = """
import pathlib, sys
from movieplots.notebook import drive_copies
from movieplots.notebook.drive_copies import DriveCopies
drive_copies.SECONDS = 0.001
work = pathlib.Path(sys.argv[1])
DriveCopies(work, pathlib.Path(sys.argv[2])).start()
step = 0
while True:
    step += 1
    folder = work / "run" / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(step.to_bytes(4, "big") * 500_000)
    (folder / "complete.tmp").write_text("{}")
    (folder / "complete.tmp").rename(folder / "complete.json")
    old = folder.with_name(f"checkpoint-{step - 2}")
    if old.is_dir():
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    if step == 3:
        print("running", flush=True)
"""


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.7])
def test_killed_while_it_copies_it_leaves_a_whole_checkpoint(folders, seconds):
    work, drive = folders
    process = subprocess.Popen([sys.executable, "-c", KILLED, work, drive], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"running\n"
    while sum(drive_copies._number(drive / "run" / name) >= 0 for name in ARCHIVES) < 1:
        assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)  # it goes on copying until then
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    new_machine(work, drive).restore()
    (folder,) = (work / "run" / "checkpoints").glob("checkpoint-*")
    step = int(folder.name.rpartition("-")[2])
    assert (folder / "weights").read_bytes() == step.to_bytes(4, "big") * 500_000
    assert json.loads((folder / "complete.json").read_text()) == {}
