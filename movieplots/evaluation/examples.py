"""What a report found, as a notebook shows it: tables of its numbers, and samples beside the training plots.

Of a training plot only title and opening are shown, since it is somebody's text.
"""

import pandas as pd
from IPython.display import Markdown

from movieplots.evaluation.answers import answers, percent, top_p_words
from movieplots.evaluation.metrics import Metrics, Summary
from movieplots.evaluation.report import opening
from movieplots.evaluation.tables import copies_table
from movieplots.figures import escaped
from movieplots.intervals import Estimate

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
        | {name: f"{cards[name][i].verdict} ({cards[name][i].number})".replace(" (–)", "") for name in names}
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
        return "–"
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
