"""How far a number measured on few samples can be trusted: an estimate with its 95 % interval."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 1_000


@dataclass(frozen=True)
class Estimate:
    """A measured `value`, `low` and `high`, the ends of its 95 % interval, and `of`, the samples behind it."""

    value: float
    low: float
    high: float
    of: int


def estimate(value: float, low: float, high: float, of: int) -> Estimate:
    """An estimate from whatever kind of numbers."""
    return Estimate(float(value), float(low), float(high), int(of))


def resampled(value: float, values: np.ndarray, of: int) -> Estimate:
    """An estimate with the interval that holds 95 % of the `values` that were measured on resamples."""
    low, high = np.percentile(values, [2.5, 97.5])
    return estimate(value, low, high, of)


def share(values: np.ndarray) -> Estimate | None:
    """The share of true values, with a percentile bootstrap interval (Efron 1979); None where there are no values.

    Where all values are 0 or all are 1 a bootstrap would claim certainty. There the end is the exact bound for
    n equal outcomes, 1 - 0.05 ** (1 / n), about 3 / n (the rule of three).
    """
    values = _known(values)
    n = len(values)
    if not n:
        return None
    mean, slack = values.mean(), 1 - 0.05 ** (1 / n)
    if mean in (0, 1):
        return estimate(mean, 0 if mean == 0 else 1 - slack, slack if mean == 0 else 1, n)
    # Drawing n values with replacement from zeros and ones is drawing their sum from a binomial distribution.
    sums = np.random.default_rng(0).binomial(n, mean, 10 * RESAMPLES)
    return resampled(mean, sums / n, n)


def average(values: np.ndarray) -> Estimate | None:
    """The mean, with a percentile bootstrap interval (Efron 1979); NaN is left out; None where nothing is left."""
    return _bootstrap(values, np.mean)


def median(values: np.ndarray) -> Estimate | None:
    """The median, with a percentile bootstrap interval (Efron 1979); NaN is left out; None where nothing is left."""
    return _bootstrap(values, np.median)


def _bootstrap(values: np.ndarray, statistic: Callable[..., np.ndarray]) -> Estimate | None:
    values = _known(values)
    if not len(values):
        return None
    return resampled(float(statistic(values)), statistic(values[_draws(len(values))], axis=1), len(values))


def jackknife(value: float, without: np.ndarray, low: float = 0.0, high: float = 1.0) -> Estimate:
    """A value of a whole group, given the n values of the group `without` one text each; ends stay within low, high.

    For counts of different things (Tukey 1958): a bootstrap draws texts twice, and each repetition lowers such a count.
    """
    n = len(without)
    reach = 1.96 * np.sqrt((n - 1) * np.var(without)) if n > 1 else np.inf
    return estimate(value, max(value - reach, low), min(value + reach, high), n)


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return values[~np.isnan(values)]


@lru_cache(maxsize=8)
def _draws(n: int) -> np.ndarray:
    """Which of n values each resample holds, shape (RESAMPLES, n); the same for all measures of a group."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n), dtype=np.int32)
