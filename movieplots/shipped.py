"""The models that ship with the project: in `models/` of a checkout, inside the package where that was installed."""

from pathlib import Path

import numpy as np

from movieplots.errors import BadInput
from movieplots.files import brought
from movieplots.runs.lineage import read_plot_ids

FOLDER = brought("models", "models")
GENERATOR = FOLDER / "generator"
CLASSIFIER = FOLDER / "classifier"
NOVELTY = FOLDER / "novelty.npz"


def index_of(generator: Path) -> Path | None:
    """The shipped index of training plots, where it has all that this generator was trained on; else None."""
    from movieplots.novelty_index import NoveltyIndex

    known = read_plot_ids(generator)
    if known is None or not known.complete or not NOVELTY.is_file():
        return None
    return NOVELTY if np.isin(known.learned, NoveltyIndex.plots_of(NOVELTY)).all() else None


def check_there(folder: Path) -> Path:
    """The model's folder itself. Raises BadInput where it is missing."""
    if not folder.is_dir():
        raise BadInput(f"There is no model in {folder}: name the folder of one that you trained.")
    return folder
