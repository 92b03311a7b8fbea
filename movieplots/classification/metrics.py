"""Multilabel metrics: F1 at given thresholds and average precision over all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support


def multilabel_metrics(
    truth: np.ndarray, proba: np.ndarray, thresholds: np.ndarray | float, labels: Sequence[str]
) -> dict[str, Any]:
    """Micro-F1, macro-F1, mean average precision (`map`) and a table per label.

    `truth` 0/1 and `proba` in [0, 1], both of shape (n, labels); `thresholds` one for all or one a label. Means over
    labels take only labels that occur in `truth`, since F1 and average precision of the others are undefined.
    """
    truth = truth.astype(int)
    predicted = (proba >= thresholds).astype(int)
    present = truth.any(axis=0)
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, average=None, zero_division=0)
    average = np.array(
        [average_precision_score(t, p) if t.any() else np.nan for t, p in zip(truth.T, proba.T, strict=True)]
    )
    return {
        "micro_f1": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "macro_f1": float(f1[present].mean()),
        "map": float(average[present].mean()),
        "per_label": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "average_precision": float(average[i]) if present[i] else None,
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
    }


def headline(metrics: dict[str, Any]) -> dict[str, float]:
    """The three numbers of the table: micro-F1, macro-F1, mean average precision."""
    return {name: metrics[name] for name in ("micro_f1", "macro_f1", "map")}
