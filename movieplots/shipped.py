"""The models that ship with the project: in `models/` of a checkout, inside the package where that was installed."""

from pathlib import Path

from movieplots.errors import BadInput
from movieplots.files import brought, read_json
from movieplots.model_folder import FILE_NAME

FOLDER = brought("models", "models")
GENERATOR = FOLDER / "generator"
CLASSIFIER = FOLDER / "classifier"
NOVELTY = FOLDER / "novelty.npz"


def index_of(generator: Path) -> Path | None:
    """The shipped index of training plots, where this generator has read just those; else None."""
    from movieplots.novelty_index import NoveltyIndex

    file = generator / FILE_NAME
    if not (file.is_file() and NOVELTY.is_file()):
        return None
    fingerprint = read_json(file, "train it again with --fresh").get("data_fingerprint")
    return NOVELTY if fingerprint == NoveltyIndex.fingerprint_of(NOVELTY) else None


def check_there(folder: Path) -> Path:
    """The model's folder itself. Raises BadInput where it is missing."""
    if not folder.is_dir():
        raise BadInput(f"There is no model in {folder}: name the folder of one that you trained.")
    return folder
