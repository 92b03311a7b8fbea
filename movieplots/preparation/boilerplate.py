"""Boilerplate: sentences that stand word for word under many titles, such as `See details for advisory.`

They tell nothing about a plot, and a generator learns them by heart. A sentence is compared by its words, so case and
punctuation do not matter. A plot of which nothing would be left stays as it is: plots with one text are duplicates,
and the search for those keeps one of them.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from movieplots.preparation.cleaning import count_words, split_sentences
from movieplots.words import split_words

MIN_WORDS = 4  # the example above has four; `No equipment needed.` is too short to be told from a plot's own words
MIN_TITLES = 10
# Of a large corpus's titles: there, ten films do share a sentence such as `They fall in love with each other.`
MIN_SHARE = 1 / 2500
_PIECE_END = re.compile(r"(?<=[.!?…。！？])\s*(?=\S)")


def remove_boilerplate(
    titles: Sequence[str], plots: Sequence[str], min_length: int = 1
) -> tuple[dict[int, str], Counter[str]]:
    """The plots of one source that hold boilerplate, without it, and each removed sentence with its count.

    `titles` and `plots` have shape (n,); plots whose titles are equal count as plots of one title. The first result
    maps the number of a plot, from 0, to its shorter text. A plot of which fewer than `min_length` words would be left
    is not among them.
    """
    names = np.unique(np.array(titles, dtype=object), return_inverse=True)[1] if len(titles) else np.empty(0, np.int64)
    least = max(MIN_TITLES, len(np.unique(names)) * MIN_SHARE)
    # Finding sentences takes time. A sentence consists of pieces that end at any full stop, and those of a repeated
    # sentence are repeated, too: so only the few plots with such a piece are taken apart with care.
    pieces, owners = _keys_of({hash(tuple(split_words(piece))) for piece in _PIECE_END.split(plot)} for plot in plots)
    repeated = np.isin(pieces, _under_many_titles(pieces, names[owners], least))
    few = np.unique(owners[repeated]).tolist()
    sentences = {number: [(_key(sentence), sentence) for sentence in split_sentences(plots[number])] for number in few}
    keys, owners = _keys_of({key for key, _ in sentences[number] if key is not None} for number in few)
    boilerplate = set(_under_many_titles(keys, names[few][owners], least).tolist())

    shorter: dict[int, str] = {}
    removed: Counter[str] = Counter()
    written: dict[int, str] = {}  # a sentence as it stood where it came first
    for number in few:
        kept = "".join(sentence for key, sentence in sentences[number] if key not in boilerplate).rstrip()
        if len(kept) == len(plots[number]) or count_words(kept) < min_length:
            continue
        shorter[number] = kept
        for key, sentence in sentences[number]:
            if key is not None and key in boilerplate:
                removed[written.setdefault(key, sentence.strip())] += 1
    return shorter, removed


def _key(sentence: str) -> int | None:
    """A number for the words of a sentence, None where they are too few."""
    words = split_words(sentence)
    return hash(tuple(words)) if len(words) >= MIN_WORDS else None


def _keys_of(plots: Iterable[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The keys of all plots in one array, and the number of each one's plot; objects of their own would take longer."""
    keys, sizes = array("q"), array("q")
    for own in plots:
        keys.extend(own)
        sizes.append(len(own))
    counts = np.array(sizes, np.int64)
    return np.array(keys, np.int64), np.repeat(np.arange(len(counts)), counts)


def _under_many_titles(keys: np.ndarray, titles: np.ndarray, least: float) -> np.ndarray:
    """The keys that stand under at least so many different titles; both arrays have a place for each key of a plot."""
    order = np.lexsort((titles, keys))
    keys, titles = keys[order], titles[order]
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]) | (titles[1:] != titles[:-1])
    found, counts = np.unique(keys[new], return_counts=True)
    return found[counts >= least]
