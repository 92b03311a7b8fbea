"""How good the judge is: the genre classifier on held-out plots, beside its stored baseline."""

from typing import Any

import numpy as np
import pandas as pd

from movieplots.plots import data_fingerprint

AVERAGES = ("micro_f1", "macro_f1", "map")


def classifier_quality(classifier: Any, plots: pd.DataFrame) -> dict[str, Any]:
    """Measure a GenreClassifier on the test split of the Plot table.

    Returns `classifier` (micro_f1, macro_f1, map, per_label), `baseline` and `baseline_at_half` (the stored figures of
    TF-IDF with logistic regression on the same plots, or None) and `test_plots`. Where the classifier was trained on
    other data its test plots are not the table's, so the only key is `skipped`: the reason in words.
    """
    from movieplots.classification.metrics import multilabel_metrics

    if classifier.info.get("data_fingerprint") != data_fingerprint(plots):
        return {
            "skipped": "The classifier was trained on other data than the plots given here, so some of the test plots "
            "may have been among its training plots. Its quality is therefore not measured."
        }
    test = plots[plots["split"] == "test"]
    if test.empty:
        return {"skipped": "The data holds no test plots, so the quality of the classifier is not measured."}
    labels = list(classifier.labels)
    truth = np.array([[label in genres for label in labels] for genres in test["genres"]], int)
    proba = classifier.predict_proba(test["plot"].tolist())
    stored = classifier.info.get("metrics") or {}
    return {
        "test_plots": len(test),
        "classifier": multilabel_metrics(truth, proba, classifier.thresholds, labels),
        "baseline": stored.get("baseline"),
        "baseline_at_half": stored.get("baseline_at_half"),
    }
