"""What trained classifiers would say of the training plots, for a student to learn from.

An ensemble is better than each of its members and as slow as all of them; a student that learns from its probabilities
keeps part of what it gained (Hinton et al. 2015). Teachers may read titles that the student is not given. A teacher
that knows the training plots by heart has little to add to their genres, so the linear model is cross-fitted: what it
says of a plot comes from one that was fitted without that plot.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier

from movieplots.classification.labelled_plots import LabelledPlots, with_title
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.model_folder import read_info
from movieplots.progress import say, track

SOFT_SHARE = 0.5  # of a target; the rest is the plot's own genres
LINEAR = "linear"  # the teacher that needs no folder
FOLDS = 5


def read_teachers(teachers: Sequence[str | Path], plots: LabelledPlots) -> list[dict[str, Any] | str]:
    """The recipes of the teachers, for `LINEAR` its name.

    Raises BadInput where one was trained on other plots, which may hold the student's test plots, or has other labels.
    """
    recipes: list[dict[str, Any] | str] = []
    for teacher in teachers:
        if teacher == LINEAR:
            recipes.append(LINEAR)
            continue
        if not Path(teacher).is_dir():
            raise BadInput(f"There is no teacher {teacher}: give the folder of a trained classifier, or {LINEAR}.")
        info = read_info(teacher, "classification")
        if info["data_fingerprint"] != plots.fingerprint or info["labels"] != plots.labels:
            raise BadInput(
                f"The teacher {teacher} was trained on other plots, some of which may be the student's test plots: "
                "give a teacher that was trained on the same --data."
            )
        recipes.append(info["recipe"])
    return recipes


def taught_targets(teachers: Sequence[str | Path], plots: LabelledPlots) -> np.ndarray:
    """Targets in [0, 1] of the training plots, (n, labels): half their genres, half what the teachers say together."""
    total = np.zeros_like(plots.targets["train"], dtype=float)
    for teacher in teachers:
        proba = _linear(plots) if teacher == LINEAR else _trained(teacher, plots)
        total += logit(np.clip(proba, 1e-6, 1 - 1e-6))
    soft = expit(total / len(teachers))
    return ((1 - SOFT_SHARE) * plots.targets["train"] + SOFT_SHARE * soft).astype(np.float32)


def _trained(teacher: str | Path, plots: LabelledPlots) -> np.ndarray:
    say(f"Asking the teacher {teacher} …")
    classifier = GenreClassifier.from_pretrained(teacher)
    titles = plots.titles["train"] if classifier.info["recipe"].get("titles") else None
    return classifier.predict_proba(plots.texts["train"], titles)


def _linear(plots: LabelledPlots) -> np.ndarray:
    """Cross-fitted logistic regressions on words, marks and their pairs in titles and plots, (n, labels)."""
    texts = list(map(with_title, plots.titles["train"], plots.texts["train"]))
    targets = plots.targets["train"]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    features = words.fit_transform(texts)
    proba = np.empty(targets.shape)
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(texts))
    for rest, fold in track(folds, "Asking the linear model"):
        model = OneVsRestClassifier(LogisticRegression(C=3.0, solver="liblinear")).fit(features[rest], targets[rest])
        proba[fold] = model.predict_proba(features[fold])
    return proba
