"""Does a sample belong to the genre it was prompted with? A genre classifier is the judge, and so are training plots.

Judging controlled generation by a classifier is the usual automatic measure (Dathathri et al. 2020); it is as good as
the classifier, so the report prints the classifier's own quality beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movieplots.texts import as_texts

_CHUNK = 10_000  # embeddings summed at once, which bounds the memory


@dataclass(frozen=True)
class GenreControl:
    """How well prompted and predicted genres agree, for n samples, L labels and R prompted genres.

    `hit` and `probability` have shape (n,) and are NaN for a sample none of whose genres the classifier knows. `hit` is
    1.0 where all prompted genres are predicted, else 0.0. `chance` is the share of hits when each prompt is held
    against the samples of other prompts (None with a single prompt). `matrix` and `confusion` have shape (R, L): of the
    samples prompted with each genre of `prompted`, the mean probability of each label, and the share for which that
    label is the likeliest.
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
    """The genres of a prompt: `"horror, comedy"` -> `["horror", "comedy"]`."""
    return [part.strip() for part in genre.split(",") if part.strip()]


def genre_control(genres: Sequence[str], proba: np.ndarray, thresholds: np.ndarray, labels: list[str]) -> GenreControl:
    """Hold the prompted genres of n samples against a classifier's probabilities of shape (n, L) in [0, 1].

    A label is predicted where its probability reaches its threshold (shape (L,)). Prompted genres that are no label are
    left out and named in `unknown`; a sample is then judged by its other genres.
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
    likeliest = (
        np.eye(len(labels))[proba.argmax(axis=1)] * np.asarray(proba.any(axis=1))[:, None]
    )  # nothing for an empty text
    return GenreControl(
        hit=hit,
        probability=probability,
        predicted=[[labels[i] for i in np.flatnonzero(row)] for row in chosen],
        chance=float(np.average(chances, weights=weights)) if chances else None,
        prompted=names,
        labels=list(labels),
        matrix=np.array([proba[rows].mean(axis=0) for rows in members]).reshape(len(names), len(labels)),
        confusion=np.array([likeliest[rows].mean(axis=0) for rows in members]).reshape(len(names), len(labels)),
        unknown=sorted({name for prompt in prompts for name in prompt} - set(column)),
    )


def genre_means(genres: Sequence[Sequence[str]], vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The names of all genres (R) and the mean embedding of the texts of each, shape (R, d); NaN rows are left out.

    With rows of length 1, the product of two such arrays is the mean cosine over all pairs of two genres' texts, since
    the mean of all dot products is the dot product of the means: no pair is ever looked at.
    """
    names = sorted({name for of_text in genres for name in of_text})
    place = {name: i for i, name in enumerate(names)}
    there = ~np.isnan(vectors[:, 0])
    pairs = [(place[name], i) for i, of_text in enumerate(genres) if there[i] for name in of_text]
    carry = csr_matrix(
        (np.ones(len(pairs), np.float32), tuple(zip(*pairs, strict=True)) or ([], [])), (len(names), len(genres))
    )
    counts = carry.getnnz(axis=1)[:, None]
    sums = np.zeros((len(names), vectors.shape[1]), np.float32)
    for first in range(0, len(vectors), _CHUNK):  # NaN rows are never touched: no genre carries them
        sums += carry[:, first : first + _CHUNK] @ vectors[first : first + _CHUNK].astype(np.float32)
    return names, sums / np.maximum(counts, 1)
