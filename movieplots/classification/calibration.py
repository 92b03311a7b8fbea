"""Probabilities that mean what they say: temperature scaling, and how far off they are before and after.

A loss that weighs positives more teaches odds that are too high by just these weights, so they are taken out first;
then all logits are divided by one temperature (Guo et al. 2017). Both go into the head, so a trained model's
probabilities are the calibrated ones.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

BINS = 15


def temperature(truth: np.ndarray, logits: np.ndarray) -> float:
    """The number by which to divide the logits (n, labels) for the lowest binary cross-entropy; from 0.2 to 5."""

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.2), np.log(5)), method="bounded").x))


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
