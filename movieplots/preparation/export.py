"""Export the Plot table as a Hugging Face dataset on disk."""

from pathlib import Path

import pandas as pd

from movieplots.errors import BadInput
from movieplots.plots import SPLITS, plot_table


def check_export() -> None:
    """Raise BadInput if the library `datasets`, which the export needs, is not installed."""
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise BadInput("--export needs the library `datasets`: run `pip install datasets` first.") from None


def save_dataset(plots: pd.DataFrame, folder: Path, fingerprint: str) -> None:
    """Write the Plot table so that `datasets.load_from_disk(folder)` returns a DatasetDict of the three splits.

    `fingerprint` is that of the plots. It replaces a random one, so the same plots give the same files.
    """
    import datasets

    datasets.disable_progress_bars()
    parts = {split: plots[plots["split"] == split] for split in SPLITS}
    splits = {
        name: datasets.Dataset(plot_table(part), fingerprint=f"{fingerprint}-{name}") for name, part in parts.items()
    }
    datasets.DatasetDict(splits).save_to_disk(folder)


def is_dataset(folder: Path) -> bool:
    """Return whether the folder is a DatasetDict on disk."""
    return (folder / "dataset_dict.json").is_file()
