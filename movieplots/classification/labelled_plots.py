"""The prepared plots as a classifier needs them: texts, titles and 0/1 targets of each split, and the labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from movieplots.errors import BadInput
from movieplots.plots import SPLITS, data_fingerprint, imdb_title, load_plots
from movieplots.runs.lineage import PlotIds

MIN_PLOTS = 10  # a genre with fewer training plots does not become a label


@dataclass(frozen=True)
class LabelledPlots:
    """The labels in order; per split `texts`, `titles` (in the IMDb form) and 0/1 `targets` of shape (n, labels).

    `not_learned` are the genres of the table that are not labels, with their number of training plots, which is 0 for a
    genre that occurs only in validation or test. The metrics ignore them.
    """

    labels: list[str]
    not_learned: dict[str, int]
    texts: dict[str, list[str]]
    titles: dict[str, list[str]]
    targets: dict[str, np.ndarray]
    sources: list[str]
    fingerprint: str
    ids: PlotIds


def read_labelled(data: str | Path, labels: list[str] | None = None) -> LabelledPlots:
    """Load a Plot table and label its plots."""
    return labelled(load_plots(data), data, labels)


def labelled(plots: pd.DataFrame, data: str | Path, labels: list[str] | None = None) -> LabelledPlots:
    """Label the plots of a table with the given labels, by default with the genres that have enough training plots.

    Raises BadInput if there are fewer than two labels, or if a split has no plot with a label.
    """
    parts = {name: plots[plots["split"] == name] for name in SPLITS}
    counts = parts["train"]["genres"].explode().value_counts()
    if labels is None:
        labels = sorted(str(genre) for genre, n in counts.items() if n >= MIN_PLOTS)
        if len(labels) < 2:
            raise BadInput(
                f"{data} has fewer than two genres with at least {MIN_PLOTS} training plots: prepare a larger corpus."
            )
    everywhere = {genre for genres in plots["genres"] for genre in genres}
    targets = {name: targets_of(part["genres"].tolist(), labels) for name, part in parts.items()}
    for name in parts:
        if not targets[name].any():
            raise BadInput(f"{data} has no plot with a label in the {name} split: prepare a larger corpus.")
    return LabelledPlots(
        labels,
        {genre: int(counts.get(genre, 0)) for genre in sorted(everywhere) if genre not in labels},
        {name: part["plot"].tolist() for name, part in parts.items()},
        {name: _titles(part) for name, part in parts.items()},
        targets,
        sorted(plots["source"].unique()),
        data_fingerprint(plots),
        PlotIds.of(plots),
    )


def targets_of(genres: list[list[str]], labels: list[str]) -> np.ndarray:
    """Return 0/1 targets of shape (n, labels) in float32; genres that are not labels are ignored."""
    return np.array([[label in own for label in labels] for own in genres], dtype=np.float32).reshape(-1, len(labels))


def _titles(part: pd.DataFrame) -> list[str]:
    return [imdb_title(row) for _, row in part.iterrows()]
