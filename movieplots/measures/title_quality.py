"""Are the titles titles? Held against the IMDb title grammar, and against the titles of the training plots."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from movieplots.texts import as_texts
from movieplots.titles import parse_title
from movieplots.words import split_words

PARTS = ("primary", "secondary")
OF_SERIES = ("series", "episode")  # the kinds of titles that name a series


def title_parts(titles: Sequence[str]) -> pd.DataFrame:
    """One row a title: `titled` (there is one), `well_formed` (it follows the grammar), `kind`, `primary`, `secondary`.

    A missing title (None, NaN) is none, as an empty one. Raises BadInput for what is no list of texts.

    `well_formed` is NaN, and the parts "", where there is no title; a title outside the grammar is all `primary`.
    """
    rows = []
    for text in as_texts(titles, "title", missing=""):
        title = parse_title(text)
        rows.append(
            {
                "titled": bool(text),
                "well_formed": float(not title.bare) if text else np.nan,
                "kind": "" if title.bare else title.kind,
                "primary": title.primary if text else "",
                "secondary": title.secondary,
            }
        )
    return pd.DataFrame(rows, columns=["titled", "well_formed", "kind", *PARTS])


def known_series(titles: pd.DataFrame, training: pd.DataFrame) -> np.ndarray:
    """For each title of a series or episode, 1.0 where a training plot is of a series of that name, else 0.0.

    `titles` has the columns of `title_parts`, `training` those of the Plot table; NaN for every other title.
    """
    known = {plain(name) for name in training.loc[training["kind"].isin(OF_SERIES), "primary"].fillna("")}
    return np.array(
        [
            float(plain(name) in known) if kind in OF_SERIES else np.nan
            for kind, name in zip(titles["kind"], titles["primary"], strict=True)
        ],
        float,
    )


def plain(name: str) -> str:
    """A name as it is compared: its words, lower-cased; a name without words stays as it is."""
    return " ".join(split_words(name)) or name.strip()
