"""The IMDb layout: tab-separated `title`, `plot` and a column of 0/1 per genre (`Action`, `Game-Show`, …)."""

import hashlib
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.genres import GENRES
from movieplots.sources.corpus import RawCorpus, RawPlot, read_table
from movieplots.titles import parse_title

_FLAGS = {"1": True, "1.0": True, "0": False, "0.0": False, "": False}


def read_imdb_table(path: Path, prefix: str) -> RawCorpus:
    """Read one file of the IMDb layout. An id is `prefix` and a hash of title and plot, so it survives reordering.

    A column outside the genre vocabulary counts as a tag like any other, so that it is reported.
    """
    corpus = RawCorpus()
    seen: dict[str, int] = {}
    for row in read_table(path, ["title", "plot"], tabs=True):
        if row is None:
            corpus.broken += 1
            continue
        published, plot = row["title"].strip(), row["plot"]
        digest = hashlib.sha256(f"{published}\t{plot}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        repeat = f"-{seen[digest]}" if seen[digest] > 1 else ""
        flags = {
            name.lower(): _FLAGS.get(value.strip()) for name, value in row.items() if name not in ("title", "plot")
        }
        if not set(flags) & set(GENRES):
            raise BadInput(
                f"{path} has no genre columns: after title and plot it needs one of 0/1 per genre (Action, …)."
            )
        if None in flags.values():
            corpus.broken += 1
            continue
        tags = [name for name, flag in flags.items() if flag]
        corpus.rows.append(RawPlot(f"{prefix}-{digest}{repeat}", published, parse_title(published), plot, tags))
    return corpus
