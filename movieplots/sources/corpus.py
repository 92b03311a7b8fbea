"""What every source gives to preparation, and reading of text files that may be packed, broken or cut off.

Delimited files are read row by row with the standard library, not with pandas, because every broken row must be
counted; on 117,000 rows that costs a few seconds.
"""

import bz2
import codecs
import csv
import gzip
import hashlib
import re
import sys
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from movieplots.errors import BadInput
from movieplots.titles import Title, parse_title

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a synopsis may be longer than the default of 128 KiB

_YEAR = re.compile(r"\s*([0-9]{4})(?:\.0+)?(?![0-9.])")


@dataclass
class RawPlot:
    """One row of a corpus before preparation; `tags` are the source's own genre names."""

    id: str
    published: str
    title: Title
    plot: str
    tags: list[str]
    split: str | None = None  # the side of the corpus's own division, where it has one


@dataclass
class RawCorpus:
    """What a source read: its rows, and how many rows could not be read (`broken`) or held nothing (`blank`)."""

    rows: list[RawPlot] = field(default_factory=list)
    broken: int = 0
    blank: int = 0
    repaired: Counter[str] = field(default_factory=Counter)  # plots by what the reader itself removed from them
    _seen: dict[str, int] = field(default_factory=dict, repr=False)

    def row_id(self, prefix: str, own: str, *texts: str) -> str:
        """The id of a row: its own, or where it has none that of its texts."""
        return f"{prefix}-{own.strip()}" if own.strip() else self.text_id(prefix, *texts)

    def text_id(self, prefix: str, *parts: str) -> str:
        """An id for a row that has none: a hash of its texts, so it survives reordering; repeats are numbered."""
        digest = hashlib.sha256("\t".join(parts).encode()).hexdigest()[:12]
        self._seen[digest] = self._seen.get(digest, 0) + 1
        return f"{prefix}-{digest}" + (f"-{self._seen[digest]}" if self._seen[digest] > 1 else "")


@dataclass(frozen=True)
class Download:
    """A file with a public address (http, https or ftp).

    `size` in bytes and `md5` are None where nobody publishes them. `member` is the one file wanted of a tar archive;
    without it the file is kept as it comes. `extra` marks a file that is fetched only when everything is asked for.
    """

    url: str
    name: str
    size: int | None = None
    md5: str | None = None
    member: str | None = None
    extra: bool = False


@dataclass(frozen=True)
class KaggleFile:
    """A file of a Kaggle dataset, which only an account can download; `handle` is `owner/dataset`."""

    handle: str
    name: str


@dataclass(frozen=True)
class Source:
    """A corpus that the project knows. `read(path)` reads it from a file, or from a folder that holds its files.

    `downloads` and `kaggle` say where its files come from; `default_path` is set for the bundled corpus alone.
    """

    name: str
    what: str
    size: str
    licence: str
    read: Callable[..., RawCorpus]
    downloads: tuple[Download, ...] = ()
    kaggle: tuple[KaggleFile, ...] = ()
    default_path: Path | None = None

    @property
    def folder(self) -> Path:
        """Where `movieplots fetch` puts the files, and where they are looked for when no path is given."""
        return Path("data") / "raw" / self.name

    @property
    def how_to_get(self) -> str:
        """In a sentence: what a user does to have the files."""
        if self.default_path is not None:
            return "comes with the project"
        if self.downloads:
            return f"run `movieplots fetch {self.name}`"
        if self.kaggle:
            files = ", ".join(f"{file.name} (kaggle.com/datasets/{file.handle})" for file in self.kaggle)
            return f"run `movieplots fetch {self.name}`, or download {files} into {self.folder}"
        return "your own file: give --path FILE and --columns title=… plot=… genres=…"


def catalogue_title(published: str, year: int | None, kind: str = "movie") -> Title:
    """The title of a corpus that has the year in a column of its own; one that follows the IMDb rules is kept."""
    parsed = parse_title(published)
    if not parsed.bare and (kind == "movie" or parsed.kind != "movie"):
        return parsed
    return Title(primary=published, year=year, kind=kind)


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """Open a text file, plain or packed with bzip2 or gzip, whatever its name says.

    Raises BadInput, while it is read too, where the file is missing, cut off, damaged or in another encoding.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic == b"PK\x03\x04":
            raise BadInput(f"{path} is a zip archive or a spreadsheet: unpack it, or save it as CSV.")
        opener = bz2.open if magic[:3] == b"BZh" else gzip.open if magic[:2] == b"\x1f\x8b" else open
        try:
            with opener(path, "rt", encoding=encoding, newline="") as text:
                yield text
        except (UnicodeDecodeError, BadInput) as error:  # damage to packed data can look like anything: read all of it
            not_utf8 = _not_utf8(path, opener)
            raise BadInput(not_utf8 if isinstance(error, UnicodeDecodeError) else str(error)) from None
    except EOFError:
        raise BadInput(f"{path} is cut off (its compressed data ends too early): download it again.") from None
    except zlib.error as error:
        raise BadInput(f"{path} is damaged ({error}): download it again.") from None
    except OSError as error:
        if error.errno is None:  # bz2 and gzip say so for damaged data
            raise BadInput(f"{path} is damaged ({error}): download it again.") from None
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _not_utf8(path: Path, opener: Callable[..., TextIO]) -> str:
    """Read the whole file and say where it is not UTF-8 text."""
    bad, encoding = 0, "latin1"
    with opener(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                encoding = "utf-16"
            try:
                line.decode()
            except UnicodeDecodeError:
                bad = bad or number
    return (
        f"{path}, line {bad}, is not UTF-8 text: convert the file first, "
        f"for example with `iconv -f {encoding} -t utf-8`."
    )


def read_table(
    path: Path,
    required: list[str],
    corpus: RawCorpus,
    *,
    tabs: bool = False,
    remedy: str = "check that this is the right file",
) -> Iterator[dict[str, str]]:
    """Yield each data row of a delimited UTF-8 file with a header; rows that cannot be read are counted in `corpus`.

    Comma-separated with quotes, or (`tabs`) tab-separated. A file with tabs whose every quote obeys the rules of CSV is
    read by them, so is what pandas writes; in any other file with tabs a quote is a character, and only a field that
    pandas seems to have quoted is unquoted. Raises BadInput where the file is not text, a required column is missing
    (with the `remedy`), or two columns have one name.
    """
    mark = "\t" if tabs else ","
    quoted = not tabs or _obeys_quotes(path)
    with open_text(path) as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        header = [name.strip() for name in next(filter(any, reader), [])]
        if not header:
            raise BadInput(f"{path} is empty: it needs a header line with {', '.join(required)}.")
        missing = [name for name in required if name not in header]
        if missing:
            if len(header) == 1 and header[0].count(";") >= len(required) - 1 > 0:
                remedy = "save it with commas instead of semicolons"
            raise BadInput(
                f"{path} has no column {', '.join(missing)}: its header has {', '.join(header)[:200]}; {remedy}."
            )
        if twice := [name for name in header if name and header.count(name) > 1]:
            raise BadInput(f"{path} has two columns called {twice[0]!r}: rename one of them.")
        lines.record.clear()
        for row in _quoted_rows(lines, len(header), mark) if quoted else _plain_rows(lines):
            if row is not None and not any(value.strip() for value in row):
                corpus.blank += 1
            elif row is None or len(row) != len(header):
                corpus.broken += 1
            else:
                yield dict(zip(header, row, strict=True))


class _Lines:
    """The lines of a file without NUL bytes; those of the record being read can be put back."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.waiting: deque[str] = deque()
        self.record: list[str] = []  # to be cleared by who has read a record
        self.ended = False  # a record asked for more lines than there are

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        try:
            line = self.waiting.popleft() if self.waiting else next(self.file).replace("\0", "")
        except StopIteration:
            self.ended = True
            raise
        self.record.append(line)
        return line

    def put_back(self, start: int) -> None:
        """Put back the lines of the record from that one on."""
        self.waiting.extendleft(reversed(self.record[start:]))
        del self.record[start:]
        self.ended = False


def _quoted_rows(lines: _Lines, columns: int, mark: str) -> Iterator[list[str] | None]:
    """The rows of a table with quotes; None for each line that a stray quote spoils, and then the rows it swallowed."""
    for row in csv.reader(lines, delimiter=mark):
        start = None
        if lines.ended or (len(lines.record) > 1 and not _well_formed(lines.record, mark)):
            starts = (n for n, line in enumerate(lines.record) if n and _begins_row(line, columns, mark))
            start = next(starts, None)
        if start is not None:
            lines.put_back(start)
            yield from (None for line in lines.record if line.strip())
        else:
            yield None if lines.ended else row  # a quote that is never closed, or one row with careless quotes at worst
        lines.record.clear()


def _well_formed(record: list[str], mark: str) -> bool:
    """Whether every quote in the record opens a field, closes one, or is doubled."""
    try:
        list(csv.reader(record, delimiter=mark, strict=True))
    except csv.Error:
        return False
    return True


def _begins_row(line: str, columns: int, mark: str) -> bool:
    """Whether the line alone is a row, or the start of one whose last field goes on in the next line."""
    fields, *following = csv.reader([line, "."], delimiter=mark)
    if mark == "," and any(field[:1].isspace() for field in fields[1:]):  # in a sentence a blank follows the comma
        return False
    return len(fields) == columns if following else 1 < len(fields) <= columns


def _plain_rows(lines: _Lines) -> Iterator[list[str]]:
    """The lines of a tab-separated table where a quote is a character."""
    for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        yield [_unquoted(value) for value in row]
        lines.record.clear()


def _obeys_quotes(path: Path) -> bool:
    """Whether in a tab-separated file no quote breaks the rules of CSV or joins lines that are rows by themselves."""
    columns = 0
    with open_text(path) as file:
        lines = _Lines(file)
        try:
            for row in csv.reader(lines, delimiter="\t", strict=True):
                columns = columns or len(row)
                if len(lines.record) > 1 and all(line.count("\t") == columns - 1 for line in lines.record):
                    return False
                lines.record.clear()
        except csv.Error:
            return False
    return True


def _unquoted(value: str) -> str:
    """`\"\"\"Salt\"\" (2009)\"`, as pandas writes a value with quotes, is `"Salt" (2009)`; other values are kept."""
    if len(value) > 2 and value[0] == value[-1] == '"' and '""' in (inner := value[1:-1]):
        plain = inner.replace('""', "")
        if '"' not in plain:
            return inner.replace('""', '"')
    return value


def parse_year(text: str) -> int | None:
    """The year of four digits with which the text begins (`2004`, `2004.0`, `2004-05-01`), or None."""
    match = _YEAR.match(text)
    return int(match[1]) if match else None


def find_file(folder: Path, names: tuple[str, ...], what: str) -> Path:
    """The first of the names, plain or packed, that the folder holds; a path to a file is itself the answer."""
    if folder.is_file():
        return folder
    for name in names:
        for packed in ("", ".bz2", ".gz"):
            if (file := folder / f"{name}{packed}").is_file():
                return file
    raise BadInput(f"{folder} holds no {what}: put {' or '.join(names)} there.")
