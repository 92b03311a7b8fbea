"""TF-IDF baselines for every classifier: unigrams and bigrams, and one linear model per label.

Regularization strength and class weights are chosen on the validation split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from movieplots.classification.calibration import best_thresholds
from movieplots.classification.metrics import multilabel_metrics
from movieplots.progress import track
from movieplots.texts import as_texts

Texts = dict[str, Sequence[str]]

LOGISTIC, SVM = "TF-IDF + logistic regression", "TF-IDF + linear SVM"
_STRENGTHS = {LOGISTIC: (1.0, 3.0, 10.0), SVM: (0.1, 0.3, 1.0)}  # C: the inverse regularization strength
_COMPARED = ("micro_f1", "macro_f1", "map")


@dataclass(frozen=True)
class Baseline:
    """A tuned baseline: its settings as text, thresholds (labels,), and `proba` (n, labels) for each split.

    For the SVM, `proba` is the sigmoid of its margins: a ranking score rather than a probability.
    """

    settings: str
    thresholds: np.ndarray
    proba: dict[str, np.ndarray]


def fit_baselines(texts: Texts, targets: dict[str, np.ndarray], labels: Sequence[str]) -> dict[str, Baseline]:
    """Fit both baselines on `train` and tune them on `validation`; `targets` are 0/1 of shape (n, labels)."""
    texts = {split: as_texts(plots) for split, plots in texts.items()}
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    words = {"train": vectorizer.fit_transform(texts["train"])}
    words |= {name: vectorizer.transform(texts[name]) for name in texts if name != "train"}
    candidates = [
        (name, strength, weight)
        for name, strengths in _STRENGTHS.items()
        for strength, weight in product(strengths, (None, "balanced"))
    ]
    best: dict[str, tuple[float, Baseline]] = {}
    for name, strength, weight in track(candidates, "Tuning the baselines"):
        model = OneVsRestClassifier(_estimator(name, strength, weight)).fit(words["train"], targets["train"])
        proba = {split: _proba(model, words[split]) for split in words if split != "train"}
        thresholds = best_thresholds(targets["validation"], proba["validation"], calibrated=False)
        scores, _ = multilabel_metrics(targets["validation"], proba["validation"], thresholds, labels)
        score = sum(getattr(scores, measure) for measure in _COMPARED)
        if name not in best or score > best[name][0]:
            settings = f"C = {strength:g}, {'balanced' if weight else 'equal'} weights"
            best[name] = score, Baseline(settings, thresholds, proba)
    return {name: baseline for name, (_, baseline) in best.items()}


def _estimator(name: str, strength: float, weight: str | None) -> Any:
    if name == LOGISTIC:
        return LogisticRegression(C=strength, class_weight=weight, max_iter=1000, solver="liblinear")
    return LinearSVC(C=strength, class_weight=weight, max_iter=5000)


def _proba(model: Any, words: Any) -> np.ndarray:
    if hasattr(model, "predict_proba"):
        return model.predict_proba(words)
    return expit(2 * model.decision_function(words))
