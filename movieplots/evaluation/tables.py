"""The report's numbers as tidy tables: one row a value, for a spreadsheet or pandas."""

from collections.abc import Sequence

import pandas as pd

from movieplots.evaluation.metrics import Metrics, Summary
from movieplots.intervals import Estimate
from movieplots.words import split_words

OPENING_WORDS = 8  # of a training plot, which is somebody's text: enough to recognise it by


def measures_table(metrics: Metrics) -> pd.DataFrame:
    """Columns `model`, `grouping` (all, by_cell, …), `temperature`, `top_p`, `genre` (empty where it holds all),
    `measure`, `value`, `low`, `high` (95 %), `of` (samples behind the value). What was not measured is left out.
    """
    rows = []
    for model, found in metrics.texts.items():
        groupings: dict[str, Sequence[Summary]] = {"all": [found.samples]}
        groupings |= {name: found.grouping(name) for name in ("by_cell", "by_temperature", "by_top_p", "by_genre")}
        for grouping, groups in groupings.items():
            for group in groups:
                place = [model, grouping, *(getattr(group, key, None) for key in ("temperature", "top_p", "genre"))]
                rows += [
                    [*place, name, value.value, value.low, value.high, value.of]
                    for name, value in vars(group).items()
                    if isinstance(value, Estimate)
                ]
    columns = ["model", "grouping", "temperature", "top_p", "genre", "measure", "value", "low", "high", "of"]
    return pd.DataFrame(rows, columns=columns)


def confusion_table(metrics: Metrics) -> pd.DataFrame:
    """Columns `model`, `prompted`, `genre`, `mean_probability` and `likeliest` (the classifier's mean probability of
    the genre, and the share of samples whose likeliest genre it is), `mean_cosine` to the training plots of the genre.
    """
    rows: dict[tuple[str, str, str], dict[str, str | float]] = {}
    for model, found in metrics.texts.items():
        control, near = found.genre_control, found.genre_similarity
        matrices = [("mean_cosine", near.mean_cosine, near.prompted, near.training)]
        if control:
            matrices += [
                ("mean_probability", control.mean_probability, control.prompted, control.labels),
                ("likeliest", control.confusion, control.prompted, control.labels),
            ]
        for name, matrix, prompted, genres in matrices:
            for prompt, values in zip(prompted, matrix, strict=True):
                for genre, value in zip(genres, values, strict=True):
                    row = rows.setdefault((model, prompt, genre), {"model": model, "prompted": prompt, "genre": genre})
                    row[name] = value
    columns = ["model", "prompted", "genre", "mean_probability", "likeliest", "mean_cosine"]
    return pd.DataFrame(list(rows.values()), columns=columns)


def copies_table(table: pd.DataFrame) -> pd.DataFrame:
    """The samples that copy more than `COPIED_WORDS` words in a row, the longest first, beside their sources.

    Of the copied words, which are the training plot's, only the first few are shown.
    """
    copies = table[table["copied_more_than_20"]].sort_values("longest_verbatim_span", ascending=False, kind="stable")
    begins = [
        " ".join(split_words(plot)[at : at + OPENING_WORDS]) + " …"
        for plot, at in zip(copies["plot"], copies["verbatim_span_start"], strict=True)
    ]
    names = ["model", "genre", "temperature", "top_p", "title", "longest_verbatim_span"]
    return copies[[*names, "copied_from_id", "copied_from_title"]].assign(copied_run_begins=begins)
