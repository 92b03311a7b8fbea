"""What a classifier learned, as figures and tables for a notebook. Every title says in a sentence what is seen."""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from movieplots.classification.assessment import Assessment, calibration_before, f1_by_threshold, invented, predictions
from movieplots.classification.calibration import calibration_error, reliability
from movieplots.classification.explanation import explain
from movieplots.classification.info import ClassifierInfo, Measured, Scores
from movieplots.classification.metrics import NAMES
from movieplots.classification.prediction import GenreClassifier
from movieplots.formatting import SPACE, interval, listed, percent
from movieplots.intervals import Estimate
from movieplots.reporting.figures import LIGHT, heatmap, legend, sentence_figure, titled
from movieplots.texts import as_text, as_texts, opening, shortened

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT, GRID = LIGHT.text, LIGHT.grid
_ROW = 0.27  # inches for each row of a figure with one row a genre
_FEW = 20  # test plots of a genre below which its numbers say little
_LIKELY = 0.05  # probability from which on a genre of a logline is shown


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
        f"Most often confused: {percent(cells[row, column])} of the plots of {enough[row]} without {enough[column]} "
        f"are given {enough[column]}"
    )
    labels = ("Of the plots with this genre …", "… and without this one, the share given it")
    return heatmap(cells, enough, enough, labels, "share, %", title)


def loglines(classifier: GenreClassifier, texts: dict[str, str]) -> Figure:
    """Probabilities of a few texts by name as a table of colours; those that reach their threshold have a frame."""
    names = list(texts)
    table = predictions(classifier, list(texts.values()))
    table.columns = names
    table = table[(table >= _LIKELY).any(axis=1)]
    table = table.loc[table.max(axis=1).sort_values(ascending=False).index]
    thresholds = pd.Series(classifier.thresholds, classifier.labels)[table.index].to_numpy()
    title = f"Probabilities of the genres of {len(names)} loglines; framed ones reach their threshold"
    columns = [name.replace(" ", "\n", 1) for name in names]
    framed = table.to_numpy() >= thresholds[:, None]
    return heatmap(table.to_numpy(), list(table.index), columns, ("", ""), "probability, %", title, framed)


def compared(infos: dict[str, ClassifierInfo], measures: dict[str, str], by: str = "map") -> Figure:
    """The metrics of several classifiers and of the first one's baselines, with their 95 % intervals.

    The title names the one with the highest metric `by`, be it a baseline, and the others that cannot be told from it.
    """
    rows = [(name, info.metrics.test.scores, info.metrics.test.intervals) for name, info in infos.items()]
    first = next(iter(infos.values())).metrics.test.baselines
    rows += [(name, scores, {}) for name, scores in first.items()]

    def end(row: tuple[str, Scores, dict[str, Estimate]], which: str) -> float:
        return getattr(row[2][by], which) if row[2] else getattr(row[1], by)

    best = max(rows, key=lambda row: getattr(row[1], by))
    alike = [row[0] for row in rows if row is not best and end(row, "high") >= end(best, "low")]
    title = f"{best[0]} has the highest {measures[by]}, {getattr(best[1], by):.3f}; bars are 95{SPACE}% intervals"
    if alike:
        title = (
            f"By their {measures[by]} cannot be told apart: {listed([best[0], *alike])}; bars are 95{SPACE}% intervals"
        )
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


def hardest(assessment: Assessment, most: int = 12) -> pd.DataFrame:
    """The test plots with the highest mean cross-entropy: title, opening words, their genres, and those given."""
    truth, proba = assessment.truth["test"], np.clip(assessment.proba["test"], 1e-6, 1 - 1e-6)
    loss = -(truth * np.log(proba) + (1 - truth) * np.log1p(-proba)).mean(axis=1)
    rows = []
    for i in np.argsort(-loss, kind="stable")[:most]:
        own = [label for label, there in zip(assessment.labels, truth[i], strict=True) if there]
        rows.append(
            {
                "title": shortened(assessment.titles["test"][i]),
                "plot": opening(assessment.texts["test"][i]),
                "its genres": ", ".join(own) or "none that is learned",
                "given": ", ".join(assessment.classifier.labels_from_proba(proba[i])) or "none",
                "loss": float(loss[i]),
            }
        )
    return pd.DataFrame(rows)


def headline_table(infos: dict[str, ClassifierInfo]) -> pd.DataFrame:
    """The four metrics on the test split with 95 % intervals, of classifiers by name, and of the first one's baselines.

    With titles where a classifier was trained with them; the baselines are then given the titles, too.
    """
    rows = []
    first = next(iter(infos.values()))
    for form, what in ((_alone, ""), (_titled, ", with titles")):
        for name, info in infos.items():
            if measured := form(info):
                rows.append(
                    {"": name + what} | {NAMES[m]: interval(measured.intervals[m], "{:.3f}".format) for m in NAMES}
                )
        if measured := form(first):
            for baseline, row in measured.baselines.items():
                rows.append({"": baseline + what} | {NAMES[m]: f"{getattr(row, m):.3f}" for m in NAMES})
    return pd.DataFrame(rows)


def _alone(info: ClassifierInfo) -> Measured:
    return info.metrics.test


def _titled(info: ClassifierInfo) -> Measured | None:
    return info.metrics.test_titled


def genre_table(assessment: Assessment) -> pd.DataFrame:
    """Per genre on the test split: threshold, precision, recall, F1, average precision, plots."""
    rows = zip(assessment.metrics.test.per_label.items(), assessment.classifier.thresholds, strict=True)
    return pd.DataFrame(
        [
            {
                "genre": label, "threshold": float(threshold), "precision": row.precision, "recall": row.recall,
                "F1": row.f1, "average precision": row.average_precision, "plots": row.support,
            }
            for (label, row), threshold in rows
        ]
    ).sort_values("F1", ascending=False)  # fmt: skip


def calibration_table(assessment: Assessment) -> pd.DataFrame:
    """Expected calibration error on the test split, before and after."""
    calibration = assessment.metrics.calibration
    return pd.DataFrame(
        [
            {"": "as trained", "expected calibration error": calibration.error_before},
            {"": "calibrated", "expected calibration error": calibration.error_after},
        ]
    )


def quantization_table(info: ClassifierInfo, before: float, after: float) -> pd.DataFrame:
    """Test metrics before and after quantization; `before` and `after` are sizes in MB, which a row's name states."""
    forms = (("as trained", before, info.metrics.before_quantization), ("quantized", after, info.metrics.test.scores))
    return pd.DataFrame(
        [
            {"": f"{name}, {size:.1f} MB"} | {NAMES[measure]: getattr(scores, measure) for measure in NAMES}
            for name, size, scores in forms
        ]
    )


def prediction_table(classifier: GenreClassifier, text: str, most: int = 5) -> pd.DataFrame:
    """The likeliest genres of a text with their thresholds; `given` are those that reach theirs."""
    proba = classifier.predict_proba([as_text(text)])[0]
    return pd.DataFrame(
        [
            {
                "genre": classifier.labels[i], "probability": float(proba[i]),
                "threshold": float(classifier.thresholds[i]),
                "": "given" if proba[i] >= classifier.thresholds[i] else "",
            }
            for i in np.argsort(-proba, kind="stable")[:most]
        ]
    )  # fmt: skip
