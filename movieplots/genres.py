"""The genre vocabulary (IMDb's 28 names, lower case), the mapping of each source onto it, and nine coarse genres.

A mapping is a CSV file, `genre_maps/<source>.csv`, with the columns `tag` and `genres`: a tag of the source and its
genres, separated by spaces. An empty `genres` means that the tag is ignored on purpose. A tag is unknown if the file
contains neither the tag nor a part of it between separators; unknown tags are counted and reported.

The comparison ignores case, spacing, and the kind of dash or apostrophe. Tags are cleaned like plots (HTML, invisible
characters, mojibake).
"""

import csv
import re
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from movieplots.errors import BadInput
from movieplots.texts import as_list, as_names, clean_text

GENRES: tuple[str, ...] = (
    "action", "adult", "adventure", "animation", "biography", "comedy", "crime", "documentary", "drama", "family",
    "fantasy", "game-show", "history", "horror", "lifestyle", "music", "musical", "mystery", "news", "reality-tv",
    "romance", "sci-fi", "short", "sport", "talk-show", "thriller", "war", "western",
)  # fmt: skip

COARSE: tuple[str, ...] = (
    "action", "children", "comedy", "crime", "fantasy", "horror", "mystery", "novel", "romance",
)  # fmt: skip

_MAPS = Path(__file__).parent / "genre_maps"
# A hyphen separates only between spaces (not in sci-fi), `and` only as a separate word (not in sword-and-sandal).
_SEPARATOR = re.compile(r"[,/;&|–—()\[\]]|(?<=\s)-(?=\s)|(?<![\w-])and(?![\w-])", re.IGNORECASE)
_LONGEST = 8  # words of a phrase in free text; the longest tag of the mappings has six
# All kinds of dashes and apostrophes are the same in a tag: `Sci\u2011Fi`, `Children\u2019s`.
_SAME = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"), "-")
_SAME |= dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u2032\u00b4`"), "'")


class MappedTags(NamedTuple):
    """The genres of one plot in vocabulary order, and its cleaned tags by the result of the mapping.

    `mapped` are the tags with genres, `ignored` those that the mapping contains without a genre, `unknown` those that
    it does not contain. A tag that was split is replaced by its parts.
    """

    genres: list[str]
    ignored: list[str]
    unknown: list[str]
    mapped: list[str]


@lru_cache
def genre_map(source: str) -> dict[str, tuple[str, ...]]:
    """Return the mapping of a source: from the `tag_key` of a tag to its genres (an empty tuple: ignored on purpose).

    A source without a mapping file uses the names of the vocabulary.
    """
    file = _MAPS / f"{source}.csv"
    return read_genre_map(file) if file.is_file() else {genre: (genre,) for genre in GENRES}


def read_genre_map(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a mapping file: from the `tag_key` of a tag to its genres (an empty tuple: ignored on purpose).

    Raises BadInput if the file is not a UTF-8 table `tag,genres`, contains a tag twice, or a genre outside the
    vocabulary.
    """
    mapping: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, int] = {}
    for number, row in _rows(path, "tag", "genres"):
        tag = tag_key(row["tag"])
        if tag in mapping:
            raise BadInput(f"{path}, line {number}, repeats the tag {tag!r}: keep one of its rows.")
        mapping[tag] = tuple(row["genres"].lower().split())
        unknown |= {genre: number for genre in mapping[tag] if genre not in GENRES and genre not in unknown}
    if unknown:
        named = ", ".join(f"{genre!r} (line {number})" for genre, number in unknown.items())
        raise BadInput(
            f"{path} contains genres outside the vocabulary: {named}. Choose from {', '.join(GENRES)}; separate "
            "several genres by spaces."
        )
    return mapping


@lru_cache(maxsize=1 << 16)
def clean_tag(tag: str) -> str:
    """Return the tag without HTML, mojibake and invisible characters, with single spaces."""
    return clean_text(tag)


@lru_cache(maxsize=1 << 16)
def tag_key(tag: str) -> str:
    """Return the key of a tag in a mapping: cleaned, in lower case, with plain hyphens and apostrophes."""
    return clean_tag(tag).translate(_SAME).lower()


def map_tags(source: str, tags: Iterable[str], extra: Mapping[str, tuple[str, ...]] | None = None) -> MappedTags:
    """Map the tags of one plot to genres with the mapping of its source.

    `extra` is a mapping of the user, as `read_genre_map` returns it. It takes precedence. A tag that is in neither
    mapping (`Drama / Romance`) is split at its separators if at least one of its parts is.
    """
    known = ChainMap(extra, genre_map(source)) if extra else genre_map(source)  # type: ignore[arg-type]
    found: set[str] = set()
    result = MappedTags([], [], [], [])
    for written in as_list(tags, "tag"):
        tag = clean_tag(written)
        for part in [tag] if not tag or tag_key(tag) in known else _parts(tag, known):
            genres = known.get(tag_key(part))
            if genres:
                result.mapped.append(part)
                found.update(genres)
            elif genres is not None:
                result.ignored.append(part)
            elif part:
                result.unknown.append(part)
    result.genres.extend(sorted(found))  # the vocabulary is in alphabetical order
    return result


def _parts(tag: str, known: Collection[str]) -> list[str]:
    """Return the parts of a tag that is not known as a whole, or the tag itself if no part is known."""
    plain = tag.translate(_SAME)
    if not _SEPARATOR.search(plain) and ("-" not in plain or " " in plain):
        return [tag]
    parts = split_free_text(plain, known)
    return parts if any(part.lower() in known for part in parts) else [tag]


def split_free_text(text: str, known: Collection[str]) -> list[str]:
    """Split a genre written as free text into tags: `romantic comedy/drama` -> romantic, comedy, drama.

    `known` are the tags of a mapping, in lower case. The text is split at separators (commas, slashes, bars,
    semicolons, `&`, `and`, dashes, brackets). In each part the longest known phrases are matched from the left and
    returned in lower case. Adjacent words outside known phrases are returned together, unchanged.
    """
    whole = tag_key(text)
    if whole in known:  # names that contain a separator, such as `action & adventure`
        return [whole]
    return [tag for part in _SEPARATOR.split(text) for tag in _phrases(list(_words(part, known)), known)]


def _words(part: str, known: Collection[str]) -> Iterator[str]:
    """Yield the words of a part; an unknown compound of known words, such as `comedy-drama`, gives these words."""
    for word in part.split():
        pieces = word.split("-")
        apart = word.lower() not in known and all(piece.lower() in known for piece in pieces)
        yield from pieces if apart else [word]


def _phrases(words: list[str], known: Collection[str]) -> Iterator[str]:
    start = unnamed = 0  # words[unnamed:start] are in no known phrase
    while start < len(words):
        ends = range(min(len(words), start + _LONGEST), start, -1)
        end = next((end for end in ends if " ".join(words[start:end]).lower() in known), None)
        if end is None:
            start += 1
            continue
        if unnamed < start:
            yield " ".join(words[unnamed:start])
        yield " ".join(words[start:end]).lower()
        start = unnamed = end
    if unnamed < start:
        yield " ".join(words[unnamed:start])


def coarsen(genres: Iterable[str]) -> list[str]:
    """Return the coarse genres of some genres, sorted and distinct; genres about the format (`short`) have none."""
    groups = _coarse_map()
    return sorted({groups[genre] for genre in check_genres(genres)} - {""})


@lru_cache
def _coarse_map() -> dict[str, str]:
    return {row["genre"]: row["coarse"] for _, row in _rows(_MAPS / "coarse.csv", "genre", "coarse")}


def check_genres(genres: Iterable[str], known: Collection[str] = GENRES) -> list[str]:
    """Return the names in lower case; raise BadInput with the first that is not among the `known`.

    A single string instead of a list is an error too: `check_genres("horror")` raises BadInput.
    """
    checked = [genre.strip().lower() for genre in as_names(genres)]
    for genre in checked:
        if genre not in known:
            raise BadInput(f"Unknown genre {genre!r}: choose from {', '.join(known)}.")
    return checked


def promptable(trained: Iterable[str]) -> list[str]:
    """Return the genres that a prompt may contain: the vocabulary and the coarse genres that the model knows."""
    return sorted({*GENRES, *trained})


def _rows(path: str | Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a CSV file with exactly these columns, with its line number in the file."""
    layout = ",".join(columns)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if set(reader.fieldnames or ()) != set(columns):
                raise BadInput(f"{path} does not begin with the line `{layout}`: add it.")
            for row in reader:
                if None in row or None in row.values():  # too many fields, or too few
                    raise BadInput(
                        f"{path}, line {reader.line_num}, does not have the form `{layout}`: "
                        f"add the comma, or quote a {columns[0]} that contains commas."
                    )
                yield reader.line_num, row
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text: convert the file to UTF-8.") from None
    except csv.Error as error:
        raise BadInput(f"{path} is not a readable CSV file ({error}): save it as comma-separated text.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): check the path.") from None
