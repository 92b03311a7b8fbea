"""Train, validation and test by group and stratified by genre: what belongs together never stands on two sides.

A group (a series, a title) is placed when its first row comes: a hash of its name and the seed is the coin, and the
coin is overruled only where it would leave a genre of that row too far from its share on some side. This is a biased
coin as in Pocock and Simon 1975, "Sequential treatment assignment with balancing for prognostic factors in the
controlled clinical trial". So genres are balanced as far as whole groups allow, and rows added after the others change
nothing for them. Rows put in between would move up to a tenth of the groups (no method can both balance genres and
ignore which rows came first), so `prepare` hands over the sides of the table that it prepared before.
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
# What catalogues put behind a title: `(English Dub)`, `[4K UHD]`, `Vol. 2`, `Season 3: The Reckoning`.
_ADDITION = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_NUMBERED = re.compile(r"[\s,:–-]+(?:season|series|vol|volume|part|chapter|episode|book)\b\.?\s*(?:\d|[ivxl]+\b).*$")

_LONGEST = 300  # characters that tell two titles apart; the patterns above would take long over a longer one
_NO_NAMES = ("a", "an", "the")  # what is left of `The Book 2`


def group_of(title: Title) -> str:
    """The group of a plot, which is never split: a series with its episodes, or the parts of a franchise of movies.

    A movie or book belongs to the franchise that its name begins with: `Alien: Covenant` to `alien`.
    """
    own_name = title.bare or title.kind in ("series", "episode")
    return group_name(title.primary if own_name else franchise_name(title.primary))


def franchise_name(name: str) -> str:
    """The part of a movie's or book's name that names its franchise: what stands before the first colon and blank.

    A colon inside parentheses, or with nothing but blanks on one of its sides, does not count; without one, the
    franchise is the name.
    """
    colons: list[int] = []
    opened: list[int] = []  # for every open parenthesis, the number of colons before it
    for mark in _PARENTHESIS_OR_COLON.finditer(name):
        if mark[0] == "(":
            opened.append(len(colons))
        elif mark[0] == ": ":
            colons.append(mark.start())
        elif opened:
            del colons[opened.pop() :]
    return next((name[:at] for at in colons if name[:at].strip() and name[at + 2 :].strip()), name)


def group_name(name: str) -> str:
    """The name of a group: without case, accents, punctuation, additions and part numbers."""
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
    """The side of each group, from the group and the genres of each row in order.

    `given` are groups whose side is settled beforehand; the others are placed around them.
    """
    sides = dict(given or {})
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
    for group, row in zip(groups, genres, strict=True):
        strata = [tallies[genre] for genre in ("", *row)]  # "" stands for all plots
        if group not in sides:
            sides[group] = _place(strata, coin(group, seed))
        for tally in strata:
            tally.add(sides[group])
    return sides


def coin(group: str, seed: int) -> str:
    """A side drawn by the hash of the group's name and the seed, 80 : 10 : 10."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < SHARES["test"]:
        return "test"
    return "validation" if position < SHARES["test"] + SHARES["validation"] else "train"


class _Tally:
    """How many rows of one genre each side has."""

    def __init__(self) -> None:
        self.rows = dict.fromkeys(SPLITS, 0)
        self.total = 0

    def add(self, side: str) -> None:
        self.rows[side] += 1
        self.total += 1

    def behind(self, side: str) -> float:
        """Rows that the side would be short of its share after one more row (negative: it has too many)."""
        return SHARES[side] * (self.total + 1) - self.rows[side]

    def tolerance(self, side: str) -> float:
        """How many rows a side may be off: one, and a quarter of the deviation that chance alone would give."""
        return 1 + math.sqrt(SHARES[side] * (self.total + 1)) / 4


def _place(strata: list[_Tally], drawn: str) -> str:
    starved = {side: max(tally.behind(side) - tally.tolerance(side) for tally in strata) for side in SPLITS}
    most = max(SPLITS, key=lambda side: starved[side])
    if starved[most] > 0:
        return most
    if any(1 - tally.behind(drawn) > tally.tolerance(drawn) for tally in strata):
        return max(SPLITS, key=lambda side: sum(tally.behind(side) for tally in strata))
    return drawn
