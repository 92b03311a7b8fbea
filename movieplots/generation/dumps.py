"""Dumps: many samples over a grid of genres, temperatures and top-p values, written to files and read back.

`<dump>/temp_0_7_topp_0_9.txt` has one sample a line in the markup, the `.jsonl` beside it the same samples with their
fields, and `dump.json` the settings and the generator's `movieplots.json`. A cell of the grid whose file is complete
is not sampled again, so an interrupted dump continues.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from movieplots.errors import BadInput
from movieplots.files import fingerprint, read_json, write_json, write_text
from movieplots.generation.markup import format_sample
from movieplots.genres import check_genres, promptable
from movieplots.model_folder import read_info
from movieplots.progress import bar, say, working

TEMPERATURES = (0.7, 1.0, 1.3)
TOP_PS = (0.0, 0.9)
SAMPLES_PER_GENRE = 10
COLUMNS = ["genre", "title", "plot", "temperature", "top_p", "seed", "finished"]


def sample_dump(
    model: str | Path,
    out: str | Path,
    genres: Sequence[str] | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    top_ps: Sequence[float] = TOP_PS,
    samples_per_genre: int = SAMPLES_PER_GENRE,
    seed: int = 0,
    fresh: bool = False,
) -> pd.DataFrame:
    """Sample the whole grid from a trained generator into the folder `out`; returns what `read_dump(out)` gives.

    `genres` defaults to every genre of the model's training plots; top-p 0 means off. Raises BadInput where `out`
    holds a dump with other settings (unless `fresh`).
    """
    from movieplots.generation.sampling import (
        BATCH,
        PlotGenerator,
        check_cell,
    )  # here, so that reading a dump needs no torch

    out, info = Path(out), read_info(model, "generation")
    genres = check_genres(genres, promptable(info["genre_counts"])) if genres else sorted(info["genre_counts"])
    if samples_per_genre < 1:
        raise BadInput(f"The number of samples per genre must be at least 1, not {samples_per_genre}.")
    cells = [(float(temperature), float(top_p)) for temperature in temperatures for top_p in top_ps]
    for cell in cells:
        check_cell(*cell)
    settings = {
        "genres": genres, "cells": [list(cell) for cell in cells], "samples_per_genre": samples_per_genre, "seed": seed,
        "model": fingerprint(info),
    }  # fmt: skip
    if not fresh:
        _check_settings(out, settings)
    missing = [cell for cell in cells if fresh or not (out / f"{cell_name(*cell)}.jsonl").is_file()]
    if not missing:
        say(f"{out} already holds this dump; --fresh samples it again.")
        return read_dump(out)

    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(model)
    for file in [*out.glob("temp_*_topp_*.*"), out / "dump.json"] if fresh else []:
        file.unlink(missing_ok=True)
    write_json(out / "dump.json", {"settings": settings, "model": info})
    prompts = [genre for genre in genres for _ in range(samples_per_genre)]
    with bar() as progress:
        task = progress.add_task("Sampling plots", total=len(missing) * len(prompts), note="")
        for temperature, top_p in missing:
            samples: list[dict[str, Any]] = []
            for start in range(0, len(prompts), BATCH):
                batch = prompts[start : start + BATCH]
                samples += map(asdict, generator.write(batch, temperature, top_p, seed, start))
                progress.update(task, advance=len(batch), note=f"temperature {temperature:g}, top-p {top_p:g}")
            _write_cell(out / cell_name(temperature, top_p), samples, info["markup"])
    return read_dump(out)


def read_dump(path: str | Path) -> pd.DataFrame:
    """All samples of a dump folder: `genre`, `title`, `plot`, `temperature`, `top_p`, `seed`, `finished`."""
    files = sorted(Path(path).glob("temp_*_topp_*.jsonl"))
    if not files:
        raise BadInput(f"No dump in {path}: run `movieplots dump --model DIR --out {path}` first.")
    rows: list[dict[str, Any]] = []
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n")[:-1], 1):
            try:
                row = json.loads(line)
                rows.append({name: row[name] for name in COLUMNS})
            except (ValueError, KeyError, TypeError):
                raise BadInput(f"{file}, line {number}, is not a sample: sample this cell again.") from None
    if not rows:
        raise BadInput(f"The dump in {path} holds no samples: sample it again with --fresh.")
    return pd.DataFrame(rows, columns=COLUMNS)


def cell_name(temperature: float, top_p: float) -> str:
    """The file name of a cell of the grid without its ending: `temp_0_7_topp_0_9`; top-p 0 means off."""
    return f"temp_{temperature:g}_topp_{top_p:g}".replace(".", "_")


def _check_settings(out: Path, settings: dict[str, Any]) -> None:
    file = out / "dump.json"
    if not file.is_file():
        return
    before = read_json(file, "give --fresh to start over").get("settings", {})
    changed = sorted(key for key in settings if before.get(key) != settings[key])
    if changed:
        raise BadInput(
            f"{out} holds a dump with other settings ({', '.join(changed)}): "
            "choose another --out, or give --fresh to start over."
        )


def _write_cell(stem: Path, samples: list[dict[str, Any]], markup: str) -> None:
    """The text file first: a cell counts as complete once its JSON Lines file is there."""
    parts = ("genre", "title", "plot", "finished")
    lines = [format_sample(markup, *(sample[name] for name in parts)) + "\n" for sample in samples]
    write_text(stem.with_name(stem.name + ".txt"), "".join(lines))
    lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]
    write_text(stem.with_name(stem.name + ".jsonl"), "".join(lines))
