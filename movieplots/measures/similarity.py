"""Search for the training text most similar to each sample, by Jaccard similarity of words or cosine of embeddings.

Both searches are exact. They compare a few thousand training texts at a time, so that no matrix of all samples and
training texts is in memory.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movieplots.words import NumberedTexts

_CHUNK = 4_096  # training texts compared at a time
_COMMON = 0.05  # words in more than this share of the training texts are in the dense matrix


@dataclass(frozen=True)
class Nearest:
    """The most similar training text of each sample; both of shape (samples,).

    `similarity` is NaN if the sample or all training texts have nothing to compare. `row` is the first of equally
    similar texts, and -1 if nothing can be compared or is shared.
    """

    similarity: np.ndarray
    row: np.ndarray


def nearest_by_words(samples: NumberedTexts, training: NumberedTexts) -> Nearest:
    """Return the training texts with the highest Jaccard similarity of word sets, |A ∩ B| / |A ∪ B|, from 0 to 1.

    The similarity is that of `Jaccard (1912) <https://doi.org/10.1111/j.1469-8137.1912.tb02611.x>`_. The few hundred
    words that occur in almost all texts are multiplied as a dense matrix, the others as a sparse one: a sparse product
    is slow for common words.
    """
    words = max(samples.codes.max(initial=-1), training.codes.max(initial=-1)) + 1
    counts = np.bincount(training.codes, minlength=words)
    place = np.empty(words, np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(words)  # the most common words first
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
    """Return a binary matrix of texts and words, with the words in the order of `place`."""
    codes = place[texts.codes]
    matrix = csr_matrix((np.ones(len(codes), np.float32), codes, texts.starts), shape=(len(texts), len(place)))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def nearest_by_embedding(samples: np.ndarray, training: np.ndarray) -> Nearest:
    """Return the training texts with the highest cosine similarity of embeddings, -1 to 1.

    Both arrays have rows of unit length and shape (texts, d); a row of NaN is a missing text. Embeddings of sentences
    are compared by their cosine (`Reimers and Gurevych 2019 <https://arxiv.org/abs/1908.10084>`_).
    """
    best, row = np.full(len(samples), -2, np.float32), np.full(len(samples), -1, np.int64)
    present = ~np.isnan(samples).any(axis=1)
    if not present.any() or np.isnan(training).all():
        return Nearest(np.full(len(samples), np.nan), row)
    rows = np.where(present[:, None], samples, 0).astype(np.float32)
    for first in range(0, len(training), _CHUNK):
        chunk = training[first : first + _CHUNK].astype(np.float32)
        cosine = rows @ chunk.T
        cosine[:, np.isnan(chunk[:, 0])] = -2
        _keep_best(best, row, cosine, first)
    found = present & (best > -2)
    return Nearest(np.where(found, np.clip(best, -1, 1).astype(float), np.nan), np.where(found, row, -1))


def _keep_best(best: np.ndarray, row: np.ndarray, values: np.ndarray, first: int) -> None:
    """Update the best value of each sample (row) with the largest of its `values`, if that is higher."""
    if not values.size:
        return
    largest = values.argmax(axis=1)
    found = values[np.arange(len(values)), largest]
    better = found > best
    best[better], row[better] = found[better], first + largest[better]
