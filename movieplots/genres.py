"""The genre vocabulary (IMDb's 28 names, lower case) and each source's mapping onto it.

A mapping is a data file, `genre_maps/<source>.csv`, with the columns `tag` and `genres`: the source's tag and the
genres it stands for, separated by blanks. An empty `genres` says that the tag is ignored on purpose. A tag that the
file does not name is unknown: it is counted and reported.
"""

import csv
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from movieplots.errors import BadInput

GENRES: tuple[str, ...] = (
    "action", "adult", "adventure", "animation", "biography", "comedy", "crime", "documentary", "drama", "family",
    "fantasy", "game-show", "history", "horror", "lifestyle", "music", "musical", "mystery", "news", "reality-tv",
    "romance", "sci-fi", "short", "sport", "talk-show", "thriller", "war", "western",
)  # fmt: skip

_MAPS = Path(__file__).parent / "genre_maps"


@lru_cache
def genre_map(source: str) -> dict[str, tuple[str, ...]]:
    """The mapping of a source: tag in lower case -> genres (an empty tuple: ignored on purpose).

    A source without a mapping file uses the vocabulary's own names.
    """
    file = _MAPS / f"{source}.csv"
    if not file.is_file():
        return {genre: (genre,) for genre in GENRES}
    text = file.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    for number, row in enumerate(rows, 2):
        if set(row) != {"tag", "genres"} or row["genres"] is None:
            raise BadInput(
                f"{file}, line {number}, is not `tag,genres`: add the comma, or quote a tag that has commas."
            )
    mapping = {row["tag"].lower(): tuple(row["genres"].split()) for row in rows}
    unknown = {genre for genres in mapping.values() for genre in genres} - set(GENRES)
    if unknown:
        raise BadInput(f"{file} names genres outside the vocabulary: {', '.join(sorted(unknown))}.")
    return mapping


def map_tags(source: str, tags: Iterable[str]) -> tuple[list[str], list[str]]:
    """Translate one plot's tags: (genres in vocabulary order, tags that no mapping names)."""
    mapping = genre_map(source)
    found: set[str] = set()
    unknown = []
    for tag in tags:
        genres = mapping.get(tag.lower())
        if genres is None:
            unknown.append(tag)
        else:
            found.update(genres)
    return sorted(found), unknown


def check_genres(genres: Iterable[str]) -> list[str]:
    """Lower-case the names and return them; raises BadInput naming the first that is not in the vocabulary."""
    checked = [genre.strip().lower() for genre in genres]
    for genre in checked:
        if genre not in GENRES:
            raise BadInput(f"Unknown genre {genre!r}: choose from {', '.join(GENRES)}.")
    return checked
