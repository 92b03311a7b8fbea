"""Error analysis of a trained classifier: its predictions on all splits, and tables made from them."""

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

TRAIN_SAMPLE = 2_000  # training plots to predict: enough to see overfitting


@dataclass(frozen=True)
class Assessment:
    """A classifier and its predictions on its own data, each by split: `train` (a sample), `validation` and `test`.

    Attributes
    ----------
    classifier : GenreClassifier
        The classifier.
    truth : dict of str to numpy.ndarray of shape (n_plots, n_labels)
        0/1 targets.
    proba : dict of str to numpy.ndarray of shape (n_plots, n_labels)
        Probabilities from the plots alone, from 0 to 1.
    texts : dict of str to list of str
        Plots.
    titles : dict of str to list of str
        Titles in the IMDb form.
    labels : list of str
        The classifier's labels.
    metrics : ClassifierMetrics
        The test metrics of its training.
    """

    classifier: GenreClassifier
    truth: dict[str, np.ndarray]
    proba: dict[str, np.ndarray]
    texts: dict[str, list[str]]
    titles: dict[str, list[str]]

    @property
    def labels(self) -> list[str]:
        """The classifier's labels, the columns of `truth` and `proba`."""
        return self.classifier.labels

    @property
    def metrics(self) -> ClassifierMetrics:
        """The test metrics of the classifier's training."""
        return self.classifier.info.metrics


def assess(model: str | Path, data: str | Path) -> Assessment:
    """Predict the plots that a classifier was trained and tested on.

    Parameters
    ----------
    model : str or path
        Folder of the classifier.
    data : str or path
        The data it was trained on: a folder that `prepare` wrote, or its table.

    Returns
    -------
    Assessment
        Truth and predictions of the validation and test splits, and of up to 2,000 training plots.

    Raises
    ------
    BadInput
        If the classifier was trained on other data: its labels could differ, and the test plots could have been among
        its training plots.

    Examples
    --------
    >>> from movieplots.classification.assessment import assess
    >>> assessment = assess("data/classifier", "data/streaming")  # doctest: +SKIP
    >>> assessment.proba["test"].shape  # doctest: +SKIP
    (2171, 26)
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
    """Return the plots of `data` under a classifier's labels.

    Raises BadInput if the classifier, given by its folder and info, was trained on other plots.
    """
    plots = read_labelled(data, info.labels)
    known = read_plot_ids(model)
    if known is None and not comparable(plots.fingerprint, info.data_fingerprint):
        raise BadInput(
            f"{model} was trained by an earlier version of movieplots, which did not record its training plots: train "
            "it again with --overwrite."
        )
    if not (plots.fingerprint == info.data_fingerprint if known is None else known.same_data(plots.ids)):
        own = set(read_labelled(data).labels)
        unknown, missing = sorted(own - set(info.labels)), sorted(set(info.labels) - own)
        differ = "".join(
            f" {what}: {', '.join(names)}."
            for what, names in (("Genres it does not know", unknown), ("Genres that only it knows", missing))
            if names
        )
        raise BadInput(
            f"The classifier was trained on other plots than those of {data}, so some of their test plots may have "
            f"been training plots: pass the data that it was trained on.{differ}"
        )
    return plots


def f1_by_threshold(assessment: Assessment) -> pd.DataFrame:
    """Compute micro- and macro-F1 of train and validation with one threshold for all genres: a row per threshold."""
    columns = {"threshold": GRID}
    for split in ("train", "validation"):
        truth, proba = assessment.truth[split], assessment.proba[split]
        columns[f"{split} micro"] = f1_over_grid(truth.ravel(), proba.ravel())
        present = np.flatnonzero(truth.any(axis=0))
        columns[f"{split} macro"] = np.mean([f1_over_grid(truth[:, i], proba[:, i]) for i in present], axis=0)
    return pd.DataFrame(columns)


def invented(assessment: Assessment) -> pd.DataFrame:
    """Compute the false-positive rate of each genre (column) among test plots of another genre (row).

    It shows which genres a plot's own genre makes the classifier add. NaN if there is no such plot.
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
    """Return the test split's probabilities (n, labels) before calibration."""
    fitted = assessment.metrics.calibration
    logits = logit(np.clip(assessment.proba["test"], 1e-9, 1 - 1e-9))
    return expit(logits * fitted.temperature + np.array(fitted.shift))


def predictions(classifier: GenreClassifier, texts: Sequence[str]) -> pd.DataFrame:
    """Return a table of probabilities: a row per label, a column per text."""
    texts = as_texts(texts)
    return pd.DataFrame(classifier.predict_proba(texts).T, index=classifier.labels, columns=texts)
