"""Are the samples, taken together, distributed like real plots? MAUVE, on sentence embeddings.

MAUVE of Pillutla et al. 2021: both sets of embeddings are sorted into the same k-means buckets, and the area under the
curve of the two divergences from all mixtures of the two histograms is taken; 1 where the histograms are equal, near
0 where they do not meet. It needs hundreds of texts; few texts look more different than they are, so a value says
something beside the ceiling of as many real plots. The paper's embeddings are GPT-2's, so values cannot be compared
with the paper's.
"""

import numpy as np
from scipy.integrate import trapezoid
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from movieplots.intervals import Estimate, estimate

MIN_TEXTS = 50  # on either side; with fewer there is no telling
_POINTS = 25  # mixtures along the curve, and the four constants below: all as in the authors' package, mauve-text
_SCALE = 5
_VARIANCE = 0.9
_TEXTS_PER_BUCKET = 10
_STARTS = 5
_RESAMPLES = 200


def mauve(samples: np.ndarray, real: np.ndarray, seed: int = 0) -> Estimate | None:
    """MAUVE between embeddings of shape (n, d) and (m, d), 0 to 1.

    A row of NaN, which stands for a sample without words, falls into a bucket that no real plot is in. The interval is
    1.96 standard errors to either side, from a bootstrap (Efron 1979) of the buckets' counts; its percentiles would lie
    too low, since resampling itself adds to the difference. That the buckets vary, too, is not in it: for some 60
    samples far from real plots it is a third too narrow; near 1 it is too wide. None with fewer than `MIN_TEXTS`
    on either side.
    """
    if min(len(samples), len(real)) < MIN_TEXTS:
        return None
    p, q = bucket_counts(samples, real, max(2, round(min(len(samples), len(real)) / _TEXTS_PER_BUCKET)), seed)
    value = float(area(p / p.sum(), q / q.sum()))
    rng = np.random.default_rng(seed)
    again = area(
        rng.multinomial(p.sum(), p / p.sum(), _RESAMPLES) / p.sum(),
        rng.multinomial(q.sum(), q / q.sum(), _RESAMPLES) / q.sum(),
    )
    reach = 1.96 * again.std()
    return estimate(value, max(value - reach, 0), min(value + reach, 1), len(samples))


def bucket_counts(samples: np.ndarray, real: np.ndarray, buckets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """How many of each side's embeddings fall into each k-means bucket of both, and last how many are NaN.

    Two arrays of shape (buckets + 1,).
    """
    written = [vectors[~np.isnan(vectors).any(axis=1)] for vectors in (samples, real)]
    both = np.vstack([vectors for vectors in written if len(vectors)]).astype(np.float64)  # 32 bits are slower here
    reduced = PCA(n_components=_VARIANCE, svd_solver="covariance_eigh").fit_transform(both)
    labels = KMeans(buckets, n_init=_STARTS, random_state=seed).fit_predict(reduced)
    parts = labels[: len(written[0])], labels[len(written[0]) :]
    p, q = (np.bincount(part, minlength=buckets + 1) for part in parts)
    p[-1], q[-1] = len(samples) - len(written[0]), len(real) - len(written[1])
    return p, q


def area(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The area under the divergence curve of histograms p and q, of shape (..., buckets) that sum to 1."""
    weights = np.linspace(1e-6, 1 - 1e-6, _POINTS)
    points = [(_divergence(q, w * p + (1 - w) * q), _divergence(p, w * p + (1 - w) * q)) for w in weights]
    none, infinite = np.zeros(p.shape[:-1]), np.full(p.shape[:-1], np.inf)
    curve = np.exp(-_SCALE * np.array([(none, infinite), *points, (infinite, none)]))
    x, y = curve[:, 0], curve[:, 1]  # along the curve x falls and y grows
    return 0.5 * (-trapezoid(y, x, axis=0) + trapezoid(x, y, axis=0))


def _divergence(p: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of p from a mixture that holds it, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / mixture), 0).sum(axis=-1)
