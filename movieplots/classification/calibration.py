"""From logits to genres: calibrated probabilities, and a threshold for each genre, both from the validation split.

Calibration fits two numbers. A loss that weights positives by w raises the optimal logits by log(w) if the targets are
the plots' genres; soft targets from a teacher reduce that. So one number is the share of log(w) to subtract. The other
is a temperature that divides all logits (temperature scaling,
`Guo et al. 2017 <https://arxiv.org/abs/1706.04599>`_). Both are built into the head, so a saved model returns
calibrated probabilities.

A genre's threshold maximizes its F1 on the validation split, with two corrections for rare genres, for which the best
threshold is mostly chance. The curve of F1 over thresholds is smoothed, and a threshold pays a penalty for its distance
from the threshold that is best for all genres together, the larger the fewer plots the genre has. With fewer than
`MIN_POSITIVES` validation plots, the threshold with the highest expected F1 under the calibrated probabilities is used
(`Lipton et al. 2014 <https://arxiv.org/abs/1402.1892>`_). The threshold of all genres together would be too high: rare
genres hardly ever reach it.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

BINS = 15  # in the reliability diagram
MIN_POSITIVES = 10
GRID = np.round(np.concatenate([np.arange(0.01, 0.05, 0.005), np.arange(0.05, 0.96, 0.01)]), 3)
SMOOTHING = 0.3  # standard deviation of the kernel over the log-odds of the thresholds
PRICE = 0.1  # penalty in F1 per squared log-odds, divided by the square root of the label's number of plots
_LOG_ODDS = np.log(GRID / (1 - GRID))


def fit_calibration(truth: np.ndarray, logits: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit the shift of shape (labels,) to subtract from logits (n, labels), and the temperature from 0.2 to 5.

    `weights` of shape (labels,) are the logarithms of the loss weights. The shift is a multiple of them, from -2 to 2.
    Both numbers minimize the binary cross-entropy of `truth`.
    """

    def loss(fitted: np.ndarray) -> float:
        scaled = (logits - fitted[0] * weights) / np.exp(fitted[1])
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))

    bounds = ((-2, 2), (np.log(0.2), np.log(5)))
    share, log_temperature = minimize(loss, np.array([1.0, 0.0]), bounds=bounds).x
    return share * weights, float(np.exp(log_temperature))


def calibration_error(truth: np.ndarray, proba: np.ndarray) -> float:
    """Return the expected calibration error (ECE) over all plots and labels, from 0 to 1.

    `BINS` bins of equal width (`Guo et al. 2017 <https://arxiv.org/abs/1706.04599>`_).
    """
    confidence, share, count = reliability(truth, proba)
    return float(np.sum(count * np.abs(share - confidence)) / count.sum())


def reliability(truth: np.ndarray, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean probability, share of positives and number of predictions for each bin that is not empty."""
    bins = np.minimum((proba.ravel() * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, weights=values.ravel(), minlength=BINS) for values in (proba, truth)]
    used = count > 0
    return sums[0][used] / count[used], sums[1][used] / count[used], count[used]


def calibrated(logits: np.ndarray, shift: np.ndarray, by: float) -> np.ndarray:
    """Return probabilities (n, labels) of logits after subtracting `shift` and dividing by the temperature `by`."""
    return expit((logits - shift) / by)


def best_thresholds(
    truth: np.ndarray,
    proba: np.ndarray,
    copies: int = 1,
    smoothing: float = SMOOTHING,
    price: float = PRICE,
    *,
    calibrated: bool,
) -> np.ndarray:
    """Return thresholds of shape (labels,) from validation truth and probabilities of shape (n, labels).

    A label with fewer than `MIN_POSITIVES` validation plots gets the threshold with the highest expected F1 if the
    probabilities are `calibrated`, otherwise the one with the highest micro-F1 over all labels. `copies` is how often
    the arrays repeat each plot.
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
    """Return the F1 at every threshold of `GRID`, from truth and probabilities of shape (n,).

    With probabilities as the truth it is the expected F1, in which expected true positives replace true positives.
    """
    # Count the thresholds that each probability reaches; sums from above then count the plots at or above a threshold.
    reached = np.searchsorted(GRID, proba, side="right")
    given = np.bincount(reached, minlength=len(GRID) + 1)[::-1].cumsum()[::-1][1:]
    hits = np.bincount(reached, weights=truth, minlength=len(GRID) + 1)[::-1].cumsum()[::-1][1:]
    return 2 * hits / np.maximum(given + truth.sum(), 1)
