"""Exact and near duplicates among plots.

Two plots are near duplicates where the Jaccard similarity of their sets of word triples (shingles) reaches a threshold.
Candidates come from MinHash signatures cut into bands (Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3), made by `rensa`. The pairs whose signatures agree enough are then measured exactly, so nothing is
called a duplicate by an estimate; a pair right at the threshold is missed less than once in 5,000, a more similar one
less often.
"""

from collections import defaultdict

import numpy as np
from rensa import RMinHash

from movieplots.words import NumberedTexts

SHINGLE_WORDS = 3
NEAR = 0.6  # Jaccard similarity from which two plots count as the same text
_HASHES = 256
_MISSED = 2e-4
_DOUBT = 5  # standard deviations by which a pair's estimated similarity may fall short before it is measured
_CHUNK = 5_000  # plots whose signatures are made at a time
_CROWD = 64  # in a larger bucket each plot meets only the longest ones, so that boilerplate costs no square


def exact_duplicates(plots: NumberedTexts, lengths: np.ndarray) -> np.ndarray:
    """The plot that stands for each plot, shape (n,): the longest (of equals, the first) of those with its words."""
    best: dict[bytes, int] = {}
    keys = [plots.text(plot).tobytes() for plot in range(len(plots))]
    for plot, key in enumerate(keys):
        if key not in best or lengths[plot] > lengths[best[key]]:
            best[key] = plot
    return np.array([best[key] for key in keys], dtype=np.int64)


def near_duplicates(plots: NumberedTexts, lengths: np.ndarray, threshold: float = NEAR) -> np.ndarray:
    """The plot that stands for each plot, shape (n,): its own number, or that of a longer one with nearly its text.

    `lengths` is what "longer" means, shape (n,). From the longest on, a plot stands for itself and for all that are at
    least `threshold` similar to it and have no other yet. So those that stand for themselves are all less similar than
    that, and no chain of small changes makes one text of two that differ.
    """
    stands_for = np.arange(len(plots))
    first, second = _candidates(plots, lengths, threshold)
    near = _jaccard(plots, first, second) >= threshold
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in zip(first[near].tolist(), second[near].tolist(), strict=True):
        neighbours[a].append(b)
        neighbours[b].append(a)
    settled: set[int] = set()
    for plot in sorted(neighbours, key=lambda plot: (-lengths[plot], plot)):
        if plot not in settled:
            settled.add(plot)
            for other in neighbours[plot]:
                if other not in settled:
                    settled.add(other)
                    stands_for[other] = plot
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


def _jaccard(plots: NumberedTexts, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The similarity of each pair of plots, shape (pairs,)."""
    sets = {plot: np.unique(_shingles(plots.slice(plot, plot + 1))[0]) for plot in {*first.tolist(), *second.tolist()}}
    similarity = np.zeros(len(first))
    for pair, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        shared = len(np.intersect1d(sets[a], sets[b], assume_unique=True))
        similarity[pair] = shared / (len(sets[a]) + len(sets[b]) - shared)
    return similarity


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): spreads neighbouring numbers over all 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _candidates(plots: NumberedTexts, lengths: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of plots, each once, that share a band of their signatures and agree enough: two arrays, shape (pairs,)."""
    n, rows = len(plots), _rows_a_band(threshold)
    bands = _HASHES // rows
    signatures = np.zeros((n, _HASHES), np.uint32)
    keys = np.zeros((bands, n), np.uint64)
    filled = np.zeros(n, bool)
    for first in range(0, n, _CHUNK):
        last = min(first + _CHUNK, n)
        hashes, starts = _shingles(plots.slice(first, last))
        signatures[first:last] = RMinHash.digest_matrix_from_flat_token_hashes(hashes, starts, _HASHES, 0).to_rows()
        banded = signatures[first:last, : bands * rows].reshape(last - first, bands, rows)
        key = np.zeros((last - first, bands), np.uint64)
        for row in range(rows):
            key = _mix(key * np.uint64(31) + banded[:, :, row] + np.uint64(1))
        keys[:, first:last] = key.T
        filled[first:last] = np.diff(starts) > 0  # a plot of fewer than three words has no shingle and no neighbour
    pairs = np.unique(np.concatenate([_same_key(key, filled, lengths) for key in keys]))
    least = threshold - _DOUBT * (threshold * (1 - threshold) / _HASHES) ** 0.5
    likely = [
        part[(signatures[part // n] == signatures[part % n]).mean(axis=1) >= least]
        for part in np.array_split(pairs, len(pairs) // 50_000 + 1)
    ]
    pairs = np.concatenate(likely)
    return pairs // n, pairs % n


def _rows_a_band(threshold: float) -> int:
    """The longest band with which a pair at the threshold is still missed less often than `_MISSED`."""
    return max(
        (rows for rows in range(1, _HASHES + 1) if (1 - threshold**rows) ** (_HASHES // rows) < _MISSED), default=1
    )


def _same_key(key: np.ndarray, filled: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Pairs a < b with the same key, as a * n + b."""
    n = len(key)
    order = np.lexsort((np.arange(n), -lengths, key))
    order = order[filled[order]]
    sorted_keys = key[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]]))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.concatenate([starts, [len(order)]])))
    found = [np.empty(0, np.int64)]
    for step in range(1, int(min(place.max(initial=0), _CROWD)) + 1):
        # Each plot with the one `step` places before it in its bucket, and in a crowd with the longest.
        at = np.flatnonzero(place >= step)
        found.append(_pair_codes(order[at], order[at - step], n))
        crowded = np.flatnonzero(place > _CROWD)
        found.append(_pair_codes(order[crowded], order[crowded - place[crowded] + step - 1], n))
    return np.unique(np.concatenate(found))


def _pair_codes(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    return np.minimum(a, b) * n + np.maximum(a, b)
