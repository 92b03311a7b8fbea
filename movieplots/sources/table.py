"""A user's own plots: CSV, TSV, JSON Lines or Parquet, with the columns that the user names."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from movieplots.errors import BadInput
from movieplots.sources.corpus import (
    RawCorpus,
    RawPlot,
    Source,
    catalogue_title,
    open_text,
    parse_year,
    read_table,
)

REQUIRED = ("title", "plot", "genres")
OPTIONAL = ("id", "year")
_REMEDY = "say which is which with --columns title=NAME plot=NAME genres=NAME"
_SEPARATORS = re.compile(r"[,;|]")
_QUOTED = re.compile(r"""(["'])(.*?)\1""")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and half of a character, as JSON can say them


def read_own_table(path: Path, columns: Mapping[str, str] | None = None) -> RawCorpus:
    """Read a file by its ending: .csv, .tsv, .jsonl or .parquet (text also packed: .csv.gz, .jsonl.bz2).

    `columns` names the column of each of title, plot, genres, id and year; a name that is not given is the column's
    own, and id and year may be missing. A year is that, or a date that begins with it. Genres are a list, a list as
    JSON or Python writes it, or names separated by commas, semicolons or bars. A row whose title or plot is a list or
    an object is broken.
    """
    columns = dict(columns or {})
    if wrong := set(columns) - set(REQUIRED) - set(OPTIONAL):
        raise BadInput(
            f"--columns knows no {', '.join(sorted(wrong))}: name columns for title, plot, genres, id, year."
        )
    named = {part: columns.get(part, part) for part in (*REQUIRED, *OPTIONAL)}
    needed = [name for part, name in named.items() if part in REQUIRED or part in columns]
    corpus = RawCorpus()
    for row in _rows(path, list(dict.fromkeys(needed)), list(named.values()), corpus):
        values = {part: row.get(name) for part, name in named.items()}
        if any(isinstance(values[part], (list, dict, bytes)) for part in ("title", "plot")):
            corpus.broken += 1
            continue
        published = " ".join(_text(values["title"]).split())
        plot = _text(values["plot"])
        corpus.rows.append(
            RawPlot(
                id=corpus.row_id("table", _text(values["id"]), published, plot),
                published=published,
                title=catalogue_title(published, parse_year(_text(values["year"]))),
                plot=plot,
                tags=_tags(values["genres"]),
            )
        )
    return corpus


def _rows(path: Path, names: list[str], wanted: list[str], corpus: RawCorpus) -> Iterator[Mapping[str, Any]]:
    kind = path.name.lower().removesuffix(".gz").removesuffix(".bz2").rpartition(".")[2]
    if path.is_dir() or kind not in ("csv", "tsv", "jsonl", "ndjson", "parquet"):
        raise BadInput(f"{path} is no table that can be read: give one file, .csv, .tsv, .jsonl or .parquet.")
    if kind in ("csv", "tsv"):
        yield from read_table(path, names, corpus, tabs=kind == "tsv", remedy=_REMEDY)
    elif kind == "parquet":
        yield from _parquet_rows(path, names, wanted)
    else:
        yield from _json_rows(path, names, corpus)


def _json_rows(path: Path, names: list[str], corpus: RawCorpus) -> Iterator[dict[str, Any]]:
    keys: dict[str, None] = {}  # of all rows, in order: one row may lack what others have
    with open_text(path) as file:
        for line in file:
            if not line.strip("\0 \t\r\n"):
                corpus.blank += 1
                continue
            try:
                row = json.loads(line.replace("\0", ""))
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                keys |= dict.fromkeys(row)
                yield row
            else:
                corpus.broken += 1
    if not keys:
        raise BadInput(f"{path} holds no rows: it needs a JSON object on each line.")
    _check_columns(path, names, list(keys))


def _parquet_rows(path: Path, names: list[str], wanted: list[str]) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            _check_columns(path, names, there)
            for batch in file.iter_batches(columns=[name for name in dict.fromkeys(wanted) if name in there]):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}).") from None


def _check_columns(path: Path, names: list[str], there: list[str]) -> None:
    if missing := [name for name in names if name not in there]:
        raise BadInput(f"{path} has no column {', '.join(missing)}: it has {', '.join(there)[:200]}; {_REMEDY}.")


def _text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else _UNSTORABLE.sub("", str(value))


def _tags(value: object) -> list[str]:
    if isinstance(value, str):
        value = _listed(value.strip())
    if not isinstance(value, list):
        return []
    return [tag for part in value if (tag := _text(part).strip())]


def _listed(text: str) -> list[Any]:
    """The parts of a list in writing."""
    if not text.startswith("["):
        return _SEPARATORS.split(text)
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return [part[1] for part in _QUOTED.findall(text)] or _SEPARATORS.split(text.strip("[]"))


SOURCE = Source(
    name="table",
    what="your own plots: CSV, TSV, JSON Lines or Parquet",
    size="any",
    licence="yours",
    read=read_own_table,
)
