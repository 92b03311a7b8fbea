"""Plots of the user: CSV, TSV, JSON, JSON Lines or Parquet, with column names given by the user."""

import ast
import csv
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from movieplots.errors import BadInput
from movieplots.genres import clean_tag, genre_map, tag_key
from movieplots.sources.corpus import (
    FLAGS,
    RawCorpus,
    RawPlot,
    Source,
    catalogue_title,
    match_columns,
    open_text,
    read_table,
)

REQUIRED = ("title", "plot", "genres")
OPTIONAL = ("id", "year")
NAME_KEYS = ("name", "genre", "label", "tag", "description", "title")  # of an object that represents a genre
_KINDS = ("csv", "tsv", "json", "jsonl", "ndjson", "parquet")
_REMEDY = "name the columns with --column title=NAME --column plot=NAME --column genres=NAME"
_SEPARATORS = re.compile(r"[,;|]")
_QUOTED = re.compile(r"""(["'])(.*?)\1""")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and lone surrogates, which JSON can contain
_ADJACENT = re.compile(r"""["']\s+["']""")  # numpy writes lists without commas; Python would join the strings
_IDENTIFIER = re.compile(r"/[a-z]/\w+|q?[0-9]+")  # ids of Freebase and Wikidata, or numbers: `{"/m/07s9rl0": "Drama"}`
_IS_ID = re.compile(r"(?:^|[_\s])(?:id|Id|ID)$|[a-z]I[dD]$")
_PYTHON_LIMIT = 20_000  # maximum characters of a value that is parsed as Python
# Warnings about backslashes in values parsed as Python. The filter is permanent, because a temporary one is not
# thread-safe.
warnings.filterwarnings("ignore", module="<unknown>")
_MAX_DEPTH = 4  # of nested lists and objects


def read_own_table(path: Path, columns: Mapping[str, str] | None = None) -> RawCorpus:
    """Read a .csv, .tsv, .json, .jsonl or .parquet file; text may be compressed (.csv.gz, .jsonl.bz2).

    `columns` has the column names of title, plot, genres, id and year. The default name is the same word; id and year
    are optional. The case of column names does not matter. Years are parsed by `parse_year`.

    Genres are names separated by commas, semicolons or bars; a list, also as JSON or Python text; objects with the name
    under one of `NAME_KEYS`; an object of ids and names; or an object of names and 0 or 1. Without a genres column, the
    genres are the columns of 0 and 1 (or true and false) with the name of a genre in `genre_maps/table.csv`, if there
    are at least two.

    A row with a list or an object as title or plot is broken. Raises BadInput if the file cannot be used, or a column
    named in `columns` has no readable value.
    """
    columns = dict(columns or {})
    if wrong := set(columns) - set(REQUIRED) - set(OPTIONAL):
        raise BadInput(
            f"--column has no field {', '.join(sorted(wrong))}: the fields are title, plot, genres, id and year."
        )
    named = {part: columns.get(part, part) for part in (*REQUIRED, *OPTIONAL)}
    needed = [named[part] for part in named if part in ("title", "plot") or part in columns]
    corpus = RawCorpus()
    flags = _Flags()
    for row in _rows(path, list(dict.fromkeys(needed)), list(dict.fromkeys(named.values())), corpus):
        values = {part: row[name] for part, name in named.items() if name in row}
        strange = [part for part in ("title", "plot") if isinstance(values.get(part), (list, dict, bytes))]
        if strange:
            corpus.reject(f"the {strange[0]} is {_in_words(values[strange[0]])} instead of text")
            continue
        published = " ".join(_text(values.get("title")).split())
        plot, own, year = (_text(values.get(part)) for part in ("plot", "id", "year"))
        for part in ("title", "plot"):
            if part in values:
                corpus.note(named[part], _text(values[part]))
        if "genres" in values:
            tags, readable = tags_in(values["genres"])
            corpus.note(named["genres"], " ".join(tags) if readable else _text(values["genres"]), readable)
        else:
            tags = []
            flags.note(len(corpus.rows), row)
        corpus.rows.append(
            RawPlot(
                id=corpus.row_id("table", named["id"] if "id" in values else "", own, published, plot),
                published=published,
                title=catalogue_title(published, corpus.year(named["year"], year) if "year" in values else None),
                plot=plot,
                tags=tags,
            )
        )
    if corpus.rows and named["genres"] not in corpus.columns:
        flags.give_tags(path, corpus)
    _check_named(path, columns, corpus)
    return corpus


def _check_named(path: Path, columns: Mapping[str, str], corpus: RawCorpus) -> None:
    """Raise BadInput if a column named by the user has no readable value."""
    for part, name in columns.items():
        column = corpus.columns.get(name)
        if column and column.empty + column.unreadable == column.rows:
            unreadable = f"has no readable {part} (example: {column.example!r})"
            problem = unreadable if column.example else "is empty"
            raise BadInput(f"{path}: the column {name!r} {problem}. Name another column for {part} with --column.")


class _Flags:
    """The columns of 0 and 1 that represent genres, in a table without a genres column."""

    def __init__(self) -> None:
        self.names: dict[str, bool] = {}  # column -> whether all its values are 0 or 1
        self.odd: dict[str, str] = {}  # column with the name of a genre -> its first other value
        self.tags: list[tuple[int, list[str]]] = []

    def note(self, number: int, row: Mapping[str, Any]) -> None:
        """Record which columns are 1 in a row."""
        tags = []
        for name, value in row.items():
            if self.names.setdefault(name, bool(name)):
                flag = FLAGS.get(_text(value).strip().lower())
                if flag is None:
                    self.names[name] = False
                    if _is_genre(name):
                        self.odd[name] = _text(value)
                elif flag:
                    tags.append(name)
        self.tags.append((number, tags))

    def give_tags(self, path: Path, corpus: RawCorpus) -> None:
        """Set the tags of each row. Columns of 0 and 1 that are not genres are tags as well, for --genre-map.

        Raises BadInput if fewer than two columns are genres.
        """
        if sum(flags and _is_genre(name) for name, flags in self.names.items()) < 2:
            if self.odd:
                name, value = next(iter(self.odd.items()))
                raise BadInput(
                    f"{path} has no column genres, and its column {name!r} has the name of a genre but contains "
                    f"{value[:40]!r}: it needs at least two genre columns that contain only 0 and 1."
                )
            raise _no_column(path, ["genres"], corpus.header)
        for number, tags in self.tags:
            corpus.rows[number].tags = [tag for tag in tags if self.names[tag]]


def _is_genre(name: str) -> bool:
    return tag_key(name) in genre_map("table")


def _rows(path: Path, needed: list[str], wanted: list[str], corpus: RawCorpus) -> Iterator[Mapping[str, Any]]:
    """Yield the rows with the `wanted` columns under these names, and with all other columns."""
    kind = path.name.lower().removesuffix(".gz").removesuffix(".bz2").rpartition(".")[2]
    if path.is_dir() or kind not in _KINDS:
        raise BadInput(
            f"{path} is not a supported table: give a .csv, .tsv, .json, .jsonl or .parquet file "
            "(delimited text can be named .csv)."
        )
    if kind in ("csv", "tsv"):
        yield from read_table(path, needed, corpus, optional=wanted, tabs=kind == "tsv", remedy=_REMEDY)
    elif kind == "parquet":
        yield from _parquet_rows(path, needed, wanted, corpus)
    else:
        yield from _json_rows(path, needed, wanted, corpus, lines=kind != "json" or _is_json_lines(path))


def _json_rows(
    path: Path, needed: list[str], wanted: list[str], corpus: RawCorpus, lines: bool
) -> Iterator[dict[str, Any]]:
    keys: dict[str, None] = {}  # of all rows, in order: a row may lack keys of others
    own_names: dict[tuple[str, ...], dict[str, str]] = {}  # by the keys of a row
    for row in _json_lines(path, corpus) if lines else _json_array(path, needed, corpus):
        if not isinstance(row, dict):
            corpus.reject(f"this is {_in_words(row)} instead of an object")
            continue
        names = tuple(row)
        if names not in own_names:
            own_names[names] = match_columns(path, names, wanted)
            keys |= dict.fromkeys([*names, *own_names[names]])
            corpus.header = list(dict.fromkeys([*corpus.header, *names]))
        yield row | {name: row[own] for name, own in own_names[names].items()}
    if not keys:
        form = "a JSON object on each line" if lines else "an array of objects"
        raise BadInput(f"{path} contains no rows: it needs {form}.")
    if missing := [name for name in needed if name not in keys]:
        raise _no_column(path, missing, corpus.header)


def _place(path: Path, unit: str, number: int, row: Any, as_text: Callable[[Any], str]) -> tuple[str, str]:
    """Return the position of a row in the file, and the row as text; called only for broken rows."""
    return f"{path.name}, {unit} {number}", as_text(row)


def _json_lines(path: Path, corpus: RawCorpus) -> Iterator[Any]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.replace("\0", "")
            if not text.strip():
                corpus.blank += 1
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                corpus.add_broken(path, number, "this is not valid JSON", text)
                continue
            corpus.here = partial(_place, path, "line", number, text, str)
            yield row


def _is_json_lines(path: Path) -> bool:
    """Return whether the first line of a .json file is a complete object, and more lines follow."""
    with open_text(path) as file:
        lines = (line for line in file if line.strip("\0 \t\r\n"))
        first, second = next(lines, ""), next(lines, "")
    try:
        return bool(second) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _json_array(path: Path, needed: list[str], corpus: RawCorpus) -> Iterator[Any]:
    """Yield the items of the array in a JSON file, or its only object. Raises BadInput for any other file."""
    with open_text(path) as file:
        text = file.read().replace("\0", "")
    try:
        content = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{path}, line {error.lineno}, is not valid JSON ({error.msg}): export the data again, as an array of "
            "objects."
        ) from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path} is not readable JSON: export the data again, as an array of objects.") from None
    if isinstance(content, dict):
        content = [_only_row(path, content, needed)]
    if not isinstance(content, list):
        raise BadInput(f"{path} contains {_in_words(content)}: export the data as an array of objects.")
    for number, row in enumerate(content, 1):
        corpus.here = partial(_place, path, "entry", number, row, json.dumps)
        yield row


def _only_row(path: Path, content: dict[str, Any], needed: list[str]) -> dict[str, Any]:
    """Return the object of a JSON file, if it is a row. Raises BadInput with what it seems to be instead."""
    found = match_columns(path, content, needed)
    if len(found) == len(needed) and not any(isinstance(content[own], (dict, list)) for own in found.values()):
        return content
    if found and all(isinstance(content[own], (dict, list)) for own in found.values()):
        raise BadInput(
            f"{path} contains one object with all values of a column under its name: export the data as an array of "
            "objects, in pandas with to_json(orient='records')."
        )
    for name, value in content.items():
        if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            raise BadInput(f"{path} contains one object with a list of objects under {name!r}: save only that list.")
    raise BadInput(
        f"{path} contains one object with {', '.join(content)[:200]}: export the data as an array of objects."
    )


def _parquet_rows(path: Path, needed: list[str], wanted: list[str], corpus: RawCorpus) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            corpus.header = file.schema_arrow.names
            found = match_columns(path, corpus.header, wanted)
            if missing := [name for name in needed if name not in found]:
                raise _no_column(path, missing, corpus.header)
            flags = [column.name for column in file.schema_arrow if _may_be_flags(column)]
            number = 0
            for batch in file.iter_batches(columns=list(dict.fromkeys([*found.values(), *flags]))):
                maps = [column.name for column in batch.schema if pa.types.is_map(column.type)]
                for row in batch.to_pylist():
                    row |= {name: dict(row[name] or ()) for name in maps}
                    number += 1
                    corpus.here = partial(_place, path, "row", number, row, _text)
                    yield row | {name: row[own] for name, own in found.items()}
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}).") from None


def _may_be_flags(column: pa.Field) -> bool:
    return _is_genre(column.name) or pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)


def _no_column(path: Path, missing: list[str], present: list[str]) -> BadInput:
    return BadInput(f"{path} has no column {', '.join(missing)}: it has {', '.join(present)[:200]}; {_REMEDY}.")


def _text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else _UNSTORABLE.sub("", str(value))


def _in_words(value: object) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "text",
        bytes: "bytes",
        bool: "true or false",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")


def tags_in(value: object) -> tuple[list[str], bool]:
    """Return the genre names in a value of any form, and whether all of the value could be parsed."""
    tags: list[str] = []
    understood = _take_names(_listed(value.strip()) if isinstance(value, str) else value, tags, _MAX_DEPTH)
    return [tag for text in tags if (tag := _UNSTORABLE.sub("", text).strip())], understood


def _listed(text: str) -> object:
    """Return the parsed form of a list as text; return text that looks like objects but is invalid as bytes."""
    if text[:1] not in ("[", "{", "("):
        return _SEPARATORS.split(clean_tag(text))  # `Action &amp; Adventure` has no semicolon
    for version in dict.fromkeys([text, clean_tag(text)]):  # quotes may be written as HTML
        with suppress(ValueError, RecursionError):
            return json.loads(version)
        if len(version) <= _PYTHON_LIMIT and not _ADJACENT.search(version):
            with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                return ast.literal_eval(version)
    text = clean_tag(text)
    if "{" in text and ":" in text:
        return text.encode()
    if text[0] == "{":  # a list in the format of PostgreSQL
        return next(csv.reader([text.strip("{}")], skipinitialspace=True), [])
    return [part[1] for part in _QUOTED.findall(text)] or _SEPARATORS.split(text.strip("[]"))


def _take_names(value: object, tags: list[str], depth: int) -> bool:
    """Add the names in the value to the tags; return False if a part could not be parsed."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        tags.append(value)
        return True
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
        tags.append(str(int(value)))  # an id, which a --genre-map may name
        return True
    if hasattr(value, "tolist"):  # a NumPy array
        value = value.tolist()
    if not depth:
        return False
    if isinstance(value, Mapping):
        return _take_names_of_object(value, tags, depth)
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (list, tuple)):
        understood = [_take_names(part, tags, depth - 1) for part in value]
        return all(understood)
    return False


def _take_names_of_object(content: Mapping[Any, Any], tags: list[str], depth: int) -> bool:
    values = {str(key).strip().lower(): value for key, value in content.items()}
    for key in NAME_KEYS:
        if isinstance(values.get(key), (str, dict, list)):
            return _take_names(values[key], tags, depth - 1)
    if all(_IDENTIFIER.fullmatch(key) and isinstance(value, (str, type(None))) for key, value in values.items()):
        return _take_names(list(values.values()), tags, depth - 1)
    if len(content) == 1 and isinstance(inner := next(iter(content.values())), (dict, list)):
        return _take_names(inner, tags, depth - 1)
    flags = {str(key): FLAGS.get(_text(value).strip().lower()) for key, value in content.items()}
    if None in flags.values() or any(_IS_ID.search(key) for key in flags):
        return False
    tags += [key for key, flag in flags.items() if flag]
    return True


SOURCE = Source(
    name="table",
    what="your own plots: CSV, TSV, JSON, JSON Lines or Parquet",
    size="any",
    license="yours",
    read=read_own_table,
)
