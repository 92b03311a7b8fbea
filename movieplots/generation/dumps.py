"""Dumps: folders of samples over a grid of genres, temperatures and top-p values.

`temp_0_7_topp_0_9.txt` has one sample per line in the prompt format, and `temp_0_7_topp_0_9.jsonl` has the same samples
with all fields. `dump.json` holds the settings and the generator's `movieplots.json`, and `plot_ids.npz` the ids of the
plots that the generator was trained on.

All missing samples go to the backend as one queue, so its batch stays full across the cells of the grid. Each finished
sample is appended to a journal, and the two files of a cell are written after its last sample. An interrupted dump
therefore loses only unfinished samples.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
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

SampleKey = tuple[str, int]  # (cell, number of the sample in the cell)


@takes(DumpSettings)
def sample_dump(settings: DumpSettings) -> pd.DataFrame:
    """Write a dump: samples of a generator over a grid of genres, temperatures and top-p values.

    Each cell of the grid, a temperature with a top-p value, has `samples_per_genre` samples of each genre and two
    files: `temp_0_7_topp_0_9.txt` with one sample per line in the prompt format (see `train_generator`), and
    `temp_0_7_topp_0_9.jsonl` with all fields.

    If interrupted, run the same command again to resume. A finished dump is returned without sampling again.

    Returns
    -------
    pandas.DataFrame of shape (n_samples, 7)
        The samples, one per row, with the first seven fields of `Sample` as columns: the result of
        `read_dump(output_dir)`.

    Raises
    ------
    BadInput
        If a genre is unknown, an option is out of range, `model` is not a trained generator, or `output_dir` holds a
        dump with other settings and `overwrite` is false.

    Notes
    -----
    The random numbers of a sample depend only on `seed`, cell, genre and number, so a resumed dump equals one that was
    not interrupted.

    Examples
    --------
    >>> from movieplots import sample_dump
    >>> from movieplots.pretrained import shipped
    >>> samples = sample_dump(
    ...     shipped.GENERATOR, "runs/dump", genres=["horror", "war"], temperatures=[0.7], top_ps=[0.9],
    ...     samples_per_genre=2, backend="llama.cpp",
    ... )
    >>> len(samples), list(samples["genre"])
    (4, ['horror', 'horror', 'war', 'war'])
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
        (out / JOURNAL).unlink(missing_ok=True)  # left if the process was killed before the deletion
        notify(f"{out} already holds this dump. To sample it again, pass --overwrite.")
        return read_dump(out)

    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(settings.model, settings.backend)
    recipe["backend"] = generator.backend.name  # samples differ between backends
    if not overwrite:
        _check_settings(out, recipe)
    for file in [*out.glob("temp_*_topp_*.*"), out / "dump.json", out / JOURNAL, out / PLOT_IDS] if overwrite else []:
        file.unlink(missing_ok=True)
    if (plots := read_plot_ids(settings.model)) is not None:
        plots.write(out)
    write_json(out / "dump.json", {"settings": recipe, "model": to_json(info)})
    requests: dict[SampleKey, SampleRequest] = {}
    for name, sampling in missing.items():
        for number, (genre, i) in enumerate(product(genres, range(settings.samples_per_genre))):
            stream = f"{seed}-{sampling.temperature:g}-{sampling.top_p:g}-{genre}-{i}"
            requests[name, number] = SampleRequest(genre, sampling, stream, seed)
    _sample(generator, requests, out)
    return read_dump(out)


def cell_name(temperature: float, top_p: float) -> str:
    """Return the file name of a grid cell without its extension, such as `temp_0_7_topp_0_9`; top-p 0 is off."""
    return f"temp_{temperature:g}_topp_{top_p:g}".replace(".", "_")


def _check_settings(out: Path, recipe: dict[str, Json]) -> None:
    file = out / "dump.json"
    if not file.is_file():
        return
    remedy = "choose another --output-dir, or pass --overwrite to start over"
    before = read_json(file, "pass --overwrite to start over").get("settings", {})
    if not recipe.keys() <= before.keys():
        raise BadInput(f"{out} holds a dump from an earlier version of movieplots: {remedy}.")
    changed = sorted(key for key in recipe if before[key] != recipe[key])
    if changed:
        raise BadInput(f"{out} holds a dump with other settings ({', '.join(changed)}): {remedy}.")


def _sample(generator: PlotGenerator, requests: dict[SampleKey, SampleRequest], out: Path) -> None:
    """Generate the samples that are not in the journal, and write the files of each cell when it is complete."""
    with _journal(out / JOURNAL) as (journal, records):
        waiting = [key for key in requests if key not in records]
        left = Counter(name for name, _ in waiting)  # missing samples of each cell
        with bar() as progress:
            done = len(requests) - len(waiting)
            task = progress.add_task("Sampling plots", total=len(requests), completed=done, note="")
            # A cell can be complete in the journal if the process was killed before its files were written.
            for name in dict.fromkeys(name for name, _ in requests if not left[name]):
                _write_cell(out, name, records, generator.info.titles)
            start, tokens = perf_counter(), 0
            with closing(generator.write([requests[key] for key in waiting])) as written:
                for i, sample, count in written:
                    name, number = key = waiting[i]
                    records[key] = sample
                    line = {"cell": name, "number": number, **_record(sample)}
                    journal.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                    journal.flush()  # so that the sample survives a kill of this process
                    left[name] -= 1
                    if not left[name]:
                        _write_cell(out, name, records, generator.info.titles)
                    tokens += count
                    progress.update(task, advance=1, note=f"{tokens / (perf_counter() - start):.0f} tokens/s")
    (out / JOURNAL).unlink()


@contextmanager
def _journal(file: Path) -> Iterator[tuple[IO[bytes], dict[SampleKey, Sample]]]:
    """Open the journal for appending and read its samples; an incomplete last line is removed."""
    records: dict[SampleKey, Sample] = {}
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


def _write_cell(out: Path, name: str, records: dict[SampleKey, Sample], titles: bool) -> None:
    """Write both files of a cell, the JSON Lines file last: a cell with this file counts as complete."""
    samples = [records[key] for key in sorted(key for key in records if key[0] == name)]
    lines = [format_sample(titles, each.genre, each.title, each.plot, each.truncated) + "\n" for each in samples]
    write_text(out / f"{name}.txt", "".join(lines))
    lines = [json.dumps(_record(sample), ensure_ascii=False) + "\n" for sample in samples]
    write_text(out / f"{name}.jsonl", "".join(lines))


def _record(sample: Sample) -> dict[str, Json]:
    """Return the fields of a sample that a dump keeps."""
    return {name: getattr(sample, name) for name in COLUMNS}
