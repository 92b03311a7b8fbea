"""What preparation must live through: killed processes, a full disk, hostile files. Nothing is lost without a count."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from movieplots import load_plots, prepare
from movieplots.files import atomic_folder, atomic_path
from movieplots.preparation.cleaning import count_words
from tests.forked import command, killed_at


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_killed_again_and_again_a_rerun_gives_the_same_files(tmp_path):
    prepare("sample", tmp_path / "whole", export=True)
    whole = contents(tmp_path / "whole")
    assert {"plots.parquet", "dropped.parquet", "report.json", "README.md"} <= set(whole)
    out = tmp_path / "out"
    # While a file is written, and at each rename by which one of them takes its place.
    for change in (4, 21, 28, 31, 33):
        assert killed_at(change, out, prepare, "sample", out, export=True) == -signal.SIGKILL
        assert not (out / "plots.parquet").exists() or len(load_plots(out)) == 420
    prepare("sample", out, export=True)
    again = contents(out)
    again["report.json"] = again["report.json"].replace(str(out).encode(), str(tmp_path / "whole").encode())
    assert again == whole


@pytest.mark.parametrize("export", [True, False])
def test_killed_while_the_former_dataset_is_removed_a_rerun_takes_its_place(tmp_path, monkeypatch, export):
    prepare("sample", tmp_path, export=True)

    def killed(folder, **_):
        (folder / "dataset_dict.json").unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare("sample", tmp_path, export=export)
    prepare("sample", tmp_path, export=export)
    assert (tmp_path / "dataset" / "dataset_dict.json").is_file() is export


@pytest.mark.parametrize("room", [1_000, 30_000, 60_000])
def test_a_full_disk_is_said_in_a_sentence_and_leaves_the_former_table(tmp_path, room):
    prepare("sample", tmp_path / "out", seed=1)
    before = contents(tmp_path / "out")
    log = tmp_path / "log"
    status = command(log, "prepare", "sample", "--output-dir", tmp_path / "out", room=room)
    assert status == 2, log.read_text()
    assert "cannot be written (File too large): make room, then run again." in log.read_text().splitlines()[-1]
    assert contents(tmp_path / "out") == before


def test_what_a_killed_process_left_is_swept_away_but_not_a_living_one_s(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getppid()):
        (tmp_path / f".unfinished.{process}.abc").mkdir()
        (tmp_path / f".unfinished.{process}.abc" / "plots.parquet").write_text("half")
        (tmp_path / f".a.json.{process}.tmp").write_text("half")
    with atomic_folder(tmp_path) as folder:
        (folder / "b.txt").write_text("whole")
    with atomic_path(tmp_path / "a.json") as file:
        file.write_text("{}")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([f".a.json.{os.getppid()}.tmp", f".unfinished.{os.getppid()}.abc", "a.json", "b.txt"])


def test_hostile_rows_are_kept_or_counted(tmp_path, corpus):
    texts = load_plots(corpus)["plot"].tolist()
    rows = [{"title": f"Film {i}", "plot": text, "genres": "drama"} for i, text in enumerate(texts[:100])]
    rows += [{}] * 500 + [{"title": "", "plot": " ", "genres": None}] * 500
    long = " ".join(f"In scene {i} the keeper climbs to lamp {i * i} and waits." for i in range(20_000))
    assert len(long) > 1_000_000
    rows += [
        {"title": "Long", "plot": long, "genres": "drama"},
        {"title": "One long sentence", "plot": "sea " * 250_000, "genres": "drama"},
        {"title": "One long word", "plot": "a" * 1_000_000, "genres": "drama"},
        {"title": "Emoji 👩‍🚀", "plot": "A pilot 👩‍🚀 sends one 💌 a day home to her sister.", "genres": "drama"},
        {"title": "NUL\0", "plot": "A clerk\0 finds that every\x07 letter comes back to him.", "genres": "drama"},
        {"title": "منارة", "plot": "حارس منارة عجوز يجد زجاجة تحمل صوت أخيه الغائب.", "genres": "drama"},
        {"title": 12, "plot": ["not", "text"], "genres": {"no": "list"}},
    ]  # fmt: skip
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n[1, 2]\nnonsense\n\n", encoding="utf-8")
    result = prepare("table", tmp_path / "out", file, languages=["all"])
    plots = load_plots(tmp_path / "out").set_index("title")
    dropped = pd.read_parquet(tmp_path / "out" / "dropped.parquet")
    assert result.read == len(rows) + 3 == result.kept + sum(result.dropped.values())
    assert result.dropped["blank_row"] == 1001
    assert result.dropped["broken_row"] == 3  # the last two lines, and the plot that is a list
    assert result.dropped["too_short"] == 1  # the long word
    assert result.dropped["too_long"] == 1  # no sentence ends in it
    assert len(dropped) == sum(result.dropped.values()) - 1001
    assert 900 < count_words(plots.loc["Long", "plot"]) <= 1000
    assert plots.loc["منارة", "language"] == "ar"
    assert plots.loc["NUL", "plot"] == "A clerk finds that every letter comes back to him."
    assert plots.loc["Emoji 👩‍🚀", "plot"].startswith("A pilot 👩‍🚀 sends one 💌")
