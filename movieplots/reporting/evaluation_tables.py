"""The report's numbers as tidy tables, one row a value, and as a notebook shows them, beside the samples.

Of a training plot only title and opening are shown, since it is somebody's text.
"""

from collections.abc import Sequence

import pandas as pd
from IPython.display import Markdown

from movieplots.evaluation.answers import answers
from movieplots.evaluation.metrics import Metrics, Summary
from movieplots.formatting import MISSING, percent, top_p_words
from movieplots.intervals import Estimate
from movieplots.reporting.figures import escaped
from movieplots.texts import OPENING_WORDS, opening
from movieplots.words import split_words


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


_COLUMNS = {
    "like real plots (MAUVE)": "mauve", "on genre": "genre_accuracy", "unfinished": "truncated", "no plot": "empty",
    "loop": "repetition_rate", "different word pairs": "distinct_2", "self-BLEU": "self_bleu",
    "new runs of four words": "novel_4grams", "copy over 20 words": "copied_more_than_20",
}  # fmt: skip
_LABELS = {"temperature": "temperature", "top_p": "top\N{NON-BREAKING HYPHEN}p", "genre": "genre"}
_NOT_SHARES = ("mauve", "distinct_2", "self_bleu")
_LONGEST = 60  # characters of a title in a table


def answers_table(metrics: Metrics) -> pd.DataFrame:
    """The four questions and, for each generator, the verdict and the number that carries it."""
    names = list(metrics.models)
    cards = {name: answers(metrics, name) for name in names}
    rows = [
        {"question": cards[names[0]][i].question}
        | {name: f"{cards[name][i].verdict} ({cards[name][i].number})".replace(f" ({MISSING})", "") for name in names}
        for i in range(len(cards[names[0]]))
    ]
    return pd.DataFrame(rows)


def measures_by(metrics: Metrics, grouping: str = "samples") -> pd.DataFrame:
    """The main measures of all `samples`, `by_cell`, `by_temperature`, `by_top_p` or `by_genre`, as text.

    A row each generator's group, then real plots and shuffled words, counted over as much as each of the groups.
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
            rows.append(place | {label: _text(measure, group.measure(measure)) for label, measure in _COLUMNS.items()})
    return pd.DataFrame(rows).fillna("")


def _place(key: str, group: Summary) -> str:
    value = getattr(group, key)
    return top_p_words(value) if key == "top_p" else f"{value:g}" if key == "temperature" else str(value)


def _text(measure: str, value: Estimate | None) -> str:
    if value is None:
        return MISSING
    return f"{value.value:.2f}" if measure in _NOT_SHARES else percent(value.value)


def nearest_plots(
    samples: pd.DataFrame, training: pd.DataFrame, measure: str = "plot_cosine", most: bool = True, n: int = 3
) -> Markdown:
    """The n samples that are `most` (or least) similar to their nearest training plot, in full, beside its opening."""
    openings = dict(zip(training["id"], training["plot"], strict=True))
    lines = []
    chosen = samples.dropna(subset=[measure]).sort_values(measure, ascending=not most, kind="stable").head(n)
    for row in chosen.to_dict("records"):
        title = f"**{escaped(row['title'])}** " if row["title"] else ""
        ending = " […]" if row["truncated"] else ""
        lines.append(f"- {row[measure]:.2f} *{row['genre']}* {title}{escaped(row['plot'])}{ending}")
        source = escaped(f"{row[f'{measure}_title']}: “{opening(openings[row[f'{measure}_id']])}”")
        lines.append(f"    - beside {source}")
    return Markdown("\n".join(lines))


def nearest_titles(samples: pd.DataFrame, part: str = "primary", n: int = 6) -> pd.DataFrame:
    """Primary or secondary titles, from the most to the least similar in meaning to a training title, evenly spaced."""
    there = samples[samples[f"{part}_cosine"].notna() & (samples[part].str.len() <= _LONGEST)]
    there = there.drop_duplicates(part).sort_values(f"{part}_cosine", ascending=False, kind="stable")
    chosen = there.iloc[[round(i * (len(there) - 1) / max(n - 1, 1)) for i in range(min(n, len(there)))]]
    return pd.DataFrame(
        {
            "written": chosen[part],
            "nearest training title": [name[:_LONGEST] for name in chosen[f"{part}_cosine_nearest"]],
            "cosine": [f"{value:.2f}" for value in chosen[f"{part}_cosine"]],
            "shared words (Jaccard)": [f"{value:.2f}" for value in chosen[f"{part}_jaccard"]],
        }
    )


def copies(samples: pd.DataFrame, n: int = 12) -> pd.DataFrame:
    """The n texts that copy most, of those that copy more than 20 words in a row, beside the training plot's title."""
    table = copies_table(samples).head(n)
    if table.empty:
        return pd.DataFrame({"": ["No text copies more than 20 words in a row of the training plots given."]})
    return pd.DataFrame(
        {
            "of": table["model"],
            "title": [title[:_LONGEST] for title in table["title"]],
            "genre": table["genre"],
            "copied words": table["longest_verbatim_span"],
            "from": [title[:_LONGEST] for title in table["copied_from_title"]],
        }
    )
