"""The pretrained models that are included: in `models/` of a checkout, inside the installed package otherwise.

Attributes
----------
FOLDER : pathlib.Path
    Folder of all included models.
GENERATOR : pathlib.Path
    Folder of the pretrained generator of titles and plots.
CLASSIFIER : pathlib.Path
    Folder of the pretrained genre classifier.
NOVELTY : pathlib.Path
    File of the novelty index of the training plots.

Examples
--------
>>> from movieplots import GenreClassifier
>>> from movieplots.pretrained import shipped
>>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
>>> classifier.info.base_model
'minilm-l6'
"""

from pathlib import Path

from movieplots.errors import BadInput
from movieplots.files import included_folder

FOLDER = included_folder("models", "models")
GENERATOR = FOLDER / "generator"
CLASSIFIER = FOLDER / "classifier"
NOVELTY = FOLDER / "novelty.npz"


def check_there(folder: Path) -> Path:
    """Return the model's folder if it exists.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of a model.

    Returns
    -------
    pathlib.Path
        The same folder.

    Raises
    ------
    BadInput
        If the folder does not exist.

    Examples
    --------
    >>> from movieplots.pretrained import shipped
    >>> shipped.check_there(shipped.CLASSIFIER).name
    'classifier'
    """
    if not folder.is_dir():
        raise BadInput(f"There is no model in {folder}: choose the folder of a trained model.")
    return folder
