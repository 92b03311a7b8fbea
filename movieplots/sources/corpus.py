"""What every source gives to preparation, and reading of delimited files that may be broken.

Delimited files are read row by row with the standard library, not with pandas, because every broken row must be
counted; on 23,000 rows that costs under a second.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from movieplots.errors import BadInput
from movieplots.titles import Title

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a synopsis may be longer than the default of 128 KiB


@dataclass
class RawPlot:
    """One row of a corpus before preparation; `tags` are the source's own genre names."""

    id: str
    published: str
    title: Title
    plot: str
    tags: list[str]


@dataclass
class RawCorpus:
    """What a source read: its rows, and the number of rows that could not be read at all."""

    rows: list[RawPlot] = field(default_factory=list)
    broken: int = 0


@dataclass(frozen=True)
class Source:
    """A corpus that the project knows. `read(path)` reads it; `default_path` is None where the user has to get it."""

    name: str
    what: str
    size: str
    licence: str
    how_to_get: str
    read: Callable[[Path], RawCorpus]
    default_path: Path | None = None


def read_table(path: Path, required: list[str], *, tabs: bool = False) -> Iterator[dict[str, str] | None]:
    """Yield each data row of a delimited UTF-8 file as a dict, or None for a row with too few or too many fields.

    Comma-separated with quotes, or (`tabs`) tab-separated where quotes are plain characters. Blank lines are skipped.
    Raises BadInput where the file is not text or a required column is missing.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = _without_nul(file)
            reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(lines)
            header = next(reader, None)
            if not header:
                raise BadInput(f"{path} is empty: it needs a header line with {', '.join(required)}.")
            missing = [name for name in required if name not in header]
            if missing:
                raise BadInput(
                    f"{path} has no column {', '.join(missing)}: its header has {', '.join(header)[:200]}; "
                    "check that this is the right file."
                )
            for row in reader:
                if row:
                    yield dict(zip(header, row, strict=True)) if len(row) == len(header) else None
    except UnicodeDecodeError:
        raise BadInput(
            f"{path}, line {_undecodable(path)}, is not UTF-8 text: convert the file to UTF-8 first."
        ) from None
    except csv.Error as error:
        raise BadInput(f"{path} is not a readable table ({error}, line {reader.line_num}).") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _without_nul(file: TextIO) -> Iterator[str]:
    for line in file:
        yield line.replace("\0", "")


def _undecodable(path: Path) -> int | None:
    """The first line that is not UTF-8, counted from 1."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def whole_number(text: str) -> int | None:
    """The integer that the text says, or None."""
    return int(text) if text.strip().isdecimal() else None
