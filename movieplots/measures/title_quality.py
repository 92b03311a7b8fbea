"""Quality of generated titles: whether they follow the grammar of IMDb titles and occur in the training data."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from movieplots.texts import as_texts
from movieplots.titles import parse_title
from movieplots.words import split_words

PARTS = ("primary", "secondary")
OF_SERIES = ("series", "episode")  # kinds of titles that name a series


def title_parts(titles: Sequence[str]) -> pd.DataFrame:
    """Return a row per title: `titled`, `well_formed` (it follows the grammar), `kind`, `primary` and `secondary`.

    For an empty or missing title (None, NaN), `well_formed` is NaN and the parts are empty. A title that does not
    follow the grammar is all `primary`. Raises BadInput if `titles` is not a list of texts.
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
    """Return for each title 1.0 if its series is in the training data, 0.0 if not, and NaN if it has no series.

    `titles` has the columns of `title_parts`, `training` those of the Plot table. Episodes count as their series.
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
    """Return a name in the form in which names are compared: lower-case words; without words, the name itself."""
    return " ".join(split_words(name)) or name.strip()
