"""Multilabel metrics: micro-F1 and macro-F1 at given thresholds, mAP, LRAP, and their bootstrap intervals."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    label_ranking_average_precision_score,
    precision_recall_fscore_support,
)

from movieplots.classification.info import LabelScores, Scores
from movieplots.intervals import RESAMPLES, Estimate, resampled

NAMES = {  # of the attributes of `Scores`, in the order of tables
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "map": "mean average precision",
    "lrap": "label-ranking average precision",
}


def multilabel_metrics(
    truth: np.ndarray, proba: np.ndarray, thresholds: np.ndarray | float, labels: Sequence[str]
) -> tuple[Scores, dict[str, LabelScores]]:
    """Compute the four metrics of `NAMES`, and precision, recall, F1 and average precision of each label.

    `truth` (0/1) and `proba` (from 0 to 1) have shape (n, labels); `thresholds` is one number or has shape (labels,).
    Macro-F1 and mAP average only over labels that occur in `truth`, since the metrics of the others are undefined. LRAP
    averages only over plots with a label.
    """
    truth = truth.astype(int)
    predicted = (proba >= thresholds).astype(int)
    present = np.asarray(truth.any(axis=0))
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, average=None, zero_division=0)
    average = np.array(
        [average_precision_score(t, p) if t.any() else np.nan for t, p in zip(truth.T, proba.T, strict=True)]
    )
    labelled = truth.any(axis=1)
    scores = Scores(
        micro_f1=float(f1_score(truth, predicted, average="micro", zero_division=0)),
        macro_f1=float(f1[present].mean()),
        map=float(average[present].mean()),
        lrap=float(label_ranking_average_precision_score(truth[labelled], proba[labelled])),
    )
    per_label = {
        label: LabelScores(
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            average_precision=float(average[i]) if present[i] else None,
            support=int(support[i]),
        )
        for i, label in enumerate(labels)
    }
    return scores, per_label


def intervals(truth: np.ndarray, proba: np.ndarray, thresholds: np.ndarray | float) -> dict[str, Estimate]:
    """Compute the four metrics with 95 % percentile bootstrap intervals over plots, at fixed thresholds.

    A resample is a vector of weights of the plots; a label without plots in it does not count. Source:
    `Efron 1979 <https://doi.org/10.1214/aos/1176344552>`_.
    """
    truth = truth.astype(np.float32)
    predicted = (proba >= thresholds).astype(np.float32)
    n = len(truth)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float32)
    hits, given, true = weights @ (truth * predicted), weights @ predicted, weights @ truth
    f1 = 2 * hits / np.maximum(given + true, 1)
    precisions = np.full(true.shape, np.nan)
    for label in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(-proba[:, label], kind="stable")
        ordered = weights[:, order]
        positive = ordered * truth[order, label]
        with np.errstate(invalid="ignore", divide="ignore"):
            at_each = np.cumsum(positive, axis=1) / np.cumsum(ordered, axis=1)
            precisions[:, label] = np.nansum(at_each * positive, axis=1) / positive.sum(axis=1)
    labelled = truth.any(axis=1)
    # The same as label_ranking_average_precision_score for each plot, computed for all plots together.
    of_all = rankdata(-proba, "max", axis=1)
    of_true = rankdata(np.where(truth > 0, -proba, np.inf), "max", axis=1)
    ranking = (truth * of_true / of_all).sum(axis=1) / np.maximum(truth.sum(axis=1), 1)
    samples = {
        "micro_f1": 2 * hits.sum(axis=1) / np.maximum((given + true).sum(axis=1), 1),
        "macro_f1": np.nanmean(np.where(true > 0, f1, np.nan), axis=1),
        "map": np.nanmean(precisions, axis=1),
        "lrap": (weights @ ranking) / np.maximum(weights @ labelled, 1),
    }
    values, _ = multilabel_metrics(truth, proba, thresholds, [""] * truth.shape[1])
    return {name: resampled(getattr(values, name), samples[name], n) for name in NAMES}
