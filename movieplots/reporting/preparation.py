"""Figures and tables about the preparation of a dataset, for notebooks.

A figure without data shows a sentence instead. Tables show only the opening words of a plot, because most corpora do
not allow you to publish their plots.
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
_ROW = 0.27  # inches per bar of a figure with one bar per genre


def sources(report: Preparation) -> Figure:
    """Plot the number of rows of each source that were kept and dropped.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from movieplots import prepare
    >>> from movieplots.reporting.preparation import sources
    >>> report = prepare("sample", "runs/plots")
    >>> print(sources(report).get_suptitle())
    Rows by source: 420 of 420 kept (100...%)
    """
    names = list(report.by_source)
    read = np.array([report.by_source[name].read for name in names])
    kept = np.array([report.by_source[name].kept for name in names])
    title = f"Rows by source: {report.kept:,} of {report.read:,} kept ({percent(report.kept / report.read)})"
    figure, axes = titled(title, 1.3 + 0.36 * len(names))
    axes.barh(names, kept, color=BLUE, height=0.6, label="kept")
    axes.barh(names, read - kept, left=kept, color=ORANGE, height=0.6, label="dropped")
    for y, (n, total) in enumerate(zip(kept, read, strict=True)):
        axes.annotate(f"{n:,} of {total:,}", (total, y), (5, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.25 * read.max())
    axes.set_xlabel("rows")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(whole_steps(6))
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    legend(axes, columns=4)
    return figure


def dropped_rows(report: Preparation) -> Figure:
    """Plot the number of dropped rows by reason.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not report.dropped:
        return sentence_figure(f"No rows were dropped: all {report.read:,} were kept.")
    counts = pd.Series({REASONS.get(reason, reason): n for reason, n in report.dropped.items()})
    return _bars(
        counts,
        f"Dropped rows by reason: {counts.sum():,} of {report.read:,} ({percent(counts.sum() / report.read)})",
        "dropped rows",
    )


def languages(report: Preparation) -> Figure:
    """Plot the number of plots in languages other than English, by language code.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    english, total = report.languages.get("en", 0), sum(report.languages.values())
    others = pd.Series({code: n for code, n in report.languages.items() if code != "en"}, dtype=int)
    if others.empty:
        return sentence_figure(f"All {plural(total, 'plot')} are in English.")
    title = (
        f"Detected languages other than English: {plural(int(others.sum()), 'plot')} in "
        f"{plural(len(others), 'language')} ({percent(english / total)} of {total:,} plots are in English)"
    )
    return _bars(others, title, "plots per language code (ISO 639-1)")


def genre_frequencies(report: Preparation) -> Figure:
    """Plot the number of plots of each genre, the most frequent genre first.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    counts = pd.Series(report.genres)
    most, least = str(counts.idxmax()), str(counts.idxmin())
    title = (
        f"Plots per genre: {plural(len(counts), 'genre')}, from {most} ({percent(counts[most] / report.kept)} of the "
        f"plots) to {least} ({percent(counts[least] / report.kept)})"
    )
    return _bars(counts, title, "plots")


def genres_per_plot(plots: pd.DataFrame) -> Figure:
    """Plot the number of plots with one genre, two genres, and so on.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots, as `movieplots.load_plots` returns them.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.preparation import genres_per_plot
    >>> print(genres_per_plot(pd.DataFrame({"genres": [["drama"], ["drama", "crime"]]})).get_suptitle())
    Genres per plot: 1.5 on average; 50...% of the plots have more than one
    """
    numbers = plots["genres"].str.len()
    counts = numbers.value_counts().sort_index().reindex(range(1, numbers.max() + 1), fill_value=0)
    several = percent((numbers > 1).mean())
    title = f"Genres per plot: {numbers.mean():.1f} on average; {several} of the plots have more than one"
    figure, axes = titled(title, 3.2)
    bars = axes.bar(counts.index, counts, color=BLUE, width=0.7)
    axes.bar_label(bars, [f"{n:,}\n{percent(n / len(plots))}" for n in counts], padding=3, color=TEXT)
    axes.set_xticks(counts.index)
    axes.set_xlim(0.4, max(4, counts.index[-1]) + 0.6)
    axes.set_ylim(0, 1.22 * counts.max())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(whole_steps(6))
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("genres per plot")
    axes.set_ylabel("plots")
    return figure


def shared_genres(plots: pd.DataFrame) -> pd.DataFrame:
    """Return the share of the plots of each genre (row) that also have another genre (column).

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots, as `movieplots.load_plots` returns them.

    Returns
    -------
    pandas.DataFrame of shape (n_genres, n_genres)
        Shares from 0 to 1, with 1 on the diagonal; the most frequent genre comes first.

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.preparation import shared_genres
    >>> float(shared_genres(pd.DataFrame({"genres": [["drama"], ["drama", "crime"]]})).loc["drama", "crime"])
    0.5
    """
    order = plots["genres"].explode().value_counts().index
    present = np.array([[genre in genres for genre in order] for genres in map(set, plots["genres"])], dtype=np.int64)
    together = present.T @ present
    return pd.DataFrame(together / np.diag(together)[:, None], index=order, columns=order)


def genre_cooccurrence(plots: pd.DataFrame) -> Figure:
    """Plot how often genres co-occur, as a heatmap of `shared_genres`.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots, as `movieplots.load_plots` returns them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    shares = shared_genres(plots)
    names, cells = list(shares.index), shares.to_numpy().copy()
    np.fill_diagonal(cells, np.nan)
    if len(names) < 2 or not np.nanmax(cells):
        return sentence_figure("No plot has more than one genre.")
    row, column = np.unravel_index(np.nanargmax(cells), cells.shape)
    title = (
        f"Co-occurrence of genres (maximum: {percent(cells[row, column])} of the plots with {names[row]} also have "
        f"{names[column]})"
    )
    labels = ("genre of the plots", "other genre")
    return heatmap(cells, names, names, labels, "plots with the other genre, %", title)


def plot_lengths(plots: pd.DataFrame, report: Preparation) -> Figure:
    """Plot a histogram of the lengths of the plots in words, with the median and the length limits.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots, as `movieplots.load_plots` returns them.
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    Limits in tokens are stated in the title instead of drawn, because the axis is in words.
    """
    lengths = plots["plot"].map(count_words).to_numpy()
    low, high, unit = report.settings.min_length, report.settings.max_length, report.settings.length_in
    in_words = unit == "words"
    title = (
        f"Lengths of the plots: {lengths.min():,} to {lengths.max():,} words "
        f"(quartiles {np.quantile(lengths, 0.25):.0f} and {np.quantile(lengths, 0.75):.0f})"
    )
    if not in_words:
        title += f"; limits: {low:,} to {high:,} {unit}"
    figure, axes = length_histogram(title, lengths, (low, high) if in_words else (), "words per plot")
    median = float(np.median(lengths))
    mark(axes, median, 2, TEXT, ":", f"median: {median:.0f} words")
    if in_words:
        short, long = report.dropped.get("too_short", 0), report.dropped.get("too_long", 0)
        mark(axes, low, 1, RED, "--", f"minimum: {low:,} words ({plural(short, 'plot')} dropped)")
        mark(axes, high, 0, RED, "--", f"maximum: {high:,} words ({report.truncated:,} truncated, {long:,} dropped)")
    return figure


def plots_per_year(plots: pd.DataFrame) -> Figure:
    """Plot the number of plots by the year of their title, stacked by kind.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots, as `movieplots.load_plots` returns them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    dated = plots[plots["year"].notna()]
    if dated.empty:
        return sentence_figure("No title has a year.")
    years = dated["year"].astype(int)
    counts = pd.crosstab(years, dated["kind"]).reindex(range(years.min(), years.max() + 1), fill_value=0)
    totals = counts.sum(axis=1)
    unknown = len(plots) - len(dated)
    title = (
        f"Plots by year, {years.min()} to {years.max()}: median {np.quantile(years, 0.5):.0f}, maximum in "
        f"{totals.idxmax()} ({totals.max():,})" + (f"; {plural(unknown, 'plot')} without a year" if unknown else "")
    )
    figure, axes = titled(title, 3.6)
    bottom = np.zeros(len(counts))
    for kind in [*KINDS, *counts.columns.difference(list(KINDS))]:  # sources can define other kinds
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
    """Plot the share of the plots of each genre that are in the validation and test splits, with the target share.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    counts = pd.DataFrame(report.genres_by_split).T[list(SPLITS)].loc[list(report.genres)]
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    parts = " : ".join(f"{percent(report.splits[split] / report.kept)}" for split in SPLITS)
    title = f"Validation and test shares by genre (all plots: {parts} for training, validation and test)"
    if report.kept_splits:
        title += f"; {plural(report.kept_splits, 'title')} kept the split of an earlier preparation"
    figure, axes = titled(title, 1.7 + _ROW * len(shares))
    rows = np.arange(len(shares))
    axes.hlines(rows, 0, shares[["validation", "test"]].max(axis=1), color=GRID, linewidth=1)
    for split, color, marker, shift in (("validation", BLUE, "o", -0.14), ("test", ORANGE, "D", 0.14)):
        axes.scatter(
            shares[split], rows + shift, color=color, marker=marker, s=34, label=split, zorder=3, clip_on=False
        )
    target = 100 * SHARES["test"]
    axes.axvline(target, color=TEXT, linestyle="--", linewidth=1.2, label=f"target: {percent(SHARES['test'])} each")
    axes.set_yticks(rows, [f"{genre} ({n:,})" for genre, n in counts.sum(axis=1).items()])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(2 * target, shares[["validation", "test"]].to_numpy().max()))
    axes.xaxis.set_major_locator(whole_steps(8))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of the plots of the genre, %")
    axes.set_ylabel("genre (number of plots)")
    legend(axes, columns=4)
    return figure


def source_table(report: Preparation) -> pd.DataFrame:
    """Return the sources that were read, with their licenses and numbers of plots.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    pandas.DataFrame
        One row per source: its name, description, license, rows read, and plots kept.
    """
    rows = []
    for name, counts in report.by_source.items():
        source = get_source(name)
        rows.append((name, source.what, source.license, counts.read, counts.kept))
    return pd.DataFrame(rows, columns=["source", "description", "license", "rows read", "plots kept"])


def repair_table(report: Preparation) -> pd.DataFrame:
    """Return what cleaning removed or repaired, with the number of plots.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    pandas.DataFrame
        One row per kind of repair, or a table with one sentence if there were none.
    """
    if not report.repaired:
        return _sentence("No plots were repaired.")
    rows = [(REPAIRS.get(name, name), n) for name, n in report.repaired.items()]
    return pd.DataFrame(rows, columns=["removed or repaired", "plots"])


def boilerplate_table(report: Preparation, most: int = 25) -> pd.DataFrame:
    """Return the boilerplate sentences that were removed because they occur with many titles.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.
    most : int, default 25
        Maximum number of sentences.

    Returns
    -------
    pandas.DataFrame
        One row per sentence, the most frequent first: its opening words, and how often it was removed.
    """
    rows = [(opening(sentence), n) for sentence, n in list(report.boilerplate.items())[:most]]
    return pd.DataFrame(rows or [("No boilerplate was found.", 0)], columns=["boilerplate sentence", "times removed"])


def split_table(report: Preparation) -> pd.DataFrame:
    """Return the number and share of plots in each split.

    Parameters
    ----------
    report : Preparation
        Result of `movieplots.prepare`.

    Returns
    -------
    pandas.DataFrame
        One row per split: train, validation, test.
    """
    rows = [(split, n, percent(n / report.kept)) for split, n in report.splits.items()]
    return pd.DataFrame(rows, columns=["split", "plots", "share"])


def title_table(plots: pd.DataFrame, each: int = 2) -> pd.DataFrame:
    """Return examples of parsed titles for each form of titles, the most frequent form first.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots, as `movieplots.load_plots` returns them.
    each : int, default 2
        Maximum number of examples per form.

    Returns
    -------
    pandas.DataFrame
        One row per example: the title as published, its parts, the title in the IMDb format, and the number of plots
        with titles of the same form (the same kind and the same parts).
    """
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
            "IMDb format": [shortened(imdb_title(row)) for _, row in examples.iterrows()],
            "plots with this form": examples["size"],
        }
    ).reset_index(drop=True)


def duplicate_table(plots: pd.DataFrame, dropped: pd.DataFrame, examples: int = EXAMPLES) -> pd.DataFrame:
    """Return plots that were dropped as duplicates, with the plots that were kept instead.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots that were kept, as `movieplots.load_plots` returns them.
    dropped : pandas.DataFrame
        Rows that were dropped, from dropped.parquet in the folder of the dataset.
    examples : int, default 8
        Maximum number of rows.

    Returns
    -------
    pandas.DataFrame
        One row per pair, with titles and opening words, or a table with one sentence if there are no duplicates.
    """
    pairs = _pairs(plots, dropped, "duplicate")
    if pairs.empty:
        return _sentence("No duplicates were found.")
    return _side_by_side(_spread(pairs.drop_duplicates("kept_title"), examples)).drop(columns="similarity")


def near_duplicate_table(plots: pd.DataFrame, dropped: pd.DataFrame, examples: int = EXAMPLES) -> pd.DataFrame:
    """Return plots that were dropped as near-duplicates, with the plots that were kept instead.

    Parameters
    ----------
    plots : pandas.DataFrame
        Plots that were kept, as `movieplots.load_plots` returns them.
    dropped : pandas.DataFrame
        Rows that were dropped, from dropped.parquet in the folder of the dataset.
    examples : int, default 8
        Maximum number of rows.

    Returns
    -------
    pandas.DataFrame
        One row per pair, from the least to the most similar, or a table with one sentence if there are no
        near-duplicates. The similarity is the Jaccard similarity of the sets of word trigrams.
    """
    pairs = _pairs(plots, dropped, "near_duplicate")
    if pairs.empty:
        return _sentence("No near-duplicates were found.")
    return _side_by_side(_spread(pairs.sort_values("similarity", kind="stable"), examples))


def _pairs(plots: pd.DataFrame, dropped: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Return each row that was dropped for the reason with the plot kept instead: titles, plots and similarity."""
    rows = dropped[dropped["reason"] == reason]
    instead = dict(zip(dropped["id"], dropped["detail"], strict=True))
    kept = plots.set_index("id")
    ids = []
    for other in rows["detail"]:
        while other not in kept.index:  # it may itself be a near-duplicate of a third plot
            other = instead[other]
        ids.append(other)
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
    """Return at most `n` evenly spaced rows, from the first to the last."""
    return pairs.iloc[np.linspace(0, len(pairs) - 1, min(n, len(pairs))).round().astype(int)]


def _side_by_side(pairs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "similarity": [f"{value:.2f}" for value in pairs["similarity"]],
            "title kept": pairs["kept_title"].map(shortened), "opening kept": pairs["kept_plot"].map(opening),
            "title dropped": pairs["dropped_title"].map(shortened),
            "opening dropped": pairs["dropped_plot"].map(opening),
        }
    ).reset_index(drop=True)  # fmt: skip


def _sentence(text: str) -> pd.DataFrame:
    return pd.DataFrame({"": [text]})


def _bars(counts: pd.Series, title: str, what: str) -> Figure:
    """Return a figure of horizontal bars labeled with their counts, the longest at the top."""
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
