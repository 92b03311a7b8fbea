"""Losses against class imbalance, for training a classifier.

A loss takes logits and targets of shape (n, labels) and returns the mean over both. All are binary cross-entropy (BCE)
per label; they differ in how much a rare positive weighs against the many negatives:

- `bce`: no weights.
- `weighted-bce`: positives of a label are weighted by the square root of negatives over positives, at most 6. With the
  full ratio, a genre with thirty plots would dominate the loss.
- `class-balanced`: positives and negatives are weighted by the inverse effective number of such plots
  (`Cui et al. 2019 <https://arxiv.org/abs/1901.05555>`_), beta 0.999.
- `focal`: easy examples count less (`Lin et al. 2017 <https://arxiv.org/abs/1708.02002>`_), gamma 2.
- `asymmetric`: easy negatives count less, and the easiest not at all
  (`Ridnik et al. 2021 <https://arxiv.org/abs/2009.14119>`_), gamma 0 for positives and 2 for negatives, margin 0.05.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from movieplots.classification.training_settings import LOSSES
from movieplots.errors import BadInput

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

CAP = 6.0
BETA = 0.999  # each further plot adds this factor less to the effective number
FOCUS = 2.0
MARGIN = 0.05


def make_loss(name: str, targets: np.ndarray, smoothing: float = 0.0) -> Loss:
    """Return the loss of that name, with weights from the training targets (n, labels).

    `smoothing` moves targets from 0 and 1 towards 0.5 by half of it (label smoothing,
    `Szegedy et al. 2016 <https://arxiv.org/abs/1512.00567>`_), since catalogues do not tag consistently.
    """
    if name not in LOSSES:
        raise BadInput(f"There is no loss {name!r}: choose one of {', '.join(LOSSES)}.")
    if name in ("focal", "asymmetric"):
        loss: Loss = {"focal": focal, "asymmetric": asymmetric}[name]
    else:
        loss = _weighted(*(torch.from_numpy(side).float() for side in class_weights(name, targets)))

    def smoothed(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return loss(logits, truth * (1 - smoothing) + smoothing / 2)

    return smoothed


def class_weights(name: str, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of positives and of negatives of each label in the loss of that name, each (labels,)."""
    ones = np.ones(targets.shape[1])
    if name == "weighted-bce":
        return positive_weights(targets), ones
    return balanced_weights(targets) if name == "class-balanced" else (ones, ones)


def log_shift(name: str, targets: np.ndarray) -> np.ndarray:
    """Return by how much the weights of a loss raise the optimal logits, shape (labels,)."""
    positive, negative = class_weights(name, targets)
    return np.log(positive / negative)


def positive_weights(targets: np.ndarray, cap: float = CAP) -> np.ndarray:
    """Return the weight of each label's positives, shape (labels,), from 0/1 targets of shape (n, labels)."""
    positives = targets.sum(axis=0)
    return np.minimum(np.sqrt(np.maximum(len(targets) - positives, 1) / np.maximum(positives, 1)), cap)


def balanced_weights(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of positives and of negatives, each (labels,), with a mean of 1 over the plots of a label."""
    positives = np.maximum(targets.sum(axis=0), 1)
    counts = np.stack([positives, np.maximum(len(targets) - positives, 1)])
    weights = (1 - BETA) / (1 - BETA**counts)
    weights *= counts.sum(axis=0) / (weights * counts).sum(axis=0)
    return weights[0], weights[1]


def focal(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Compute binary cross-entropy times (1 - probability of the truth) to the power of `FOCUS`."""
    right = truth * torch.sigmoid(logits) + (1 - truth) * torch.sigmoid(-logits)
    losses = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return ((1 - right) ** FOCUS * losses).mean()


def asymmetric(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Compute binary cross-entropy whose negatives use a probability lowered by the margin and its square as weight."""
    wrong = (torch.sigmoid(logits) - MARGIN).clamp(min=0)
    positives = truth * logsigmoid(logits)
    negatives = (1 - truth) * wrong**FOCUS * torch.log1p(-wrong.clamp(max=1 - 1e-6))
    return -(positives + negatives).mean()


def log_odds(targets: np.ndarray) -> np.ndarray:
    """Return each label's log-odds in the data, shape (labels,): the initial bias of the head.

    Source: `Lin et al. 2017 <https://arxiv.org/abs/1708.02002>`_, section 4.1.
    """
    share = np.clip(targets.mean(axis=0), 1e-4, 1 - 1e-4)
    return np.log(share / (1 - share))


def _weighted(positive: torch.Tensor, negative: torch.Tensor) -> Loss:
    def loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        weights = truth * positive.to(truth.device) + (1 - truth) * negative.to(truth.device)
        return (weights * binary_cross_entropy_with_logits(logits, truth, reduction="none")).mean()

    return loss
