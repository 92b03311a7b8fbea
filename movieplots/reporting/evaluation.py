"""The figures of the report, for light and dark pages; the same input gives the same bytes.

Each function takes the metrics of a report (see metrics.json) and, if it shows single samples, its table of samples. A
generator has the same color in all figures. Lines of real test plots are dark and dashed, of shuffled words dotted.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from movieplots.classification.info import Scores
from movieplots.errors import BadInput
from movieplots.evaluation.classifier_quality import best_baseline
from movieplots.evaluation.metrics import Cell, ControlMeans, JudgeScores, Metrics
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.files import ensure_folder, write_text
from movieplots.intervals import Estimate
from movieplots.measures.copying import NGRAMS
from movieplots.measures.novelty_index import COPIED_WORDS
from movieplots.reporting.figures import LIGHT, canvas, heatmap, in_dark, legend, panels
from movieplots.reporting.metric_definitions import METRICS
from movieplots.reporting.training import training_curves

BLUE, ORANGE, RED, TEXT = LIGHT.series[0], LIGHT.series[1], LIGHT.series[4], LIGHT.text
_DPI = 160
_WIDTH = 4.8  # inches; legible at the width of a phone
_WIDE = 9.6
_MOST_WORDS = 40  # longer verbatim spans share the last bar of the histogram
_BY_SETTING = ("mauve", "genre_accuracy", "truncated", "distinct_2", "self_bleu", "novel_4grams")
_OF_TITLES = (
    ("titled", "have a title"),
    ("well_formed", "well-formed title"),
    ("of_series", "title of a series"),
    ("known_series", "… of a known series"),
    ("primary_exact", "known primary title"),
    ("secondary_exact", "known secondary title"),
    ("unique_primary", "different primary titles"),
    ("unique_title", "different titles"),
    ("unique_plot", "different plots"),
)


class Style(TypedDict):
    """Color and line style of a generator or a reference."""

    color: str
    linestyle: str
    linewidth: float


@dataclass(frozen=True)
class Drawn:
    """A figure as SVG, for light and dark pages; `of` is the model that it shows, "" for all models."""

    light: str
    dark: str
    of: str = ""


def draw_figures(metrics: Metrics, table: pd.DataFrame, folder: Path) -> dict[str, Drawn]:
    """Draw all figures that the input allows, write them into `folder` as PNG and SVG, and return them by name."""
    ensure_folder(folder)
    drawn = {}
    for name, of, draw in _drawers(metrics, table):
        figure = draw()
        (folder / f"{name}.png").write_bytes(png(figure))
        light = svg(figure)
        write_text(folder / f"{name}.svg", light)
        drawn[name] = Drawn(light, in_dark(light), of)
    return drawn


def _drawers(metrics: Metrics, table: pd.DataFrame) -> Iterator[tuple[str, str, Callable[[], Figure]]]:
    yield "similarity", "", partial(similarity, metrics, table)
    yield "verbatim_spans", "", partial(verbatim_spans, metrics, table)
    yield "novel_ngrams", "", partial(novel_ngrams, metrics)
    yield "by_setting", "", partial(by_setting, metrics)
    if any(model.samples.genre_accuracy for model in metrics.models.values()):
        yield "genre_accuracy", "", partial(genre_accuracy, metrics)
    if any(model.samples.titled.value for model in metrics.models.values()):
        yield "titles", "", partial(titles, metrics)
    for number, (name, model) in enumerate(metrics.models.items(), 1):
        end = "" if len(metrics.models) == 1 else f"_{number}"
        if model.genre_control and model.genre_control.prompted:
            yield f"genre_probability{end}", name, partial(genre_probability, metrics, name)
            yield f"genre_confusion{end}", name, partial(genre_confusion, metrics, name)
        yield f"genre_similarity{end}", name, partial(genre_similarity, metrics, name)
        if any("loss" in entry or "eval_loss" in entry for entry in model.history):
            guided = bool(model.learning and model.learning.guidance_scale)
            yield f"training_curve{end}", name, partial(training_curves, model.history, guided=guided)
    if quality := metrics.judge:
        yield "classifier_f1", "", partial(classifier_f1, quality.classifier, best_baseline(quality))


def png(figure: Figure) -> bytes:
    """Return the figure as PNG, without metadata that depend on the installation."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout is computed: do not compute it again for the SVG
    return buffer.getvalue()


def svg(figure: Figure) -> str:
    """Return the figure as SVG, the same each time: without a date, and with ids from a fixed salt."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "movieplots"}):
        figure.savefig(buffer, format="svg", facecolor=figure.get_facecolor(), metadata={"Date": None})
    return buffer.getvalue()


def similarity(metrics: Metrics, table: pd.DataFrame) -> Figure:
    """Plot histograms of the similarity of each text to its nearest training plot, by words and by embedding.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.
    table : pandas.DataFrame
        Samples of the report, with the columns `model`, `plot_jaccard` and `plot_cosine`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = panels(1, 2, _WIDE, 3.4)
    for place, column, label in (
        (axes[0], "plot_jaccard", "Jaccard similarity to the nearest training plot"),
        (axes[1], "plot_cosine", "cosine similarity to the nearest training plot"),
    ):
        values = table[column].dropna()
        edges = np.linspace(min(0.0, float(values.min())) if len(values) else 0.0, 1, 41)
        for name, style in _styles(metrics).items():
            _histogram(place, table.loc[table["model"] == name, column].dropna(), edges, name, style)
        place.set_xlabel(label)
        place.set_ylabel("share of texts, %")
    _legend_of_all(figure, metrics.texts, axes)
    return figure


def verbatim_spans(metrics: Metrics, table: pd.DataFrame) -> Figure:
    """Plot a histogram of the longest verbatim span of each text.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.
    table : pandas.DataFrame
        Samples of the report, with the columns `model` and `longest_verbatim_span`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = canvas(_WIDTH, 3.4)
    longest = int(table["longest_verbatim_span"].max())
    last = min(max(longest, COPIED_WORDS + 5), _MOST_WORDS)
    edges = np.arange(-0.5, last + 1.5)
    for name, style in _styles(metrics).items():
        _histogram(
            axes, table.loc[table["model"] == name, "longest_verbatim_span"].clip(upper=last), edges, name, style
        )
    axes.axvline(COPIED_WORDS + 0.5, color=RED, linestyle="--", linewidth=1.4, label=f"copied > {COPIED_WORDS} words")
    ticks = [*range(0, last - 2, 5), last]
    axes.set_xticks(ticks, [str(tick) for tick in ticks[:-1]] + [f"{last}{'+' if longest > last else ''}"])
    axes.set_xlabel("longest verbatim span, words")
    axes.set_ylabel("share of texts, %")
    legend(axes)
    return figure


def novel_ngrams(metrics: Metrics) -> Figure:
    """Plot the share of novel n-grams for n from 1 to 8, with 95 % CIs.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = canvas(_WIDTH, 3.4)
    for name, style in _styles(metrics).items():
        summary = metrics.texts[name].samples
        found = [(n, value) for n in NGRAMS if (value := summary.measure(f"novel_{n}grams"))]
        if found:
            axes.plot(
                [n for n, _ in found], [100 * value.value for _, value in found], label=name, marker="o",
                markersize=4, **style,
            )  # fmt: skip
            low, high = [100 * value.low for _, value in found], [100 * value.high for _, value in found]
            axes.fill_between([n for n, _ in found], low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set_xticks(list(NGRAMS))
    axes.set_ylim(0, 102)
    axes.set_xlabel("n (words per n-gram)")
    axes.set_ylabel("novel n-grams, %")
    legend(axes)
    return figure


def by_setting(metrics: Metrics) -> Figure:
    """Plot six metrics by temperature and top-p: bars with 95 % CIs, and lines for the references.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.

    Returns
    -------
    matplotlib.figure.Figure
    """
    shown = [
        name
        for name in _BY_SETTING
        if any(cell.measure(name) for model in metrics.models.values() for cell in model.by_cell)
    ]
    rows = -(-len(shown) // 2)
    figure, axes = panels(rows, 2, _WIDE, 2.7 * rows + 0.4)
    settings = sorted({_setting(cell) for model in metrics.models.values() for cell in model.by_cell})
    labels = [f"{temperature:g}\n{f'{top_p:g}' if top_p else 'off'}" for temperature, top_p in settings]
    styles, models = _styles(metrics), list(metrics.models)
    width = 0.8 / len(models)
    for place, measure in zip(axes.flat, shown, strict=False):
        metric = METRICS[measure]
        factor, unit = (100, ", %") if metric.shown_as == "percentage" else (1, " (0 to 1)")
        for i, name in enumerate(models):
            cells = [(cell, value) for cell in metrics.models[name].by_cell if (value := cell.measure(measure))]
            x = [settings.index(_setting(cell)) + (i - (len(models) - 1) / 2) * width for cell, _ in cells]
            _bars(place, x, [value for _, value in cells], factor, width, styles[name]["color"], name)
        for name, found in metrics.references.items():
            value = found.by_cell[0].measure(measure)
            if value and measure != "truncated":  # references have no length limit
                style = styles[name]
                place.axhline(
                    factor * value.value, color=style["color"], linestyle=style["linestyle"], linewidth=1.4, label=name
                )
        place.set_xticks(range(len(settings)), labels)
        place.set_title(f"{metric.name}{unit}", loc="left", fontsize=11, color=TEXT)
        place.set_ylim(bottom=0)
        place.grid(axis="x", visible=False)
    for place in axes.flat[len(shown) :]:
        place.set_visible(False)
    for place in axes.flat[max(len(shown) - 2, 0) : len(shown)]:
        place.set_xlabel("temperature (first line), top-p (second line)")
    _legend_of_all(figure, metrics.texts, axes.flat)
    return figure


def genre_accuracy(metrics: Metrics) -> Figure:
    """Plot the genre accuracy of each prompted genre, with 95 % CIs, and the recall of the classifier on test plots.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report with a genre classifier.

    Returns
    -------
    matplotlib.figure.Figure
    """
    models = metrics.models
    shares = {
        name: {row.genre: row.genre_accuracy for row in model.by_genre if row.genre_accuracy}
        for name, model in models.items()
    }
    genres = sorted({genre for found in shares.values() for genre in found})
    means = {genre: np.mean([found[genre].value for found in shares.values() if genre in found]) for genre in genres}
    genres.sort(key=lambda genre: (means[genre], genre))
    figure, axes = canvas(_WIDTH, 0.27 * len(genres) + 1.3)
    styles = _styles(metrics)
    for i, (name, found) in enumerate(shares.items()):
        y = [genres.index(genre) + 0.22 * ((len(shares) - 1) / 2 - i) for genre in found]
        values, errors = _with_errors(list(found.values()), 100)
        axes.errorbar(
            values, y, xerr=errors, fmt="o", markersize=5, linewidth=1.2,
            color=styles[name]["color"], label=name,
        )  # fmt: skip
    axes.set_yticks(range(len(genres)), genres)
    axes.set_ylim(-0.7, len(genres) - 0.3)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("genre accuracy, %")
    if quality := metrics.judge:
        recall = {genre: row.recall for genre, row in quality.classifier.per_label.items() if row.support}
        known = [genre for genre in genres if genre in recall]
        axes.plot(
            [100 * recall[genre] for genre in known], [genres.index(genre) for genre in known], "|", markersize=10,
            markeredgewidth=1.6, color=TEXT, label="classifier's recall, test plots",
        )  # fmt: skip
    legend(axes)
    return figure


def titles(metrics: Metrics) -> Figure:
    """Plot properties of the titles and their diversity, with 95 % CIs.

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = [name for name, model in metrics.models.items() if model.samples.titled.value]
    names += [name for name in metrics.references if name == REAL]
    shown = [
        (key, label) for key, label in _OF_TITLES if any(metrics.texts[name].samples.measure(key) for name in names)
    ]
    figure, axes = canvas(_WIDTH, (0.16 + 0.14 * len(names)) * len(shown) + 1.4)
    height, styles = 0.8 / len(names), _styles(metrics)
    for i, name in enumerate(names):
        summary = metrics.texts[name].samples
        found = [(row, value) for row, (key, _) in enumerate(shown) if (value := summary.measure(key))]
        values, errors = _with_errors([value for _, value in found], 100)
        axes.barh(
            [row + (i - (len(names) - 1) / 2) * height for row, _ in found], values, height * 0.9, xerr=errors,
            color=styles[name]["color"], ecolor=TEXT, capsize=2, label=name,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [label for _, label in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 104)
    axes.set_xlabel("share of samples, %")
    axes.grid(axis="y", visible=False)
    legend(axes)
    return figure


def genre_probability(metrics: Metrics, model: str) -> Figure:
    """Plot the mean predicted probability of each label (columns) by prompted genre (rows).

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report with a genre classifier.
    model : str
        Name of a generator of the report.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    BadInput
        If the report has no genre classifier.
    """
    control = _control(metrics, model)
    return _by_prompt(
        control.mean_probability, control.prompted, control.labels, "predicted genre",
        "mean probability, %",
    )  # fmt: skip


def genre_confusion(metrics: Metrics, model: str) -> Figure:
    """Plot how often each label (columns) is the most probable one, by prompted genre (rows).

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report with a genre classifier.
    model : str
        Name of a generator of the report.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    BadInput
        If the report has no genre classifier.
    """
    control = _control(metrics, model)
    return _by_prompt(control.confusion, control.prompted, control.labels, "most probable genre", "samples, %")


def genre_similarity(metrics: Metrics, model: str) -> Figure:
    """Plot the similarity of samples by prompted genre (rows) to training plots by genre (columns).

    Parameters
    ----------
    metrics : Metrics
        Metrics of a report.
    model : str
        Name of a generator of the report.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    Cells are mean cosine similarities, minus the mean of their column because some training plots are similar to
    samples of all genres, times 100.
    """
    found = metrics.models[model].genre_similarity
    values = np.array(found.mean_cosine)
    return _by_prompt(
        values - values.mean(axis=0), found.prompted, found.training, "genre of the training plots",
        "difference × 100",
    )  # fmt: skip


def _by_prompt(
    values: Sequence[Sequence[float]] | np.ndarray, prompted: list[str], genres: list[str], what: str, scale: str
) -> Figure:
    framed = np.array([[prompt == genre for genre in genres] for prompt in prompted])
    return heatmap(np.array(values), prompted, genres, ("prompted genre", what), scale, framed=framed)


def _control(metrics: Metrics, model: str) -> ControlMeans:
    control = metrics.models[model].genre_control
    if control is None:
        raise BadInput("This report has no genre classifier. Run `evaluate` with `--classifier`.")
    return control


def classifier_f1(quality: JudgeScores, baseline: tuple[str, Scores] | None) -> Figure:
    """Plot the F1 of each genre on the test plots, with the macro-F1 of the classifier and of its baseline."""
    per_label = {name: row for name, row in quality.per_label.items() if row.support}
    names = sorted(per_label, key=lambda name: (-per_label[name].f1, name))
    figure, axes = canvas(_genre_width(len(names)), 3.8)
    axes.bar(names, [per_label[name].f1 for name in names], color=BLUE, width=0.72)
    mean = quality.macro_f1
    axes.axhline(mean, color=TEXT, linewidth=1.5, label=f"classifier, macro-F1 {mean:.2f}")
    if baseline:
        mean = baseline[1].macro_f1
        axes.axhline(mean, color=RED, linestyle="--", linewidth=1.6, label=f"baseline, macro-F1 {mean:.2f}")
    axes.set_xticks(range(len(names)), [f"{name} ({per_label[name].support})" for name in names], rotation=90)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, 1)
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("genre (number of test plots)")
    axes.set_ylabel("F1")
    legend(axes, columns=1)
    return figure


def _styles(metrics: Metrics) -> dict[str, Style]:
    """Return the color and line style of each generator and reference."""
    styles: dict[str, Style] = {
        name: {"color": LIGHT.series[i % len(LIGHT.series)], "linestyle": "-", "linewidth": 1.8}
        for i, name in enumerate(metrics.models)
    }
    for name, line in ((REAL, "--"), (SHUFFLED, ":")):
        if name in metrics.references:
            styles[name] = {"color": TEXT, "linestyle": line, "linewidth": 1.6}
    return styles


def _setting(cell: Cell) -> tuple[float, float]:
    return cell.temperature, cell.top_p


def _histogram(axes: Axes, values: pd.Series, edges: np.ndarray, name: str, style: Style) -> None:
    if len(values):
        weights = np.full(len(values), 100 / len(values))
        if style["linestyle"] == "-":
            axes.hist(values, bins=edges.tolist(), weights=weights, color=style["color"], alpha=0.25)
        axes.hist(values, bins=edges.tolist(), weights=weights, histtype="step", label=name, **style)


def _bars(
    axes: Axes, x: list[float], values: list[Estimate], factor: float, width: float, color: str, name: str,
) -> None:  # fmt: skip
    heights, errors = _with_errors(values, factor)
    axes.bar(
        x, heights, width * 0.92, yerr=errors, capsize=2, ecolor=TEXT, color=color, label=name,
        error_kw={"linewidth": 1},
    )  # fmt: skip


def _with_errors(values: list[Estimate], factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the values, shape (n,), and the lower and upper lengths of their error bars, shape (2, n)."""
    value, low, high = factor * np.array([(one.value, one.low, one.high) for one in values]).reshape(-1, 3).T
    return value, np.array([value - low, high - value])


def _legend_of_all(figure: Figure, names: Iterable[str], axes: Iterable[Axes]) -> None:
    handles: dict[str, Artist] = {}
    for place in axes:
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    shown = [name for name in names if name in handles]
    figure.legend(
        [handles[name] for name in shown], shown, loc="outside upper left", ncols=min(len(shown), 4), frameon=False,
        labelcolor=TEXT, fontsize=10,
    )  # fmt: skip


def _genre_width(genres: int) -> float:
    return max(_WIDTH, 0.36 * genres + 2)
