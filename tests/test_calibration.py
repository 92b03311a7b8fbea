"""Temperature, calibration error, thresholds and the bootstrap, on made-up predictions whose truth is known."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score

from movieplots.classification.calibration import calibrated, calibration_error, fit_calibration, reliability
from movieplots.classification.metrics import intervals, multilabel_metrics


@pytest.fixture(scope="module")
def predictions():
    """(truth, logits) of 4,000 plots and three labels, the logits being true."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (4000, 3))
    return (rng.random((4000, 3)) < expit(logits)).astype(float), logits


@pytest.mark.parametrize("by", [0.5, 1.0, 3.0])
def test_the_temperature_is_recovered(predictions, by):
    truth, logits = predictions
    shift, found = fit_calibration(truth, logits * by, np.zeros(3))
    assert found == pytest.approx(by, rel=0.06) and not shift.any()


@pytest.mark.parametrize(("share", "raw_error"), [(1.0, 0.08), (0.3, 0.06), (-0.2, 0.06)])
def test_calibration_lowers_the_error(predictions, share, raw_error):
    truth, logits = predictions
    weights = np.array([0.5, 1.0, 1.5])
    raw = 2.5 * logits + share * weights
    shift, by = fit_calibration(truth, raw, weights)
    assert shift == pytest.approx(share * weights, abs=0.25) and by == pytest.approx(2.5, rel=0.06)
    proba = calibrated(raw, shift, by)
    assert calibration_error(truth, proba) < 0.015 < raw_error < calibration_error(truth, expit(raw))


def test_the_error_by_hand():
    truth, proba = np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([[0.9], [0.9], [0.1], [1.0]])
    # Three bins: 0.1 (one, true), 0.9 (two, half true), 1.0, which is in the last one with nothing else.
    assert calibration_error(truth, proba) == pytest.approx((0.9 + 2 * 0.4 + 0) / 4)
    confidence, share, count = reliability(truth, proba)
    assert count.tolist() == [1, 2, 1] and share.tolist() == [1, 0.5, 1] and confidence == pytest.approx([0.1, 0.9, 1])


def test_intervals_hold_the_value_and_shrink_with_more_plots(predictions):
    truth, logits = predictions
    proba = expit(logits)
    many, few = (intervals(truth[:n], proba[:n], np.full(3, 0.5)) for n in (4000, 250))
    metrics, _ = multilabel_metrics(truth, proba, 0.5, list("abc"))
    for name, found in many.items():
        assert found.value == getattr(metrics, name)
        assert found.low < found.value < found.high
        assert few[name].high - few[name].low > 2 * (found.high - found.low)


def test_the_bootstrap_equals_resampling_plots(predictions):
    """The weighted sums equal scikit-learn's metrics on plots sampled with replacement."""
    truth, proba = predictions[0][:300], expit(predictions[1][:300])
    rng = np.random.default_rng(1)
    draws = [rng.integers(300, size=300) for _ in range(300)]
    found = intervals(truth, proba, 0.5)
    mine = {
        "micro_f1": [f1_score(truth[d], proba[d] >= 0.5, average="micro") for d in draws],
        "macro_f1": [f1_score(truth[d], proba[d] >= 0.5, average="macro") for d in draws],
        "map": [average_precision_score(truth[d], proba[d], average="macro") for d in draws],
    }
    for name, values in mine.items():
        ends = np.percentile(values, [2.5, 97.5])
        assert [found[name].low, found[name].high] == pytest.approx(ends, abs=0.012)


def test_lrap_ignores_plots_without_a_label():
    truth, proba = np.array([[0, 0], [0, 1]]), np.array([[0.9, 0.1], [0.9, 0.1]])
    assert multilabel_metrics(truth, proba, 0.5, ["a", "b"])[0].lrap == 0.5
