"""What a classifier learned, as figures for a notebook. Every title says in a sentence what is seen."""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from movieplots.classification.assessment import (
    Assessment,
    calibration_before,
    f1_by_threshold,
    invented,
    predictions,
)
from movieplots.classification.calibration import calibration_error, reliability
from movieplots.classification.explanation import explain
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.prediction import GenreClassifier
from movieplots.figures import LIGHT, heatmap, legend, sentence_figure, titled
from movieplots.texts import as_texts

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT, GRID = LIGHT.text, LIGHT.grid
_ROW = 0.27  # inches for each row of a figure with one row a genre
_FEW = 20  # test plots of a genre below which its numbers say little
_LIKELY = 0.15  # probability from which on a cell has its number written in


def genre_counts(plots: pd.DataFrame) -> Figure:
    """Training plots of each genre: how uneven they are."""
    counts = plots["genres"].explode().value_counts()
    title = (
        f"{counts.index[0]} has {counts.iloc[0] / counts.iloc[-1]:,.0f} times the training plots of {counts.index[-1]}"
    )
    figure, axes = titled(title, 1.05 + _ROW * len(counts))
    bars = axes.barh(counts.index, counts, color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{n:,}" for n in counts], padding=4, color=TEXT, fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(counts.min() / 1.5, counts.max() * 1.8)
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_xlabel("training plots (logarithmic scale)")
    return figure


def thresholds(assessment: Assessment) -> Figure:
    """F1 against one threshold for all genres, on plots it learned from and on validation plots, micro and macro."""
    table = f1_by_threshold(assessment)
    best = table.iloc[table["validation micro"].argmax()]
    figure, axes = titled(
        f"With one threshold for all genres, validation plots have their best micro-F1, "
        f"{best['validation micro']:.2f}, at {best['threshold']:.2f}; training plots are known better",
        3.8,
    )
    for split, colour in (("train", ORANGE), ("validation", BLUE)):
        name = "plots it learned from" if split == "train" else "validation plots"
        axes.plot(table["threshold"], table[f"{split} micro"], color=colour, linewidth=2, label=f"{name}, micro")
        axes.plot(table["threshold"], table[f"{split} macro"], color=colour, ls="--", label=f"{name}, macro")
    axes.axvline(best["threshold"], color=TEXT, linewidth=1, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("threshold: genres from this probability on are given")
    axes.set_ylabel("F1")
    legend(axes, columns=2)
    return figure


def by_genre(assessment: Assessment) -> Figure:
    """Precision and recall of each genre on the test plots, with the number of plots, the best F1 on top."""
    rows = {name: row for name, row in assessment.metrics.test.per_label.items() if row.support}
    names = sorted(rows, key=lambda name: -rows[name].f1)
    best, worst = names[0], names[-1]
    figure, axes = titled(
        f"{best} is detected best (F1 {rows[best].f1:.2f}), {worst} worst ({rows[worst].f1:.2f}); "
        f"grey names have fewer than {_FEW} test plots",
        1.2 + _ROW * len(names),
    )
    places = np.arange(len(names))
    precision, recall = ([getattr(rows[name], key) for name in names] for key in ("precision", "recall"))
    axes.hlines(places, precision, recall, color=GRID, linewidth=3)
    axes.plot(precision, places, "o", color=BLUE, label="precision: of those given it, how many carry it")
    axes.plot(
        recall, places, "D", color=ORANGE, markersize=5, label="recall: of those that carry it, how many are found"
    )
    axes.set_yticks(places, [f"{name} ({rows[name].support})" for name in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(TEXT if rows[name].support >= _FEW else "#8a919b")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of plots; behind each genre its test plots")
    legend(axes, columns=1)
    return figure


def calibration(assessment: Assessment) -> Figure:
    """Reliability diagram on the test split: how often a genre is right where it is given a probability."""
    truth = assessment.truth["test"]
    before, after = calibration_before(assessment), assessment.proba["test"]
    errors = [calibration_error(truth, proba) for proba in (before, after)]
    figure, axes = titled(
        f"Calibration takes the error of the probabilities from {errors[0]:.3f} to {errors[1]:.3f}; on the diagonal "
        "probabilities would mean what they say",
        4.2,
        5.6,
    )
    axes.plot([0, 1], [0, 1], color=TEXT, linewidth=1, linestyle=":")
    for proba, colour, name in (
        (before, ORANGE, "as trained"),
        (after, BLUE, "calibrated"),
    ):
        confidence, share, count = reliability(truth, proba)
        enough = count >= 10
        axes.plot(confidence[enough], share[enough], color=colour, marker="o", markersize=5, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("probability given")
    axes.set_ylabel("share that carries the genre")
    legend(axes)
    return figure


def confusions(assessment: Assessment) -> Figure:
    """Of test plots of a genre that do not carry another, the share that is given it all the same."""
    enough = [name for name, row in assessment.metrics.test.per_label.items() if row.support >= _FEW]
    cells = invented(assessment).loc[enough, enough].to_numpy()
    if not np.nansum(cells):
        return sentence_figure(f"No two genres with {_FEW} test plots each are confused.")
    row, column = np.unravel_index(np.nanargmax(cells), cells.shape)
    title = (
        f"Most often confused: {cells[row, column]:.0%} of the plots of {enough[row]} without {enough[column]} "
        f"are given {enough[column]}"
    )
    return heatmap(
        cells, enough, title, "Of the plots with this genre …", "… and without this one, the share given it", 0.1
    )


def loglines(classifier: GenreClassifier, texts: dict[str, str]) -> Figure:
    """Probabilities of a few texts by name as a table of colours; those that reach their threshold have a frame."""
    names = list(texts)
    table = predictions(classifier, list(texts.values()))
    table.columns = names
    table = table[(table >= _LIKELY / 3).any(axis=1)]
    table = table.loc[table.max(axis=1).sort_values(ascending=False).index]
    chosen = dict(zip(classifier.labels, classifier.thresholds, strict=True))
    figure, axes = titled(
        f"Probabilities of the genres of {len(names)} loglines; framed ones reach their threshold",
        1.9 + _ROW * len(table),
    )
    axes.grid(False)
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, genre in enumerate(table.index):
        for j, name in enumerate(table.columns):
            value = table.loc[genre, name]
            if value >= _LIKELY or value >= chosen[genre]:
                colour = "#fff" if value > 0.5 else TEXT
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour)
            if value >= chosen[genre]:
                axes.add_patch(_frame(j, i))
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names])
    axes.set_yticks(range(len(table)), table.index)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _frame(x: float, y: float) -> Rectangle:
    return Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, fill=False, edgecolor=RED, linewidth=1.6)


def compared(infos: dict[str, ClassifierInfo], measures: dict[str, str], by: str = "map") -> Figure:
    """The metrics of several classifiers and of the first one's baselines, with their 95 % intervals.

    The title names the one with the highest metric `by`, be it a baseline.
    """
    rows = [(name, info.metrics.test.scores, info.metrics.test.intervals) for name, info in infos.items()]
    first = next(iter(infos.values())).metrics.test.baselines
    rows += [(name, scores, {}) for name, scores in first.items()]
    best, highest, _ = max(rows, key=lambda row: getattr(row[1], by))
    title = f"{best} has the highest {measures[by]}, {getattr(highest, by):.3f}; bars are 95 % intervals"
    figure, axes = titled(title, 1.3 + 0.42 * len(rows))
    for i, ((key, label), colour) in enumerate(zip(measures.items(), (BLUE, ORANGE, GREEN, PINK), strict=False)):
        for row, (_, scores, intervals) in enumerate(rows):
            place = row + 0.12 * (i - 1.5)  # equal values do not cover each other
            if intervals:
                ends = [intervals[key].low, intervals[key].high]
                axes.plot(ends, [place, place], color=colour, linewidth=2, alpha=0.45)
            named, mark = label if row == 0 else None, "o" if intervals else "|"
            axes.plot(getattr(scores, key), place, mark, color=colour, markersize=7, label=named)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("on the test plots; 1 is perfect")
    legend(axes, columns=2)
    return figure


def words_marked(classifier: GenreClassifier, texts: Sequence[str]) -> HTML:
    """Each text once for each genre it is given, its words the bluer the more they speak for the genre."""
    parts = []
    for text in as_texts(texts):
        explanation = explain(classifier, text)
        for genre, effects in explanation.effects.items():
            highest, shown, at = max(float(effects.max()), 1e-9), [], 0
            for (start, end), effect in zip(explanation.spans, effects, strict=True):
                strength = max(0.0, float(effect) / highest)
                word = html.escape(text[start:end])
                if strength > 0.15:
                    word = f'<span style="background: rgba(0, 114, 178, {0.55 * strength:.2f})">{word}</span>'
                shown += [html.escape(text[at:start]), word]
                at = end
            parts.append(f"<p><b>{html.escape(genre)}</b> · {''.join(shown)}{html.escape(text[at:])}</p>")
    return HTML("".join(parts))
