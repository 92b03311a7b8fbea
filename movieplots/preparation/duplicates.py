"""Exact and near duplicates among plots.

Near duplicates are found exactly, not by sketching: a sparse product of word-shingle indicators finds all pairs that
share a shingle, and their Jaccard similarity decides. That is simple; it is meant for corpora up to some tens of
thousands of plots. Missed are only pairs whose every shared shingle stands in more than `_COMMON` plots.
"""

import re

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

SHINGLE_WORDS = 3
NEAR = 0.6  # Jaccard similarity of the shingle sets from which two plots count as the same text
_COMMON = 200  # a shingle in more plots than this finds no pairs: it would make the product dense


def normalise(plot: str) -> str:
    """What is compared for exact duplicates: words only, lower case."""
    return " ".join(re.findall(r"\w+", plot.lower()))


def near_duplicates(plots: list[str], threshold: float = NEAR) -> np.ndarray:
    """The plot that stands for each plot, shape (n,): its own number, or that of a longer one with nearly its text.

    From the longest on, a plot stands for itself and for all that are at least `threshold` similar to it and have no
    other yet. So those that stand for themselves are all less similar than that, and no chain of small changes makes
    one text of two that differ.
    """
    if not plots:
        return np.zeros(0, dtype=int)
    vectorizer = HashingVectorizer(
        ngram_range=(SHINGLE_WORDS, SHINGLE_WORDS), n_features=2**22, binary=True, norm=None, alternate_sign=False,
        token_pattern=r"\w+", dtype=np.float32,
    )  # fmt: skip
    shingles = csr_matrix(vectorizer.transform(plots))
    sizes = np.asarray(shingles.sum(axis=1)).ravel()
    frequency = np.bincount(shingles.indices, minlength=shingles.shape[1])
    rare = shingles.copy()
    rare.data[frequency[rare.indices] > _COMMON] = 0
    rare.eliminate_zeros()
    pairs = (rare @ rare.T).tocoo()
    first, second, shared = pairs.row, pairs.col, pairs.data
    common = sizes - np.asarray(rare.sum(axis=1)).ravel()
    most = shared + np.minimum(common[first], common[second])
    possible = (first != second) & (most >= threshold * (sizes[first] + sizes[second] - most))
    first, second = first[possible], second[possible]
    shared = np.asarray(shingles[first].multiply(shingles[second]).sum(axis=1)).ravel()
    near = shared >= threshold * (sizes[first] + sizes[second] - shared)
    n = len(plots)
    links = csr_matrix((np.ones(near.sum()), (first[near], second[near])), shape=(n, n))
    stands_for = np.full(n, -1)
    for plot in np.argsort([-len(text) for text in plots], kind="stable"):
        if stands_for[plot] == -1:
            neighbours = links.indices[links.indptr[plot] : links.indptr[plot + 1]]
            stands_for[neighbours[stands_for[neighbours] == -1]] = plot
            stands_for[plot] = plot
    return stands_for
