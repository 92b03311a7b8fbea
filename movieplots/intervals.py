"""Estimates with 95 % confidence intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 1_000


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95 % interval.

    Attributes
    ----------
    value : float
        The estimate.
    low, high : float
        Bounds of the 95 % interval.
    of : int
        Number of samples (texts, plots) that it was measured on.
    """

    value: float
    low: float
    high: float
    of: int


def estimate(value: float, low: float, high: float, of: int) -> Estimate:
    """Return an Estimate with Python's own number types."""
    return Estimate(float(value), float(low), float(high), int(of))


def resampled(value: float, values: np.ndarray, of: int) -> Estimate:
    """Return an estimate with the percentile bootstrap interval of the `values` measured on resamples."""
    low, high = np.percentile(values, [2.5, 97.5])
    return estimate(value, low, high, of)


def share(values: np.ndarray) -> Estimate | None:
    """Return the share of true values with Wilson's interval (1927), or None without values."""
    # For few values or rare ones, a bootstrap interval covers the true share far less often than 95 % of the time.
    values = _known(values)
    return share_of(int(values.sum()), len(values)) if len(values) else None


def share_of(count: int, of: int) -> Estimate:
    """Return `count / of` with Wilson's interval (1927)."""
    from scipy.stats import binomtest  # large, and only needed for evaluation

    low, high = binomtest(count, of).proportion_ci(method="wilson")
    return estimate(count / of, low, high, of)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of independent estimates, with its interval by MOVER (Zou and Donner 2008)."""
    value, low, high = (np.array([getattr(each, name) for each in estimates]) for name in ("value", "low", "high"))
    mean, n = value.mean(), len(estimates)
    below, above = (np.sqrt(np.square(reach).sum()) / n for reach in (value - low, high - value))
    return estimate(mean, mean - below, mean + above, sum(each.of for each in estimates))


def average(values: np.ndarray) -> Estimate | None:
    """Return the mean with a percentile bootstrap interval (Efron 1979), without NaN; None without values."""
    return _bootstrap(values, np.mean)


def median(values: np.ndarray) -> Estimate | None:
    """Return the median with a percentile bootstrap interval (Efron 1979), without NaN; None without values."""
    return _bootstrap(values, np.median)


def _bootstrap(values: np.ndarray, statistic: Callable[..., np.ndarray]) -> Estimate | None:
    values = _known(values)
    if not len(values):
        return None
    return resampled(float(statistic(values)), statistic(values[_resample_indices(len(values))], axis=1), len(values))


def jackknife(value: float, without: np.ndarray) -> Estimate:
    """Return a statistic from 0 to 1 with its jackknife interval (Tukey 1958).

    Parameters
    ----------
    value : float
        Statistic of n texts.
    without : numpy.ndarray of shape (n,)
        The statistic without each of the texts.

    Returns
    -------
    Estimate
        The statistic with its interval.

    Notes
    -----
    It is meant for counts of distinct things, which a bootstrap underestimates because it repeats texts. For statistics
    of pairs of texts, the interval is somewhat too wide (Efron and Stein 1981), never too narrow.
    """
    return around(value, (len(without) - 1) * np.var(without), len(without))


def around(value: float, variance: float, n: int) -> Estimate:
    """Return a statistic from 0 to 1 of n texts with its interval for this variance; from 0 to 1 for one text."""
    from scipy.stats import t as student

    reach = student.ppf(0.975, n - 1) * np.sqrt(variance) if n > 1 else np.inf
    return estimate(value, max(value - reach, 0), min(value + reach, 1), n)


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return values[~np.isnan(values)]


@lru_cache(maxsize=8)
def _resample_indices(n: int) -> np.ndarray:
    """Return the indices of each bootstrap resample, shape (RESAMPLES, n); the same for all measures of a group."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n), dtype=np.int32)
