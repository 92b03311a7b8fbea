"""Which plots a model has read: hashed ids of each split, in a file of its own in the model's folder.

By these ids, and not by the bytes of a table, a model knows its plots again where the corpus has been cleaned better or
has grown since. A held-out plot that a base model or a teacher was trained on would make every test result too good.
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
MODEL_FILE = "movieplots.json"  # by which the folder of a model that was trained here is known
SPLITS = ("train", "validation", "test")  # as in `plots`, which needs pandas
SAME = 0.95  # of the plots of a model and a table together: what both need for the table to count as the model's data
_NONE = np.empty(0, np.uint64)


@dataclass(frozen=True)
class PlotIds:
    """The plots of a table or of a model: 64-bit hashes of their ids, sorted, of shape (plots,) for each split.

    `before` are the training plots of the models that this one started from or learned from, and of those that these
    did; none for a table. They are not `complete` where one of these models has no record.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    before: np.ndarray = field(default_factory=_NONE.copy)
    complete: bool = True

    @classmethod
    def of(cls, plots: "pd.DataFrame") -> "PlotIds":
        """Those of a Plot table."""
        ids = hashed_ids(plots)
        train, validation, test = (np.unique(ids[(plots["split"] == split).to_numpy()]) for split in SPLITS)
        return cls(train, validation, test)

    @property
    def learned(self) -> np.ndarray:
        """All plots that the model, or one that it started from, was trained on."""
        return np.union1d(self.train, self.before)

    def learned_held_out(self, table: "PlotIds") -> int:
        """How many of the plots that the table holds out the model, or one that it started from, was trained on."""
        held_out = np.union1d(table.validation, table.test)
        return int(np.isin(held_out, self.learned, assume_unique=True).sum())

    def same_data(self, table: "PlotIds") -> bool:
        """Whether the table is the model's data: they share at least 95 % of their plots, none held out was learned."""
        own, there = (np.concatenate([ids.train, ids.validation, ids.test]) for ids in (self, table))
        both = np.intersect1d(own, there, assume_unique=True).size
        return self.learned_held_out(table) == 0 and both >= SAME * (own.size + there.size - both)

    def write(self, folder: str | Path) -> None:
        """Write them into a model's folder, or beside what it wrote."""
        arrays = {name: getattr(self, name) for name in (*SPLITS, "before", "complete")}
        with atomic_path(Path(folder) / FILE_NAME) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # hashes cannot be compressed


def read_plot_ids(folder: str | Path) -> PlotIds | None:
    """The plots that the model in this folder has read; None where that is not recorded."""
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
    """A 64-bit hash of each plot's id and group, shape (n,), in the order of the rows.

    The group is hashed too because a table's own ids may be mere numbers, which another table uses for other plots.
    """
    pairs = zip(plots["id"], plots["group"], strict=True)
    digests = (hashlib.blake2b(f"{own}\t{group}".encode(), digest_size=8).digest() for own, group in pairs)
    return np.frombuffer(b"".join(digests), dtype="<u8")


def inherited(table: PlotIds, models: Iterable[str | Path]) -> PlotIds:
    """The plots that a model reads: those of the table, and `before` what the models in these folders learned from.

    `models` are the base model and teachers; one that was not trained here has read none of the plots. Their own bases
    and teachers stand in their records. Raises BadInput where one of them all was trained on plots that the table holds
    out; where that is not recorded a warning is printed, and the new record is not `complete` either.
    """
    learned, complete = [table.before], True
    for folder in models:
        if not (Path(folder) / MODEL_FILE).is_file():
            continue
        ids = read_plot_ids(folder)
        if ids is not None and (held_out := ids.learned_held_out(table)):
            raise BadInput(
                f"{folder} was trained on {held_out:,} of the plots that are held out here: choose another one, or "
                "keep the splits of its data with `movieplots prepare --splits-from`."
            )
        if ids is None or not ids.complete:
            notify(f"It is not recorded which plots {folder} has read: results on held-out plots may be too good.")
            complete = False
        learned.extend([] if ids is None else [ids.learned])
    return replace(table, before=np.unique(np.concatenate(learned)), complete=complete)
