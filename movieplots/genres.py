"""The genre vocabulary (IMDb's 28 names, lower case), each source's mapping onto it, and nine coarse groups of it.

A mapping is a data file, `genre_maps/<source>.csv`, with the columns `tag` and `genres`: the source's tag and the
genres it stands for, separated by blanks. An empty `genres` says that the tag is ignored on purpose. A tag that the
file does not name, nor any part of it between separators, is unknown: it is counted and reported.

Tags match whatever their case, blanks, dashes and apostrophes, and are cleaned as plots are (HTML, invisible
characters, wrongly decoded ones).
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
# A hyphen separates only between blanks (not in sci-fi), `and` only as a word of its own (not in sword-and-sandal).
_SEPARATOR = re.compile(r"[,/;&|–—()\[\]]|(?<=\s)-(?=\s)|(?<![\w-])and(?![\w-])", re.IGNORECASE)
_LONGEST = 8  # words of a phrase within free text; the mappings' longest tag has six
# However a dash or an apostrophe is written, in a tag it is the same: `Sci\u2011Fi`, `Children\u2019s`.
_SAME = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"), "-")
_SAME |= dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u2032\u00b4`"), "'")


class MappedTags(NamedTuple):
    """One plot's tags: its genres in vocabulary order, and its tags, cleaned, by what they gave.

    `ignored` are the tags that the mapping names without a genre, `unknown` those that it does not name, `mapped` those
    that gave genres. A tag that was taken apart stands here with its parts.
    """

    genres: list[str]
    ignored: list[str]
    unknown: list[str]
    mapped: list[str]


@lru_cache
def genre_map(source: str) -> dict[str, tuple[str, ...]]:
    """The mapping of a source: tag as `tag_key` writes it -> genres (an empty tuple: ignored on purpose).

    A source without a mapping file uses the vocabulary's own names.
    """
    file = _MAPS / f"{source}.csv"
    return read_genre_map(file) if file.is_file() else {genre: (genre,) for genre in GENRES}


def read_genre_map(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a mapping file: tag as `tag_key` writes it -> genres (an empty tuple: ignored on purpose).

    Raises BadInput where the file is not a UTF-8 table `tag,genres`, names a tag twice, or names a genre outside
    the vocabulary.
    """
    mapping: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, int] = {}
    for number, row in _rows(path, "tag", "genres"):
        tag = tag_key(row["tag"])
        if tag in mapping:
            raise BadInput(f"{path}, line {number}, names the tag {tag!r} a second time: keep one of its rows.")
        mapping[tag] = tuple(row["genres"].lower().split())
        unknown |= {genre: number for genre in mapping[tag] if genre not in GENRES and genre not in unknown}
    if unknown:
        named = ", ".join(f"{genre!r} (line {number})" for genre, number in unknown.items())
        raise BadInput(
            f"{path} names genres outside the vocabulary: {named}; choose from {', '.join(GENRES)}, several with "
            "blanks between."
        )
    return mapping


@lru_cache(maxsize=1 << 16)
def clean_tag(tag: str) -> str:
    """The tag without HTML, wrongly decoded and invisible characters, with single blanks."""
    return clean_text(tag)


@lru_cache(maxsize=1 << 16)
def tag_key(tag: str) -> str:
    """How mappings name the tag: cleaned, in lower case, with plain hyphens and apostrophes."""
    return clean_tag(tag).translate(_SAME).lower()


def map_tags(source: str, tags: Iterable[str], extra: Mapping[str, tuple[str, ...]] | None = None) -> MappedTags:
    """Translate one plot's tags by the source's mapping.

    `extra` is a user's own mapping, as `read_genre_map` returns it: for a tag that both name, it alone counts. A tag
    that neither names (`Drama / Romance`) is taken apart at its separators where they name at least one of its parts.
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
    """What a tag that is not known as a whole consists of; itself where no part is known."""
    plain = tag.translate(_SAME)
    if not _SEPARATOR.search(plain) and ("-" not in plain or " " in plain):
        return [tag]
    parts = split_free_text(plain, known)
    return parts if any(part.lower() in known for part in parts) else [tag]


def split_free_text(text: str, known: Collection[str]) -> list[str]:
    """Take a genre written as free text apart into tags: `romantic comedy/drama` -> romantic, comedy, drama.

    `known` are the tags of a mapping, in lower case. The text comes apart at its separators (commas, strokes,
    semicolons, `&`, `and`, dashes, brackets); in each part the longest known phrases are taken from the left. They
    come out in lower case; the words between them that no phrase covers come out together, as they are written.
    """
    whole = tag_key(text)
    if whole in known:  # for names that hold a separator themselves, such as `action & adventure`
        return [whole]
    return [tag for part in _SEPARATOR.split(text) for tag in _phrases(list(_words(part, known)), known)]


def _words(part: str, known: Collection[str]) -> Iterator[str]:
    """The words of a part; one such as `comedy-drama`, unknown but made of known words, comes out as these."""
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
    """The coarse groups of some genres, sorted and without repeats; genres that tell no kind of story have none."""
    groups = _coarse_map()
    return sorted({groups[genre] for genre in check_genres(genres)} - {""})


@lru_cache
def _coarse_map() -> dict[str, str]:
    return {row["genre"]: row["coarse"] for _, row in _rows(_MAPS / "coarse.csv", "genre", "coarse")}


def check_genres(genres: Iterable[str], known: Collection[str] = GENRES) -> list[str]:
    """Lower-case the names and return them; raises BadInput naming the first that is not among the `known`.

    One name alone, outside a list, is none: `check_genres("horror")` raises BadInput, too.
    """
    checked = [genre.strip().lower() for genre in as_names(genres)]
    for genre in checked:
        if genre not in known:
            raise BadInput(f"Unknown genre {genre!r}: choose from {', '.join(known)}.")
    return checked


def promptable(trained: Iterable[str]) -> list[str]:
    """The genres that a generator may be asked for: the vocabulary, and the coarse groups that it was trained on."""
    return sorted({*GENRES, *trained})


def _rows(path: str | Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row of a comma-separated file with exactly these columns, with its line number in the file."""
    layout = ",".join(columns)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if set(reader.fieldnames or ()) != set(columns):
                raise BadInput(f"{path} does not begin with the line `{layout}`: put it there.")
            for row in reader:
                if None in row or None in row.values():  # too many fields, or too few
                    raise BadInput(
                        f"{path}, line {reader.line_num}, is not `{layout}`: "
                        f"add the comma, or quote a {columns[0]} that has commas."
                    )
                yield reader.line_num, row
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text: convert the file to UTF-8 first.") from None
    except csv.Error as error:
        raise BadInput(f"{path} is not a readable table ({error}): save it as comma-separated text.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): check the path.") from None
