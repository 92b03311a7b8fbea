"""The IMDb layout: tab-separated `title`, `plot` and a column of 0/1 per genre (`Action`, `Game-Show`, …)."""

import hashlib
from pathlib import Path

from movieplots.genres import GENRES
from movieplots.sources.corpus import RawCorpus, RawPlot, read_table
from movieplots.titles import parse_title


def read_imdb_table(path: Path, prefix: str) -> RawCorpus:
    """Read one file of the IMDb layout. An id is `prefix` and a hash of title and plot, so it survives reordering."""
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
        tags = [name.lower() for name, value in row.items() if name.lower() in GENRES and value.strip() == "1"]
        corpus.rows.append(RawPlot(f"{prefix}-{digest}{repeat}", published, parse_title(published), plot, tags))
    return corpus
