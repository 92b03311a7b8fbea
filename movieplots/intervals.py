"""How far a number measured on few samples can be trusted: an estimate with its 95 % interval."""

from collections.abc import Callable, Sequence
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
    """The share of true values, with Wilson's interval (1927); None where there are no values.

    Of few values, or of rare ones, a bootstrap's interval would hold the truth far less often than it claims.
    """
    values = _known(values)
    return share_of(int(values.sum()), len(values)) if len(values) else None


def share_of(count: int, of: int) -> Estimate:
    """The share that `count` is of one or more, with Wilson's interval (1927)."""
    from scipy.stats import binomtest  # large, and not needed where models only write and predict

    low, high = binomtest(count, of).proportion_ci(method="wilson")
    return estimate(count / of, low, high, of)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates, with the interval that follows from theirs (MOVER: Zou and Donner 2008)."""
    value, low, high = (np.array([getattr(each, name) for each in estimates]) for name in ("value", "low", "high"))
    mean, n = value.mean(), len(estimates)
    below, above = (np.sqrt(np.square(reach).sum()) / n for reach in (value - low, high - value))
    return estimate(mean, mean - below, mean + above, sum(each.of for each in estimates))


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


def jackknife(value: float, without: np.ndarray) -> Estimate:
    """A value from 0 to 1 of a whole group, given the n values of the group `without` one text each (Tukey 1958).

    For counts of different things: a bootstrap draws texts twice, and each repetition lowers such a count. Where pairs
    of texts decide, the interval is somewhat too wide (Efron and Stein 1981), never too narrow.
    """
    return around(value, (len(without) - 1) * np.var(without), len(without))


def around(value: float, variance: float, n: int) -> Estimate:
    """A value from 0 to 1 that n texts gave, with the interval for this variance of it; from 0 to 1 for one text."""
    from scipy.stats import t as student

    reach = student.ppf(0.975, n - 1) * np.sqrt(variance) if n > 1 else np.inf
    return estimate(value, max(value - reach, 0), min(value + reach, 1), n)


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return values[~np.isnan(values)]


@lru_cache(maxsize=8)
def _draws(n: int) -> np.ndarray:
    """Which of n values each resample holds, shape (RESAMPLES, n); the same for all measures of a group."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n), dtype=np.int32)
