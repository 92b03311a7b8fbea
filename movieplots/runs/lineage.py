"""The plots that a model was trained on: hashed ids of each split, in a file of its own in the model's folder.

Ids, unlike hashes of a whole table, stay comparable if a corpus has been cleaned better or has grown. If a base model
or a teacher was trained on a validation or test plot, that plot leaks into the test results.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from movieplots.errors import BadInput
from movieplots.files import atomic_path
from movieplots.progress import notify

if TYPE_CHECKING:
    import pandas as pd

FILE_NAME = "plot_ids.npz"
MODEL_FILE = "movieplots.json"  # marks the folder of a model that was trained here
SPLITS = ("train", "validation", "test")  # as in `plots`, which needs pandas
SAME = 0.95  # minimum share of common plots for a table to count as the model's data
_NONE = np.empty(0, np.uint64)


@dataclass(frozen=True)
class PlotIds:
    """The plots of a table or of a model: sorted 64-bit hashes of their ids, of shape (n_plots,) for each split.

    `before` are the training plots of the models that this one was made from (base models and teachers, recursively); a
    table has none. `complete` is False if one of these models has no record.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    before: np.ndarray = field(default_factory=_NONE.copy)
    complete: bool = True

    @classmethod
    def of(cls, plots: "pd.DataFrame") -> "PlotIds":
        """Return the ids of a Plot table."""
        ids = hashed_ids(plots)
        train, validation, test = (np.unique(ids[(plots["split"] == split).to_numpy()]) for split in SPLITS)
        return cls(train, validation, test)

    @property
    def learned(self) -> np.ndarray:
        """All plots that the model, or a model that it was made from, was trained on."""
        return np.union1d(self.train, self.before)

    def learned_held_out(self, table: "PlotIds") -> int:
        """Count the validation and test plots of the table that the model, or one it was made from, was trained on."""
        held_out = np.union1d(table.validation, table.test)
        return int(np.isin(held_out, self.learned, assume_unique=True).sum())

    def same_data(self, table: "PlotIds") -> bool:
        """Return whether the table is the model's data.

        They must share at least 95 % of their plots, and the model must not have been trained on a validation or test
        plot of the table.
        """
        own, there = (np.concatenate([ids.train, ids.validation, ids.test]) for ids in (self, table))
        both = np.intersect1d(own, there, assume_unique=True).size
        return self.learned_held_out(table) == 0 and both >= SAME * (own.size + there.size - both)

    def write(self, folder: str | Path) -> None:
        """Write the ids into a model's folder, or next to its output."""
        arrays = {name: getattr(self, name) for name in (*SPLITS, "before", "complete")}
        with atomic_path(Path(folder) / FILE_NAME) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # hashes cannot be compressed


def read_plot_ids(folder: str | Path) -> PlotIds | None:
    """Return the recorded plots of the model in this folder; None if there is no record."""
    file = Path(folder) / FILE_NAME
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in (*SPLITS, "before")}
            return PlotIds(**arrays, complete=bool(kept.get("complete", True)))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        raise BadInput(f"{file} is damaged: train the model again with --overwrite.") from None


def hashed_ids(plots: "pd.DataFrame") -> np.ndarray:
    """Return a 64-bit hash of each plot's id and group, shape (n,), in the order of the rows.

    The group is included because the ids of a table may be row numbers, which another table uses for other plots.
    """
    pairs = zip(plots["id"], plots["group"], strict=True)
    digests = (hashlib.blake2b(f"{own}\t{group}".encode(), digest_size=8).digest() for own, group in pairs)
    return np.frombuffer(b"".join(digests), dtype="<u8")


def inherited(table: PlotIds, models: Iterable[str | Path]) -> PlotIds:
    """Return the ids of a new model: those of the table, and `before` the training plots of the models it is made from.

    `models` are the folders of base model and teachers, whose records include their own predecessors. A model that was
    not trained here counts as not trained on any of the plots. Raises BadInput if a model was trained on validation or
    test plots of the table. If a model has no record, a warning is printed and the new record is not `complete` either.
    """
    learned, complete = [table.before], True
    for folder in models:
        if not (Path(folder) / MODEL_FILE).is_file():
            continue
        ids = read_plot_ids(folder)
        if ids is not None and (held_out := ids.learned_held_out(table)):
            raise BadInput(
                f"{folder} was trained on {held_out:,} of the validation or test plots of this data: choose another "
                "model, or keep the splits of its data with `movieplots prepare --splits-from`."
            )
        if ids is None or not ids.complete:
            notify(f"There is no record of the training plots of {folder}: test results may be too good.")
            complete = False
        learned.extend([] if ids is None else [ids.learned])
    return replace(table, before=np.unique(np.concatenate(learned)), complete=complete)
