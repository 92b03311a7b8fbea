"""Dumps of samples over a grid: files, settings, interruptions; on tiny checkpoints."""

import json
import os
import signal

import pytest

from movieplots.errors import BadInput
from movieplots.generation.backends import llama_cpp
from movieplots.generation.dump_reader import read_dump
from movieplots.generation.dumps import JOURNAL, cell_name, sample_dump
from movieplots.generation.export import cached_gguf
from movieplots.generation.sampling import PlotGenerator
from tests.forked import apart, command


def test_a_dump_has_the_whole_grid_in_both_files_and_resumes(trained, tmp_path):
    folder, _ = trained
    grid = {"genres": ["horror", "war"], "temperatures": [0.7, 1], "top_ps": [0, 0.9], "samples_per_genre": 2}
    first = sample_dump(folder, tmp_path, **grid)
    assert len(first) == 16
    assert set(zip(first["temperature"], first["top_p"], strict=True)) == {(0.7, 0), (0.7, 0.9), (1, 0), (1, 0.9)}
    assert cell_name(0.7, 0.9) == "temp_0_7_topp_0_9"
    lines = (tmp_path / "temp_0_7_topp_0_9.txt").read_text().splitlines()
    records = [json.loads(line) for line in (tmp_path / "temp_0_7_topp_0_9.jsonl").open()]
    assert [line.split("<|endofgenre|>")[0] for line in lines] == ["horror", "horror", "war", "war"]
    assert [line.endswith("<|endoftext|>") for line in lines] == [not record["truncated"] for record in records]
    info = json.loads((folder / "movieplots.json").read_text())
    assert json.loads((tmp_path / "dump.json").read_text())["model"] == info

    (tmp_path / "temp_1_topp_0.jsonl").unlink()  # as if it had been interrupted there
    kept = (tmp_path / "temp_0_7_topp_0.jsonl").stat().st_mtime_ns
    again = sample_dump(folder, tmp_path, **grid)
    assert again.equals(first)
    assert (tmp_path / "temp_0_7_topp_0.jsonl").stat().st_mtime_ns == kept
    for changed in ({"samples_per_genre": 3}, {"temperatures": [1.3]}):
        with pytest.raises(BadInput, match="other settings"):
            sample_dump(folder, tmp_path, **(grid | changed))
    with pytest.raises(BadInput, match="temperature"):
        sample_dump(folder, tmp_path, **(grid | {"temperatures": [-1]}), overwrite=True)
    assert read_dump(tmp_path).equals(first)
    (tmp_path / "dump.json").write_text(json.dumps({"settings": {"cells": [[0.7, 0]], "decoder": "llama.cpp"}}))
    with pytest.raises(BadInput, match="a dump from an earlier version of movieplots: choose another --output-dir"):
        sample_dump(folder, tmp_path, **grid)


def test_all_missing_samples_go_to_the_backend_as_one_queue(trained, tmp_path, monkeypatch):
    from movieplots.generation.backends.llama_cpp import LlamaBackend

    asked = []
    decode = LlamaBackend.decode
    monkeypatch.setattr(
        LlamaBackend, "decode", lambda self, requests: asked.append(len(requests)) or decode(self, requests)
    )
    grid = {"genres": ["horror", "war"], "temperatures": [0.7, 1, 1], "top_ps": [0], "samples_per_genre": 5}
    first = sample_dump(trained[0], tmp_path, **grid, backend="llama.cpp")
    assert asked == [20]
    assert not first.duplicated(["title", "plot"]).any()
    lines = [json.loads(line) for line in (tmp_path / "temp_1_topp_0.jsonl").open()]
    rows = [{"cell": "temp_1_topp_0", "number": number, **line} for number, line in enumerate(lines)]
    (tmp_path / "temp_1_topp_0.jsonl").unlink()
    torn = "".join(json.dumps(row) + "\n" for row in [rows[7], rows[2]]) + json.dumps(rows[3])[:-9]
    (tmp_path / JOURNAL).write_text(torn)
    assert sample_dump(trained[0], tmp_path, **grid, backend="llama.cpp").equals(first)
    assert asked == [20, 8]
    assert not (tmp_path / JOURNAL).exists()
    (tmp_path / JOURNAL).write_text("".join(json.dumps(row) + "\n" for row in rows))  # killed before the cell's files
    (tmp_path / "temp_1_topp_0.jsonl").unlink()
    assert sample_dump(trained[0], tmp_path, **grid, backend="llama.cpp").equals(first)
    assert asked == [20, 8]


def test_another_option_or_backend_is_rejected(trained, tmp_path):
    grid = {"genres": ["horror"], "temperatures": [1], "top_ps": [0], "samples_per_genre": 2}
    first = sample_dump(trained[0], tmp_path, **grid, backend="llama.cpp")
    other = sample_dump(trained[0], tmp_path / "other", **grid, backend="llama.cpp", no_repeat_ngram_size=2, min_p=0.1)
    assert not other.equals(first)
    for changed in ({"min_p": 0.1}, {"repetition_penalty": 1.1}, {"no_repeat_ngram_size": 2}, {"seed": 1}):
        with pytest.raises(BadInput, match=next(iter(changed))):
            sample_dump(trained[0], tmp_path, **(grid | changed), backend="llama.cpp")
    (tmp_path / "temp_1_topp_0.jsonl").unlink()
    with pytest.raises(BadInput, match="backend"):
        sample_dump(trained[0], tmp_path, **grid, backend="transformers")
    with pytest.raises(BadInput, match="--min-p must be"):
        sample_dump(trained[0], tmp_path, **grid, min_p=2, overwrite=True)
    with pytest.raises(BadInput, match="Unknown genre"):
        sample_dump(trained[0], tmp_path, **(grid | {"genres": ["horrror"]}))
    assert sample_dump(trained[0], tmp_path, **grid, backend="llama.cpp").equals(first)


def _killed_after(count, *arguments, **options):
    """Sample a dump and kill it after `count` journaled samples, when one more is finished."""
    write = PlotGenerator.write

    def some(self, requests):
        for number, each in enumerate(write(self, requests)):
            if number == count:
                os.kill(os.getpid(), signal.SIGKILL)
            yield each

    PlotGenerator.write, llama_cpp.SLOTS = some, 1
    sample_dump(*arguments, **options)


@pytest.mark.parametrize("backend", ["llama.cpp", pytest.param("transformers", marks=pytest.mark.slow)])
def test_a_dump_killed_repeatedly_equals_an_uninterrupted_one(trained, tmp_path, backend, monkeypatch):
    """With one slot, since llama.cpp rounds by the number of samples in a batch, which can change a sampled token."""
    monkeypatch.setattr(llama_cpp, "SLOTS", 1)
    grid = {
        "genres": ["horror", "war"], "temperatures": [0.7, 1.3], "top_ps": [0.9], "samples_per_genre": 3,
        "backend": backend,
    }  # fmt: skip
    whole, out = sample_dump(trained[0], tmp_path / "whole", **grid), tmp_path / "killed"
    seen = 0
    for more in (0, 5):
        assert apart(_killed_after, more, trained[0], out, **grid) == -signal.SIGKILL
        seen += more
        assert (out / JOURNAL).read_bytes().count(b"\n") == seen
    assert sample_dump(trained[0], out, **grid).equals(whole)
    assert len(whole) == 12
    assert sorted(file.name for file in out.iterdir()) == sorted(file.name for file in (tmp_path / "whole").iterdir())


def test_a_full_disk_has_an_error_message_and_keeps_samples(trained, tmp_path):
    folder, info = trained
    cached_gguf(folder, info)
    asked = ("dump", "--model", folder, "--output-dir", tmp_path / "dump", "--genre", "horror", "--temperature", "1")
    asked = (*asked, "--samples-per-genre", "40", "--backend", "llama.cpp")
    log = tmp_path / "log"
    assert command(log, *asked, room=12_000) == 2, log.read_text()
    assert "make room, then run again" in log.read_text()
    assert "Traceback" not in log.read_text()
    kept = (tmp_path / "dump" / JOURNAL).read_bytes()
    assert 0 < kept.count(b"\n") < 80
    assert command(log, *asked) == 0, log.read_text()
    dump = read_dump(tmp_path / "dump")
    assert len(dump) == 80
    assert json.loads(kept.split(b"\n")[0])["plot"] in set(dump["plot"])
