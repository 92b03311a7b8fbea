"""Which training text is most like a sample? By the words both have, and by what both mean.

Two exact searches over all training texts, some thousands at a time, so that no samples x training matrix is ever in
memory. Words: Jaccard 1912, on the sets of words. Meaning: the cosine of sentence embeddings (Reimers and Gurevych
2019).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movieplots.words import NumberedTexts

_CHUNK = 4_096  # training texts compared at once
_COMMON = 0.05  # of the training texts: a word that stands in more of them is multiplied densely


@dataclass(frozen=True)
class Nearest:
    """The most similar training text of each sample; both of shape (samples,).

    `similarity` is NaN where the sample or all training texts have nothing to compare; `row` is -1 there, and where
    nothing is shared; of equals it is the earliest.
    """

    similarity: np.ndarray
    row: np.ndarray


def nearest_by_words(samples: NumberedTexts, training: NumberedTexts) -> Nearest:
    """Jaccard similarity |A and B| / |A or B| of the word sets, 0 to 1; a text without words cannot be compared.

    Half of what two texts share are a few hundred words that stand in nearly all texts; those go through a dense matrix
    product, which is fast where a sparse one is slow, and the others through a sparse one.
    """
    words = max(samples.codes.max(initial=-1), training.codes.max(initial=-1)) + 1
    counts = np.bincount(training.codes, minlength=words)
    place = np.empty(words, np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(words)  # the commonest words first
    common = int((counts > _COMMON * len(training)).sum())

    of_samples = _word_sets(samples, place)
    sizes = of_samples.getnnz(axis=1)[:, None].astype(np.float32)
    dense, sparse = of_samples[:, :common].toarray(), of_samples[:, common:]
    best, row = np.zeros(len(samples), np.float32), np.full(len(samples), -1, np.int64)
    for first in range(0, len(training), _CHUNK):
        chunk = _word_sets(training.slice(first, min(first + _CHUNK, len(training))), place)
        shared = dense @ chunk[:, :common].toarray().T
        shared += (sparse @ chunk[:, common:].T).toarray()
        either = sizes + chunk.getnnz(axis=1).astype(np.float32) - shared
        shared /= np.maximum(either, 1, out=either)
        _keep_best(best, row, shared, first)
    comparable = (sizes[:, 0] > 0) & (len(training.codes) > 0)
    return Nearest(np.where(comparable, best.astype(float), np.nan), row)


def _word_sets(texts: NumberedTexts, place: np.ndarray) -> csr_matrix:
    """A row of ones a text, a column a word, in the order of `place`."""
    codes = place[texts.codes]
    matrix = csr_matrix((np.ones(len(codes), np.float32), codes, texts.starts), shape=(len(texts), len(place)))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def nearest_by_embedding(samples: np.ndarray, training: np.ndarray) -> Nearest:
    """Cosine of embeddings, -1 to 1, for rows of length 1 of shape (n, d); a row of NaN stands for a missing text."""
    best, row = np.full(len(samples), -2, np.float32), np.full(len(samples), -1, np.int64)
    there = ~np.isnan(samples).any(axis=1)
    if not there.any() or np.isnan(training).all():
        return Nearest(np.full(len(samples), np.nan), row)
    rows = np.where(there[:, None], samples, 0).astype(np.float32)
    for first in range(0, len(training), _CHUNK):
        chunk = training[first : first + _CHUNK].astype(np.float32)
        cosine = rows @ chunk.T
        cosine[:, np.isnan(chunk[:, 0])] = -2
        _keep_best(best, row, cosine, first)
    found = there & (best > -2)
    return Nearest(np.where(found, np.clip(best, -1, 1).astype(float), np.nan), np.where(found, row, -1))


def _keep_best(best: np.ndarray, row: np.ndarray, values: np.ndarray, first: int) -> None:
    """Take over, for each sample (row), the largest of its values where it is above the best so far."""
    if not values.size:
        return
    largest = values.argmax(axis=1)
    found = values[np.arange(len(values)), largest]
    better = found > best
    best[better], row[better] = found[better], first + largest[better]
