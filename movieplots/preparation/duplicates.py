"""Exact and near duplicates among plots.

Two plots are near duplicates if the Jaccard similarity of their sets of word trigrams (shingles) reaches a threshold.
Candidate pairs come from MinHash signatures and locality-sensitive hashing in bands (Broder 1997; Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", chapter 3), computed by `rensa`. The similarity of promising pairs is then
computed exactly, so no decision depends on an estimate. At the default threshold fewer than one pair in 5,000 is
missed, and more similar pairs less often.

In a large bucket (many plots that share a band, such as boilerplate), each plot is compared only with the few that
share most with it; otherwise a thousand plots would need a million comparisons. Plots of such a bucket are compared
again if one that they were compared with turned out to be a duplicate.
"""

from collections import defaultdict

import numpy as np
from rensa import RMinHash
from scipy.sparse import csr_matrix

from movieplots.preparation.settings import DEDUP_THRESHOLD
from movieplots.words import NumberedTexts

SHINGLE_WORDS = 3
_HASHES = 256
_MISS_RATE = 2e-4  # of pairs at the threshold
_MARGIN = 5  # standard deviations by which the estimate may be below the threshold for an exact computation
_CHUNK = 5_000  # plots per batch of signatures
_MAX_COMPARED = 8  # plots that each one is compared with in a larger bucket, first those that share the next band too
_MANY = 5_000_000  # pairs; above, repeated ones are removed between bands, to limit memory


def exact_duplicates(plots: NumberedTexts, lengths: np.ndarray) -> np.ndarray:
    """Return the index of the representative of each plot, shape (n,): the longest plot with the same words.

    Of equally long plots, it is the first.
    """
    best: dict[bytes, int] = {}
    keys = [plots.text(plot).tobytes() for plot in range(len(plots))]
    for plot, key in enumerate(keys):
        if key not in best or lengths[plot] > lengths[best[key]]:
            best[key] = plot
    return np.array([best[key] for key in keys], dtype=np.int64)


def near_duplicates(plots: NumberedTexts, lengths: np.ndarray, threshold: float = DEDUP_THRESHOLD) -> np.ndarray:
    """Return the index of the representative of each plot, shape (n,): itself, or a longer near duplicate.

    `lengths` has shape (n,). Starting with the longest, a plot without a representative represents itself and all
    plots without one that have at least the similarity `threshold` to it. So the similarity of two representatives is
    always below the threshold, and chains of small changes do not connect different texts.
    """
    representatives = np.arange(len(plots))
    signatures, filled = _signatures(plots)
    # The longest first; a plot of fewer than three words has no shingles.
    order = np.lexsort((np.arange(len(plots)), -lengths))
    order = order[filled[order]]
    while len(order):
        compared, crowded = _candidates(signatures, order, _rows_per_band(threshold))
        first, second = compared[:, _promising(signatures, order[compared], threshold)]
        near = jaccard(plots, order[first], order[second]) >= threshold
        assigned = _assign(len(order), first[near], second[near])
        representatives[order] = order[assigned]
        left = assigned == np.arange(len(order))
        # A new pair can appear only between plots that were both compared with a plot that is now a duplicate.
        again = np.zeros(len(order), bool)
        for one, other in (compared, compared[::-1]):
            again[one[~left[other]]] = True
        order = order[left & crowded & again]
    return _resolved(representatives)


def _assign(n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the representative of each plot, shape (n,); plots are in order of length, the longest first."""
    representatives = np.arange(n)
    neighbors: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        neighbors[a].append(b)
        neighbors[b].append(a)
    assigned: set[int] = set()
    for plot in sorted(neighbors):
        if plot not in assigned:
            assigned.add(plot)
            for other in neighbors[plot]:
                if other not in assigned:
                    assigned.add(other)
                    representatives[other] = plot
    return representatives


def _resolved(representatives: np.ndarray) -> np.ndarray:
    """Replace representatives that became duplicates in a later round by their own representatives."""
    while (changed := representatives[representatives] != representatives).any():
        representatives[changed] = representatives[representatives[changed]]
    return representatives


def _shingles(plots: NumberedTexts) -> tuple[np.ndarray, np.ndarray]:
    """Return the shingles of all plots as 64-bit hashes in one array, and their offsets, shape (n_plots + 1,)."""
    n = len(plots)
    codes = plots.codes[plots.starts[0] : plots.starts[-1]].astype(np.uint64) + np.uint64(1)
    if len(codes) < SHINGLE_WORDS:
        return np.empty(0, np.uint64), np.zeros(n + 1, np.uint64)
    hashes = _mix(codes)
    for shift in range(1, SHINGLE_WORDS):
        hashes = _mix(hashes[:-1] * np.uint64(3) + codes[shift:])
    plot = np.repeat(np.arange(n), plots.lengths())
    whole = plot[: len(hashes)] == plot[SHINGLE_WORDS - 1 :]  # not across the end of a plot
    sizes = np.bincount(plot[: len(hashes)][whole], minlength=n)
    return hashes[whole], np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)


def jaccard(plots: NumberedTexts, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jaccard similarity of each pair of plots, shape (n_pairs,); 0 for plots without shingles."""
    if not len(first):
        return np.empty(0)
    needed, rows = np.unique(np.concatenate([first, second]), return_inverse=True)
    hashes, starts = _shingles(plots.select(needed))
    columns = (hashes >> np.uint64(1)).astype(np.int64)  # hashes as column numbers, to save a sort
    shape = (len(needed), np.iinfo(np.int64).max)
    sets = csr_matrix((np.ones(len(columns), np.float32), columns, starts.astype(np.int64)), shape)
    sets.sum_duplicates()
    sets.data[:] = 1
    sizes = np.diff(sets.indptr)
    a, b = rows[: len(first)], rows[len(first) :]
    parts = np.array_split(np.arange(len(first)), len(first) // 20_000 + 1)
    shared = np.concatenate([np.asarray(sets[a[part]].multiply(sets[b[part]]).sum(axis=1)).ravel() for part in parts])
    return shared / np.maximum(1, sizes[a] + sizes[b] - shared)


def _mix(x: np.ndarray) -> np.ndarray:
    """Hash 64-bit integers with the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _signatures(plots: NumberedTexts) -> tuple[np.ndarray, np.ndarray]:
    """Return the MinHash signature of each plot, shape (n, n_hashes), and whether it has shingles, shape (n,)."""
    n = len(plots)
    signatures, filled = np.zeros((n, _HASHES), np.uint32), np.zeros(n, bool)
    for first in range(0, n, _CHUNK):
        last = min(first + _CHUNK, n)
        hashes, starts = _shingles(plots.slice(first, last))
        signatures[first:last] = RMinHash.digest_matrix_from_flat_token_hashes(hashes, starts, _HASHES, 0).to_rows()
        filled[first:last] = np.diff(starts) > 0
    return signatures, filled


def _candidates(signatures: np.ndarray, order: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return candidate pairs: positions a < b in `order` that share a band of `rows` rows, shape (2, n_pairs).

    Also returns which positions were in a large bucket, where not all pairs are candidates, shape (n,).
    """
    n, bands = len(order), _HASHES // rows
    found, waiting, crowded = [np.empty(0, np.int64)], 0, np.zeros(n, bool)
    following = _keys(signatures, order, 0, rows)
    for band in range(bands):
        keys, following = following, _keys(signatures, order, (band + 1) % bands, rows)
        pairs = _same_key(keys, following, crowded)
        found.append(pairs)
        waiting += len(pairs)
        if waiting > _MANY:
            found, waiting = [_distinct(found)], 0
    return np.stack(np.divmod(_distinct(found), n)), crowded


def _distinct(found: list[np.ndarray]) -> np.ndarray:
    pairs = np.sort(np.concatenate(found))  # np.unique, with a hash table, takes 20 times as long
    return pairs[np.diff(pairs, prepend=-1) > 0]


def _promising(signatures: np.ndarray, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """Return for each pair, shape (2, n_pairs), whether its estimated similarity is close enough to the threshold."""
    least = threshold - _MARGIN * (threshold * (1 - threshold) / _HASHES) ** 0.5
    parts = np.array_split(pairs, pairs.shape[1] // 50_000 + 1, axis=1)
    return np.concatenate([(signatures[first] == signatures[second]).mean(axis=1) >= least for first, second in parts])


def _keys(signatures: np.ndarray, order: np.ndarray, band: int, rows: int) -> np.ndarray:
    """Return a hash of one band of each signature in `order`, shape (n,)."""
    keys = np.zeros(len(order), np.uint64)
    for values in signatures[order, band * rows : (band + 1) * rows].T:
        keys = _mix(keys * np.uint64(31) + values + np.uint64(1))
    return keys


def _rows_per_band(threshold: float) -> int:
    """Return the largest number of rows for which pairs at the threshold are missed at a rate below `_MISS_RATE`."""
    return max(
        (rows for rows in range(1, _HASHES + 1) if (1 - threshold**rows) ** (_HASHES // rows) < _MISS_RATE), default=1
    )


def _same_key(keys: np.ndarray, next_keys: np.ndarray, crowded: np.ndarray) -> np.ndarray:
    """Return pairs a < b with the same key, as a * n + b; mark members of large buckets in `crowded`, shape (n,)."""
    n = len(keys)
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], keys[order[1:]] != keys[order[:-1]]]))
    sizes = np.diff(np.concatenate([starts, [n]]))
    place = np.arange(n) - np.repeat(starts, sizes)  # of each in its bucket
    large = sizes > _MAX_COMPARED + 1
    if large.any():
        crowded[order[np.repeat(large, sizes)]] = True
        order = np.lexsort((next_keys, keys))
    found = [np.empty(0, np.int64)]
    following = np.flatnonzero(place)
    for step in range(1, _MAX_COMPARED + 1):
        found.append(_pair_codes(order[following], order[following - step], n))
        following = following[place[following] > step]
    return np.concatenate(found)


def _pair_codes(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    return np.minimum(a, b) * n + np.maximum(a, b)
