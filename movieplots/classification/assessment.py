"""What a trained classifier does on the plots it was trained beside: predictions, confusions, the hardest plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from movieplots.classification.calibration import GRID, f1_over_grid
from movieplots.classification.info import ClassifierInfo, ClassifierMetrics
from movieplots.classification.labelled_plots import LabelledPlots, read_labelled
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.plots import comparable
from movieplots.runs.lineage import read_plot_ids
from movieplots.texts import as_texts

TRAIN_SAMPLE = 2_000  # training plots that are predicted, too: enough to see how far memory goes


@dataclass(frozen=True)
class Assessment:
    """A classifier and its predictions: `truth` and `proba` of each split, both (n, labels), `texts` and `titles`.

    `train` is a sample of the training plots.
    """

    classifier: GenreClassifier
    truth: dict[str, np.ndarray]
    proba: dict[str, np.ndarray]
    texts: dict[str, list[str]]
    titles: dict[str, list[str]]

    @property
    def labels(self) -> list[str]:
        return self.classifier.labels

    @property
    def metrics(self) -> ClassifierMetrics:
        return self.classifier.info.metrics


def assess(model: str | Path, data: str | Path) -> Assessment:
    """Predict the plots of a classifier's own data.

    Raises BadInput for other data: their labels may differ, and their test plots may have been training plots.
    """
    classifier = GenreClassifier.from_pretrained(model)
    plots = check_same_plots(model, classifier.info, data)
    keep = np.random.default_rng(0).permutation(len(plots.texts["train"]))[:TRAIN_SAMPLE]
    texts = plots.texts | {"train": [plots.texts["train"][i] for i in keep]}
    titles = plots.titles | {"train": [plots.titles["train"][i] for i in keep]}
    truth = plots.targets | {"train": plots.targets["train"][keep]}
    proba = {split: classifier.predict_proba(texts[split]) for split in texts}
    return Assessment(classifier, truth, proba, texts, titles)


def check_same_plots(model: str | Path, info: ClassifierInfo, data: str | Path) -> LabelledPlots:
    """The plots of `data` under a classifier's labels, given its folder and info; BadInput where it learned others."""
    plots = read_labelled(data, info.labels)
    known = read_plot_ids(model)
    if known is None and not comparable(plots.fingerprint, info.data_fingerprint):
        raise BadInput(
            f"{model} is of an earlier version of movieplots, which did not record which plots it learned: train it "
            "again with --overwrite."
        )
    if not (plots.fingerprint == info.data_fingerprint if known is None else known.same_data(plots.ids)):
        own = set(read_labelled(data).labels)
        unknown, missing = sorted(own - set(info.labels)), sorted(set(info.labels) - own)
        differ = "".join(
            f" {what}: {', '.join(names)}."
            for what, names in (("Genres it does not know", unknown), ("genres it knows beyond these", missing))
            if names
        )
        raise BadInput(
            f"The classifier was trained on other plots than those of {data} and may have learned some of their test "
            f"split: give the data it was trained on.{differ}"
        )
    return plots


def f1_by_threshold(assessment: Assessment) -> pd.DataFrame:
    """Micro- and macro-F1 of train and validation with one threshold for all genres: a row a threshold."""
    columns = {"threshold": GRID}
    for split in ("train", "validation"):
        truth, proba = assessment.truth[split], assessment.proba[split]
        columns[f"{split} micro"] = f1_over_grid(truth.ravel(), proba.ravel())
        present = np.flatnonzero(truth.any(axis=0))
        columns[f"{split} macro"] = np.mean([f1_over_grid(truth[:, i], proba[:, i]) for i in present], axis=0)
    return pd.DataFrame(columns)


def invented(assessment: Assessment) -> pd.DataFrame:
    """Of test plots of a genre (row) that do not carry another (column), the share that is given it; NaN for none.

    What a plot's own genre makes the classifier add.
    """
    truth = assessment.truth["test"].astype(bool)
    predicted = assessment.proba["test"] >= assessment.classifier.thresholds
    table = np.full((len(assessment.labels),) * 2, np.nan)
    for row in range(len(table)):
        for column in range(len(table)):
            without = truth[:, row] & ~truth[:, column]
            if row != column and without.any():
                table[row, column] = predicted[without, column].mean()
    return pd.DataFrame(table, index=assessment.labels, columns=assessment.labels)


def calibration_before(assessment: Assessment) -> np.ndarray:
    """The test split's probabilities as they were before calibration, (n, labels)."""
    fitted = assessment.metrics.calibration
    logits = logit(np.clip(assessment.proba["test"], 1e-9, 1 - 1e-9))
    return expit(logits * fitted.temperature + np.array(fitted.shift))


def predictions(classifier: GenreClassifier, texts: Sequence[str]) -> pd.DataFrame:
    """Probabilities of texts: a row a label, a column a text."""
    texts = as_texts(texts)
    return pd.DataFrame(classifier.predict_proba(texts).T, index=classifier.labels, columns=texts)
