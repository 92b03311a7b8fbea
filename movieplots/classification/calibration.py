"""Probabilities that mean what they say: temperature scaling, and how far off they are before and after.

A loss that weighs positives more teaches odds that are too high by just these weights, but only where the targets are
the plots' genres and nothing else: a teacher's doubts pull the other way. So two numbers are fitted, how much of the
weights to take out, and one temperature to divide all logits by (Guo et al. 2017). Both go into the head, so a trained
model's probabilities are the calibrated ones.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

BINS = 15


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
