"""Multilabel metrics: F1 at given thresholds, average precision over all of them, ranking, and how sure they are."""

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

NAMES = {
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "map": "mean average precision",
    "lrap": "label-ranking average precision",
}


def multilabel_metrics(
    truth: np.ndarray, proba: np.ndarray, thresholds: np.ndarray | float, labels: Sequence[str]
) -> tuple[Scores, dict[str, LabelScores]]:
    """The four of `NAMES`, and precision, recall, F1 and average precision of each label.

    `truth` 0/1 and `proba` in [0, 1], both of shape (n, labels); `thresholds` one for all or one a label. Means over
    labels take only labels that occur in `truth`, since F1 and average precision of the others are undefined; the
    ranking takes only plots with a label.
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
    """The four metrics with 95 % percentile bootstrap intervals over plots (Efron 1979), the thresholds held fixed.

    A resample is a weight a plot; a label that it lost does not count in it.
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
    # What label_ranking_average_precision_score gives for each plot alone, for all at once.
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
