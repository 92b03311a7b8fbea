"""From samples to numbers: one table with a row a sample, and the summaries of groups of its rows."""

from typing import Any

import numpy as np
import pandas as pd

from movieplots.evaluation.diversity import distinct, loops, shuffled
from movieplots.evaluation.genre_control import GenreControl, split_prompt
from movieplots.evaluation.intervals import bootstrap_interval
from movieplots.evaluation.novelty import COPIED_WORDS, novelty

CELL = ["temperature", "top_p"]


def measure_texts(texts: list[str], training: pd.DataFrame) -> pd.DataFrame:
    """One row a text: the columns of `novelty`, ids and titles of the training plots found, and `looping`.

    `training` holds the rows of the Plot table to compare with. `copied_from_*` and `nearest_*` are "" for none.
    """
    table = novelty(texts, training["plot"].tolist())
    for found, row in (("copied_from", table.pop("copied_row")), ("nearest", table.pop("nearest_row"))):
        for name in ("id", "title"):
            values = training[name].tolist()
            table[f"{found}_{name}"] = [values[i] if i >= 0 else "" for i in row]
    table["looping"] = [loops(text) for text in texts]
    return table


def add_genre_control(table: pd.DataFrame, control: GenreControl) -> pd.DataFrame:
    """The table with `genres_predicted`, `genre_hit` and `genre_probability` of each sample beside its measures."""
    return table.assign(
        genres_predicted=[", ".join(names) for names in control.predicted],
        genre_hit=control.hit,
        genre_probability=control.probability,
    )


def summarise(table: pd.DataFrame, budget: int) -> dict[str, Any]:
    """Sum up a group of samples. Shares are in [0, 1], each with a 95 % interval; lengths are in words.

    `budget` is the number of words that distinct-1 to 3 are counted over; give all groups the same to compare them.
    """
    texts = shuffled(table["plot"].tolist())
    result: dict[str, Any] = {
        "samples": len(table),
        "copied_words_median": float(table["copied_words"].median()),
        "copied_words_max": int(table["copied_words"].max()),
        "copied_more_than_20": share(table["copied_words"] > COPIED_WORDS),
        "exact_copies": int(table["exact_copy"].sum()),
        "nearest_similarity_median": float(table["nearest_similarity"].median()),
        "distinct_1": distinct(texts, 1, budget),
        "distinct_2": distinct(texts, 2, budget),
        "distinct_3": distinct(texts, 3, budget),
        "words_median": float(table["words"].median()),
        "looping": share(table["looping"]),
    }
    if "finished" in table:
        result["unfinished"] = share(~table["finished"].astype(bool))
    if "genre_hit" in table:
        judged = table["genre_hit"].notna()
        result["genre_hit"] = share(table.loc[judged, "genre_hit"])
        result["genre_probability"] = float(table.loc[judged, "genre_probability"].mean()) if judged.any() else None
    return result


def share(values: pd.Series) -> dict[str, Any] | None:
    """The share of true values, its 95 % interval and how many values there were; None where there are none."""
    if values.empty:
        return None
    low, high = bootstrap_interval(values.to_numpy(float))
    return {"share": float(values.mean()), "low": low, "high": high, "of": len(values)}


def genre_groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each prompted genre, by name; a sample prompted with two is in both."""
    prompts = table["genre"].map(split_prompt)
    names = sorted({name for prompt in prompts for name in prompt})
    return {name: table[[name in prompt for prompt in prompts]] for name in names}


def by_cell(table: pd.DataFrame, budget: int) -> list[dict[str, Any]]:
    """The summary of each sampling setting: temperature and top-p, in ascending order."""
    return [
        {"temperature": float(temperature), "top_p": float(top_p)} | summarise(rows, budget)
        for (temperature, top_p), rows in table.groupby(CELL, sort=True)
    ]


def by_genre(table: pd.DataFrame, budget: int) -> list[dict[str, Any]]:
    """The summary of each prompted genre."""
    return [{"genre": name} | summarise(rows, budget) for name, rows in genre_groups(table).items()]


def word_budget(groups: list[pd.DataFrame]) -> int:
    """The words of the smallest group that has any: what every group can be compared over."""
    totals = [int(group["words"].sum()) for group in groups]
    return min((total for total in totals if total), default=0)


def rounded(value: Any) -> Any:
    """The same value with floats cut to six digits and NaN as None: fit for JSON and alike on every machine."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [rounded(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return value
