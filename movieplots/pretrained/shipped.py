"""The models that ship with the project: in `models/` of a checkout, inside the package where that was installed."""

from pathlib import Path

from movieplots.errors import BadInput
from movieplots.files import brought

FOLDER = brought("models", "models")
GENERATOR = FOLDER / "generator"
CLASSIFIER = FOLDER / "classifier"
NOVELTY = FOLDER / "novelty.npz"


def check_there(folder: Path) -> Path:
    """The model's folder itself. Raises BadInput where it is missing."""
    if not folder.is_dir():
        raise BadInput(f"There is no model in {folder}: name the folder of one that you trained.")
    return folder
