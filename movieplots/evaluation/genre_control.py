"""Genre control: how well samples match the prompted genre, by a genre classifier and by similarity to training plots.

A classifier is the usual automatic measure of controlled generation (Dathathri et al. 2020). It is only as good as the
classifier, so the report shows the classifier's own scores as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movieplots.texts import as_texts

_CHUNK = 10_000  # embeddings converted to float32 at a time, to limit memory


@dataclass(frozen=True)
class GenreControl:
    """Agreement of prompted and predicted genres, for n samples, L labels and R prompted genres.

    Attributes
    ----------
    hit : numpy.ndarray of shape (n,)
        1.0 if all prompted genres are predicted, else 0.0; NaN if none of them is a label of the classifier.
    probability : numpy.ndarray of shape (n,)
        Mean probability of the prompted genres, 0 to 1; NaN as in `hit`.
    predicted : list of list of str
        Predicted genres of each sample.
    chance : float or None
        Share of hits, 0 to 1, if each prompt is compared with the samples of other prompts; None with one prompt.
    prompted : list of str
        Prompted genres, the rows of `matrix` and `confusion`.
    labels : list of str
        Genres of the classifier, the columns of `matrix` and `confusion`.
    matrix : numpy.ndarray of shape (R, L)
        Mean probability of each label over the samples prompted with each genre.
    confusion : numpy.ndarray of shape (R, L)
        Share of the samples prompted with each genre for which each label is the most probable.
    unknown : list of str
        Prompted genres that are not labels of the classifier.
    """

    hit: np.ndarray
    probability: np.ndarray
    predicted: list[list[str]]
    chance: float | None
    prompted: list[str]
    labels: list[str]
    matrix: np.ndarray
    confusion: np.ndarray
    unknown: list[str]


def split_prompt(genre: str) -> list[str]:
    """Return the genres of a prompt: `"horror, comedy"` -> `["horror", "comedy"]`."""
    return [part.strip() for part in genre.split(",") if part.strip()]


def genre_control(genres: Sequence[str], proba: np.ndarray, thresholds: np.ndarray, labels: list[str]) -> GenreControl:
    """Compare the prompted genres of n samples with a classifier's probabilities of shape (n, L) from 0 to 1.

    A label is predicted if its probability reaches its threshold (shape (L,)). Prompted genres that are not labels are
    ignored and listed in `unknown`; the other genres of the sample still count.
    """
    genres = as_texts(genres, "genre")
    proba, column = np.asarray(proba, float), {label: i for i, label in enumerate(labels)}
    chosen = proba >= np.asarray(thresholds)
    prompts = [split_prompt(genre) for genre in genres]
    known = [tuple(sorted(column[name] for name in prompt if name in column)) for prompt in prompts]
    hit, probability = np.full(len(genres), np.nan), np.full(len(genres), np.nan)
    chances, weights = [], []
    for prompt in sorted({columns for columns in known if columns}):
        own = np.array([columns == prompt for columns in known])
        predicted = np.asarray(chosen[:, prompt].all(axis=1))
        hit[own] = predicted[own]
        probability[own] = proba[own][:, prompt].mean(axis=1)
        if not own.all():
            chances.append(predicted[~own].mean())
            weights.append(own.sum())
    names = [label for i, label in enumerate(labels) if any(i in columns for columns in known)]
    members = np.array([[column[name] in columns for columns in known] for name in names], bool)
    most_probable = (
        np.eye(len(labels))[proba.argmax(axis=1)] * np.asarray(proba.any(axis=1))[:, None]
    )  # all zeros for an empty text
    return GenreControl(
        hit=hit,
        probability=probability,
        predicted=[[labels[i] for i in np.flatnonzero(row)] for row in chosen],
        chance=float(np.average(chances, weights=weights)) if chances else None,
        prompted=names,
        labels=list(labels),
        matrix=np.array([proba[rows].mean(axis=0) for rows in members]).reshape(len(names), len(labels)),
        confusion=np.array([most_probable[rows].mean(axis=0) for rows in members]).reshape(len(names), len(labels)),
        unknown=sorted({name for prompt in prompts for name in prompt} - set(column)),
    )


def genre_means(genres: Sequence[Sequence[str]], vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return all genres (R) and the mean embedding of the texts of each genre, shape (R, d), without NaN rows.

    For rows of unit length, the product of two such arrays is the mean cosine similarity over all pairs of texts of two
    genres, because the mean of the dot products is the dot product of the means.
    """
    names = sorted({name for of_text in genres for name in of_text})
    place = {name: i for i, name in enumerate(names)}
    present = ~np.isnan(vectors[:, 0])
    pairs = [(place[name], i) for i, of_text in enumerate(genres) if present[i] for name in of_text]
    membership = csr_matrix(
        (np.ones(len(pairs), np.float32), tuple(zip(*pairs, strict=True)) or ([], [])), (len(names), len(genres))
    )
    counts = membership.getnnz(axis=1)[:, None]
    sums = np.zeros((len(names), vectors.shape[1]), np.float32)
    for first in range(0, len(vectors), _CHUNK):  # NaN rows have no genre, so they do not count
        sums += membership[:, first : first + _CHUNK] @ vectors[first : first + _CHUNK].astype(np.float32)
    return names, sums / np.maximum(counts, 1)
