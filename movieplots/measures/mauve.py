"""MAUVE: how similar the distribution of generated texts is to that of real texts, from sentence embeddings."""

import numpy as np
from scipy.integrate import trapezoid
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from movieplots.intervals import Estimate, estimate

MIN_TEXTS = 50  # of either set; MAUVE of fewer texts is not meaningful
_POINTS = 25  # mixtures along the curve; this and the next four as in the authors' package, mauve-text
_SCALE = 5
_VARIANCE = 0.9
_TEXTS_PER_BUCKET = 10
_STARTS = 5
_RESAMPLES = 200


def mauve(samples: np.ndarray, real: np.ndarray, seed: int = 0) -> Estimate | None:
    """Return MAUVE between two sets of embeddings.

    Parameters
    ----------
    samples : numpy.ndarray of shape (n, d)
        Embeddings of generated texts. A row of NaN is a text without words; it differs from all real texts.
    real : numpy.ndarray of shape (m, d)
        Embeddings of real texts.
    seed : int, default 0
        Random seed of k-means and of the bootstrap.

    Returns
    -------
    Estimate or None
        MAUVE, 0 to 1, with its 95 % confidence interval: 1 for equal distributions, close to 0 for disjoint ones. None
        if either set has fewer than 50 texts.

    Notes
    -----
    MAUVE is that of `Pillutla et al. (2021) <https://arxiv.org/abs/2102.01454>`_: k-means quantizes both sets of
    embeddings with the same buckets, and MAUVE is the area under the curve of the two Kullback-Leibler divergences from
    all mixtures of the two histograms. The paper uses embeddings of GPT-2, so its values are not comparable. MAUVE is
    too low for small sets: compare it with that of the same number of real texts.

    The interval is 1.96 standard errors of a bootstrap (`Efron 1979 <https://doi.org/10.1214/aos/1176344552>`_) of the
    bucket counts to either side. Its percentiles would be too low, because resampling adds to the difference. The
    variance of the buckets themselves is not included: for about 60 samples that differ much from real texts the
    interval is a third too narrow; near 1 it is too wide.

    Examples
    --------
    >>> import numpy as np
    >>> from movieplots.measures.mauve import mauve
    >>> rng = np.random.default_rng(0)
    >>> texts, same, other = (rng.normal(size=(60, 8)) + shift for shift in (0, 0, 9))
    >>> mauve(texts, same).value > 0.9 > 0.1 > mauve(texts, other).value
    True
    """
    if min(len(samples), len(real)) < MIN_TEXTS:
        return None
    p, q = bucket_counts(samples, real, max(2, round(min(len(samples), len(real)) / _TEXTS_PER_BUCKET)), seed)
    value = float(area(p / p.sum(), q / q.sum()))
    rng = np.random.default_rng(seed)
    resampled = area(
        rng.multinomial(p.sum(), p / p.sum(), _RESAMPLES) / p.sum(),
        rng.multinomial(q.sum(), q / q.sum(), _RESAMPLES) / q.sum(),
    )
    margin = 1.96 * resampled.std()
    return estimate(value, max(value - margin, 0), min(value + margin, 1), len(samples))


def bucket_counts(samples: np.ndarray, real: np.ndarray, buckets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of embeddings of each set in each k-means bucket, and as the last item the number of NaN rows.

    The result is two arrays of shape (buckets + 1,).
    """
    written = [vectors[~np.isnan(vectors).any(axis=1)] for vectors in (samples, real)]
    both = np.vstack([vectors for vectors in written if len(vectors)]).astype(np.float64)  # float32 is slower here
    reduced = PCA(n_components=_VARIANCE, svd_solver="covariance_eigh").fit_transform(both)
    labels = KMeans(buckets, n_init=_STARTS, random_state=seed).fit_predict(reduced)
    parts = labels[: len(written[0])], labels[len(written[0]) :]
    p, q = (np.bincount(part, minlength=buckets + 1) for part in parts)
    p[-1], q[-1] = len(samples) - len(written[0]), len(real) - len(written[1])
    return p, q


def area(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the area under the divergence curve of histograms p and q of shape (…, buckets), which sum to 1."""
    weights = np.linspace(1e-6, 1 - 1e-6, _POINTS)
    points = [(_divergence(q, w * p + (1 - w) * q), _divergence(p, w * p + (1 - w) * q)) for w in weights]
    none, infinite = np.zeros(p.shape[:-1]), np.full(p.shape[:-1], np.inf)
    curve = np.exp(-_SCALE * np.array([(none, infinite), *points, (infinite, none)]))
    x, y = curve[:, 0], curve[:, 1]  # along the curve x decreases and y increases
    return 0.5 * (-trapezoid(y, x, axis=0) + trapezoid(x, y, axis=0))


def _divergence(p: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Return the Kullback-Leibler divergence of p from a mixture that contains it, with the natural logarithm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / mixture), 0).sum(axis=-1)
