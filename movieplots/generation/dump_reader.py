"""Read dumps: each line becomes a sample, or is counted with the reason why it cannot be read.

A cell is read from its JSON Lines file. Dumps from other programs may have only a text file; then temperature and top-p
are taken from its name: `temp_0_7_topp_0_9` means 0.7 and 0.9. Lines of text files have one of four layouts, which
their special tokens determine. The last two are those of gpt-2-simple. Whitespace around special tokens is ignored.

    horror<|endofgenre|>"Salt" (2009)<|endoftitle|>The sea gives back …<|endoftext|>
    <|startoftext|>horror<|endofgenre|>The sea gives back …<|endoftext|>
    <|startoftext|>horror|0|"Salt" (2009)|1|The sea gives back …<|endoftext|>     (<|startoftext|> is optional)
    <|startoftext|>horror|0|The sea gives back …<|endoftext|>

A line with `<|startoftext|>` has no title, unless it has an end-of-title token. If most lines of a file with
`<|startoftext|>` have an end-of-title token, all of them need one. A line with two end-of-genre tokens, with two
end-of-title tokens, or with `<|startoftext|>` in the middle is rejected: it is unclear where its plot begins.

`<|endoftext|>` means that a sample is not truncated. However, some programs append it to each sample. Therefore, if all
lines of a text file have it, a sample counts as truncated unless its text ends with a complete sentence: with `.`, `!`,
`?`, `…`, `...` or `。`, optionally followed by closing quotes or brackets. This rule also applies to files with one
line.

Files are UTF-8, or UTF-16 with a byte-order mark. A line that is not valid text is rejected.
"""

import codecs
import contextlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
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

COLUMNS = ["genre", "title", "plot", "temperature", "top_p", "seed", "truncated"]
_TYPES: dict[str, type | tuple[type, ...]] = {
    "genre": str, "title": str, "plot": str, "temperature": (int, float), "top_p": (int, float), "truncated": bool,
}  # fmt: skip
_TOO_LARGE = 1e6  # upper bound of temperature and top-p; also rejects NaN
_SURROGATE = re.compile("[\ud800-\udfff]")  # possible in JSON, but not valid in UTF-8
_CELL = re.compile(r"temp_(\d+(?:_\d+)?)_topp_(\d+(?:_\d+)?)")


@dataclass(frozen=True)
class Dump:
    """Samples of a dump, and the lines and files that could not be read.

    Attributes
    ----------
    samples : pandas.DataFrame
        The samples, as `read_dump` returns them.
    unparsed : pandas.DataFrame
        Lines that are not samples: `file`, `line` (from 1) and `reason`.
    unread : list of str
        One message per file that could not be read.
    judged_by_text : int
        Number of samples for which `truncated` was determined from the final punctuation mark.
    """

    samples: pd.DataFrame
    unparsed: pd.DataFrame
    unread: list[str] = field(default_factory=list)
    judged_by_text: int = 0

    @property
    def reasons(self) -> dict[str, int]:
        """Number of unreadable lines by reason, the most frequent reason first."""
        return dict(Counter(self.unparsed["reason"]).most_common())


def read_dump(path: str | Path) -> pd.DataFrame:
    """Read all samples of a dump.

    Text files are read if there is no JSON Lines file of the same name. Each line is a sample in the prompt format (see
    `train_generator`), with or without titles. Dumps of gpt-2-simple, an older package for fine-tuning GPT-2, can be
    read too: their lines start with `<|startoftext|>` and end with `<|endoftext|>`, with `|0|` after the genre and
    `|1|` after the title. Lines and files that cannot be read are skipped and reported on standard error.

    Parameters
    ----------
    path : str or Path
        Folder of the dump.

    Returns
    -------
    pandas.DataFrame of shape (n_samples, 7)
        One sample per row, with the first seven fields of `Sample` as columns, ordered by temperature and top-p.
        Samples from text files have the seed -1. In a text file, a sample without `<|endoftext|>` at the end of its
        line is `truncated`. Some programs append `<|endoftext|>` to every line. If all lines end with it, a sample is
        `truncated` if its text stops in the middle of a sentence.

    Raises
    ------
    BadInput
        If the folder has no samples.

    Examples
    --------
    >>> from pathlib import Path
    >>> from movieplots import read_dump
    >>> folder = Path("runs/other-dump")
    >>> folder.mkdir(parents=True, exist_ok=True)
    >>> line = "horror<|endofgenre|>Salt (2009)<|endoftitle|>The sea gives back what it took.<|endoftext|>"
    >>> _ = (folder / "temp_0_7_topp_0_9.txt").write_text(line)
    >>> samples = read_dump(folder)
    >>> samples["title"].tolist(), samples["temperature"].tolist(), samples["truncated"].tolist()
    (['Salt (2009)'], [0.7], [False])
    """
    dump = load_dump(path)
    notify_left_out(path, dump)
    return dump.samples


def notify_left_out(path: str | Path, dump: Dump) -> None:
    """Report on standard error which lines and files of the dump were skipped."""
    if dump.reasons:
        counted = ", ".join(f"{count:,} × {reason}" for reason, count in dump.reasons.items())
        notify(f"Lines of {path} that are not samples were skipped: {counted}.")
    for message in dump.unread:
        notify(f"A file of {path} was skipped: {message}")


def load_dump(path: str | Path) -> Dump:
    """Read a dump folder, keeping track of what could not be read; raises BadInput if there are no samples."""
    cells = {file.with_suffix(""): file for file in Path(path).glob("temp_*_topp_*.txt")}
    cells |= {file.with_suffix(""): file for file in Path(path).glob("temp_*_topp_*.jsonl")}
    if not cells:
        raise BadInput(f"{path} is not a dump: run `movieplots dump --model DIR --output-dir {path}` first.")
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
        titled = 2 * sum(_title_token(line) in line for line in started) > len(started)
        by_text = of_text and all(line.rstrip().endswith(END) for line in lines if line and line.strip())
        for number, line in enumerate(lines, 1):
            try:
                if line is None:
                    raise ValueError("not UTF-8 text")
                row = parse_line(line, titled, temperature, top_p) if of_text else _parse_record(line)
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
            f"The dump in {path} has no samples ({counted}): repair it, or sample it again with --overwrite."
        )
    samples = pd.DataFrame([[getattr(row, name) for name in COLUMNS] for row in rows], columns=COLUMNS)
    samples = samples.sort_values(["temperature", "top_p"], kind="stable", ignore_index=True)
    return Dump(samples, pd.DataFrame(unparsed, columns=["file", "line", "reason"]), unread, judged)


def cell_values(file: str | Path) -> tuple[float, float]:
    """Parse temperature and top-p from the file name of a cell: `temp_0_7_topp_0_9.txt` -> (0.7, 0.9)."""
    match = _CELL.fullmatch(Path(file).stem)
    if match is None:
        raise BadInput(f"The name of {file} must state temperature and top-p, such as temp_0_7_topp_0_9.txt.")
    temperature, top_p = (float(number.replace("_", ".")) for number in match.groups())
    return temperature, top_p


def _lines(file: Path) -> list[str | None]:
    """Return the lines of a file with any line endings, without byte-order marks; None for a line that is not text."""
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
        return None if b"\0" in line else line.decode()  # UTF-16 without a byte-order mark contains zero bytes
    except UnicodeDecodeError:
        return None


def parse_line(line: str, titled: bool = False, temperature: float = 0.0, top_p: float = 0.0) -> Sample:
    """Parse a line in any of the four layouts.

    Text after `<|endoftext|>` is ignored. A line with `<|startoftext|>` has no title unless it has an end-of-title
    token; with `titled` it must have one.

    Returns
    -------
    Sample
        The sample, with the seed -1.

    Raises
    ------
    ValueError
        If the line is not a sample; the message is the reason.
    """
    text, end, _ = line.partition(END)
    text = text.strip()
    if not text:
        raise ValueError("empty line")
    started = text.startswith(START)
    text = text.removeprefix(START)
    if START in text:
        raise ValueError("<|startoftext|> inside the line")
    genre_token = END_OF_GENRE if END_OF_GENRE in text else SIMPLE_END_OF_GENRE
    genre, found, rest = text.partition(genre_token)
    if not found:
        raise ValueError("missing end-of-genre token")
    if not genre.strip():
        raise ValueError("missing genre")
    title_token = _title_token(text)
    title, found, plot = rest.partition(title_token)
    if not found:
        if titled or not started:
            raise ValueError("missing end-of-title token")
        title, plot = "", rest
    for token, reason in _REPEATED.items():
        # The tokens of gpt-2-simple are plain text in a line that has the project's own.
        if token in (genre_token, title_token, END_OF_GENRE, END_OF_TITLE) and token in genre + title + plot:
            raise ValueError(reason)
    return Sample(genre.strip().lower(), title.strip(), plot.strip(), temperature, top_p, -1, not end)


_REPEATED = {
    END_OF_GENRE: "more than one end-of-genre token", SIMPLE_END_OF_GENRE: "more than one end-of-genre token",
    END_OF_TITLE: "more than one end-of-title token", SIMPLE_END_OF_TITLE: "more than one end-of-title token",
}  # fmt: skip


def _title_token(line: str) -> str:
    """Return the end-of-title token of the layout to which the line's end-of-genre token belongs."""
    return END_OF_TITLE if END_OF_GENRE in line or SIMPLE_END_OF_GENRE not in line else SIMPLE_END_OF_TITLE


def _ends_with_sentence(text: str) -> bool:
    # Stories can end with an ellipsis; a length limit rarely truncates a text right after one.
    from movieplots.preparation.cleaning import is_whole  # imports libraries that JSON Lines files do not need

    return is_whole(text, ellipsis=True)


def _parse_record(line: str) -> Sample:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(record, dict):
        record = {}
    if isinstance(record.get("finished"), bool):  # the field's name in an earlier version
        record.setdefault("truncated", not record["finished"])
    for name in COLUMNS:
        if name not in record:
            raise ValueError(f"missing field {name}")
        value, numeric = record[name], name in ("temperature", "top_p")
        if not isinstance(value, _TYPES.get(name, object)) or (numeric and isinstance(value, bool)):
            raise ValueError(f"field {name} has the wrong type")
        if numeric and not 0 <= record[name] < _TOO_LARGE:
            raise ValueError(f"field {name} is out of range")
        if isinstance(value, str) and _SURROGATE.search(value):
            raise ValueError(f"field {name} is not UTF-8 text")
    return Sample(*(record[name] for name in COLUMNS))
