"""Rare genres made to count: weights for the positive side of the binary cross-entropy."""

import numpy as np

CAP = 6.0


def positive_weights(targets: np.ndarray, cap: float = CAP) -> np.ndarray:
    """Weight of each label's positives, shape (labels,), from 0/1 targets of shape (n, labels).

    The square root of negatives over positives, capped: the full ratio would let a genre with thirty plots shout down
    the rest.
    """
    positives = targets.sum(axis=0)
    return np.minimum(np.sqrt((len(targets) - positives) / np.maximum(positives, 1)), cap)


def log_odds(targets: np.ndarray) -> np.ndarray:
    """Each label's log-odds in the data, shape (labels,): where the head's bias starts (Lin et al. 2017, 4.1)."""
    share = np.clip(targets.mean(axis=0), 1e-4, 1 - 1e-4)
    return np.log(share / (1 - share))
