"""How far a share measured on few samples can be trusted."""

import numpy as np


def bootstrap_interval(values: np.ndarray, resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval (Efron 1979) of the share of ones among zeros and ones, shape (n,); n > 0.

    Where all values are 0 or all are 1 a bootstrap would claim certainty. There the end is the exact bound for
    n equal outcomes, 1 - 0.05 ** (1 / n), about 3 / n (the rule of three).
    """
    values = np.asarray(values, float)
    n = len(values)
    slack = 1 - 0.05 ** (1 / n)
    if (values == 0).all():
        return 0.0, slack
    if (values == 1).all():
        return 1 - slack, 1.0
    rng = np.random.default_rng(seed)
    # Drawing n values with replacement from zeros and ones is drawing their sum from a binomial distribution.
    low, high = np.percentile(rng.binomial(n, values.mean(), resamples) / n, [2.5, 97.5])
    return float(low), float(high)
