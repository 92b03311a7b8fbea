"""The losses against class imbalance: their weights, and their values by hand."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from movieplots.classification.imbalance import (
    LOSSES,
    balanced_weights,
    log_odds,
    log_shift,
    make_loss,
    positive_weights,
)
from movieplots.errors import BadInput

TARGETS = np.zeros((100, 3), dtype=np.float32)
TARGETS[:50, 0] = TARGETS[:10, 1] = TARGETS[:1, 2] = 1
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.1, -0.2]])
TRUTH = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def test_rare_labels_weigh_more_up_to_the_cap():
    assert positive_weights(TARGETS).tolist() == pytest.approx([1.0, 3.0, 6.0])
    assert log_odds(TARGETS)[0] == pytest.approx(0.0)
    assert log_odds(TARGETS)[1] == pytest.approx(np.log(0.1 / 0.9))


def test_a_label_that_all_plots_carry_stays_finite():
    everything = np.ones((50, 1))
    for name in LOSSES:
        assert np.isfinite(log_shift(name, everything)).all()
        assert torch.isfinite(make_loss(name, everything)(torch.zeros(2, 1), torch.ones(2, 1)))


def test_balanced_weights_follow_the_effective_number_and_have_mean_1():
    positive, negative = balanced_weights(TARGETS)
    effective = [(1 - 0.999**n) / 0.001 for n in (10, 90)]
    assert positive[1] / negative[1] == pytest.approx(effective[1] / effective[0])
    assert (positive * [50, 10, 1] + negative * [50, 90, 99]) / 100 == pytest.approx([1, 1, 1])


def test_bce_and_weighted_bce_are_cross_entropy():
    assert make_loss("bce", TARGETS)(LOGITS, TRUTH) == pytest.approx(
        binary_cross_entropy_with_logits(LOGITS, TRUTH).item()
    )
    weights = torch.tensor([1.0, 3.0, 6.0])
    assert make_loss("weighted-bce", TARGETS)(LOGITS, TRUTH).item() == pytest.approx(
        binary_cross_entropy_with_logits(LOGITS, TRUTH, pos_weight=weights).item()
    )


def test_focal_and_asymmetric_by_hand():
    logit, p = torch.tensor([[1.0]]), 1 / (1 + np.exp(-1.0))
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    targets = np.ones((4, 1))
    assert make_loss("focal", targets)(logit, one).item() == pytest.approx(-((1 - p) ** 2) * np.log(p), rel=1e-5)
    assert make_loss("focal", targets)(logit, zero).item() == pytest.approx(-(p**2) * np.log(1 - p), rel=1e-5)
    asymmetric = make_loss("asymmetric", targets)
    assert asymmetric(logit, one).item() == pytest.approx(-np.log(p), rel=1e-5)
    assert asymmetric(logit, zero).item() == pytest.approx(-((p - 0.05) ** 2) * np.log(1.05 - p), rel=1e-5)
    assert asymmetric(torch.tensor([[-4.0]]), zero).item() == 0  # below the margin nothing is left to learn


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_prefers_the_truth_and_has_gradients_everywhere(name):
    loss = make_loss(name, TARGETS)
    assert loss(5 * (2 * TRUTH - 1), TRUTH) < loss(-5 * (2 * TRUTH - 1), TRUTH)
    logits = torch.tensor([[40.0, -40.0, 0.0], [40.0, -40.0, 0.0]], requires_grad=True)
    loss(logits, TRUTH).backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[0, 2] != 0


def test_smoothing_moves_targets_towards_a_half():
    smoothed = make_loss("bce", TARGETS, 0.2)(LOGITS, TRUTH)
    assert smoothed.item() == pytest.approx(binary_cross_entropy_with_logits(LOGITS, 0.1 + 0.8 * TRUTH).item())


def test_the_weights_shift_the_best_logit_by_their_logarithm():
    """If a share p of the plots has a label, the optimal constant logit is the log-odds of p plus the shift."""
    for name in ("weighted-bce", "class-balanced"):
        loss, logit = make_loss(name, TARGETS), torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.LBFGS([logit], max_iter=200)
        truth = torch.from_numpy(TARGETS)

        def value(loss=loss, logit=logit, truth=truth, optimizer=optimizer):
            optimizer.zero_grad()
            result = loss(logit.expand(100, 3), truth)
            result.backward()
            return result

        optimizer.step(value)
        assert logit.detach().numpy() - log_shift(name, TARGETS) == pytest.approx(log_odds(TARGETS), abs=0.01)
    assert not log_shift("focal", TARGETS).any()


def test_an_unknown_loss_is_rejected():
    with pytest.raises(BadInput, match="no loss 'hinge'"):
        make_loss("hinge", TARGETS)
