"""What trained classifiers would say of the training plots, for a student to learn from.

An ensemble is better than each of its members and as slow as all of them; a student that learns from its probabilities
keeps part of what it gained (Hinton et al. 2015). Teachers may read titles that the student is not given. They are
asked about plots that they were trained on: one that knows these by heart has little to add to their genres.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.lineage import held_out_learned
from movieplots.model_folder import read_info
from movieplots.progress import say
from movieplots.texts import as_list

SOFT_SHARE = 0.5  # of a target; the rest is the plot's own genres


def check_teachers(teachers: Sequence[str | Path]) -> list[str | Path]:
    """The teachers as a list. Raises BadInput for one that stands in no list, and for a folder that is no teacher."""
    teachers = as_list(teachers, "teacher")
    for teacher in teachers:
        if not Path(teacher).is_dir():
            raise BadInput(f"There is no teacher {teacher}: give the folder of a trained classifier.")
        read_info(teacher, "classification")
    return teachers


def read_teachers(teachers: Sequence[str | Path], plots: LabelledPlots) -> list[dict[str, Any]]:
    """The recipes of the teachers.

    Raises BadInput where a teacher has other labels or was trained on plots that are held out from the student.
    """
    recipes = []
    for teacher in teachers:
        info = read_info(teacher, "classification")
        if info["labels"] != plots.labels:
            differ = ", ".join(sorted({*info["labels"]} ^ {*plots.labels}))
            raise BadInput(
                f"The teacher {teacher} knows other genres than the student is to learn ({differ}): "
                "give a teacher that was trained on the same --data."
            )
        if (learned := held_out_learned(teacher, plots.ids)) is None:
            say(f"It is not recorded which plots {teacher} has read: results on held-out plots may be too good.")
        elif learned:
            raise BadInput(
                f"The teacher {teacher} was trained on {learned:,} of the plots that are held out here: "
                "give a teacher that was trained on the same --data."
            )
        recipes.append(info["recipe"])
    return recipes


def taught_targets(teachers: Sequence[str | Path], plots: LabelledPlots) -> np.ndarray:
    """Targets in [0, 1] of the training plots, (n, labels): half their genres, half what the teachers say together."""
    total = np.zeros_like(plots.targets["train"], dtype=float)
    for teacher in teachers:
        say(f"Asking the teacher {teacher} …")
        classifier = GenreClassifier.from_pretrained(teacher)
        titles = plots.titles["train"] if classifier.info["recipe"].get("titles") else None
        proba = classifier.predict_proba(plots.texts["train"], titles)
        total += logit(np.clip(proba, 1e-6, 1 - 1e-6))
    soft = expit(total / len(teachers))
    return ((1 - SOFT_SHARE) * plots.targets["train"] + SOFT_SHARE * soft).astype(np.float32)
