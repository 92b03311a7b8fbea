"""Dumps: many samples over a grid of genres, temperatures and top-p values, written to files.

`<dump>/temp_0_7_topp_0_9.txt` has one sample a line in the prompt format, the `.jsonl` beside it the same samples with
their fields, `dump.json` the settings and the generator's `movieplots.json`, `plot_ids.npz` which plots the generator
has read. All that is missing goes to the backend as one queue, so its batch stays full from one cell of the grid to the
next; each sample is kept in a journal as soon as it is finished, and a cell's two files are written with its last one.
A dump that was killed loses what was being written.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import IO

import pandas as pd

from movieplots.errors import BadInput
from movieplots.files import check_folder, fingerprint, read_json, room_for, write_json, write_text
from movieplots.generation.dump_reader import COLUMNS, read_dump
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import format_sample
from movieplots.generation.sampling import PlotGenerator, Sample, SampleRequest
from movieplots.generation.sampling_settings import DumpSettings
from movieplots.genres import check_genres, promptable
from movieplots.progress import bar, notify, working
from movieplots.runs.folder import read_info, to_json
from movieplots.runs.lineage import FILE_NAME as PLOT_IDS
from movieplots.runs.lineage import read_plot_ids
from movieplots.settings import Json, takes

JOURNAL = "samples.partial.jsonl"

Place = tuple[str, int]  # a sample's cell and its number there


@takes(DumpSettings)
def sample_dump(settings: DumpSettings) -> pd.DataFrame:
    """Sample a grid from a generator into a folder; returns what `read_dump(output_dir)` gives.

    A cell of the grid is one of `temperatures` with one of `top_ps`. Each cell has `samples_per_genre` samples of each
    of `genres` and two files: `temp_0_7_topp_0_9.txt`, one sample a line in the prompt format, and the same with the
    ending `.jsonl`, with all fields.

    Interrupted, it continues; finished, it returns at once. What is drawn for a sample depends on `seed`, cell, genre
    and number alone.

    Raises
    ------
    BadInput
        For an unknown genre, an option out of range, a folder that holds no generator, and where `output_dir` holds a
        dump with other settings (unless `overwrite`).
    """
    out, overwrite, seed = Path(settings.output_dir), settings.overwrite, settings.seed
    check_folder(out)
    info = read_info(settings.model, GeneratorInfo)
    genres = sorted(info.genre_counts)
    if settings.genres:
        genres = check_genres(settings.genres, promptable(info.genre_counts))
    recipe = settings.recipe() | {"genres": genres, "model": fingerprint(to_json(info))}
    if not overwrite:
        _check_settings(out, recipe)
    cells = {cell_name(each.temperature, each.top_p): each for each in settings.cells()}
    missing = {name: each for name, each in cells.items() if overwrite or not (out / f"{name}.jsonl").is_file()}
    if not missing:
        (out / JOURNAL).unlink(missing_ok=True)  # killed just before it would have been
        notify(f"{out} already holds this dump; --overwrite samples it again.")
        return read_dump(out)

    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(settings.model, settings.backend)
    recipe["backend"] = generator.backend.name  # the two draw differently
    if not overwrite:
        _check_settings(out, recipe)
    for file in [*out.glob("temp_*_topp_*.*"), out / "dump.json", out / JOURNAL, out / PLOT_IDS] if overwrite else []:
        file.unlink(missing_ok=True)
    if (plots := read_plot_ids(settings.model)) is not None:
        plots.write(out)
    write_json(out / "dump.json", {"settings": recipe, "model": to_json(info)})
    requests: dict[Place, SampleRequest] = {}
    for name, sampling in missing.items():
        for number, (genre, i) in enumerate(product(genres, range(settings.samples_per_genre))):
            stream = f"{seed}-{sampling.temperature:g}-{sampling.top_p:g}-{genre}-{i}"
            requests[name, number] = SampleRequest(genre, sampling, stream, seed)
    _sample(generator, requests, out)
    return read_dump(out)


def cell_name(temperature: float, top_p: float) -> str:
    """The file name of a cell of the grid without its ending: `temp_0_7_topp_0_9`; top-p 0 means off."""
    return f"temp_{temperature:g}_topp_{top_p:g}".replace(".", "_")


def _check_settings(out: Path, recipe: dict[str, Json]) -> None:
    file = out / "dump.json"
    if not file.is_file():
        return
    remedy = "choose another --output-dir, or give --overwrite to start over"
    before = read_json(file, "give --overwrite to start over").get("settings", {})
    if not recipe.keys() <= before.keys():
        raise BadInput(f"{out} holds a dump of an earlier version of movieplots: {remedy}.")
    changed = sorted(key for key in recipe if before[key] != recipe[key])
    if changed:
        raise BadInput(f"{out} holds a dump with other settings ({', '.join(changed)}): {remedy}.")


def _sample(generator: PlotGenerator, requests: dict[Place, SampleRequest], out: Path) -> None:
    """Write the samples that the journal does not have yet, and each cell's files once it is whole."""
    with _journal(out / JOURNAL) as (journal, records):
        waiting = [place for place in requests if place not in records]
        left = Counter(name for name, _ in waiting)  # samples of each cell that are still to come
        with bar() as progress:
            done = len(requests) - len(waiting)
            task = progress.add_task("Sampling plots", total=len(requests), completed=done, note="")
            for name in dict.fromkeys(name for name, _ in requests if not left[name]):  # killed before that
                _write_cell(out, name, records, generator.info.titles)
            start, tokens = perf_counter(), 0
            with closing(generator.write([requests[place] for place in waiting])) as written:
                for i, sample, count in written:
                    name, number = place = waiting[i]
                    records[place] = sample
                    line = {"cell": name, "number": number, **asdict(sample)}
                    journal.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                    journal.flush()  # from here on it survives this process
                    left[name] -= 1
                    if not left[name]:
                        _write_cell(out, name, records, generator.info.titles)
                    tokens += count
                    progress.update(task, advance=1, note=f"{tokens / (perf_counter() - start):.0f} tokens/s")
    (out / JOURNAL).unlink()


@contextmanager
def _journal(file: Path) -> Iterator[tuple[IO[bytes], dict[Place, Sample]]]:
    """The journal, open for appending, and what it holds; a last line that a kill cut short is taken off."""
    records: dict[Place, Sample] = {}
    with room_for(file), open(file, "ab+") as journal:
        journal.seek(0)
        whole = 0
        for line in journal.read().split(b"\n")[:-1]:
            try:
                row = json.loads(line)
                records[row.pop("cell"), row.pop("number")] = Sample(*(row[name] for name in COLUMNS))
            except (ValueError, KeyError, TypeError, AttributeError):
                break
            whole += len(line) + 1
        journal.truncate(whole)
        yield journal, records


def _write_cell(out: Path, name: str, records: dict[Place, Sample], titles: bool) -> None:
    """The text file first: a cell counts as complete once its JSON Lines file is there."""
    samples = [records[place] for place in sorted(place for place in records if place[0] == name)]
    lines = [format_sample(titles, each.genre, each.title, each.plot, each.truncated) + "\n" for each in samples]
    write_text(out / f"{name}.txt", "".join(lines))
    lines = [json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in samples]
    write_text(out / f"{name}.jsonl", "".join(lines))
