"""The Plot table as a Hugging Face dataset on disk, for those who go on with their own code."""

from pathlib import Path

import pandas as pd

from movieplots.errors import BadInput
from movieplots.plots import SPLITS, plot_table


def check_export() -> None:
    """Raise BadInput, before any work is done, where the library that the export needs is missing."""
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise BadInput("The export needs the library `datasets`: run `pip install datasets` first.") from None


def save_dataset(plots: pd.DataFrame, folder: Path, fingerprint: str) -> None:
    """Write the Plot table so that `datasets.load_from_disk(folder)` gives a DatasetDict of the three splits.

    `fingerprint` is that of the plots: in place of a random one, so that the same plots give the same files.
    """
    import datasets

    datasets.disable_progress_bars()
    parts = {split: plots[plots["split"] == split] for split in SPLITS}
    splits = {
        name: datasets.Dataset(plot_table(part), fingerprint=f"{fingerprint}-{name}") for name, part in parts.items()
    }
    datasets.DatasetDict(splits).save_to_disk(folder)


def is_dataset(folder: Path) -> bool:
    """Whether the folder is a dataset of this form."""
    return (folder / "dataset_dict.json").is_file()
