"""The numbers of a report as tidy tables, with one row per value, and as tables and lists for notebooks.

Of a training plot, only the title and the opening words are shown, because its text may be under copyright.
"""

from collections.abc import Sequence

import pandas as pd
from IPython.display import Markdown

from movieplots.evaluation.answers import answers
from movieplots.evaluation.metrics import Metrics, Summary
from movieplots.formatting import MISSING, top_p_words
from movieplots.intervals import Estimate
from movieplots.measures.novelty_index import COPIED_WORDS
from movieplots.reporting.figures import escaped
from movieplots.reporting.metric_definitions import METRICS
from movieplots.texts import OPENING_WORDS, opening
from movieplots.words import split_words


def measures_table(metrics: Metrics) -> pd.DataFrame:
    """Return all measured values as a tidy table, which is saved as measures.csv.

    Columns: `model`; `grouping` (all, by_cell, …); `temperature`, `top_p` and `genre` (missing if the row is about all
    of them); `measure`, `value`; `low` and `high` (95 % CI); `of` (number of samples).
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
    """Return the values by prompted genre and other genre as a tidy table, which is saved as genres.csv.

    Columns: `model`, `prompted`, `genre`; `mean_probability` that the classifier gives to the genre; `most_probable`,
    the share of samples whose most probable genre it is; `mean_cosine` to the training plots of the genre.
    """
    rows: dict[tuple[str, str, str], dict[str, str | float]] = {}
    for model, found in metrics.texts.items():
        control, near = found.genre_control, found.genre_similarity
        matrices = [("mean_cosine", near.mean_cosine, near.prompted, near.training)]
        if control:
            matrices += [
                ("mean_probability", control.mean_probability, control.prompted, control.labels),
                ("most_probable", control.confusion, control.prompted, control.labels),
            ]
        for name, matrix, prompted, genres in matrices:
            for prompt, values in zip(prompted, matrix, strict=True):
                for genre, value in zip(genres, values, strict=True):
                    row = rows.setdefault((model, prompt, genre), {"model": model, "prompted": prompt, "genre": genre})
                    row[name] = value
    columns = ["model", "prompted", "genre", "mean_probability", "most_probable", "mean_cosine"]
    return pd.DataFrame(list(rows.values()), columns=columns)


def copies_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the samples that copy more than `COPIED_WORDS` consecutive words, sorted by length, with their sources.

    Only the opening of the copied words is included, because they are part of a training plot.
    """
    copies = table[table["copied_more_than_20"]].sort_values("longest_verbatim_span", ascending=False, kind="stable")
    openings = [
        " ".join(split_words(plot)[at : at + OPENING_WORDS]) + " …"
        for plot, at in zip(copies["plot"], copies["verbatim_span_start"], strict=True)
    ]
    names = ["model", "genre", "temperature", "top_p", "title", "longest_verbatim_span"]
    return copies[[*names, "copied_from_id", "copied_from_title"]].assign(verbatim_span_opening=openings)


_COLUMNS = (
    "mauve", "genre_accuracy", "truncated", "empty", "repetition_rate", "distinct_2", "self_bleu", "novel_4grams",
    "copied_more_than_20",
)  # fmt: skip
_LABELS = {"temperature": "temperature", "top_p": "top-p", "genre": "genre"}
_LONGEST = 60  # characters of a title in a table


def answers_table(metrics: Metrics) -> pd.DataFrame:
    """Return the questions of the report, with the verdict and the main number for each generator.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.

    Returns
    -------
    pandas.DataFrame
        One row per question, with the column `question` and one column per generator.
    """
    names = list(metrics.models)
    cards = {name: answers(metrics, name) for name in names}
    rows = [
        {"question": cards[names[0]][i].question}
        | {name: f"{cards[name][i].verdict} ({cards[name][i].number})".replace(f" ({MISSING})", "") for name in names}
        for i in range(len(cards[names[0]]))
    ]
    return pd.DataFrame(rows)


def measures_by(metrics: Metrics, grouping: str = "samples") -> pd.DataFrame:
    """Return the main metrics of each generator and reference as text.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.
    grouping : {"samples", "by_cell", "by_temperature", "by_top_p", "by_genre"}, default "samples"
        "samples" for one row per generator; "by_cell" for one row per pair of temperature and top-p.

    Returns
    -------
    pandas.DataFrame
        One row per group of each generator, then the rows of the references. The first columns identify the group.
        Metrics that depend on the number of texts, such as distinct-2, are computed from equally many words or texts
        in all rows.
    """
    several = len(metrics.models) > 1 or grouping == "samples"
    keys = {"by_cell": ("temperature", "top_p"), "by_temperature": ("temperature",), "by_top_p": ("top_p",)}
    rows = []
    for name, found in metrics.texts.items():
        for group in [found.samples] if grouping == "samples" else found.grouping(grouping):
            place = {_LABELS[key]: _place(key, group) for key in keys.get(grouping, ("genre",)) if hasattr(group, key)}
            if several:
                place = {"": name} | place
            elif not place:
                place = {_LABELS[keys[grouping][0]]: name}
            values = {METRICS[key].name: METRICS[key].format_estimate(group.measure(key)) for key in _COLUMNS}
            rows.append(place | values)
    return pd.DataFrame(rows).fillna("")


def _place(key: str, group: Summary) -> str:
    value = getattr(group, key)
    return top_p_words(value) if key == "top_p" else f"{value:g}" if key == "temperature" else str(value)


def nearest_plots(
    samples: pd.DataFrame, training: pd.DataFrame, measure: str = "plot_cosine", most: bool = True, n: int = 3
) -> Markdown:
    """Return the samples that are most or least similar to their nearest training plot, with that plot's opening.

    Parameters
    ----------
    samples : pandas.DataFrame
        Samples of a report.
    training : pandas.DataFrame
        Training plots, as `movieplots.load_plots` returns them.
    measure : {"plot_cosine", "plot_jaccard"}, default "plot_cosine"
        Similarity to sort by: cosine of embeddings, or Jaccard similarity of word sets.
    most : bool, default True
        Whether to show the most similar samples, or the least similar ones.
    n : int, default 3
        Number of samples.

    Returns
    -------
    IPython.display.Markdown
        The similarity, genre, title and plot of each sample, with the title and opening words of its nearest plot.
    """
    openings = dict(zip(training["id"], training["plot"], strict=True))
    lines = []
    chosen = samples.dropna(subset=[measure]).sort_values(measure, ascending=not most, kind="stable").head(n)
    for row in chosen.to_dict("records"):
        title = f"**{escaped(row['title'])}** " if row["title"] else ""
        ending = " […]" if row["truncated"] else ""
        lines.append(f"- {row[measure]:.2f} *{row['genre']}* {title}{escaped(row['plot'])}{ending}")
        source = escaped(f"{row[f'{measure}_title']}: “{opening(openings[row[f'{measure}_id']])}”")
        lines.append(f"    - nearest: {source}")
    return Markdown("\n".join(lines))


def nearest_titles(samples: pd.DataFrame, part: str = "primary", n: int = 6) -> pd.DataFrame:
    """Return titles of samples with their nearest training titles, evenly spaced from most to least similar.

    Parameters
    ----------
    samples : pandas.DataFrame
        Samples of a report.
    part : {"primary", "secondary"}, default "primary"
        Part of the title: the name of the movie or series, or that of the episode.
    n : int, default 6
        Number of titles.

    Returns
    -------
    pandas.DataFrame
        Columns: the title, the nearest training title by cosine similarity of embeddings, that similarity, and the
        Jaccard similarity to the nearest training title by words.
    """
    named = samples[samples[f"{part}_cosine"].notna() & (samples[part].str.len() <= _LONGEST)]
    named = named.drop_duplicates(part).sort_values(f"{part}_cosine", ascending=False, kind="stable")
    chosen = named.iloc[[round(i * (len(named) - 1) / max(n - 1, 1)) for i in range(min(n, len(named)))]]
    return pd.DataFrame(
        {
            "generated title": chosen[part],
            "nearest training title": [name[:_LONGEST] for name in chosen[f"{part}_cosine_nearest"]],
            "cosine": [f"{value:.2f}" for value in chosen[f"{part}_cosine"]],
            "Jaccard": [f"{value:.2f}" for value in chosen[f"{part}_jaccard"]],
        }
    )


def copies(samples: pd.DataFrame, n: int = 12) -> pd.DataFrame:
    """Return the samples that copy more than 20 consecutive words of a training plot, the longest spans first.

    Parameters
    ----------
    samples : pandas.DataFrame
        Samples of a report.
    n : int, default 12
        Maximum number of rows.

    Returns
    -------
    pandas.DataFrame
        One row per sample with the length of its verbatim span and the title of the training plot, or a table with one
        sentence if there is no such sample.
    """
    table = copies_table(samples).head(n)
    if table.empty:
        return pd.DataFrame({"": [f"No text copies more than {COPIED_WORDS} consecutive words of a training plot."]})
    return pd.DataFrame(
        {
            "model": table["model"],
            "title": [title[:_LONGEST] for title in table["title"]],
            "genre": table["genre"],
            "verbatim span (words)": table["longest_verbatim_span"],
            "training plot": [title[:_LONGEST] for title in table["copied_from_title"]],
        }
    )
