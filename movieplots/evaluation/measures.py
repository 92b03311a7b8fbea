"""From samples to numbers: one table with a row a sample, and the summaries of groups of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from movieplots.evaluation.distribution import MIN_TEXTS, mauve
from movieplots.evaluation.diversity import distinct_estimate, loops, self_bleu, shuffled, unique_share
from movieplots.evaluation.embedding import Embedder
from movieplots.evaluation.genre_control import GenreControl, split_prompt
from movieplots.evaluation.novelty import NGRAMS, copied_runs, exact_copies, longest_copies, unseen_ngrams
from movieplots.evaluation.similarity import nearest_by_embedding, nearest_by_words
from movieplots.evaluation.title_quality import OF_SERIES, PARTS, known_series, plain, title_parts
from movieplots.intervals import average, median, share
from movieplots.novelty_index import COPIED_WORDS
from movieplots.words import NumberedTexts, number_words

SHARES = (
    "copied_more_than_20", "exact_copy", "looping", "unfinished", "empty", "genre_hit", "titled", "well_formed",
    "of_series", "known_series", "primary_exact", "secondary_exact",
)  # fmt: skip
MEANS = (
    "genre_probability", "plot_jaccard", "plot_cosine", "primary_jaccard", "primary_cosine", "secondary_jaccard",
    "secondary_cosine", *(f"unseen_{n}" for n in NGRAMS),
)  # fmt: skip
MEDIANS = ("words", "copied_words")


@dataclass(frozen=True)
class Measured:
    """The samples with their measures, one row each, and the embeddings of their plots and of the training plots.

    `table` is indexed from 0; text i of `words` and row i of `vectors`, shape (samples, d), are those of its plot i.
    `training` has shape (plots, d).
    """

    table: pd.DataFrame
    words: NumberedTexts
    vectors: np.ndarray
    training: np.ndarray


@dataclass(frozen=True)
class Budget:
    """How many words and texts of each group are counted where a number depends on the size of the group."""

    words: int
    texts: int


def measure_samples(samples: pd.DataFrame, training: pd.DataFrame, embedder: Embedder) -> Measured:
    """Measure each sample (`title`, `plot`, `finished`) against the training rows of the Plot table.

    Adds to each row, beside the columns of `title_parts`:

    - `words`; `copied_words` (longest verbatim run), `copied_at` (its first word, from 0), `copied_from_id` and
      `copied_from_title` ("" for none); `exact_copy`; `unseen_1` to `unseen_8`; `looping`; `unfinished`; `empty`
    - `plot_jaccard` and `plot_cosine`, each with `…_id` and `…_title` of the training plot that is nearest
    - `primary_…` and `secondary_…`, `jaccard` and `cosine`, each with `…_nearest`, the nearest name among the training
      titles, and `primary_exact`, `secondary_exact`; NaN and "" where the sample has no such name
    - `known_series`, NaN where the title is not of a series, and `of_series`, NaN where there is no title
    """
    table = samples.reset_index(drop=True)
    texts, plots = table["plot"].tolist(), training["plot"].tolist()
    vocabulary: dict[str, int] = {}
    numbered, trained = number_words(texts, vocabulary), number_words(plots, vocabulary)
    runs = copied_runs(numbered, trained)
    longest, at, row = longest_copies(numbered, runs)
    vectors = embedder.embed(texts, "Embedding samples")
    training_vectors = embedder.embed(plots, "Embedding training plots")

    columns: dict[str, Any] = {"words": numbered.lengths(), "copied_words": longest, "copied_at": at}
    columns |= _named("copied_from", training, row)
    columns["copied_more_than_20"] = longest > COPIED_WORDS
    columns["exact_copy"] = exact_copies(numbered, trained)
    columns |= {f"unseen_{n}": unseen_ngrams(numbered, runs, n) for n in NGRAMS}
    columns["looping"] = [loops(text) for text in texts]
    columns["unfinished"] = ~table["finished"].astype(bool)
    columns["empty"] = numbered.lengths() == 0
    for name, nearest in (
        ("plot_jaccard", nearest_by_words(numbered, trained)),
        ("plot_cosine", nearest_by_embedding(vectors, training_vectors)),
    ):
        columns |= {name: nearest.similarity} | _named(name, training, nearest.row)
    titles = title_parts(table["title"].tolist())
    columns |= {name: titles[name].to_numpy() for name in titles}
    of_series = titles["kind"].isin(OF_SERIES).astype(float)
    columns["of_series"] = of_series.where(titles["titled"], np.nan).to_numpy()
    columns["known_series"] = known_series(titles, training)
    for part in PARTS:
        columns |= _names(part, titles[part].tolist(), training[part].fillna("").tolist(), embedder)
    return Measured(table.assign(**columns), numbered, vectors, training_vectors)


def _names(part: str, names: list[str], training: list[str], embedder: Embedder) -> dict[str, Any]:
    known = sorted({name for name in training if name.strip()})
    asked = sorted(set(names))  # many samples have no secondary title
    vocabulary: dict[str, int] = {}
    by_words = nearest_by_words(number_words(asked, vocabulary), number_words(known, vocabulary))
    # Where no training title has such a part, there is nothing to be near to.
    vectors = embedder.embed(asked, f"Embedding {part} titles") if known else np.full((len(asked), 1), np.nan)
    by_meaning = nearest_by_embedding(vectors, embedder.embed(known, f"Embedding {part} titles"))
    there, plain_known = np.array([bool(name.strip()) for name in names], bool), {plain(name) for name in known}
    columns: dict[str, Any] = {
        f"{part}_exact": np.where(there, [float(plain(name) in plain_known) for name in names], np.nan)
    }
    place = {name: i for i, name in enumerate(asked)}
    each = [place[name] for name in names]
    for kind, nearest in (("jaccard", by_words), ("cosine", by_meaning)):
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
    """The table with `genres_predicted`, `genre_hit` and `genre_probability` of each sample beside its measures."""
    return table.assign(
        genres_predicted=[", ".join(names) for names in control.predicted],
        genre_hit=control.hit,
        genre_probability=control.probability,
    )


def summarise(rows: pd.DataFrame, budget: Budget, measured: Measured, real: np.ndarray) -> dict[str, Any]:
    """Sum up a group of samples: `samples`, and each measure as value, low, high (95 %) and `of`, or None.

    Shares (`SHARES`) are in [0, 1]; `MEANS` are of similarities, probabilities and shares; `MEDIANS` of words.
    `measured` holds all samples (its row i belongs to index i), `real` the embeddings of real plots for `mauve`.
    """
    texts = shuffled(rows.index.to_numpy())
    some = rows.loc[texts[: budget.texts]]
    titled = some[some["titled"]]
    result: dict[str, Any] = {"samples": len(rows)}
    for names, sum_up in ((SHARES, share), (MEANS, average), (MEDIANS, median)):
        result |= {name: sum_up(rows[name].to_numpy(float)) if name in rows else None for name in names}
    words = measured.words.select(texts)
    result |= {f"distinct_{n}": distinct_estimate(words, n, budget.words) for n in (1, 2, 3)}
    result["self_bleu"] = average(self_bleu(words.slice(0, len(some))))
    result["unique_primary"] = unique_share([plain(name) for name in titled["primary"]])
    names = zip(titled["primary"], titled["secondary"], strict=True)
    result["unique_title"] = unique_share([(plain(primary), plain(secondary)) for primary, secondary in names])
    result["unique_plot"] = unique_share([plain(plot) for plot in some.loc[~some["empty"], "plot"]])
    result["mauve"] = mauve(measured.vectors[some.index], real)
    return result


def budget_of(groups: Sequence[pd.DataFrame]) -> Budget:
    """What the smallest of the groups has that has any: as much can be counted of every group."""
    words = [int(group["words"].sum()) for group in groups]
    texts = [len(group) for group in groups]
    return Budget(min((n for n in words if n), default=0), min((n for n in texts if n), default=0))


def genre_groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each prompted genre, by name; a sample prompted with two is in both."""
    prompts = table["genre"].map(split_prompt)
    names = sorted({name for prompt in prompts for name in prompt})
    return {name: table[[name in prompt for prompt in prompts]] for name in names}


def enough_real(genres: Sequence[Sequence[str]], genre: str) -> np.ndarray | None:
    """Which real plots carry the genre, as a boolean array, or None where they are too few for `mauve`."""
    carry = np.array([genre in names for names in genres], bool)
    return carry if carry.sum() >= MIN_TEXTS else None


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
