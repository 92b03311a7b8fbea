"""Data types of corpora, and reading of text files that may be compressed, damaged or truncated.

Delimited files are read row by row with the standard library instead of pandas, so that every broken row is reported
with its line number. For 117,000 rows this takes a few seconds longer.
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
MISSING = frozenset({"", "\\n", "na", "n/a", "nan", "nat", "none", "null", "????"})  # values that mean "no value"
_DECLARED = re.compile(r'"?sep=(.)"?')  # a first line that Excel reads and writes
_ESCAPED = re.compile(r'\\(["\\]|\r?\n)')


@dataclass
class RawPlot:
    """A row of a corpus before preparation; `tags` are the genre names of the source."""

    id: str
    published: str
    title: Title
    plot: str
    tags: list[str]
    split: str | None = None  # the split of the corpus itself, if it has splits


@dataclass(frozen=True)
class BrokenRow:
    """A row that could not be read: where it starts (`mine.csv, line 11`), why, and its unchanged text."""

    where: str
    why: str
    text: str

    def __str__(self) -> str:
        """Return where the row starts and why it could not be read."""
        return f"{self.where}: {self.why}"


@dataclass
class Column:
    """Counts of the values of a column: all rows, those with an empty value, and those with an unreadable one."""

    rows: int = 0
    empty: int = 0
    unreadable: int = 0
    example: str = ""  # the first unreadable value
    needed: bool = False  # whether rows without a value are reported


@dataclass
class RawCorpus:
    """The content of a corpus: its rows, the rows that could not be read, and the number of `blank` rows.

    `columns` has the counts of the columns whose values may be unreadable, by the column's name in the file.
    """

    rows: list[RawPlot] = field(default_factory=list)
    broken_rows: list[BrokenRow] = field(default_factory=list)
    blank: int = 0
    repaired: Counter[str] = field(default_factory=Counter)  # number of plots by what the reader removed from them
    columns: dict[str, Column] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)  # columns of the last file
    # Returns where the current row starts, and its text, for `reject`.
    here: Callable[[], tuple[str, str]] = field(default=lambda: ("", ""), repr=False)
    _seen: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def broken(self) -> int:
        """Number of rows that could not be read."""
        return len(self.broken_rows)

    def add_broken(self, path: Path, line: int, why: str, text: str) -> None:
        """Add a row that cannot be read and starts at this line of the file."""
        self.broken_rows.append(BrokenRow(f"{path.name}, line {line}", why, text.strip("\r\n")))

    def reject(self, why: str) -> None:
        """Add the current row to the broken rows."""
        where, text = self.here()
        self.broken_rows.append(BrokenRow(where, why, text.strip("\r\n")))

    def note(self, column: str, value: str, readable: bool = True) -> None:
        """Count a value of a column."""
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
        """Return the year in a value of the column, and count the value; a value without a year is unreadable."""
        year = parse_year(value)
        self.note(column, value, year is not None)
        return year

    def row_id(self, prefix: str, column: str, own: str, *texts: str) -> str:
        """Return the id of a row: that in the column if there is one, else an id made from its texts."""
        if column:
            self.note(column, own)
            self.columns[column].needed = True
        return f"{prefix}-{own.strip()}" if own.strip() else self.text_id(prefix, *texts)

    def text_id(self, prefix: str, *parts: str) -> str:
        """Return an id for a row without one: a hash of its texts, with a number for repeated texts."""
        digest = hashlib.sha256("\t".join(parts).encode()).hexdigest()[:12]
        self._seen[digest] = self._seen.get(digest, 0) + 1
        return f"{prefix}-{digest}" + (f"-{self._seen[digest]}" if self._seen[digest] > 1 else "")


@dataclass(frozen=True)
class Download:
    """A file with a public address (http, https or ftp).

    `size` in bytes and `md5` are None if they are not published. `members` are the files to extract from a tar archive;
    without members, the file is not unpacked. An `extra` file is downloaded only on request.
    """

    url: str
    name: str
    size: int | None = None
    md5: str | None = None
    members: tuple[str, ...] = ()
    extra: bool = False


@dataclass(frozen=True)
class KaggleFile:
    """A file of a Kaggle dataset, which needs an account; `handle` is `owner/dataset`."""

    handle: str
    name: str


@dataclass(frozen=True)
class Source:
    """A known corpus. `read(path)` reads it from a file, or from a folder that contains its files.

    `downloads` and `kaggle` are its files on the web; `default_path` is set only for the bundled corpus.
    """

    name: str
    what: str
    size: str
    license: str
    read: Callable[..., RawCorpus]
    downloads: tuple[Download, ...] = ()
    kaggle: tuple[KaggleFile, ...] = ()
    default_path: Path | None = None

    @property
    def folder(self) -> Path:
        """Default folder of the files, for `movieplots fetch` and `movieplots prepare`."""
        return Path("data") / "raw" / self.name

    @property
    def how_to_get(self) -> str:
        """Instruction for getting the files, without a period."""
        if self.default_path is not None:
            return "comes with the project"
        if self.downloads:
            return f"run `movieplots fetch {self.name}`"
        if self.kaggle:
            files = ", ".join(f"{file.name} (kaggle.com/datasets/{file.handle})" for file in self.kaggle)
            return f"run `movieplots fetch {self.name}`, or download {files} into {self.folder}"
        return "your own file: give --path FILE and --column title=… --column plot=… --column genres=…"


def catalogue_title(published: str, year: int | None, kind: str = "movie") -> Title:
    """Return the title for a corpus with a separate year column; a title in the IMDb format is parsed instead."""
    parsed = parse_title(published)
    if not parsed.bare and (kind == "movie" or parsed.kind != "movie"):
        return parsed
    return Title(primary=published, year=year, kind=kind)


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """Open a text file, plain or compressed with bzip2 or gzip, whatever its name.

    Raises BadInput, also while reading, if the file is missing, truncated, damaged or in another encoding.
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
        except (UnicodeDecodeError, BadInput) as error:  # damaged data may raise either: check the whole file
            not_utf8 = _not_utf8(path, opener)
            raise BadInput(not_utf8 if isinstance(error, UnicodeDecodeError) else str(error)) from None
    except EOFError:
        raise BadInput(f"{path} is truncated (its compressed data ends too early): download it again.") from None
    except zlib.error as error:
        raise BadInput(f"{path} is damaged ({error}): download it again.") from None
    except OSError as error:
        if error.errno is None:  # as bz2 and gzip do for damaged data
            raise BadInput(f"{path} is damaged ({error}): download it again.") from None
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _not_utf8(path: Path, opener: Callable[..., BufferedIOBase]) -> str:
    """Read the whole file and return a message that names the first line that is not UTF-8 text."""
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
    """Yield each data row of a delimited UTF-8 file with a header, and add rows that cannot be read to `corpus`.

    The separator is a comma, or a tab if `tabs`. Another separator (comma, semicolon, tab, bar) is used if only that
    gives the required columns, or if a first line such as `sep=;` declares it. The case of column names does not
    matter; a row has the `required` and `optional` columns under the names given here.

    A file with tabs is read with the quoting rules of CSV if all its quotes follow them, as in files from pandas.
    Otherwise a quote is a normal character, and only fields that appear to be quoted by pandas are unquoted. A
    backslash escapes a quote, as in files from Spark and MySQL, if the file follows the rules only in that case.

    Raises BadInput if the file is not text, a required column is missing (with the `remedy`), or a column name is
    ambiguous.
    """
    required, usual = list(required), "\t" if tabs else ","
    separator = _separator(path, required, usual)
    quoted, escaped = _quoting(path, separator)
    with open_text(path) as file:
        lines = _Lines(file, escaped)
        _take_declared(lines)
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        header = [name.strip() for name in next(filter(any, reader), [])]
        if not header:
            raise BadInput(f"{path} is empty: it needs a header line with {', '.join(required)}.")
        if twice := [name for name in header if name and header.count(name) > 1]:
            raise BadInput(f"{path} has two columns called {twice[0]!r}: rename one of them.")
        found = match_columns(path, header, [*required, *optional])
        separated = "" if separator == usual else f", separated by {_in_words(separator)},"
        if missing := [name for name in required if name not in found]:
            raise BadInput(
                f"{path} has no column {', '.join(missing)}: its header{separated} has {', '.join(header)[:200]}; "
                f"{remedy}."
            )
        if separated:
            notify(f"{path} is read as separated by {_in_words(separator)}.")
        own_names = {own: name for name, own in found.items()}
        corpus.header = header = [own_names.get(name, name) for name in header]
        again = [(name, own_names[own]) for name, own in found.items() if own_names[own] != name]
        lines.record.clear()
        corpus.here = lambda: (f"{path.name}, line {lines.start}", "".join(lines.record))
        for values in _quoted_rows(lines, len(header), separator) if quoted else _plain_rows(lines):
            if isinstance(values, _BrokenLine):
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


def match_columns(path: Path, present: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return the name in the file of each wanted column that it has; case and surrounding blanks may differ.

    Raises BadInput if several columns match a wanted name and none is equal to it.
    """
    present, found = list(present), {}
    for name in wanted:
        alike = [own for own in present if own.strip().casefold() == name.strip().casefold()]
        if name in alike:
            found[name] = name
        elif len(alike) > 1:
            raise BadInput(f"{path} has more than one column {name!r} ({', '.join(alike)}): rename all but one.")
        elif alike:
            found[name] = alike[0]
    return found


def _in_words(separator: str) -> str:
    return SEPARATORS.get(separator, repr(separator))


def _separator(path: Path, required: list[str], usual: str) -> str:
    """Return the separator that the file declares, or the one that gives the most required columns.

    Prefer the usual separator. If none gives a required column, return one that splits the header.
    """
    scores: dict[str, tuple[int, bool]] = {}
    for separator in dict.fromkeys([usual, *SEPARATORS]):
        with open_text(path) as file:
            lines = _Lines(file)
            if declared := _take_declared(lines):
                return declared
            header = next(filter(any, csv.reader(lines, delimiter=separator)), [])
        names = {name.strip().casefold() for name in header}
        scores[separator] = (sum(name.strip().casefold() in names for name in required), len(header) > 1)
        if scores[separator][0] == len(required):
            return separator
    return max(scores, key=scores.__getitem__)  # the first of several


def _take_declared(lines: "_Lines") -> str | None:
    """Consume a first line such as `sep=;` and return the separator that it declares."""
    match = _DECLARED.fullmatch(next(lines, "").strip("\r\n"))
    if match:
        lines.record.clear()
    else:
        lines.put_back(0)
    return match and match[1]


def _quoting(path: Path, separator: str) -> tuple[bool, bool]:
    """Return whether quotes enclose fields in this file, and whether a backslash escapes a quote."""
    if separator == "\t" and _obeys_quotes(path):
        return True, False
    if _has_escapes(path) and _irregular(path, separator, escaped=True) < _irregular(path, separator, escaped=False):
        return True, True
    return separator != "\t", False


def _has_escapes(path: Path) -> bool:
    """Return whether a backslash precedes a quote anywhere: a quick test before the slow ones."""
    with open_text(path) as file:
        last = ""
        while block := file.read(1 << 20):
            if '\\"' in last + block:
                return True
            last = block[-1]
    return False


def _irregular(path: Path, separator: str, escaped: bool) -> float:
    """Return the number of rows with a different number of fields than the header; infinity for invalid quotes."""
    columns = irregular = 0
    with open_text(path) as file:
        lines = _Lines(file, escaped)
        _take_declared(lines)
        try:
            for row in csv.reader(lines, delimiter=separator, strict=True):
                lines.record.clear()
                columns = columns or len(row)
                irregular += bool(row) and len(row) != columns
        except csv.Error:
            return math.inf
    return irregular


class _Lines:
    """An iterator over the lines of a file without NUL bytes that can put back the lines of the current record.

    If the file is `escaped`, an escaped quote becomes a doubled one, and an escaped backslash or line end is unescaped.
    """

    def __init__(self, file: TextIO, escaped: bool = False) -> None:
        self.file, self.escaped = file, escaped
        self.waiting: deque[str] = deque()
        self.record: list[str] = []  # to be cleared by the caller after each record
        self.taken = 0  # number of lines, including those of the record
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
        """Number of the first line of the record."""
        return self.taken - len(self.record) + 1

    def put_back(self, start: int) -> None:
        """Put back the lines of the record from this index."""
        self.waiting.extendleft(reversed(self.record[start:]))
        self.taken -= len(self.record) - start
        del self.record[start:]
        self.ended = False


class _BrokenLine(NamedTuple):
    """A line, or a record of several lines, with a quote that is not closed."""

    line: int
    why: str
    text: str


def _quoted_rows(lines: _Lines, columns: int, separator: str) -> Iterator[list[str] | _BrokenLine]:
    """Yield the rows of a table with quotes; a stray quote makes only its own lines broken, not the rows after it."""
    for row in csv.reader(lines, delimiter=separator):
        start = None
        if lines.ended or (len(lines.record) > 1 and not _well_formed(lines.record, separator)):
            starts = (n for n, line in enumerate(lines.record) if n and _begins_row(line, columns, separator))
            start = next(starts, None)
        if start is not None:
            lines.put_back(start)
            first = lines.start
            for number, line in enumerate(lines.record, first):
                if line.strip():
                    begins = number == first
                    why = "a quote is not closed" if begins else f"the quote in line {first} is not closed before it"
                    yield _BrokenLine(number, why, line)
        elif lines.ended:
            yield _BrokenLine(lines.start, "a quote is never closed", "".join(lines.record))
        else:
            yield row  # possibly with unescaped quotes inside
        lines.record.clear()


def _well_formed(record: list[str], separator: str) -> bool:
    """Return whether every quote in the record opens a field, closes one, or is doubled."""
    try:
        list(csv.reader(record, delimiter=separator, strict=True))
    except csv.Error:
        return False
    return True


def _begins_row(line: str, columns: int, separator: str) -> bool:
    """Return whether the line is a row, or the start of a row whose last field continues on the next line."""
    fields, *following = csv.reader([line, "."], delimiter=separator)
    if separator in ",;" and any(field[:1].isspace() for field in fields[1:]):  # in a sentence, a blank follows a comma
        return False
    return len(fields) == columns if following else 1 < len(fields) <= columns


def _plain_rows(lines: _Lines) -> Iterator[list[str]]:
    """Yield the rows of a tab-separated table in which a quote is a normal character."""
    for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        yield [_unquoted(value) for value in row]
        lines.record.clear()


def _obeys_quotes(path: Path) -> bool:
    """Return whether the quotes of a tab-separated file follow the rules of CSV and do not join complete rows."""
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
    r"""Remove the quoting of pandas: `\"\"\"Salt\"\" (2009)\"` is `"Salt" (2009)`; keep other values."""
    if len(value) > 2 and value[0] == value[-1] == '"' and '""' in (inner := value[1:-1]):
        plain = inner.replace('""', "")
        if '"' not in plain:
            return inner.replace('""', '"')
    return value


# A year is alone, at the start of the text (`2004-05-01`, `2001-2005`, `2004 (USA)`), or at the end of a date. `\s`
# also matches the blanks of web pages. Every pattern takes linear time.
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
_SERIALS = range(10_000, 73_051)  # dates of Excel from 18 May 1927 to the end of 2099


def parse_year(text: str) -> int | None:
    """Return the year in a text, from 1000 to 2999, or None.

    The text is a year, starts with one (`2004`, `2004.0`, `(2004)`, `c. 1935`; the first of `2001-2005`), or is a date
    (`2004-05-01`, `20041015`, `21.10.1988`, `10/21/88`, `5 Oct 2004`, `October 5, 2004`). Two digits from 00 to 29 mean
    2000 to 2029, and 30 to 99 mean 1930 to 1999, as in Excel. A number from 10000 to 73050 is a date of Excel, from
    18 May 1927 to 31 December 2099.
    """
    if match := _BEGINNING.match(text):  # the most common case
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
    """Return the first of the files, plain or compressed, that is in the folder; return a path to a file as it is."""
    if folder.is_file():
        return folder
    for name in names:
        for packed in ("", ".bz2", ".gz"):
            if (file := folder / f"{name}{packed}").is_file():
                return file
    raise BadInput(f"{folder} contains no {what}: put {' or '.join(names)} there.")
