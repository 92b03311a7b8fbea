"""Dumps: many samples over a grid of genres, temperatures and top-p values, written to files.

`<dump>/temp_0_7_topp_0_9.txt` has one sample a line in the markup, the `.jsonl` beside it the same samples with their
fields, `dump.json` the settings and the generator's `movieplots.json`, `plot_ids.npz` which plots the generator has
read. All that is missing goes to the decoder as one queue, so its batch stays full from one cell of the grid to the
next; each sample is kept in a journal as soon as it is finished, and a cell's two files are written with its last one.
A dump that was killed loses what was being written.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import pandas as pd

from movieplots.errors import BadInput
from movieplots.files import check_folder, fingerprint, read_json, room_for, write_json, write_text
from movieplots.generation.decoders import check_decoder
from movieplots.generation.dump_reader import COLUMNS, read_dump
from movieplots.generation.markup import format_sample
from movieplots.generation.sampling import Options, PlotGenerator, Task
from movieplots.genres import check_genres, promptable
from movieplots.lineage import FILE_NAME as PLOT_IDS
from movieplots.lineage import read_plot_ids
from movieplots.model_folder import read_info
from movieplots.progress import bar, say, working
from movieplots.texts import as_list, as_names

TEMPERATURES = (0.7, 1.0, 1.3)
TOP_PS = (0.0, 0.9)
SAMPLES_PER_GENRE = 10
JOURNAL = "samples.partial.jsonl"

Place = tuple[str, int]  # a sample's cell and its number there
Record = dict[str, Any]


def sample_dump(
    model: str | Path,
    out: str | Path,
    genres: Sequence[str] | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    top_ps: Sequence[float] = TOP_PS,
    samples_per_genre: int = SAMPLES_PER_GENRE,
    seed: int = 0,
    fresh: bool = False,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int = 0,
    decoder: str = "auto",
) -> pd.DataFrame:
    """Sample a grid from the generator `model` into the folder `out`; returns what `read_dump(out)` gives.

    A cell of the grid is one of `temperatures` with one of `top_ps` (0 means off). Each cell has `samples_per_genre`
    samples of each of `genres`, which default to all of the model's training plots, and two files:
    `temp_0_7_topp_0_9.txt`, one sample a line in the markup, and the same with the ending `.jsonl`, with all fields.
    `min_p` (here off by default), `repetition_penalty` and `no_repeat_ngram` are those of `Options`, `decoder` is that
    of `PlotGenerator.from_pretrained`.

    Interrupted, it continues; finished, it returns at once; `fresh` starts over. Each sample's draws depend on `seed`,
    cell, genre and number alone. Raises BadInput for an unknown genre, a value out of range, a folder that holds no
    generator, and where `out` holds a dump with other settings (unless `fresh`).
    """
    if samples_per_genre < 1:
        raise BadInput(f"The number of samples per genre must be at least 1, not {samples_per_genre}.")
    temperatures, top_ps = as_list(temperatures, "temperature"), as_list(top_ps, "top-p value")
    pairs = dict.fromkeys((float(temperature), float(top_p)) for temperature in temperatures for top_p in top_ps)
    if not pairs:
        raise BadInput("The grid is empty: give at least one temperature and one top-p value.")
    cells = {
        cell_name(*pair): Options(*pair, min_p, repetition_penalty, no_repeat_ngram) for pair in pairs
    }  # checks them all before anything is loaded
    check_decoder(decoder)
    out, genres = Path(out), [] if genres is None else as_names(genres)
    check_folder(out)
    info = read_info(model, "generation")
    genres = check_genres(genres, promptable(info["genre_counts"])) if genres else sorted(info["genre_counts"])
    settings = {
        "genres": genres, "cells": [list(pair) for pair in pairs], "samples_per_genre": samples_per_genre, "seed": seed,
        "min_p": min_p, "repetition_penalty": repetition_penalty, "no_repeat_ngram": no_repeat_ngram,
        "model": fingerprint(info),
    }  # fmt: skip
    if not fresh:
        _check_settings(out, settings)
    missing = {name: options for name, options in cells.items() if fresh or not (out / f"{name}.jsonl").is_file()}
    if not missing:
        (out / JOURNAL).unlink(missing_ok=True)  # killed just before it would have been
        say(f"{out} already holds this dump; --fresh samples it again.")
        return read_dump(out)

    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(model, decoder)
    settings["decoder"] = generator.decoder.name  # the two draw differently
    if not fresh:
        _check_settings(out, settings)
    for file in [*out.glob("temp_*_topp_*.*"), out / "dump.json", out / JOURNAL, out / PLOT_IDS] if fresh else []:
        file.unlink(missing_ok=True)
    if (plots := read_plot_ids(model)) is not None:
        plots.write(out)
    write_json(out / "dump.json", {"settings": settings, "model": info})
    tasks: dict[Place, Task] = {}
    for name, options in missing.items():
        for number, (genre, i) in enumerate(product(genres, range(samples_per_genre))):
            draws = f"{seed}-{options.temperature:g}-{options.top_p:g}-{genre}-{i}"
            tasks[name, number] = Task(genre, options, draws, seed)
    _sample(generator, tasks, out)
    return read_dump(out)


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


def _sample(generator: PlotGenerator, tasks: dict[Place, Task], out: Path) -> None:
    """Write the samples that the journal does not have yet, and each cell's files once it is whole."""
    with _journal(out / JOURNAL) as (journal, records):
        waiting = [place for place in tasks if place not in records]
        left = Counter(name for name, _ in waiting)  # samples of each cell that are still to come
        with bar() as progress:
            done = len(tasks) - len(waiting)
            task = progress.add_task("Sampling plots", total=len(tasks), completed=done, note="")
            for name in dict.fromkeys(name for name, _ in tasks if not left[name]):  # killed before that
                _write_cell(out, name, records, generator.tokenizer.markup)
            start, tokens = perf_counter(), 0
            with closing(generator.write([tasks[place] for place in waiting])) as written:
                for i, sample, count in written:
                    name, number = place = waiting[i]
                    records[place] = asdict(sample)
                    line = {"cell": name, "number": number, **records[place]}
                    journal.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                    journal.flush()  # from here on it survives this process
                    left[name] -= 1
                    if not left[name]:
                        _write_cell(out, name, records, generator.tokenizer.markup)
                    tokens += count
                    progress.update(task, advance=1, note=f"{tokens / (perf_counter() - start):.0f} tokens/s")
    (out / JOURNAL).unlink()


@contextmanager
def _journal(file: Path) -> Iterator[tuple[IO[bytes], dict[Place, Record]]]:
    """The journal, open for appending, and what it holds; a last line that a kill cut short is taken off."""
    records: dict[Place, Record] = {}
    with room_for(file), open(file, "ab+") as journal:
        journal.seek(0)
        whole = 0
        for line in journal.read().split(b"\n")[:-1]:
            try:
                row = json.loads(line)
                records[row.pop("cell"), row.pop("number")] = {name: row[name] for name in COLUMNS}
            except (ValueError, KeyError, TypeError, AttributeError):
                break
            whole += len(line) + 1
        journal.truncate(whole)
        yield journal, records


def _write_cell(out: Path, name: str, records: dict[Place, Record], markup: str) -> None:
    """The text file first: a cell counts as complete once its JSON Lines file is there."""
    samples = [records[place] for place in sorted(place for place in records if place[0] == name)]
    parts = ("genre", "title", "plot", "finished")
    lines = [format_sample(markup, *(sample[part] for part in parts)) + "\n" for sample in samples]
    write_text(out / f"{name}.txt", "".join(lines))
    lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]
    write_text(out / f"{name}.jsonl", "".join(lines))
