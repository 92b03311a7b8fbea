"""Assign groups to train, validation and test, stratified by genre; a group is never divided.

A group (a series, a title) is assigned at its first row, at random by a hash of its name and the seed. Another split is
chosen only if a genre of the row would be too far from its share in some split. This is minimization with a biased coin
(Pocock and Simon 1975, "Sequential treatment assignment with balancing for prognostic factors in the controlled
clinical trial"). Genres are balanced as far as whole groups allow.

Rows that are appended do not change earlier assignments. Rows inserted between others would change up to a tenth of
the groups, because no method can balance genres independently of the order. So `prepare` passes the splits of the
previous table as `given`.
"""

import hashlib
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

from movieplots.plots import SPLITS
from movieplots.titles import Title

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

_PARENTHESIS_OR_COLON = re.compile(r"[()]|: ")
# Additions of catalogues after a title: `(English Dub)`, `[4K UHD]`, `Vol. 2`, `Season 3: The Reckoning`.
_ADDITION = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_NUMBERED = re.compile(r"[\s,:–-]+(?:season|series|vol|volume|part|chapter|episode|book)\b\.?\s*(?:\d|[ivxl]+\b).*$")

_LONGEST = 300  # characters of a title that are compared, to limit the time of the patterns above
_NO_NAMES = ("a", "an", "the")  # the rest of a title such as `The Book 2`


def group_of(title: Title) -> str:
    """Return the group of a title: its series, or the franchise of a movie or book (`Alien: Covenant` -> `alien`)."""
    own_name = title.bare or title.kind in ("series", "episode")
    return group_name(title.primary if own_name else franchise_name(title.primary))


def franchise_name(name: str) -> str:
    """Return the franchise in the name of a movie or book: the part before the first colon and space.

    Colons inside parentheses, or with nothing before or after them, do not count. Without a colon, the franchise is the
    whole name.
    """
    colons: list[int] = []
    opened: list[int] = []  # the number of colons before each open parenthesis
    for mark in _PARENTHESIS_OR_COLON.finditer(name):
        if mark[0] == "(":
            opened.append(len(colons))
        elif mark[0] == ": ":
            colons.append(mark.start())
        elif opened:
            del colons[opened.pop() :]
    return next((name[:at] for at in colons if name[:at].strip() and name[at + 2 :].strip()), name)


def group_name(name: str) -> str:
    """Normalize a name: lower case, without accents, punctuation, additions of catalogues and part numbers."""
    primary = name[:_LONGEST]
    plain = primary.casefold()
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", primary).casefold()
        plain = "".join(c for c in plain if not unicodedata.combining(c))
    name = plain
    while (shorter := _ADDITION.sub("", name)) != name:
        name = shorter
    name = _words(_NUMBERED.sub("", name))
    return (name if name not in _NO_NAMES else "") or _words(plain) or primary


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))


def assign_splits(
    groups: Sequence[str], genres: Sequence[Sequence[str]], seed: int, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the split of each group, from the group and the genres of each row in order.

    `given` are the splits of groups that are already assigned; the others are balanced around them.
    """
    splits = dict(given or {})
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
    for group, row in zip(groups, genres, strict=True):
        strata = [tallies[genre] for genre in ("", *row)]  # "" stands for all plots
        if group not in splits:
            splits[group] = _balanced(strata, random_split(group, seed))
        for tally in strata:
            tally.add(splits[group])
    return splits


def random_split(group: str, seed: int) -> str:
    """Return a split at random (80 : 10 : 10), by a hash of the group's name and the seed."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < SHARES["test"]:
        return "test"
    return "validation" if position < SHARES["test"] + SHARES["validation"] else "train"


class _Tally:
    """The number of rows of one genre in each split."""

    def __init__(self) -> None:
        self.rows = dict.fromkeys(SPLITS, 0)
        self.total = 0

    def add(self, split: str) -> None:
        """Count one more row in a split."""
        self.rows[split] += 1
        self.total += 1

    def missing(self, split: str) -> float:
        """Return how many rows the split lacks for its share after one more row (negative: it has too many)."""
        return SHARES[split] * (self.total + 1) - self.rows[split]

    def tolerance(self, split: str) -> float:
        """Return the allowed deviation in rows: one, plus a quarter of the standard deviation of random splits."""
        return 1 + math.sqrt(SHARES[split] * (self.total + 1)) / 4


def _balanced(strata: list[_Tally], proposed: str) -> str:
    """Return the proposed split, or another one if a genre would be too far from its share."""
    lack = {split: max(tally.missing(split) - tally.tolerance(split) for tally in strata) for split in SPLITS}
    most = max(SPLITS, key=lambda split: lack[split])
    if lack[most] > 0:
        return most
    if any(1 - tally.missing(proposed) > tally.tolerance(proposed) for tally in strata):
        return max(SPLITS, key=lambda split: sum(tally.missing(split) for tally in strata))
    return proposed
