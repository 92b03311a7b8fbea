"""What preparation found, as figures and tables for a notebook: each figure's title says what was seen in this run.

A figure that has nothing to show says so in words. Tables show of a plot no more than its opening words, because the
plots of most corpora are not ours to publish.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from movieplots.formatting import percent, plural
from movieplots.plots import SPLITS, imdb_title
from movieplots.preparation.card import REASONS, REPAIRS
from movieplots.preparation.cleaning import count_words
from movieplots.preparation.duplicates import jaccard
from movieplots.preparation.report import Preparation
from movieplots.preparation.splits import SHARES
from movieplots.reporting.figures import (
    LIGHT,
    heatmap,
    legend,
    length_histogram,
    mark,
    sentence_figure,
    titled,
    whole_steps,
)  # fmt: skip
from movieplots.reporting.figures import shown as shown
from movieplots.sources import get_source
from movieplots.texts import opening, shortened
from movieplots.words import number_words

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT, GRID = LIGHT.text, LIGHT.grid
KINDS = {"movie": BLUE, "series": ORANGE, "episode": GREEN, "book": PINK}
EXAMPLES = 8
_ROW = 0.27  # inches for each bar of a figure with one bar a genre


def sources(report: Preparation) -> Figure:
    """Rows kept and dropped of each source."""
    names = list(report.by_source)
    read = np.array([report.by_source[name].read for name in names])
    kept = np.array([report.by_source[name].kept for name in names])
    title = f"Of {plural(report.read, 'row')} read, {report.kept:,} became plots ({percent(report.kept / report.read)})"
    figure, axes = titled(title, 1.3 + 0.36 * len(names))
    axes.barh(names, kept, color=BLUE, height=0.6, label="kept")
    axes.barh(names, read - kept, left=kept, color=ORANGE, height=0.6, label="dropped")
    for y, (n, all_of_them) in enumerate(zip(kept, read, strict=True)):
        axes.annotate(f"{n:,} of {all_of_them:,}", (all_of_them, y), (5, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.25 * read.max())
    axes.set_xlabel("rows")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(whole_steps(6))
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    legend(axes, columns=4)
    return figure


def dropped_rows(report: Preparation) -> Figure:
    """Rows that were dropped, by reason."""
    if not report.dropped:
        return sentence_figure(f"Nothing was dropped: all {plural(report.read, 'row')} were kept.")
    counts = pd.Series({REASONS.get(reason, reason): n for reason, n in report.dropped.items()})
    return _bars(
        counts,
        f"Of {plural(report.read, 'row')}, {counts.sum():,} were dropped ({percent(counts.sum() / report.read)})",
        "rows dropped",
    )


def languages(report: Preparation) -> Figure:
    """Plots in other languages than English, by the code of the language that was detected."""
    english, total = report.languages.get("en", 0), sum(report.languages.values())
    others = pd.Series({code: n for code, n in report.languages.items() if code != "en"}, dtype=int)
    if others.empty:
        return sentence_figure(f"All {plural(total, 'plot')} are in English: no other language was found.")
    title = (
        f"{english:,} of {plural(total, 'plot')} are in English ({percent(english / total)}); "
        f"{plural(int(others.sum()), 'plot')} in {plural(len(others), 'other language')}"
    )
    return _bars(others, title, "plots, by language code (ISO 639-1)")


def genre_frequencies(report: Preparation) -> Figure:
    """Plots that carry each genre, the most common genre first."""
    counts = pd.Series(report.genres)
    most, least = str(counts.idxmax()), str(counts.idxmin())
    title = (
        f"{plural(len(counts), 'genre')}, from {most} ({percent(counts[most] / report.kept)} of the plots) "
        f"to {least} ({percent(counts[least] / report.kept)})"
    )
    return _bars(counts, title, "plots that carry the genre")


def genres_per_plot(plots: pd.DataFrame) -> Figure:
    """Plots with one genre, two genres, and so on."""
    numbers = plots["genres"].str.len()
    counts = numbers.value_counts().sort_index().reindex(range(1, numbers.max() + 1), fill_value=0)
    several = percent((numbers > 1).mean())
    title = f"A plot carries {numbers.mean():.1f} genres on average; {several} carry more than one"
    figure, axes = titled(title, 3.2)
    bars = axes.bar(counts.index, counts, color=BLUE, width=0.7)
    axes.bar_label(bars, [f"{n:,}\n{percent(n / len(plots))}" for n in counts], padding=3, color=TEXT)
    axes.set_xticks(counts.index)
    axes.set_xlim(0.4, max(4, counts.index[-1]) + 0.6)
    axes.set_ylim(0, 1.22 * counts.max())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(whole_steps(6))
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("genres on a plot")
    axes.set_ylabel("plots")
    return figure


def shared_genres(plots: pd.DataFrame) -> pd.DataFrame:
    """The share of each genre's plots (row) that also carry another genre (column); 1 on the diagonal.

    Shape (genres, genres); the most common genre comes first.
    """
    order = plots["genres"].explode().value_counts().index
    carries = np.array([[genre in genres for genre in order] for genres in map(set, plots["genres"])], dtype=np.int64)
    together = carries.T @ carries
    return pd.DataFrame(together / np.diag(together)[:, None], index=order, columns=order)


def genre_cooccurrence(plots: pd.DataFrame) -> Figure:
    """Heatmap of `shared_genres` in percent."""
    shares = shared_genres(plots)
    names, cells = list(shares.index), shares.to_numpy().copy()
    np.fill_diagonal(cells, np.nan)
    if len(names) < 2 or not np.nanmax(cells):
        return sentence_figure("No plot carries more than one genre: no two genres share a plot.")
    row, column = np.unravel_index(np.nanargmax(cells), cells.shape)
    title = (
        f"Most bound to another genre: {percent(cells[row, column])} of the plots with {names[row]} "
        f"also carry {names[column]}"
    )
    labels = ("Of the plots with this genre, the share …", "… that also carry this genre")
    return heatmap(cells, names, names, labels, "share, %", title)


def plot_lengths(plots: pd.DataFrame, report: Preparation) -> Figure:
    """Histogram of the kept plots' lengths in words, with the bounds that they had to keep and the median.

    Bounds that were set in tokens are named but not drawn, since the axis is in words.
    """
    lengths = plots["plot"].map(count_words).to_numpy()
    low, high, unit = report.settings.min_length, report.settings.max_length, report.settings.length_in
    in_words = unit == "words"
    title = (
        f"Half of the plots have {np.quantile(lengths, 0.25):.0f} to {np.quantile(lengths, 0.75):.0f} words; "
        f"the shortest has {lengths.min():,}, the longest {lengths.max():,}"
    )
    if not in_words:
        title += f" (bounds: {low:,} to {high:,} {unit})"
    figure, axes = length_histogram(title, lengths, (low, high) if in_words else (), "words in a plot")
    median = float(np.median(lengths))
    mark(axes, median, 2, TEXT, ":", f"median: {median:.0f} words")
    if in_words:
        short, long = report.dropped.get("too_short", 0), report.dropped.get("too_long", 0)
        mark(axes, low, 1, RED, "--", f"at least {low:,} words: {short:,} shorter dropped")
        mark(axes, high, 0, RED, "--", f"at most {high:,} words: {report.truncated:,} longer cut, {long:,} dropped")
    return figure


def plots_per_year(plots: pd.DataFrame) -> Figure:
    """Plots by the year of their title, stacked by kind (movie, series, episode, book)."""
    dated = plots[plots["year"].notna()]
    if dated.empty:
        return sentence_figure("No title has a year.")
    years = dated["year"].astype(int)
    counts = pd.crosstab(years, dated["kind"]).reindex(range(years.min(), years.max() + 1), fill_value=0)
    totals = counts.sum(axis=1)
    unknown = len(plots) - len(dated)
    title = (
        f"{years.min()} to {years.max()}: half of the plots are from {np.quantile(years, 0.5):.0f} or later, most from "
        f"{totals.idxmax()} ({totals.max():,})" + (f"; {plural(unknown, 'plot')} without a year" if unknown else "")
    )
    figure, axes = titled(title, 3.6)
    bottom = np.zeros(len(counts))
    for kind in [*KINDS, *counts.columns.difference(list(KINDS))]:  # a source may have kinds of its own
        if kind in counts:
            label = f"{kind} ({counts[kind].sum():,})"
            axes.bar(counts.index, counts[kind], 0.9, bottom=bottom, color=KINDS.get(kind, RED), label=label)
            bottom += counts[kind].to_numpy()
    axes.xaxis.set_major_locator(whole_steps(10))
    axes.yaxis.set_major_locator(whole_steps(6))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="x", visible=False)
    axes.margins(x=0.01)
    axes.set_xlabel("year")
    axes.set_ylabel("plots")
    legend(axes, columns=4)
    return figure


def split_shares(report: Preparation) -> Figure:
    """For each genre the share of its plots that validation and test hold, with the share that was aimed at."""
    counts = pd.DataFrame(report.genres_by_split).T[list(SPLITS)].loc[list(report.genres)]
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    parts = " : ".join(f"{percent(report.splits[split] / report.kept)}" for split in SPLITS)
    title = f"All plots: {parts} for training, validation and test"
    if report.kept_splits:
        title += f"; {plural(report.kept_splits, 'title')} stayed where an earlier preparation put them"
    figure, axes = titled(title, 1.7 + _ROW * len(shares))
    rows = np.arange(len(shares))
    axes.hlines(rows, 0, shares[["validation", "test"]].max(axis=1), color=GRID, linewidth=1)
    for split, colour, marker, shift in (("validation", BLUE, "o", -0.14), ("test", ORANGE, "D", 0.14)):
        axes.scatter(
            shares[split], rows + shift, color=colour, marker=marker, s=34, label=split, zorder=3, clip_on=False
        )
    aim = 100 * SHARES["test"]
    axes.axvline(aim, color=TEXT, linestyle="--", linewidth=1.2, label=f"aimed at: {percent(SHARES['test'])} each")
    axes.set_yticks(rows, [f"{genre} ({n:,})" for genre, n in counts.sum(axis=1).items()])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(2 * aim, shares[["validation", "test"]].to_numpy().max()))
    axes.xaxis.set_major_locator(whole_steps(8))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of the genre's plots, %")
    axes.set_ylabel("genre (plots that carry it)")
    legend(axes, columns=4)
    return figure


def source_table(report: Preparation) -> pd.DataFrame:
    """The corpora that were read: what each is, its licence, and what came out."""
    rows = []
    for name, counts in report.by_source.items():
        source = get_source(name)
        rows.append((name, source.what, source.licence, counts.read, counts.kept))
    return pd.DataFrame(rows, columns=["source", "what it is", "licence", "rows read", "plots kept"])


def repair_table(report: Preparation) -> pd.DataFrame:
    """What cleaning removed or mended, and in how many plots."""
    if not report.repaired:
        return _sentence("No plot had to be repaired.")
    rows = [(REPAIRS.get(name, name), n) for name, n in report.repaired.items()]
    return pd.DataFrame(rows, columns=["removed or mended", "plots"])


def boilerplate_table(report: Preparation, most: int = 25) -> pd.DataFrame:
    """How often each sentence was removed that stands under many titles: its opening words, the most common first."""
    rows = [(opening(sentence), n) for sentence, n in list(report.boilerplate.items())[:most]]
    return pd.DataFrame(rows or [("None was found.", 0)], columns=["sentence", "removed"])


def split_table(report: Preparation) -> pd.DataFrame:
    """Plots on each side of the split."""
    rows = [(split, n, percent(n / report.kept)) for split, n in report.splits.items()]
    return pd.DataFrame(rows, columns=["side", "plots", "share"])


def title_table(plots: pd.DataFrame, each: int = 2) -> pd.DataFrame:
    """Titles taken apart: `each` examples of every form that titles have, the most common form first."""
    parts = ["secondary", "year", "season", "episode", "air_date"]
    given = plots[parts].notna() & (plots[parts] != "")
    form = plots["kind"].str.cat(given.astype(int).astype(str), sep=" ")
    sizes = form.map(form.value_counts())
    examples = plots.assign(form=form, size=sizes).sort_values(["size", "form"], ascending=False, kind="stable")
    examples = examples.groupby("form", sort=False).head(each)

    def numbers(name: str) -> list[str]:
        return ["" if pd.isna(value) else f"{value:.0f}" for value in examples[name]]

    return pd.DataFrame(
        {
            "title as published": examples["title"].map(shortened),
            "kind": examples["kind"],
            "primary title": examples["primary"].map(shortened),
            "secondary title": examples["secondary"].fillna("").map(shortened),
            "year": numbers("year"),
            "season": numbers("season"),
            "episode": numbers("episode"),
            "air date": examples["air_date"].fillna(""),
            "by the IMDb rules": [shortened(imdb_title(row)) for _, row in examples.iterrows()],
            "plots of this form": examples["size"],
        }
    ).reset_index(drop=True)


def duplicate_table(plots: pd.DataFrame, dropped: pd.DataFrame, examples: int = EXAMPLES) -> pd.DataFrame:
    """Plots that were dropped because another has the same words, beside the one that was kept."""
    pairs = _pairs(plots, dropped, "duplicate")
    if pairs.empty:
        return _sentence("No duplicates were found.")
    return _side_by_side(_spread(pairs.drop_duplicates("kept_title"), examples)).drop(columns="similarity")


def near_duplicate_table(plots: pd.DataFrame, dropped: pd.DataFrame, examples: int = EXAMPLES) -> pd.DataFrame:
    """Plots that were dropped because another has nearly their text, from the least to the most similar.

    The similarity is the Jaccard similarity of the two sets of word triples.
    """
    pairs = _pairs(plots, dropped, "near_duplicate")
    if pairs.empty:
        return _sentence("No near-duplicates were found.")
    return _side_by_side(_spread(pairs.sort_values("similarity", kind="stable"), examples))


def _pairs(plots: pd.DataFrame, dropped: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Each row dropped for the reason with the plot that stands for it: titles, plots and similarity."""
    rows = dropped[dropped["reason"] == reason]
    instead = dict(zip(dropped["id"], dropped["detail"], strict=True))
    kept = plots.set_index("id")
    ids = []
    for stand_in in rows["detail"]:
        while stand_in not in kept.index:  # a copy's original may itself be a near duplicate of a third plot
            stand_in = instead[stand_in]
        ids.append(stand_in)
    pairs = pd.DataFrame(
        {
            "kept_title": kept.loc[ids, "title"].to_numpy(), "kept_plot": kept.loc[ids, "plot"].to_numpy(),
            "dropped_title": rows["title"].to_numpy(), "dropped_plot": rows["plot"].to_numpy(),
        }
    )  # fmt: skip
    texts = number_words([*pairs["kept_plot"], *pairs["dropped_plot"]], {})
    first = np.arange(len(pairs))
    return pairs.assign(similarity=jaccard(texts, first, first + len(pairs)))


def _spread(pairs: pd.DataFrame, n: int) -> pd.DataFrame:
    """At most `n` of the rows, from the first to the last at even distances."""
    return pairs.iloc[np.linspace(0, len(pairs) - 1, min(n, len(pairs))).round().astype(int)]


def _side_by_side(pairs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "similarity": [f"{value:.2f}" for value in pairs["similarity"]],
            "title kept": pairs["kept_title"].map(shortened), "begins": pairs["kept_plot"].map(opening),
            "title dropped": pairs["dropped_title"].map(shortened), "begins ": pairs["dropped_plot"].map(opening),
        }
    ).reset_index(drop=True)  # fmt: skip


def _sentence(text: str) -> pd.DataFrame:
    return pd.DataFrame({"": [text]})


def _bars(counts: pd.Series, title: str, what: str) -> Figure:
    """Horizontal bars, the longest on top, with the count at the end of each."""
    counts = counts.sort_values(ascending=False, kind="stable")
    figure, axes = titled(title, 1.05 + _ROW * len(counts))
    bars = axes.barh(counts.index, counts, color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{n:,}" for n in counts], padding=4, color=TEXT, fontsize=9)
    axes.set_xlim(0, 1.1 * counts.max())
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(whole_steps(8))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(what)
    return figure
