"""Dumps of samples over a grid: files, settings, interruptions; on tiny checkpoints."""

import json

import pytest

from movieplots.errors import BadInput
from movieplots.generation.dumps import cell_name, read_dump, sample_dump


def test_a_dump_has_the_whole_grid_in_both_files_and_continues(trained, tmp_path):
    folder, info = trained
    grid = {"genres": ["horror", "war"], "temperatures": [0.7, 1], "top_ps": [0, 0.9], "samples_per_genre": 2}
    first = sample_dump(folder, tmp_path, **grid)
    assert len(first) == 16
    assert set(zip(first["temperature"], first["top_p"], strict=True)) == {(0.7, 0), (0.7, 0.9), (1, 0), (1, 0.9)}
    assert cell_name(0.7, 0.9) == "temp_0_7_topp_0_9"
    lines = (tmp_path / "temp_0_7_topp_0_9.txt").read_text().splitlines()
    records = [json.loads(line) for line in (tmp_path / "temp_0_7_topp_0_9.jsonl").open()]
    assert [line.split("<|endofgenre|>")[0] for line in lines] == ["horror", "horror", "war", "war"]
    assert [line.endswith("<|endoftext|>") for line in lines] == [record["finished"] for record in records]
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
        sample_dump(folder, tmp_path, **(grid | {"temperatures": [-1]}), fresh=True)
    assert read_dump(tmp_path).equals(first)


def test_reading_what_is_no_dump(tmp_path):
    with pytest.raises(BadInput, match="No dump"):
        read_dump(tmp_path)
    (tmp_path / "temp_1_topp_0.jsonl").write_text('{"genre": "war"}\n')
    with pytest.raises(BadInput, match="line 1"):
        read_dump(tmp_path)
