"""What preparation must live through: killed processes, a full disk, hostile files. Nothing is lost without a count."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from movieplots import load_plots, prepare
from movieplots.files import atomic_folder, atomic_path
from movieplots.preparation.cleaning import count_words

RUN = "import sys; from movieplots import prepare; prepare('sample', sys.argv[1], export=True)"


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def start(out):
    return subprocess.Popen([sys.executable, "-c", RUN, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_at_ten_random_moments_a_rerun_gives_the_same_files(tmp_path):
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    whole, seconds = contents(tmp_path / "whole"), time.monotonic() - began
    assert {"plots.parquet", "dropped.parquet", "report.json", "README.md"} <= set(whole)
    moments = random.Random(0)
    out, killed = tmp_path / "out", 0
    for number in range(10):
        process = start(out)
        # The last quarter is where files are written.
        time.sleep(seconds * moments.uniform(0.1 if number % 2 else 0.75, 1.0))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            killed += 1
        else:  # done before: it takes less time than the first run, which had to read its files from disk
            seconds *= 0.85
        assert all(load_plots(out)["id"].size == 420 for _ in [0] if (out / "plots.parquet").exists())
    assert killed >= 5
    assert start(out).wait() == 0
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
    command = [sys.executable, "-m", "movieplots", "prepare", "sample", "--output-dir", str(tmp_path / "out")]

    def little_room():
        # Stands for a full disk: writing past the limit fails with an error, as writing without room does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(command, preexec_fn=little_room, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written (File too large): make room, then run again." in done.stderr.splitlines()[-1]
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
