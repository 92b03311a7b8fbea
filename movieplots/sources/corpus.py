"""What every source gives to preparation, and reading of text files that may be packed, broken or cut off.

Delimited files are read row by row with the standard library, not with pandas, because every broken row must be
kept with its line; on 117,000 rows that costs a few seconds.
"""

import bz2
import codecs
import csv
import gzip
import hashlib
import math
import re
import sys
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple, TextIO

from movieplots.errors import BadInput
from movieplots.progress import notify
from movieplots.titles import Title, parse_title

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a synopsis may be longer than the default of 128 KiB

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False}
MISSING = frozenset(
    {"", "\\n", "na", "n/a", "nan", "nat", "none", "null", "????"}
)  # how files write that a value is missing
_DECLARED = re.compile(r'"?sep=(.)"?')  # the first line that Excel reads and writes
_ESCAPED = re.compile(r'\\(["\\]|\r?\n)')


@dataclass
class RawPlot:
    """One row of a corpus before preparation; `tags` are the source's own genre names."""

    id: str
    published: str
    title: Title
    plot: str
    tags: list[str]
    split: str | None = None  # the side of the corpus's own division, where it has one


@dataclass(frozen=True)
class BrokenRow:
    """A row that could not be read: where it begins (`mine.csv, line 11`), why, and its text as it stands there."""

    where: str
    why: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass
class Column:
    """How the values of a column could be read: rows, those with an empty value, those with an unreadable one."""

    rows: int = 0
    empty: int = 0
    unreadable: int = 0
    example: str = ""  # the first unreadable value
    needed: bool = False  # whether rows without a value are to be named


@dataclass
class RawCorpus:
    """What a source read: its rows, those that could not be read, and how many held nothing (`blank`).

    `columns` says of each column that can be unreadable how its values were read, by the column's name in the file.
    """

    rows: list[RawPlot] = field(default_factory=list)
    broken_rows: list[BrokenRow] = field(default_factory=list)
    blank: int = 0
    repaired: Counter[str] = field(default_factory=Counter)  # plots by what the reader itself removed from them
    columns: dict[str, Column] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)  # the columns of the file that was read last
    # Where the row that is being read begins, and its text: for `reject`.
    here: Callable[[], tuple[str, str]] = field(default=lambda: ("", ""), repr=False)
    _seen: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def broken(self) -> int:
        """How many rows could not be read."""
        return len(self.broken_rows)

    def add_broken(self, path: Path, line: int, why: str, text: str) -> None:
        """Keep a row that cannot be read, which begins at that line of the file."""
        self.broken_rows.append(BrokenRow(f"{path.name}, line {line}", why, text.strip("\r\n")))

    def reject(self, why: str) -> None:
        """Keep the row that is being read among the broken ones."""
        where, text = self.here()
        self.broken_rows.append(BrokenRow(where, why, text.strip("\r\n")))

    def note(self, column: str, value: str, readable: bool = True) -> None:
        """Count one value of a column."""
        counted = self.columns.get(column)
        if counted is None:
            counted = self.columns[column] = Column()
        counted.rows += 1
        if not value or value.strip().lower() in MISSING:
            counted.empty += 1
        elif not readable:
            counted.unreadable += 1
            counted.example = counted.example or " ".join(value[:200].split())[:60]

    def year(self, column: str, value: str) -> int | None:
        """The year that a value of the column names; one that names none is counted as unreadable."""
        year = parse_year(value)
        self.note(column, value, year is not None)
        return year

    def row_id(self, prefix: str, column: str, own: str, *texts: str) -> str:
        """The id of a row: its own in that column (if there is one), or where it has none that of its texts."""
        if column:
            self.note(column, own)
            self.columns[column].needed = True
        return f"{prefix}-{own.strip()}" if own.strip() else self.text_id(prefix, *texts)

    def text_id(self, prefix: str, *parts: str) -> str:
        """An id for a row that has none: a hash of its texts, so it survives reordering; repeats are numbered."""
        digest = hashlib.sha256("\t".join(parts).encode()).hexdigest()[:12]
        self._seen[digest] = self._seen.get(digest, 0) + 1
        return f"{prefix}-{digest}" + (f"-{self._seen[digest]}" if self._seen[digest] > 1 else "")


@dataclass(frozen=True)
class Download:
    """A file with a public address (http, https or ftp).

    `size` in bytes and `md5` are None where nobody publishes them. `members` are the files wanted of a tar archive;
    without them the file is kept as it comes. `extra` marks a file that is fetched only when everything is asked for.
    """

    url: str
    name: str
    size: int | None = None
    md5: str | None = None
    members: tuple[str, ...] = ()
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


def _not_utf8(path: Path, opener: Callable[..., BufferedIOBase]) -> str:
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
    required: Iterable[str],
    corpus: RawCorpus,
    *,
    optional: Iterable[str] = (),
    tabs: bool = False,
    remedy: str = "check that this is the right file",
) -> Iterator[dict[str, str]]:
    """Yield each data row of a delimited UTF-8 file with a header; rows that cannot be read are kept in `corpus`.

    Comma-separated with quotes, or (`tabs`) tab-separated. Where the header has the required columns only under another
    separator (comma, semicolon, tab, bar), or a first line `sep=;` declares one, that one is taken. Names of columns
    match without regard to case; a row has the `required` and `optional` ones under the names given here.

    A file with tabs whose every quote obeys the rules of CSV is read by them, so is what pandas writes; in any other
    file with tabs a quote is a character, and only a field that pandas seems to have quoted is unquoted. In a file that
    breaks these rules, but keeps them when a backslash escapes a quote (as Spark and MySQL write), it does.

    Raises BadInput where the file is not text, a required column is missing (with the `remedy`), or it cannot be told
    which column has a name.
    """
    required, usual = list(required), "\t" if tabs else ","
    mark = _separator(path, required, usual)
    quoted, escaped = _quoting(path, mark)
    with open_text(path) as file:
        lines = _Lines(file, escaped)
        _take_declared(lines)
        reader = csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        header = [name.strip() for name in next(filter(any, reader), [])]
        if not header:
            raise BadInput(f"{path} is empty: it needs a header line with {', '.join(required)}.")
        if twice := [name for name in header if name and header.count(name) > 1]:
            raise BadInput(f"{path} has two columns called {twice[0]!r}: rename one of them.")
        found = match_columns(path, header, [*required, *optional])
        separated = "" if mark == usual else f", separated by {_in_words(mark)},"
        if missing := [name for name in required if name not in found]:
            raise BadInput(
                f"{path} has no column {', '.join(missing)}: its header{separated} has {', '.join(header)[:200]}; "
                f"{remedy}."
            )
        if separated:
            notify(f"{path} is separated by {_in_words(mark)}, and is read so.")
        own_names = {own: name for name, own in found.items()}
        corpus.header = header = [own_names.get(name, name) for name in header]
        again = [(name, own_names[own]) for name, own in found.items() if own_names[own] != name]
        lines.record.clear()
        corpus.here = lambda: (f"{path.name}, line {lines.start}", "".join(lines.record))
        for values in _quoted_rows(lines, len(header), mark) if quoted else _plain_rows(lines):
            if isinstance(values, _Spoilt):
                corpus.add_broken(path, values.line, values.why, values.text)
            elif not any(value.strip() for value in values):
                corpus.blank += 1
            elif len(values) != len(header):
                why = f"{len(values)} field{'s' * (len(values) != 1)} instead of {len(header)}"
                corpus.reject(why)
            else:
                row = dict(zip(header, values, strict=True))
                for name, same in again:
                    row[name] = row[same]
                yield row


def match_columns(path: Path, there: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Wanted name -> name in the file, for those that it has: the same name, else one that differs in case or blanks.

    Raises BadInput where two differ from a wanted name in no more than that.
    """
    there, found = list(there), {}
    for name in wanted:
        alike = [own for own in there if own.strip().casefold() == name.strip().casefold()]
        if name in alike:
            found[name] = name
        elif len(alike) > 1:
            raise BadInput(f"{path} has more than one column {name!r} ({', '.join(alike)}): rename all but one.")
        elif alike:
            found[name] = alike[0]
    return found


def _in_words(mark: str) -> str:
    return SEPARATORS.get(mark, repr(mark))


def _separator(path: Path, required: list[str], usual: str) -> str:
    """The separator that the file declares, or the one under which its header has most of the required columns.

    The usual one is taken where no other is better; where none of these columns is found, one that parts the header.
    """
    scores: dict[str, tuple[int, bool]] = {}
    for mark in dict.fromkeys([usual, *SEPARATORS]):
        with open_text(path) as file:
            lines = _Lines(file)
            if declared := _take_declared(lines):
                return declared
            header = next(filter(any, csv.reader(lines, delimiter=mark)), [])
        names = {name.strip().casefold() for name in header}
        scores[mark] = (sum(name.strip().casefold() in names for name in required), len(header) > 1)
        if scores[mark][0] == len(required):
            return mark
    return max(scores, key=scores.__getitem__)  # of several, the first


def _take_declared(lines: "_Lines") -> str | None:
    """The separator that a first line such as `sep=;` declares; that line is then used up."""
    match = _DECLARED.fullmatch(next(lines, "").strip("\r\n"))
    if match:
        lines.record.clear()
    else:
        lines.put_back(0)
    return match and match[1]


def _quoting(path: Path, mark: str) -> tuple[bool, bool]:
    """Whether quotes enclose fields in this file, and whether a backslash before a quote makes it a character."""
    if mark == "\t" and _obeys_quotes(path):
        return True, False
    if _has_escapes(path) and _irregular(path, mark, escaped=True) < _irregular(path, mark, escaped=False):
        return True, True
    return mark != "\t", False


def _has_escapes(path: Path) -> bool:
    """Whether a backslash stands before a quote anywhere: a quick look that saves most files the slower ones."""
    with open_text(path) as file:
        last = ""
        while block := file.read(1 << 20):
            if '\\"' in last + block:
                return True
            last = block[-1]
    return False


def _irregular(path: Path, mark: str, escaped: bool) -> float:
    """How many rows have another number of fields than the header; infinity where a quote breaks the rules of CSV."""
    columns = irregular = 0
    with open_text(path) as file:
        lines = _Lines(file, escaped)
        _take_declared(lines)
        try:
            for row in csv.reader(lines, delimiter=mark, strict=True):
                lines.record.clear()
                columns = columns or len(row)
                irregular += bool(row) and len(row) != columns
        except csv.Error:
            return math.inf
    return irregular


class _Lines:
    """The lines of a file without NUL bytes; those of the record being read can be put back.

    Where the file is `escaped`, an escaped quote becomes a doubled one, and an escaped backslash or line end itself.
    """

    def __init__(self, file: TextIO, escaped: bool = False) -> None:
        self.file, self.escaped = file, escaped
        self.waiting: deque[str] = deque()
        self.record: list[str] = []  # to be cleared by who has read a record
        self.taken = 0  # lines, those of the record included
        self.ended = False  # a record asked for more lines than there are

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.waiting:
            line = self.waiting.popleft()
        else:
            try:
                line = next(self.file).replace("\0", "")
            except StopIteration:
                self.ended = True
                raise
            if self.escaped:
                line = _ESCAPED.sub(lambda escape: '""' if escape[1] == '"' else escape[1], line)
        self.taken += 1
        self.record.append(line)
        return line

    @property
    def start(self) -> int:
        """The number of the record's first line."""
        return self.taken - len(self.record) + 1

    def put_back(self, start: int) -> None:
        """Put back the lines of the record from that one on."""
        self.waiting.extendleft(reversed(self.record[start:]))
        self.taken -= len(self.record) - start
        del self.record[start:]
        self.ended = False


class _Spoilt(NamedTuple):
    """A line, or a record of several, that a quote makes unreadable."""

    line: int
    why: str
    text: str


def _quoted_rows(lines: _Lines, columns: int, mark: str) -> Iterator[list[str] | _Spoilt]:
    """The rows of a table with quotes; each line that a stray quote spoils by itself, then the rows it swallowed."""
    for row in csv.reader(lines, delimiter=mark):
        start = None
        if lines.ended or (len(lines.record) > 1 and not _well_formed(lines.record, mark)):
            starts = (n for n, line in enumerate(lines.record) if n and _begins_row(line, columns, mark))
            start = next(starts, None)
        if start is not None:
            lines.put_back(start)
            first = lines.start
            for number, line in enumerate(lines.record, first):
                if line.strip():
                    begins = number == first
                    why = "a quote is not closed" if begins else f"the quote in line {first} is not closed before it"
                    yield _Spoilt(number, why, line)
        elif lines.ended:
            yield _Spoilt(lines.start, "a quote is never closed", "".join(lines.record))
        else:
            yield row  # with careless quotes at worst
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
    if mark in ",;" and any(field[:1].isspace() for field in fields[1:]):  # in a sentence a blank follows it
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
        _take_declared(lines)
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


# A year stands alone, begins the text (`2004-05-01`, `2001-2005`, `2004 (USA)`), or ends a date. `\\s` takes the blanks
# that web pages write; every pattern takes time in proportion to the text's length.
_AROUND = re.compile(r"\s*(?:\([IVXLC]+\))?[\s(\[~]*(?:(?:circa|ca|c)\.?\s*(?=[0-9])|about\s+)?", re.IGNORECASE)
_FULL = r"[12][0-9]{3}"
_BEGINNING = re.compile(rf"({_FULL})(?:\.0+|\.[0-9]{{1,2}}\.[0-9]{{1,2}})?(?![0-9.])")
_COMPACT = re.compile(rf"({_FULL})(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:\.0+)?(?![0-9.])")  # 20041015
_NUMBERS = re.compile(rf"([0-9]{{1,2}})([./-])\s?([0-9]{{1,2}})\2\s?({_FULL}|[0-9]{{2}})(?![0-9])")  # 10/21/88
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = r"[0-9]{1,2}(?:st|nd|rd|th)?\.?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}\.?,?\s{1,3})?"
_BETWEEN = r"[\s-]{1,3}"
_NAMED = re.compile(  # `5 Oct 2004` and `5-Oct-04`; `Oct 5, 2004`; `October 2004`
    rf"{_WEEKDAY}(?:{_DAY}{_BETWEEN}(?:of\s)?{_MONTH},?{_BETWEEN}({_FULL}|[0-9]{{2}})"
    rf"|{_MONTH}{_BETWEEN}{_DAY}(?:,\s{{0,3}}|\s{{1,3}})({_FULL}|[0-9]{{2}})|{_MONTH},?{_BETWEEN}({_FULL}))(?![0-9:])",
    re.IGNORECASE,
)
_SERIAL = re.compile(r"([0-9]{5})(?:\.[0-9]+)?")
_SERIALS = range(10_000, 73_051)  # of Excel: from 18 May 1927 to the end of 2099


def parse_year(text: str) -> int | None:
    """The year that a text names, from 1000 to 2999, or None.

    It is a year alone or at the beginning (`2004`, `2004.0`, `(2004)`, `c. 1935`, `2001-2005`: the first), or that of a
    date (`2004-05-01`, `20041015`, `21.10.1988`, `10/21/88`, `5 Oct 2004`, `October 5, 2004`). Of two digits, 00 to 29
    are 2000 to 2029 and 30 to 99 are 1930 to 1999, as in Excel. A number from 10000 to 73050 is a day in Excel's count,
    from 18 May 1927 to 31 December 2099.
    """
    if match := _BEGINNING.match(text):  # most are so
        return int(match[1])
    text = text[_AROUND.match(text).end() :].rstrip()  # type: ignore[union-attr]
    if match := _BEGINNING.match(text) or _COMPACT.match(text):
        return int(match[1])
    if match := _NUMBERS.match(text):
        first, second = sorted((int(match[1]), int(match[3])))
        return _whole_year(match[4]) if 1 <= first <= 12 and second <= 31 else None
    if match := _NAMED.match(text):
        return _whole_year(match[1] or match[2] or match[3])
    if (match := _SERIAL.fullmatch(text)) and int(match[1]) in _SERIALS:
        return (date(1899, 12, 30) + timedelta(days=int(match[1]))).year
    return None


def _whole_year(digits: str) -> int:
    year = int(digits)
    return year if year >= 100 else year + (2000 if year < 30 else 1900)


def find_file(folder: Path, names: tuple[str, ...], what: str) -> Path:
    """The first of the names, plain or packed, that the folder holds; a path to a file is itself the answer."""
    if folder.is_file():
        return folder
    for name in names:
        for packed in ("", ".bz2", ".gz"):
            if (file := folder / f"{name}{packed}").is_file():
                return file
    raise BadInput(f"{folder} holds no {what}: put {' or '.join(names)} there.")
