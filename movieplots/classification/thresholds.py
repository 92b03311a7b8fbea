"""A probability threshold per label, chosen where the validation split's F1 is best."""

import numpy as np
from sklearn.metrics import f1_score

MIN_POSITIVES = 10
GRID = np.round(np.concatenate([np.arange(0.01, 0.05, 0.005), np.arange(0.05, 0.96, 0.01)]), 3)


def best_thresholds(truth: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Thresholds of shape (labels,) from validation truth and probabilities of shape (n, labels).

    A label with fewer than `MIN_POSITIVES` validation plots would get a threshold by chance; it takes the one that is
    best for micro-F1 over all labels.
    """
    overall = GRID[np.argmax([f1_score(truth, proba >= t, average="micro", zero_division=0) for t in GRID])]
    chosen = np.full(truth.shape[1], overall)
    for label in np.flatnonzero(truth.sum(axis=0) >= MIN_POSITIVES):
        chosen[label] = GRID[np.argmax(f1_over_grid(truth[:, label], proba[:, label]))]
    return chosen


def f1_over_grid(truth: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """F1 of one label at every threshold of `GRID`, from truth and probabilities of shape (n,)."""
    predicted = proba[:, None] >= GRID
    hits = (predicted & truth.astype(bool)[:, None]).sum(axis=0)
    return 2 * hits / np.maximum(predicted.sum(axis=0) + truth.sum(), 1)
