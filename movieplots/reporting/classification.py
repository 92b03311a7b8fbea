"""Figures and tables about a trained classifier, for notebooks."""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from movieplots.classification.assessment import Assessment, calibration_before, f1_by_threshold, invented, predictions
from movieplots.classification.calibration import calibration_error, reliability
from movieplots.classification.explanation import explain
from movieplots.classification.info import ClassifierInfo, Measured, Scores
from movieplots.classification.metrics import NAMES
from movieplots.classification.prediction import GenreClassifier
from movieplots.formatting import SPACE, interval, listed, percent, plural
from movieplots.intervals import Estimate
from movieplots.reporting.figures import LIGHT, heatmap, legend, sentence_figure, titled
from movieplots.texts import as_text, as_texts, opening, shortened

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT, GRID = LIGHT.text, LIGHT.grid
_ROW = 0.27  # inches per row of a figure with one row per genre
_FEW = 20  # with fewer test plots, the metrics of a genre are unreliable
_LIKELY = 0.05  # minimum probability of a genre that is shown for a logline


def genre_counts(plots: pd.DataFrame) -> Figure:
    """Plot the number of plots of each genre, which shows the class imbalance.

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
    >>> from movieplots.reporting.classification import genre_counts
    >>> figure = genre_counts(pd.DataFrame({"genres": [["drama"], ["drama", "crime"], ["drama"]]}))
    >>> figure.get_suptitle()
    'Class imbalance: training plots per genre (3 times as many for drama as for crime)'
    """
    counts = plots["genres"].explode().value_counts()
    ratio = f"{counts.iloc[0] / counts.iloc[-1]:,.0f} times as many for {counts.index[0]} as for {counts.index[-1]}"
    title = f"Class imbalance: training plots per genre ({ratio})"
    figure, axes = titled(title, 1.05 + _ROW * len(counts))
    bars = axes.barh(counts.index, counts, color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{n:,}" for n in counts], padding=4, color=TEXT, fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(counts.min() / 1.5, counts.max() * 1.8)
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training plots (logarithmic scale)")
    return figure


def thresholds(assessment: Assessment) -> Figure:
    """Plot micro-F1 and macro-F1 on training and validation plots against a threshold that all genres share.

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = f1_by_threshold(assessment)
    best = table.iloc[table["validation micro"].argmax()]
    figure, axes = titled(
        "F1 by threshold, with the same threshold for all genres "
        f"(best validation micro-F1: {best['validation micro']:.2f} at {best['threshold']:.2f})",
        3.8,
    )
    for split, color in (("train", ORANGE), ("validation", BLUE)):
        name = "training" if split == "train" else "validation"
        axes.plot(
            table["threshold"], table[f"{split} micro"], color=color, linewidth=2, label=f"micro-F1, {name} plots"
        )
        axes.plot(table["threshold"], table[f"{split} macro"], color=color, ls="--", label=f"macro-F1, {name} plots")
    axes.axvline(best["threshold"], color=TEXT, linewidth=1, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("threshold (minimum probability of a predicted genre)")
    axes.set_ylabel("F1")
    legend(axes, columns=2)
    return figure


def by_genre(assessment: Assessment) -> Figure:
    """Plot precision and recall of each genre on the test plots, sorted by F1.

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = {name: row for name, row in assessment.metrics.test.per_label.items() if row.support}
    names = sorted(rows, key=lambda name: -rows[name].f1)
    best, worst = names[0], names[-1]
    figure, axes = titled(
        f"Precision and recall by genre, sorted by F1 (from {rows[best].f1:.2f} for {best} to {rows[worst].f1:.2f} for "
        f"{worst}; gray: fewer than {_FEW} test plots)",
        1.2 + _ROW * len(names),
    )
    places = np.arange(len(names))
    precision, recall = ([getattr(rows[name], key) for name in names] for key in ("precision", "recall"))
    axes.hlines(places, precision, recall, color=GRID, linewidth=3)
    axes.plot(precision, places, "o", color=BLUE, label="precision (correct predictions / all predictions)")
    axes.plot(
        recall, places, "D", color=ORANGE, markersize=5, label="recall (correct predictions / all plots of the genre)"
    )
    axes.set_yticks(places, [f"{name} ({rows[name].support})" for name in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(TEXT if rows[name].support >= _FEW else "#8a919b")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("precision, recall")
    axes.set_ylabel("genre (number of test plots)")
    legend(axes, columns=1)
    return figure


def calibration(assessment: Assessment) -> Figure:
    """Plot a reliability diagram on the test plots, before and after calibration.

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    truth = assessment.truth["test"]
    before, after = calibration_before(assessment), assessment.proba["test"]
    errors = [calibration_error(truth, proba) for proba in (before, after)]
    figure, axes = titled(
        f"Reliability diagram (expected calibration error: {errors[0]:.3f} before, {errors[1]:.3f} after calibration)",
        4.2,
        5.6,
    )
    axes.plot([0, 1], [0, 1], color=TEXT, linewidth=1, linestyle=":")
    for proba, color, name in (
        (before, ORANGE, "before calibration"),
        (after, BLUE, "after calibration"),
    ):
        confidence, share, count = reliability(truth, proba)
        enough = count >= 10
        axes.plot(confidence[enough], share[enough], color=color, marker="o", markersize=5, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share of plots with the genre")
    legend(axes)
    return figure


def confusions(assessment: Assessment) -> Figure:
    """Plot how often test plots of a genre (rows) are wrongly predicted to have another genre (columns).

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    enough = [name for name, row in assessment.metrics.test.per_label.items() if row.support >= _FEW]
    if len(enough) < 2:
        return sentence_figure(f"Fewer than two genres have at least {_FEW} test plots.")
    cells = invented(assessment).loc[enough, enough].to_numpy()
    if not np.nansum(cells):
        return sentence_figure(f"No false positives between genres with at least {_FEW} test plots.")
    row, column = np.unravel_index(np.nanargmax(cells), cells.shape)
    title = (
        f"False positives by genre (maximum: {enough[column]} is predicted for {percent(cells[row, column])} of the "
        f"plots with {enough[row]} but without {enough[column]})"
    )
    labels = ("genre of the plots", "genre predicted but absent")
    return heatmap(cells, enough, enough, labels, "false positive rate, %", title)


def loglines(classifier: GenreClassifier, texts: dict[str, str]) -> Figure:
    """Plot the predicted probabilities of a few texts; frames mark predicted genres.

    Parameters
    ----------
    classifier : GenreClassifier
        Classifier to use.
    texts : dict of str to str
        Texts by name.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.reporting.classification import loglines
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> type(loglines(classifier, {"a western": "A sheriff rides into a town of outlaws."})).__name__
    'Figure'
    """
    names = list(texts)
    table = predictions(classifier, list(texts.values()))
    table.columns = names
    table = table[(table >= _LIKELY).any(axis=1)]
    table = table.loc[table.max(axis=1).sort_values(ascending=False).index]
    thresholds = pd.Series(classifier.thresholds, classifier.labels)[table.index].to_numpy()
    title = (
        f"Predicted probabilities for {plural(len(names), 'logline')} (framed: at or above the threshold of the genre)"
    )
    columns = [name.replace(" ", "\n", 1) for name in names]
    framed = table.to_numpy() >= thresholds[:, None]
    return heatmap(table.to_numpy(), list(table.index), columns, ("", ""), "probability, %", title, framed)


def compared(infos: dict[str, ClassifierInfo], measures: dict[str, str], by: str = "map") -> Figure:
    """Plot the test metrics of several classifiers and of the first one's baselines, with 95 % CIs.

    Parameters
    ----------
    infos : dict of str to ClassifierInfo
        Infos of the classifiers by name.
    measures : dict of str to str
        Metrics to plot: their keys, such as "macro_f1", with the names to show.
    by : str, default "map"
        Metric by which the title names the best classifier or baseline, and those with overlapping CIs.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = [(name, info.metrics.test.scores, info.metrics.test.intervals) for name, info in infos.items()]
    first = next(iter(infos.values())).metrics.test.baselines
    rows += [(name, scores, {}) for name, scores in first.items()]

    def end(row: tuple[str, Scores, dict[str, Estimate]], which: str) -> float:
        return getattr(row[2][by], which) if row[2] else getattr(row[1], by)

    best = max(rows, key=lambda row: getattr(row[1], by))
    alike = [row[0] for row in rows if row is not best and end(row, "high") >= end(best, "low")]
    title = f"Test metrics with 95{SPACE}% CIs (highest {measures[by]}: {best[0]}, {getattr(best[1], by):.3f})"
    if alike:
        title = f"Test metrics with 95{SPACE}% CIs (no clear difference in {measures[by]}: {listed([best[0], *alike])})"
    figure, axes = titled(title, 1.3 + 0.42 * len(rows))
    for i, ((key, label), color) in enumerate(zip(measures.items(), (BLUE, ORANGE, GREEN, PINK), strict=False)):
        for row, (_, scores, intervals) in enumerate(rows):
            place = row + 0.12 * (i - 1.5)  # so that equal values do not overlap
            if intervals:
                ends = [intervals[key].low, intervals[key].high]
                axes.plot(ends, [place, place], color=color, linewidth=2, alpha=0.45)
            named, mark = label if row == 0 else None, "o" if intervals else "|"
            axes.plot(getattr(scores, key), place, mark, color=color, markersize=7, label=named)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("value on the test plots (0 to 1; higher is better)")
    legend(axes, columns=2)
    return figure


def words_marked(classifier: GenreClassifier, texts: Sequence[str]) -> HTML:
    """Return each text once per predicted genre, with the words that contribute most to the genre highlighted.

    Parameters
    ----------
    classifier : GenreClassifier
        Classifier to use.
    texts : sequence of str
        Texts to explain.

    Returns
    -------
    IPython.display.HTML
        A darker blue marks a larger contribution.

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.reporting.classification import words_marked
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> type(words_marked(classifier, ["A sheriff rides into a town of outlaws."])).__name__
    'HTML'
    """
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
    """Return the test plots with the highest loss.

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.
    most : int, default 12
        Maximum number of plots.

    Returns
    -------
    pandas.DataFrame
        The title, opening words, genres, predicted genres and loss of each plot. The loss is the binary cross-entropy
        (BCE), averaged over the genres.
    """
    truth, proba = assessment.truth["test"], np.clip(assessment.proba["test"], 1e-6, 1 - 1e-6)
    loss = -(truth * np.log(proba) + (1 - truth) * np.log1p(-proba)).mean(axis=1)
    rows = []
    for i in np.argsort(-loss, kind="stable")[:most]:
        own = [label for label, present in zip(assessment.labels, truth[i], strict=True) if present]
        rows.append(
            {
                "title": shortened(assessment.titles["test"][i]),
                "plot": opening(assessment.texts["test"][i]),
                "genres": ", ".join(own) or "none of the labels",
                "predicted": ", ".join(assessment.classifier.labels_from_proba(proba[i])) or "none",
                "BCE": float(loss[i]),
            }
        )
    return pd.DataFrame(rows)


def headline_table(infos: dict[str, ClassifierInfo]) -> pd.DataFrame:
    """Return the main test metrics of classifiers with 95 % CIs, and those of the first one's baselines.

    Parameters
    ----------
    infos : dict of str to ClassifierInfo
        Infos of the classifiers by name.

    Returns
    -------
    pandas.DataFrame
        One row per classifier and baseline, with the values as text. If classifiers were trained with titles, there
        are additional rows for plots with titles.

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.reporting.classification import headline_table
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> headline_table({"pretrained": classifier.info}).iloc[0, 0]
    'pretrained'
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
    """Return the threshold and the test metrics of each genre.

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.

    Returns
    -------
    pandas.DataFrame
        One row per genre, sorted by F1: threshold, precision, recall, F1, average precision, and number of test plots.
    """
    rows = zip(assessment.metrics.test.per_label.items(), assessment.classifier.thresholds, strict=True)
    return pd.DataFrame(
        [
            {
                "genre": label, "threshold": float(threshold), "precision": row.precision, "recall": row.recall,
                "F1": row.f1, "average precision": row.average_precision, "test plots": row.support,
            }
            for (label, row), threshold in rows
        ]
    ).sort_values("F1", ascending=False)  # fmt: skip


def calibration_table(assessment: Assessment) -> pd.DataFrame:
    """Return the expected calibration error on the test plots, before and after calibration.

    Parameters
    ----------
    assessment : Assessment
        Result of `movieplots.classification.assessment.assess`.

    Returns
    -------
    pandas.DataFrame of shape (2, 2)
    """
    calibration = assessment.metrics.calibration
    return pd.DataFrame(
        [
            {"": "before calibration", "expected calibration error": calibration.error_before},
            {"": "after calibration", "expected calibration error": calibration.error_after},
        ]
    )


def quantization_table(info: ClassifierInfo, before: float, after: float) -> pd.DataFrame:
    """Return the test metrics before and after quantization.

    Parameters
    ----------
    info : ClassifierInfo
        Info of a quantized classifier.
    before, after : float
        Sizes of the classifiers in MB, which the names of the rows state.

    Returns
    -------
    pandas.DataFrame
        Two rows, with one column per metric.
    """
    forms = (("not quantized", before, info.metrics.before_quantization), ("int8", after, info.metrics.test.scores))
    return pd.DataFrame(
        [
            {"": f"{name}, {size:.1f} MB"} | {NAMES[measure]: getattr(scores, measure) for measure in NAMES}
            for name, size, scores in forms
        ]
    )


def prediction_table(classifier: GenreClassifier, text: str, most: int = 5) -> pd.DataFrame:
    """Return the most probable genres of a text, with their thresholds.

    Parameters
    ----------
    classifier : GenreClassifier
        Classifier to use.
    text : str
        Plot to classify.
    most : int, default 5
        Maximum number of genres.

    Returns
    -------
    pandas.DataFrame
        One row per genre, the most probable first: genre, probability, threshold, and whether it is predicted.

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.reporting.classification import prediction_table
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> prediction_table(classifier, "A sheriff rides into a town of outlaws.").iloc[0]["genre"]
    'western'
    """
    proba = classifier.predict_proba([as_text(text)])[0]
    return pd.DataFrame(
        [
            {
                "genre": classifier.labels[i], "probability": float(proba[i]),
                "threshold": float(classifier.thresholds[i]),
                "predicted": "yes" if proba[i] >= classifier.thresholds[i] else "no",
            }
            for i in np.argsort(-proba, kind="stable")[:most]
        ]
    )  # fmt: skip
