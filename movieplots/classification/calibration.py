"""From logits to genres: calibrated probabilities (temperature scaling), and a threshold for each label.

A loss that weighs positives more teaches odds that are too high by just these weights, but only where the targets are
the plots' genres and nothing else: a teacher's doubts pull the other way. So two numbers are fitted, how much of the
weights to take out, and one temperature to divide all logits by (Guo et al. 2017). Both go into the head, so a trained
model's probabilities are the calibrated ones.

A label's threshold is chosen where the validation split's F1 is best. With a few dozen plots of a label the best
threshold is mostly luck. So the curve of F1 over thresholds is smoothed, and a threshold pays for its distance from the
one that is best for all labels together, the more the fewer plots it has. With a handful nothing can be learned from
them, and the threshold of all, far above what rare labels reach, hardly ever predicts them. Calibrated probabilities
then say themselves which F1 to expect at each threshold (Lipton et al. 2014).
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

BINS = 15  # of the reliability diagram
MIN_POSITIVES = 10
GRID = np.round(np.concatenate([np.arange(0.01, 0.05, 0.005), np.arange(0.05, 0.96, 0.01)]), 3)
SMOOTHING = 0.3  # standard deviation of the kernel over the log-odds of the thresholds
PRICE = 0.1  # F1 for a distance of 1 in log-odds, divided by the square root of the label's plots
_LOG_ODDS = np.log(GRID / (1 - GRID))


def fit_calibration(truth: np.ndarray, logits: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """What to take off the logits (n, labels), shape (labels,), and then to divide them by, from 0.2 to 5.

    `weights` (labels,) are the logarithms of the loss's weights: a multiple of them, from -2 to 2, is what is taken
    off. Both are those with the lowest binary cross-entropy.
    """

    def loss(fitted: np.ndarray) -> float:
        scaled = (logits - fitted[0] * weights) / np.exp(fitted[1])
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))

    bounds = ((-2, 2), (np.log(0.2), np.log(5)))
    share, log_temperature = minimize(loss, np.array([1.0, 0.0]), bounds=bounds).x
    return share * weights, float(np.exp(log_temperature))


def calibration_error(truth: np.ndarray, proba: np.ndarray) -> float:
    """Expected calibration error over all plots and labels, in [0, 1]: `BINS` bins of equal width (Guo et al. 2017)."""
    confidence, share, count = reliability(truth, proba)
    return float(np.sum(count * np.abs(share - confidence)) / count.sum())


def reliability(truth: np.ndarray, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each bin that holds a prediction: mean probability, share of true ones, number of predictions."""
    bins = np.minimum((proba.ravel() * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, weights=values.ravel(), minlength=BINS) for values in (proba, truth)]
    used = count > 0
    return sums[0][used] / count[used], sums[1][used] / count[used], count[used]


def calibrated(logits: np.ndarray, shift: np.ndarray, by: float) -> np.ndarray:
    """Probabilities (n, labels) of logits, `shift` (labels,) taken off and divided by the temperature `by`."""
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
