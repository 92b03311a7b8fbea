"""What trained classifiers would say of the training plots, for a student to learn from.

An ensemble is better than each of its members and as slow as all of them; a student that learns from its probabilities
keeps part of what it gained (Hinton et al. 2015). Teachers may read titles that the student is not given. They are
asked about plots that they were trained on: one that knows these by heart has little to add to their genres.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from movieplots.classification.info import ClassifierInfo
from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.progress import notify
from movieplots.runs.folder import read_info

SOFT_SHARE = 0.5  # of a target; the rest is the plot's own genres


def check_teachers(teachers: Sequence[str | Path], labels: list[str]) -> None:
    """Raise BadInput for a folder that holds no classifier, and for a teacher that knows other genres."""
    for teacher in teachers:
        own = read_info(teacher, ClassifierInfo).labels
        if own != labels:
            differ = ", ".join(sorted({*own} ^ {*labels}))
            raise BadInput(
                f"The teacher {teacher} knows other genres than the student is to learn ({differ}): "
                "give a teacher that was trained on the same --data."
            )


def taught_targets(teachers: Sequence[str | Path], plots: LabelledPlots) -> np.ndarray:
    """Targets in [0, 1] of the training plots, (n, labels): half their genres, half what the teachers say together."""
    total = np.zeros_like(plots.targets["train"], dtype=float)
    for teacher in teachers:
        notify(f"Asking the teacher {teacher} …")
        classifier = GenreClassifier.from_pretrained(teacher)
        titles = plots.titles["train"] if classifier.info.titles else None
        proba = classifier.predict_proba(plots.texts["train"], titles)
        total += logit(np.clip(proba, 1e-6, 1 - 1e-6))
    soft = expit(total / len(teachers))
    return ((1 - SOFT_SHARE) * plots.targets["train"] + SOFT_SHARE * soft).astype(np.float32)
