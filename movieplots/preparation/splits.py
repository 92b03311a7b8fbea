"""Train, validation and test by group: what belongs together (a series, a title) never stands on two sides.

A group's side is decided by a hash of its name and the seed, so it does not change when other plots are added.
"""

import hashlib
import re
import unicodedata

import pandas as pd

from movieplots.errors import BadInput
from movieplots.plots import SPLITS

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1


# What catalogues put behind a title: `(English Dub)`, `[4K UHD]`, `Vol. 2`, `Season 3: The Reckoning`.
_ADDITION = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_NUMBERED = re.compile(r"[\s,:–-]+(?:season|series|vol|volume|part|chapter|episode|book)\b\.?\s*(?:\d|[ivxl]+\b).*$")


def group_name(primary: str) -> str:
    """The group of a plot: its primary title without case, accents, punctuation, additions and part numbers."""
    plain = unicodedata.normalize("NFKD", primary).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    name = plain
    while (shorter := _ADDITION.sub("", name)) != name:
        name = shorter
    name = _NUMBERED.sub("", name)
    return _words(name) or _words(plain) or primary


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))


def split_of(group: str, seed: int) -> str:
    """The split of a group: the same for the same name and seed, whatever else is in the corpus."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < TEST_SHARE:
        return "test"
    return "validation" if position < TEST_SHARE + VALIDATION_SHARE else "train"


def assign_splits(groups: pd.Series, seed: int) -> pd.Series:
    """The split of each row, shape (n,); raises BadInput where a split would be empty."""
    splits = groups.map({group: split_of(group, seed) for group in groups.unique()})
    counts = splits.value_counts()
    empty = [name for name in SPLITS if not counts.get(name)]
    if empty:
        raise BadInput(
            f"The corpus is too small to split: {len(groups)} plots in {groups.nunique()} groups leave nothing for "
            f"{' and '.join(empty)}; add plots (50 of different titles are enough as a rule)."
        )
    return splits
