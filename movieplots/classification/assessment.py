"""What a trained classifier does on the plots it was trained beside: predictions, confusions, the hardest plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from movieplots.classification.info import ClassifierInfo, ClassifierMetrics, Measured
from movieplots.classification.labelled_plots import LabelledPlots, read_labelled
from movieplots.classification.metrics import NAMES
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.thresholds import GRID, f1_over_grid
from movieplots.errors import BadInput
from movieplots.intervals import Estimate
from movieplots.preparation.figures import opening
from movieplots.runs.lineage import read_plot_ids
from movieplots.texts import as_text, as_texts

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


def hardest(assessment: Assessment, most: int = 12) -> pd.DataFrame:
    """The test plots with the highest mean cross-entropy: title, opening words, their genres, and those given."""
    truth, proba = assessment.truth["test"], np.clip(assessment.proba["test"], 1e-6, 1 - 1e-6)
    loss = -(truth * np.log(proba) + (1 - truth) * np.log1p(-proba)).mean(axis=1)
    rows = []
    for i in np.argsort(-loss, kind="stable")[:most]:
        own = [label for label, there in zip(assessment.labels, truth[i], strict=True) if there]
        rows.append(
            {
                "title": opening(assessment.titles["test"][i]),
                "plot": opening(assessment.texts["test"][i]),
                "its genres": ", ".join(own) or "none that is learned",
                "given": ", ".join(assessment.classifier.labels_from_proba(proba[i])) or "none",
                "loss": float(loss[i]),
            }
        )
    return pd.DataFrame(rows)


def headline_table(infos: dict[str, ClassifierInfo]) -> pd.DataFrame:
    """The four metrics on the test split with 95 % intervals, of classifiers by name, and of the first one's baselines.

    With titles where a classifier was trained with them; the baselines are then given the titles, too.
    """
    rows = []
    first = next(iter(infos.values()))
    for form, what in ((_alone, ""), (_titled, ", with titles")):
        for name, info in infos.items():
            if measured := form(info):
                rows.append({"": name + what} | {NAMES[m]: _between(measured.intervals[m]) for m in NAMES})
        if measured := form(first):
            for baseline, row in measured.baselines.items():
                rows.append({"": baseline + what} | {NAMES[m]: f"{getattr(row, m):.3f}" for m in NAMES})
    return pd.DataFrame(rows)


def _alone(info: ClassifierInfo) -> Measured:
    return info.metrics.test


def _titled(info: ClassifierInfo) -> Measured | None:
    return info.metrics.test_titled


def genre_table(assessment: Assessment) -> pd.DataFrame:
    """Per genre on the test split: threshold, precision, recall, F1, average precision, plots."""
    rows = zip(assessment.metrics.test.per_label.items(), assessment.classifier.thresholds, strict=True)
    return pd.DataFrame(
        [
            {
                "genre": label, "threshold": float(threshold), "precision": row.precision, "recall": row.recall,
                "F1": row.f1, "average precision": row.average_precision, "plots": row.support,
            }
            for (label, row), threshold in rows
        ]
    ).sort_values("F1", ascending=False)  # fmt: skip


def calibration_before(assessment: Assessment) -> np.ndarray:
    """The test split's probabilities as they were before calibration, (n, labels)."""
    fitted = assessment.metrics.calibration
    logits = logit(np.clip(assessment.proba["test"], 1e-9, 1 - 1e-9))
    return expit(logits * fitted.temperature + np.array(fitted.shift))


def calibration_table(assessment: Assessment) -> pd.DataFrame:
    """Expected calibration error on the test split, before and after."""
    calibration = assessment.metrics.calibration
    return pd.DataFrame(
        [
            {"": "as trained", "expected calibration error": calibration.error_before},
            {"": "calibrated", "expected calibration error": calibration.error_after},
        ]
    )


def quantization_table(info: ClassifierInfo, before: float, after: float) -> pd.DataFrame:
    """Test metrics before and after quantization; `before` and `after` are sizes in MB, which a row's name states."""
    forms = (("as trained", before, info.metrics.before_quantization), ("quantized", after, info.metrics.test.scores))
    return pd.DataFrame(
        [
            {"": f"{name}, {size:.1f} MB"} | {NAMES[measure]: getattr(scores, measure) for measure in NAMES}
            for name, size, scores in forms
        ]
    )


def prediction_table(classifier: GenreClassifier, text: str, most: int = 5) -> pd.DataFrame:
    """The likeliest genres of a text with their thresholds; `given` are those that reach theirs."""
    proba = classifier.predict_proba([as_text(text)])[0]
    return pd.DataFrame(
        [
            {
                "genre": classifier.labels[i], "probability": float(proba[i]),
                "threshold": float(classifier.thresholds[i]),
                "": "given" if proba[i] >= classifier.thresholds[i] else "",
            }
            for i in np.argsort(-proba, kind="stable")[:most]
        ]
    )  # fmt: skip


def predictions(classifier: GenreClassifier, texts: Sequence[str]) -> pd.DataFrame:
    """Probabilities of texts: a row a label, a column a text."""
    texts = as_texts(texts)
    return pd.DataFrame(classifier.predict_proba(texts).T, index=classifier.labels, columns=texts)


def _between(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} – {estimate.high:.3f})"
