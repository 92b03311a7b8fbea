"""Measures of each sample, and their summaries for groups of samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from movieplots.evaluation.genre_control import GenreControl, split_prompt
from movieplots.evaluation.metrics import Summary
from movieplots.intervals import Estimate, average, median, share
from movieplots.measures.copying import NGRAMS, exact_copies, longest_spans, novel_ngrams, verbatim_spans
from movieplots.measures.diversity import (
    distinct_estimate,
    is_repetitive,
    self_bleu_estimate,
    shuffled,
    unique_share,
)
from movieplots.measures.embedding import Embedder
from movieplots.measures.mauve import MIN_TEXTS, mauve
from movieplots.measures.novelty_index import COPIED_WORDS
from movieplots.measures.similarity import nearest_by_embedding, nearest_by_words
from movieplots.measures.title_quality import OF_SERIES, PARTS, known_series, plain, title_parts
from movieplots.words import NumberedTexts, number_words

S = TypeVar("S", bound=Summary)
T = TypeVar("T")
Column = np.ndarray | pd.Series | list[str] | list[bool]
SHARES = (
    "copied_more_than_20", "exact_copy", "repetition_rate", "truncated", "empty", "genre_accuracy", "titled",
    "well_formed",
    "of_series", "known_series", "primary_exact", "secondary_exact",
)  # fmt: skip
MEANS = (
    "genre_probability", "plot_jaccard", "plot_cosine", "primary_jaccard", "primary_cosine", "secondary_jaccard",
    "secondary_cosine", *(f"novel_{n}grams" for n in NGRAMS),
)  # fmt: skip
MEDIANS = ("words", "longest_verbatim_span")


@dataclass(frozen=True)
class Measured:
    """The samples with their measures, one per row, and the embeddings of their plots and of the training plots.

    `table` is indexed from 0; text i of `words` and row i of `vectors`, shape (samples, d), belong to its plot i.
    `training` has shape (training plots, d).
    """

    table: pd.DataFrame
    words: NumberedTexts
    vectors: np.ndarray
    training: np.ndarray


@dataclass(frozen=True)
class Budget:
    """The number of words and texts per group for measures that depend on the size of the group."""

    words: int
    texts: int


def measure_samples(samples: pd.DataFrame, training: pd.DataFrame, embedder: Embedder) -> Measured:
    """Compare each sample (`title`, `plot`, `truncated`) with the training rows of the Plot table.

    Adds these columns, and those of `title_parts`:

    - `words`; `longest_verbatim_span` (in words), `verbatim_span_start` (index of its first word, from 0),
      `copied_from_id` and `copied_from_title` ("" for none); `copied_more_than_20`; `exact_copy`; `novel_1grams` to
      `novel_8grams`; `repetition_rate` (True for a repetitive sample); `empty`
    - `plot_jaccard` and `plot_cosine`, each with `…_id` and `…_title` of the most similar training plot
    - for `primary` and `secondary` titles: `…_jaccard` and `…_cosine`, each with the most similar training title in
      `…_nearest`, and `…_exact`; NaN and "" if the sample has no such title
    - `known_series`, NaN if the title is not of a series; `of_series`, NaN if there is no title
    """
    table = samples.reset_index(drop=True)
    texts, plots = table["plot"].tolist(), training["plot"].tolist()
    vocabulary: dict[str, int] = {}
    numbered, trained = number_words(texts, vocabulary), number_words(plots, vocabulary)
    spans = verbatim_spans(numbered, trained)
    longest, at, row = longest_spans(numbered, spans)
    vectors = embedder.embed(texts, "Embedding samples")
    training_vectors = embedder.embed(plots, "Embedding training plots")

    columns: dict[str, Column] = {
        "words": numbered.lengths(), "longest_verbatim_span": longest, "verbatim_span_start": at,
    }  # fmt: skip
    columns |= _named("copied_from", training, row)
    columns["copied_more_than_20"] = longest > COPIED_WORDS
    columns["exact_copy"] = exact_copies(numbered, trained)
    columns |= {f"novel_{n}grams": novel_ngrams(numbered, spans, n) for n in NGRAMS}
    columns["repetition_rate"] = [is_repetitive(text) for text in texts]
    columns["empty"] = numbered.lengths() == 0
    for name, nearest in (
        ("plot_jaccard", nearest_by_words(numbered, trained)),
        ("plot_cosine", nearest_by_embedding(vectors, training_vectors)),
    ):
        columns[name] = nearest.similarity
        columns |= _named(name, training, nearest.row)
    titles = title_parts(table["title"].tolist())
    columns |= {str(name): titles[name].to_numpy() for name in titles}
    of_series = titles["kind"].isin(OF_SERIES).astype(float)
    columns["of_series"] = of_series.where(titles["titled"], np.nan).to_numpy()
    columns["known_series"] = known_series(titles, training)
    for part in PARTS:
        columns |= _names(part, titles[part].tolist(), training[part].fillna("").tolist(), embedder)
    return Measured(table.assign(**columns), numbered, vectors, training_vectors)


def _names(part: str, names: list[str], training: list[str], embedder: Embedder) -> "dict[str, Column]":
    known = sorted({name for name in training if name.strip()})
    asked = sorted(set(names))  # many samples have no secondary title
    vocabulary: dict[str, int] = {}
    by_words = nearest_by_words(number_words(asked, vocabulary), number_words(known, vocabulary))
    # If no training title has this part, nothing can be compared.
    vectors = embedder.embed(asked, f"Embedding {part} titles") if known else np.full((len(asked), 1), np.nan)
    by_embedding = nearest_by_embedding(vectors, embedder.embed(known, f"Embedding {part} titles"))
    present, plain_known = np.array([bool(name.strip()) for name in names], bool), {plain(name) for name in known}
    columns: dict[str, Column] = {
        f"{part}_exact": np.where(present, [float(plain(name) in plain_known) for name in names], np.nan)
    }
    place = {name: i for i, name in enumerate(asked)}
    each = [place[name] for name in names]
    for kind, nearest in (("jaccard", by_words), ("cosine", by_embedding)):
        columns[f"{part}_{kind}"] = nearest.similarity[each]
        columns[f"{part}_{kind}_nearest"] = [known[i] if i >= 0 else "" for i in nearest.row[each]]
    return columns


def _named(name: str, training: pd.DataFrame, row: np.ndarray) -> dict[str, list[str]]:
    return {
        f"{name}_{what}": [values[i] if i >= 0 else "" for i in row]
        for what in ("id", "title")
        for values in [training[what].tolist()]
    }


def add_genre_control(table: pd.DataFrame, control: GenreControl) -> pd.DataFrame:
    """Return the table with `genres_predicted`, `genre_accuracy` and `genre_probability` of each sample."""
    return table.assign(
        genres_predicted=[", ".join(names) for names in control.predicted],
        genre_accuracy=control.hit,
        genre_probability=control.probability,
    )


def summarize(
    kind: type[S], rows: pd.DataFrame, budget: Budget, measured: Measured, real: np.ndarray, **place: object
) -> S:
    """Summarize a group of samples as a `Summary` or a subclass with the fields in `place`.

    `measured` has all samples, with row i at index i; `real` are the embeddings of the validation plots for `mauve`.
    """
    texts = shuffled(rows.index.to_numpy())
    some = rows.loc[texts[: budget.texts]]
    titled = some[some["titled"]]
    found: dict[str, Estimate | None] = {}
    for names, aggregate in ((SHARES, share), (MEANS, average), (MEDIANS, median)):
        found |= {name: aggregate(rows[name].to_numpy(float)) if name in rows else None for name in names}
    words = measured.words.select(texts)
    found |= {f"distinct_{n}": distinct_estimate(words, n, budget.words) for n in (1, 2, 3)}
    found["self_bleu"] = self_bleu_estimate(words.slice(0, len(some)))
    found["unique_primary"] = unique_share([plain(name) for name in titled["primary"]])
    pairs = zip(titled["primary"], titled["secondary"], strict=True)
    found["unique_title"] = unique_share([(plain(primary), plain(secondary)) for primary, secondary in pairs])
    found["unique_plot"] = unique_share([plain(plot) for plot in some.loc[~some["empty"], "plot"]])
    found["mauve"] = mauve(measured.vectors[some.index], real)
    made: Callable[..., S] = kind
    return made(samples=len(rows), **found, **place)


def budget_of(groups: Sequence[pd.DataFrame]) -> Budget:
    """Return the words and texts of the smallest group that is not empty."""
    words = [int(group["words"].sum()) for group in groups]
    texts = [len(group) for group in groups]
    return Budget(min((n for n in words if n), default=0), min((n for n in texts if n), default=0))


def genre_groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each prompted genre, by name; a sample prompted with two genres is in both."""
    prompts = table["genre"].map(split_prompt)
    names = sorted({name for prompt in prompts for name in prompt})
    return {name: table[[name in prompt for prompt in prompts]] for name in names}


def enough_real(genres: Sequence[Sequence[str]], genre: str) -> np.ndarray | None:
    """Return which real plots have the genre, as a boolean array; None if they are too few for `mauve`."""
    having = np.array([genre in names for names in genres], bool)
    return having if having.sum() >= MIN_TEXTS else None


def rounded(value: T) -> T:
    """Return the value with floats rounded to six digits and NaN as None, for JSON that is equal on all machines."""
    return _rounded(value)


def _rounded(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _rounded(getattr(value, each.name)) for each in fields(value)})
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
