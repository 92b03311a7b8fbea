"""The report's numbers as tidy tables: one row a value, for a spreadsheet or pandas."""

from typing import Any

import pandas as pd

from movieplots.words import split_words

OPENING_WORDS = 8  # of a training plot, which is somebody's text: enough to recognise it by


def measures_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Columns `model`, `grouping` (all, by_cell, …), `temperature`, `top_p`, `genre` (empty where it holds all),
    `measure`, `value`, `low`, `high` (95 %), `of` (samples behind the value). What was not measured is left out.
    """
    rows = []
    for model, found in (metrics["models"] | metrics["references"]).items():
        groupings = {"all": [found["samples"]]} | {name: found[name] for name in found if name.startswith("by_")}
        for grouping, groups in groupings.items():
            for group in groups:
                place = {"model": model, "grouping": grouping}
                place |= {key: group.get(key) for key in ("temperature", "top_p", "genre")}
                rows += [place | {"measure": name} | value for name, value in group.items() if isinstance(value, dict)]
    columns = ["model", "grouping", "temperature", "top_p", "genre", "measure", "value", "low", "high", "of"]
    return pd.DataFrame(rows, columns=columns)


def confusion_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Columns `model`, `prompted`, `genre`, `mean_probability` and `likeliest` (the classifier's mean probability of
    the genre, and the share of samples whose likeliest genre it is), `mean_cosine` to the training plots of the genre.
    """
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for model, found in (metrics["models"] | metrics["references"]).items():
        control, near = found["genre_control"], found["genre_similarity"]
        matrices = [("mean_cosine", near["mean_cosine"], near["prompted"], near["training"])]
        if control:
            matrices += [
                (name, control[key], control["prompted"], control["labels"])
                for name, key in (("mean_probability", "mean_probability"), ("likeliest", "confusion"))
            ]
        for name, matrix, prompted, genres in matrices:
            for prompt, values in zip(prompted, matrix, strict=True):
                for genre, value in zip(genres, values, strict=True):
                    place = (model, prompt, genre)
                    rows.setdefault(place, dict(zip(("model", "prompted", "genre"), place, strict=True)))[name] = value
    columns = ["model", "prompted", "genre", "mean_probability", "likeliest", "mean_cosine"]
    return pd.DataFrame(list(rows.values()), columns=columns)


def copies_table(table: pd.DataFrame) -> pd.DataFrame:
    """The samples that copy more than `COPIED_WORDS` words in a row, the longest first, beside their sources.

    Of the copied words, which are the training plot's, only the first few are shown.
    """
    copies = table[table["copied_more_than_20"]].sort_values("copied_words", ascending=False, kind="stable")
    begins = [
        " ".join(split_words(plot)[at : at + OPENING_WORDS]) + " …"
        for plot, at in zip(copies["plot"], copies["copied_at"], strict=True)
    ]
    names = ["model", "genre", "temperature", "top_p", "title", "copied_words", "copied_from_id", "copied_from_title"]
    return copies[names].assign(copied_run_begins=begins)
