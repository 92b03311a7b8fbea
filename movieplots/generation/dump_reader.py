"""Reading dumps back: every line becomes a sample, or is counted with the reason why it could not.

A cell is read from its JSON Lines file, or, where there is none (a dump made elsewhere), from its text file, where
temperature and top-p are taken from the file's name: `temp_0_7_topp_0_9` is 0.7 and 0.9. A line of a text file is in
one of four layouts, which its marks tell apart; the last two are those of gpt-2-simple. Blanks may surround marks.

    horror<|endofgenre|>"Salt" (2009)<|endoftitle|>The sea gives back …<|endoftext|>
    <|startoftext|>horror<|endofgenre|>The sea gives back …<|endoftext|>
    <|startoftext|>horror|0|"Salt" (2009)|1|The sea gives back …<|endoftext|>      the start mark may be missing
    <|startoftext|>horror|0|The sea gives back …<|endoftext|>

A start mark says that there is no title, unless the line has an end of the title; where most of a file's lines with a
start mark have one, all need it. A second end of the genre or of the title and a start mark inside a line make the line
unreadable: nobody can tell where its plot begins.

The end mark says that a sample is not truncated. Some programs write it after every sample, cut off or not. Where it
stands at the end of every line of a text file, it therefore says nothing, and a sample is truncated unless its text
ends with a sentence: with `.`, `!`, `?`, `…`, `...` or `。`, perhaps before closing quotes or brackets. That holds for
a file of a single line, too: a text that is not cut off nearly always ends so, whether or not the mark means anything.

Files are UTF-8, or UTF-16 with a byte-order mark. Bytes that are no text make their line unreadable.
"""

import codecs
import contextlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pandas as pd

from movieplots.errors import BadInput
from movieplots.generation.prompt_format import (
    END,
    END_OF_GENRE,
    END_OF_TITLE,
    SIMPLE_END_OF_GENRE,
    SIMPLE_END_OF_TITLE,
    START,
)
from movieplots.generation.sampling import Sample
from movieplots.progress import notify

COLUMNS = [each.name for each in fields(Sample)]
_TYPES: dict[str, type | tuple[type, ...]] = {
    "genre": str, "title": str, "plot": str, "temperature": (int, float), "top_p": (int, float), "truncated": bool,
}  # fmt: skip
_TOO_LARGE = 1e6  # for a temperature; NaN is not below it either
_HALF = re.compile("[\ud800-\udfff]")  # half of a character, which JSON can hold and no text file
_CELL = re.compile(r"temp_(\d+(?:_\d+)?)_topp_(\d+(?:_\d+)?)")


@dataclass(frozen=True)
class Dump:
    """The samples of a dump (see `read_dump`), and its lines that are none: `file`, `line` (from 1), `reason`.

    `unread` has a sentence for each file that could not be read at all. Whether they are truncated was judged by
    their final punctuation mark in `judged_by_text` of the samples.
    """

    samples: pd.DataFrame
    unparsed: pd.DataFrame
    unread: list[str] = field(default_factory=list)
    judged_by_text: int = 0

    @property
    def reasons(self) -> dict[str, int]:
        """How many lines could not be read for each reason, the commonest first."""
        return dict(Counter(self.unparsed["reason"]).most_common())


def read_dump(path: str | Path) -> pd.DataFrame:
    """All samples of the dump folder `path`, one row each.

    The columns are those of `Sample`. Cells stand in the order of their temperatures, then of their top-p values. Text
    files are read where there is no JSON Lines file beside them, with or without titles or with the marks of
    gpt-2-simple; they hold no seeds: -1. Where every line of a text file has an end mark, `truncated` says whether the
    text ends in the middle of a sentence. Lines that are no samples are left out and counted in a message, which names
    files that cannot be read, too. Raises BadInput where there are no samples at all.
    """
    dump = load_dump(path)
    notify_left_out(path, dump)
    return dump.samples


def notify_left_out(path: str | Path, dump: Dump) -> None:
    """Say on standard error which lines and files of the dump are not among its samples."""
    if dump.reasons:
        counted = ", ".join(f"{count:,} × {reason}" for reason, count in dump.reasons.items())
        notify(f"Lines of {path} that are no samples were left out: {counted}.")
    for sentence in dump.unread:
        notify(f"A file of {path} was left out: {sentence}")


def load_dump(path: str | Path) -> Dump:
    """The samples of a dump folder and what could not be read. Raises BadInput where there are no samples at all."""
    cells = {file.with_suffix(""): file for file in Path(path).glob("temp_*_topp_*.txt")}
    cells |= {file.with_suffix(""): file for file in Path(path).glob("temp_*_topp_*.jsonl")}
    if not cells:
        raise BadInput(f"No dump in {path}: run `movieplots dump --model DIR --output-dir {path}` first.")
    rows: list[Sample] = []
    unparsed: list[tuple[str, int, str]] = []
    unread: list[str] = []
    judged = 0
    for file in sorted(cells.values()):
        try:
            temperature, top_p = cell_values(file.name)
            lines = _lines(file)
        except BadInput as error:
            unread.append(str(error))
            continue
        of_text = file.suffix != ".jsonl"
        started = [line for line in lines if line and line.lstrip().startswith(START)]
        titled = 2 * sum(_title_mark(line) in line for line in started) > len(started)
        by_text = of_text and all(line.rstrip().endswith(END) for line in lines if line and line.strip())
        for number, line in enumerate(lines, 1):
            try:
                if line is None:
                    raise ValueError("not UTF-8 text")
                row = parse_line(line, titled, temperature, top_p) if of_text else _record(line)
            except ValueError as error:
                unparsed.append((file.name, number, str(error)))
                continue
            if by_text:
                row = replace(row, truncated=not _ends_with_sentence(row.plot))
                judged += 1
            rows.append(row)
    if not rows:
        reasons = [*unread, *sorted({reason for *_, reason in unparsed})]
        counted = ", ".join(reason.rstrip(".") for reason in reasons) or "its files are empty"
        raise BadInput(
            f"The dump in {path} holds no samples ({counted}): mend it, or sample it again with --overwrite."
        )
    samples = pd.DataFrame(list(map(vars, rows)), columns=COLUMNS)
    samples = samples.sort_values(["temperature", "top_p"], kind="stable", ignore_index=True)
    return Dump(samples, pd.DataFrame(unparsed, columns=["file", "line", "reason"]), unread, judged)


def cell_values(file: str | Path) -> tuple[float, float]:
    """Temperature and top-p of a cell by its file's name: `temp_0_7_topp_0_9.txt` -> (0.7, 0.9)."""
    match = _CELL.fullmatch(Path(file).stem)
    if match is None:
        raise BadInput(f"{file} does not say its temperature and top-p: name it like temp_0_7_topp_0_9.txt.")
    temperature, top_p = (float(number.replace("_", ".")) for number in match.groups())
    return temperature, top_p


def _lines(file: Path) -> list[str | None]:
    """The lines of a file, whatever their line ends, without byte-order marks; None for one that is no text."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file.name} cannot be read ({error.strerror}).") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with contextlib.suppress(UnicodeDecodeError):
            data = data.decode("utf-16").encode()
    return [_decoded(line.removeprefix(codecs.BOM_UTF8)) for line in data.splitlines()]


def _decoded(line: bytes) -> str | None:
    try:
        return None if b"\0" in line else line.decode()  # UTF-16 without its mark is full of zeros
    except UnicodeDecodeError:
        return None


def parse_line(line: str, titled: bool = False, temperature: float = 0.0, top_p: float = 0.0) -> Sample:
    """A line in any layout as a sample of the seed -1; raises ValueError with the reason if it is none.

    What follows the end mark is left out. A line with a start mark has no title, unless it has an end of the title;
    with `titled` it must have one.
    """
    text, end, _ = line.partition(END)
    text = text.strip()
    if not text:
        raise ValueError("empty line")
    started = text.startswith(START)
    text = text.removeprefix(START)
    if START in text:
        raise ValueError("a start mark inside the line")
    genre_mark = END_OF_GENRE if END_OF_GENRE in text else SIMPLE_END_OF_GENRE
    genre, mark, rest = text.partition(genre_mark)
    if not mark:
        raise ValueError("no end of the genre")
    if not genre.strip():
        raise ValueError("no genre")
    title_mark = _title_mark(text)
    title, mark, plot = rest.partition(title_mark)
    if not mark:
        if titled or not started:
            raise ValueError("no end of the title")
        title, plot = "", rest
    for mark, reason in _TWICE.items():
        # The marks of gpt-2-simple are plain text where the others stand.
        if mark in (genre_mark, title_mark, END_OF_GENRE, END_OF_TITLE) and mark in genre + title + plot:
            raise ValueError(reason)
    return Sample(genre.strip().lower(), title.strip(), plot.strip(), temperature, top_p, -1, not end)


_TWICE = {
    END_OF_GENRE: "a second end of the genre", SIMPLE_END_OF_GENRE: "a second end of the genre",
    END_OF_TITLE: "a second end of the title", SIMPLE_END_OF_TITLE: "a second end of the title",
}  # fmt: skip


def _title_mark(line: str) -> str:
    """The end of the title that belongs to the line's end of the genre."""
    return END_OF_TITLE if END_OF_GENRE in line or SIMPLE_END_OF_GENRE not in line else SIMPLE_END_OF_TITLE


def _ends_with_sentence(text: str) -> bool:
    # An ellipsis is one way to end a story; a length limit seldom falls behind one.
    from movieplots.preparation.cleaning import is_whole  # brings libraries that reading JSON Lines needs not

    return is_whole(text, ellipsis=True)


def _record(line: str) -> Sample:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(record, dict):
        record = {}
    if isinstance(record.get("finished"), bool):  # as an earlier version wrote it
        record.setdefault("truncated", not record["finished"])
    for name in COLUMNS:
        if name not in record:
            raise ValueError(f"no field {name}")
        value, numeric = record[name], name in ("temperature", "top_p")
        if not isinstance(value, _TYPES.get(name, object)) or (numeric and isinstance(value, bool)):
            raise ValueError(f"a {name} of the wrong type")
        if numeric and not 0 <= record[name] < _TOO_LARGE:
            raise ValueError(f"a {name} out of range")
        if isinstance(value, str) and _HALF.search(value):
            raise ValueError(f"a {name} that is not UTF-8 text")
    return Sample(*(record[name] for name in COLUMNS))
