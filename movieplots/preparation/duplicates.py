"""Exact and near duplicates among plots.

Two plots are near duplicates where the Jaccard similarity of their sets of word triples (shingles) reaches a threshold.
Candidates come from MinHash signatures cut into bands (Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3), made by `rensa`. The pairs whose signatures agree enough are then measured exactly, so nothing is
called a duplicate by an estimate; at the default threshold a pair is missed less than once in 5,000, a more similar one
less often. In a crowd of plots that share a band (boilerplate), each meets only those that share most with it, so that
a thousand of them do not cost a million comparisons; whoever met one there that fell to a longer plot meets again.
"""

from collections import defaultdict

import numpy as np
from rensa import RMinHash
from scipy.sparse import csr_matrix

from movieplots.preparation.settings import DEDUP_THRESHOLD
from movieplots.words import NumberedTexts

SHINGLE_WORDS = 3
_HASHES = 256
_MISSED = 2e-4
_DOUBT = 5  # standard deviations by which a pair's estimated similarity may fall short before it is measured
_CHUNK = 5_000  # plots whose signatures are made at a time
_CROWD = 8  # in a larger bucket each plot meets only so many, those that share the next band too coming first
_MANY = 5_000_000  # pairs, from which on the repeated ones are sorted out at once


def exact_duplicates(plots: NumberedTexts, lengths: np.ndarray) -> np.ndarray:
    """The plot that stands for each plot, shape (n,): the longest (of equals, the first) of those with its words."""
    best: dict[bytes, int] = {}
    keys = [plots.text(plot).tobytes() for plot in range(len(plots))]
    for plot, key in enumerate(keys):
        if key not in best or lengths[plot] > lengths[best[key]]:
            best[key] = plot
    return np.array([best[key] for key in keys], dtype=np.int64)


def near_duplicates(plots: NumberedTexts, lengths: np.ndarray, threshold: float = DEDUP_THRESHOLD) -> np.ndarray:
    """The plot that stands for each plot, shape (n,): its own number, or that of a longer one with nearly its text.

    `lengths` is what "longer" means, shape (n,). From the longest on, a plot stands for itself and for all that are at
    least `threshold` similar to it and have no other yet. So those that stand for themselves are all less similar than
    that, and no chain of small changes makes one text of two that differ.
    """
    stands_for = np.arange(len(plots))
    signatures, filled = _signatures(plots)
    # The longest first; a plot of fewer than three words has no shingle and no neighbour.
    order = np.lexsort((np.arange(len(plots)), -lengths))
    order = order[filled[order]]
    while len(order):
        met, crowd = _candidates(signatures, order, _rows_a_band(threshold))
        first, second = met[:, _likely(signatures, order[met], threshold)]
        near = jaccard(plots, order[first], order[second]) >= threshold
        settled = _settle(len(order), first[near], second[near])
        stands_for[order] = order[settled]
        left = settled == np.arange(len(order))
        # Two can be neighbours now for the first time only where others between them fell, whom both had met.
        again = np.zeros(len(order), bool)
        for one, other in (met, met[::-1]):
            again[one[~left[other]]] = True
        order = order[left & crowd & again]
    return _followed(stands_for)


def _settle(n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The plot that stands for each, shape (n,); the longest come first, so a smaller number is a longer plot."""
    stands_for = np.arange(n)
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        neighbours[a].append(b)
        neighbours[b].append(a)
    settled: set[int] = set()
    for plot in sorted(neighbours):
        if plot not in settled:
            settled.add(plot)
            for other in neighbours[plot]:
                if other not in settled:
                    settled.add(other)
                    stands_for[other] = plot
    return stands_for


def _followed(stands_for: np.ndarray) -> np.ndarray:
    """Where who stands for a plot fell to a longer one in a later round, that one stands for it."""
    while (further := stands_for[stands_for] != stands_for).any():
        stands_for[further] = stands_for[stands_for[further]]
    return stands_for


def _shingles(plots: NumberedTexts) -> tuple[np.ndarray, np.ndarray]:
    """The shingles of all plots as 64-bit hashes in one array, and where each plot's begin, shape (plots + 1,)."""
    n = len(plots)
    codes = plots.codes[plots.starts[0] : plots.starts[-1]].astype(np.uint64) + np.uint64(1)
    if len(codes) < SHINGLE_WORDS:
        return np.empty(0, np.uint64), np.zeros(n + 1, np.uint64)
    hashes = _mix(codes)
    for shift in range(1, SHINGLE_WORDS):
        hashes = _mix(hashes[:-1] * np.uint64(3) + codes[shift:])
    plot = np.repeat(np.arange(n), plots.lengths())
    whole = plot[: len(hashes)] == plot[SHINGLE_WORDS - 1 :]  # a shingle must not reach into the next plot
    sizes = np.bincount(plot[: len(hashes)][whole], minlength=n)
    return hashes[whole], np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)


def jaccard(plots: NumberedTexts, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The similarity of each pair of plots, shape (pairs,); 0 where neither has a shingle."""
    if not len(first):
        return np.empty(0)
    meant, rows = np.unique(np.concatenate([first, second]), return_inverse=True)
    hashes, starts = _shingles(plots.select(meant))
    columns = (hashes >> np.uint64(1)).astype(np.int64)  # as they are: numbering them anew takes a sort
    shape = (len(meant), np.iinfo(np.int64).max)
    sets = csr_matrix((np.ones(len(columns), np.float32), columns, starts.astype(np.int64)), shape)
    sets.sum_duplicates()
    sets.data[:] = 1
    sizes = np.diff(sets.indptr)
    a, b = rows[: len(first)], rows[len(first) :]
    parts = np.array_split(np.arange(len(first)), len(first) // 20_000 + 1)
    shared = np.concatenate([np.asarray(sets[a[part]].multiply(sets[b[part]]).sum(axis=1)).ravel() for part in parts])
    return shared / np.maximum(1, sizes[a] + sizes[b] - shared)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): spreads neighbouring numbers over all 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _signatures(plots: NumberedTexts) -> tuple[np.ndarray, np.ndarray]:
    """The MinHash signature of each plot, shape (n, hashes), and whether it has any shingle, shape (n,)."""
    n = len(plots)
    signatures, filled = np.zeros((n, _HASHES), np.uint32), np.zeros(n, bool)
    for first in range(0, n, _CHUNK):
        last = min(first + _CHUNK, n)
        hashes, starts = _shingles(plots.slice(first, last))
        signatures[first:last] = RMinHash.digest_matrix_from_flat_token_hashes(hashes, starts, _HASHES, 0).to_rows()
        filled[first:last] = np.diff(starts) > 0
    return signatures, filled


def _candidates(signatures: np.ndarray, order: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of places a < b in `order` that share a band of so many rows, each once, shape (2, pairs).

    And which of the places were in a crowd, where not every pair was looked at, shape (n,).
    """
    n, bands = len(order), _HASHES // rows
    found, waiting, crowd = [np.empty(0, np.int64)], 0, np.zeros(n, bool)
    further = _keys(signatures, order, 0, rows)
    for band in range(bands):
        keys, further = further, _keys(signatures, order, (band + 1) % bands, rows)
        pairs = _same_key(keys, further, crowd)
        found.append(pairs)
        waiting += len(pairs)
        if waiting > _MANY:
            found, waiting = [_distinct(found)], 0
    return np.stack(np.divmod(_distinct(found), n)), crowd


def _distinct(found: list[np.ndarray]) -> np.ndarray:
    pairs = np.sort(np.concatenate(found))  # np.unique with its hash table takes 20 times as long
    return pairs[np.diff(pairs, prepend=-1) > 0]


def _likely(signatures: np.ndarray, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """Whether the signatures of each pair of plots, shape (2, pairs), agree enough for it to be worth measuring."""
    least = threshold - _DOUBT * (threshold * (1 - threshold) / _HASHES) ** 0.5
    parts = np.array_split(pairs, pairs.shape[1] // 50_000 + 1, axis=1)
    return np.concatenate([(signatures[first] == signatures[second]).mean(axis=1) >= least for first, second in parts])


def _keys(signatures: np.ndarray, order: np.ndarray, band: int, rows: int) -> np.ndarray:
    """One number for the band of each signature in `order`, shape (n,)."""
    keys = np.zeros(len(order), np.uint64)
    for values in signatures[order, band * rows : (band + 1) * rows].T:
        keys = _mix(keys * np.uint64(31) + values + np.uint64(1))
    return keys


def _rows_a_band(threshold: float) -> int:
    """The longest band with which a pair at the threshold is still missed less often than `_MISSED`."""
    return max(
        (rows for rows in range(1, _HASHES + 1) if (1 - threshold**rows) ** (_HASHES // rows) < _MISSED), default=1
    )


def _same_key(keys: np.ndarray, further: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Pairs with the same key, as a * n + b for a < b; all arrays have shape (n,), and `crowd` is marked here."""
    n = len(keys)
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], keys[order[1:]] != keys[order[:-1]]]))
    sizes = np.diff(np.concatenate([starts, [n]]))
    place = np.arange(n) - np.repeat(starts, sizes)  # of each in its bucket
    crowded = sizes > _CROWD + 1
    if crowded.any():
        crowd[order[np.repeat(crowded, sizes)]] = True
        order = np.lexsort((further, keys))
    found = [np.empty(0, np.int64)]
    following = np.flatnonzero(place)
    for step in range(1, _CROWD + 1):
        found.append(_pair_codes(order[following], order[following - step], n))
        following = following[place[following] > step]
    return np.concatenate(found)


def _pair_codes(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    return np.minimum(a, b) * n + np.maximum(a, b)
