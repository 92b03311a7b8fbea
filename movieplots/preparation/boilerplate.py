"""Boilerplate: sentences that stand word for word under many titles, such as `See details for advisory.`

They tell nothing about a plot, and a generator learns them by heart. A sentence is compared by its words, so case and
punctuation do not matter. A plot of which nothing would be left stays as it is: plots with one text are duplicates,
and the search for those keeps one of them.
"""

import re
from collections import Counter
from collections.abc import Sequence

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
    pieces = [{hash(tuple(split_words(piece))) for piece in _PIECE_END.split(plot)} for plot in plots]
    common = _under_many_titles(pieces, names, least)
    few = [number for number, of_plot in enumerate(pieces) if not common.isdisjoint(of_plot)]
    sentences = {number: [(_key(sentence), sentence) for sentence in split_sentences(plots[number])] for number in few}
    keys = [{key for key, _ in sentences[number] if key is not None} for number in few]
    boilerplate = _under_many_titles(keys, names[few], least)

    shorter: dict[int, str] = {}
    removed: Counter[str] = Counter()
    written: dict[int, str] = {}  # a sentence as it stood where it came first
    for number in few:
        kept = "".join(sentence for key, sentence in sentences[number] if key not in boilerplate).rstrip()
        if len(kept) == len(plots[number]) or count_words(kept) < min_length:
            continue
        shorter[number] = kept
        for key, sentence in sentences[number]:
            if key in boilerplate:
                removed[written.setdefault(key, sentence.strip())] += 1
    return shorter, removed


def _key(sentence: str) -> int | None:
    """A number for the words of a sentence, None where they are too few."""
    words = split_words(sentence)
    return hash(tuple(words)) if len(words) >= MIN_WORDS else None


def _under_many_titles(keys: Sequence[set[int]], names: np.ndarray, least: float) -> set[int]:
    """The keys that stand in plots of at least so many titles; `names` has the number of each plot's title, (n,)."""
    flat = np.fromiter((key for of_plot in keys for key in of_plot), np.int64)
    pairs = np.stack([flat, np.repeat(names, [len(of_plot) for of_plot in keys])], axis=1)
    different = np.unique(pairs, axis=0)[:, 0]
    found, counts = np.unique(different, return_counts=True)
    return set(found[counts >= least].tolist())
