"""Reading dumps back: every line becomes a sample, or is counted with the reason why it could not.

A cell is read from its JSON Lines file, or, where there is none (a dump made elsewhere), from its text file in either
markup, where temperature and top-p are taken from the file's name: `temp_0_7_topp_0_9` is 0.7 and 0.9.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from movieplots.errors import BadInput
from movieplots.generation.markup import END, END_OF_GENRE, END_OF_TITLE, START
from movieplots.progress import say

COLUMNS = ["genre", "title", "plot", "temperature", "top_p", "seed", "finished"]
_TYPES = {"genre": str, "title": str, "plot": str, "temperature": (int, float), "top_p": (int, float), "finished": bool}
_CELL = re.compile(r"temp_(\d+(?:_\d+)?)_topp_(\d+(?:_\d+)?)")


@dataclass(frozen=True)
class Dump:
    """The samples of a dump (see `read_dump`), and its lines that are none: `file`, `line` (from 1), `reason`."""

    samples: pd.DataFrame
    unparsed: pd.DataFrame

    @property
    def reasons(self) -> dict[str, int]:
        """How many lines could not be read for each reason, the commonest first."""
        return dict(Counter(self.unparsed["reason"]).most_common())


def read_dump(path: str | Path) -> pd.DataFrame:
    """All samples of the dump folder `path`, one row each.

    The columns are `genre`, `title`, `plot`, `temperature`, `top_p`, `seed` and `finished`, as in `Sample`. Cells stand
    in the order of their temperatures, then of their top-p values. Text files in either markup are read where there is
    no JSON Lines file beside them; they hold no seeds: -1. Lines that are no samples are left out and counted in a
    message. Raises BadInput where there are no samples at all.
    """
    dump = load_dump(path)
    if dump.reasons:
        counted = ", ".join(f"{count:,} × {reason}" for reason, count in dump.reasons.items())
        say(f"Lines of {path} that are no samples were left out: {counted}.")
    return dump.samples


def load_dump(path: str | Path) -> Dump:
    """The samples of a dump folder and the lines that are none. Raises BadInput where there are no samples at all."""
    cells = {file.with_suffix(""): file for file in Path(path).glob("temp_*_topp_*.txt")}
    cells |= {file.with_suffix(""): file for file in Path(path).glob("temp_*_topp_*.jsonl")}
    if not cells:
        raise BadInput(f"No dump in {path}: run `movieplots dump --model DIR --out {path}` first.")
    rows, unparsed = [], []
    for file in sorted(cells.values()):
        temperature, top_p = cell_values(file)
        text = file.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
            try:
                if file.suffix == ".jsonl":
                    rows.append(_record(line))
                else:
                    place = {"temperature": temperature, "top_p": top_p, "seed": -1}
                    rows.append(parse_line(line) | place)
            except ValueError as error:
                unparsed.append({"file": file.name, "line": number, "reason": str(error)})
    if not rows:
        counted = ", ".join(sorted({row["reason"] for row in unparsed})) or "its files are empty"
        raise BadInput(f"The dump in {path} holds no samples ({counted}): sample it again with --fresh.")
    samples = pd.DataFrame(rows, columns=COLUMNS)
    samples = samples.sort_values(["temperature", "top_p"], kind="stable", ignore_index=True)
    return Dump(samples, pd.DataFrame(unparsed, columns=["file", "line", "reason"]))


def cell_values(file: str | Path) -> tuple[float, float]:
    """Temperature and top-p of a cell by its file's name: `temp_0_7_topp_0_9.txt` -> (0.7, 0.9)."""
    match = _CELL.fullmatch(Path(file).stem)
    if match is None:
        raise BadInput(f"{file} does not say its temperature and top-p: name it like temp_0_7_topp_0_9.txt.")
    temperature, top_p = (float(number.replace("_", ".")) for number in match.groups())
    return temperature, top_p


def parse_line(line: str) -> dict[str, Any]:
    """A line in either markup -> `genre`, `title`, `plot`, `finished`; raises ValueError with the reason if it is none.

    What follows the end mark is left out. A line with a start mark has no title.
    """
    text, end, _ = line.partition(END)
    if not text.strip():
        raise ValueError("empty line")
    without_title = text.startswith(START)
    genre, mark, rest = text.removeprefix(START).partition(END_OF_GENRE)
    if not mark:
        raise ValueError("no end of the genre")
    if not genre.strip():
        raise ValueError("no genre")
    title, mark, plot = ("", END_OF_TITLE, rest) if without_title else rest.partition(END_OF_TITLE)
    if not mark:
        raise ValueError("no end of the title")
    return {
        "genre": genre.strip().lower(), "title": title.strip(), "plot": plot.strip(), "finished": bool(end),
    }  # fmt: skip


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        raise ValueError("not JSON") from None
    for name in COLUMNS:
        if not isinstance(record, dict) or name not in record:
            raise ValueError(f"no field {name}")
        if not isinstance(record[name], _TYPES.get(name, object)):
            raise ValueError(f"a {name} of the wrong type")
    return {name: record[name] for name in COLUMNS}
