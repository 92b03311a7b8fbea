"""A probability threshold per label, chosen where the validation split's F1 is best.

With a few dozen plots of a label the best threshold is mostly luck. So the curve of F1 over thresholds is smoothed, and
a threshold pays for its distance from the one that is best for all labels together, the more the fewer plots it has.
With a handful nothing can be learned from them, and the threshold of all, far above what rare labels reach, hardly ever
predicts them. Calibrated probabilities then say themselves which F1 to expect at each threshold (Lipton et al. 2014).
"""

import numpy as np

MIN_POSITIVES = 10
GRID = np.round(np.concatenate([np.arange(0.01, 0.05, 0.005), np.arange(0.05, 0.96, 0.01)]), 3)
SMOOTHING = 0.3  # standard deviation of the kernel over the log-odds of the thresholds
PRICE = 0.1  # F1 for a distance of 1 in log-odds, divided by the square root of the label's plots
_LOG_ODDS = np.log(GRID / (1 - GRID))


def best_thresholds(
    truth: np.ndarray,
    proba: np.ndarray,
    copies: int = 1,
    smoothing: float = SMOOTHING,
    price: float = PRICE,
    *,
    calibrated: bool,
) -> np.ndarray:
    """Thresholds of shape (labels,) from validation truth and probabilities of shape (n, labels).

    A label with fewer than `MIN_POSITIVES` validation plots takes the one with the highest F1 that its probabilities
    let expect, or where they are not `calibrated` the one that is best for micro-F1 over all labels. `copies` says how
    often each plot stands in the arrays.
    """
    positives = truth.sum(axis=0) / copies
    overall = int(np.argmax(f1_over_grid(truth.ravel(), proba.ravel())))
    kernel = np.exp(-0.5 * ((_LOG_ODDS[:, None] - _LOG_ODDS) / smoothing) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    chosen = np.full(truth.shape[1], GRID[overall])
    if calibrated:
        for label in np.flatnonzero(positives < MIN_POSITIVES):
            chosen[label] = GRID[np.argmax(f1_over_grid(proba[:, label], proba[:, label]))]
    for label in np.flatnonzero(positives >= MIN_POSITIVES):
        distance = (_LOG_ODDS - _LOG_ODDS[overall]) ** 2
        cost = price * distance / np.sqrt(positives[label])
        chosen[label] = GRID[np.argmax(kernel @ f1_over_grid(truth[:, label], proba[:, label]) - cost)]
    return chosen


def f1_over_grid(truth: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """F1 at every threshold of `GRID`, from truth and probabilities of shape (n,).

    With probabilities as the truth, too, it is the F1 to be expected: expected hits in place of hits.
    """
    # How many thresholds each probability reaches; cumulated from above, how many plots each threshold is reached by.
    reached = np.searchsorted(GRID, proba, side="right")
    given = np.bincount(reached, minlength=len(GRID) + 1)[::-1].cumsum()[::-1][1:]
    hits = np.bincount(reached, weights=truth, minlength=len(GRID) + 1)[::-1].cumsum()[::-1][1:]
    return 2 * hits / np.maximum(given + truth.sum(), 1)
