"""The figures of the report, each in a light and a dark version, drawn so that equal input gives equal bytes."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from movieplots.evaluation.novelty import COPIED_WORDS
from movieplots.figures import DARK, LIGHT, Theme, canvas, legend
from movieplots.files import ensure_folder

_DPI = 160
_WIDTH = 4.8  # inches: at the width of a phone the letters are then still legible
_MOST_WORDS = 40  # longer copied runs share the histogram's last bar


@dataclass(frozen=True)
class Drawn:
    """One figure as PNG bytes, for a light and for a dark page."""

    light: bytes
    dark: bytes


def draw_figures(
    metrics: dict[str, Any], table: pd.DataFrame, real: pd.DataFrame, history: list[dict[str, Any]], folder: Path
) -> dict[str, Drawn]:
    """Draw what the input allows, write the light versions into `folder` as PNG, and return all by name."""
    drawers: dict[str, Callable[[Theme], Figure]] = {}
    if any("loss" in entry or "eval_loss" in entry for entry in history):
        drawers["training_curve"] = lambda theme: training_curve(history, theme)
    drawers["copied_runs"] = lambda theme: copied_runs(table["copied_words"], real["copied_words"], theme)
    control = metrics["genre_control"]
    if control and control["prompted"]:
        drawers["genre_control"] = lambda theme: genre_control_bars(metrics["by_cell"], control["chance"], theme)
    quality = metrics["classifier"]
    if quality and "classifier" in quality:
        drawers["classifier_f1"] = lambda theme: classifier_f1(quality["classifier"], quality["baseline"], theme)
    if control and control["prompted"]:
        drawers["genre_heatmap"] = lambda theme: genre_heatmap(
            np.array(control["mean_probability"]), control["prompted"], control["labels"], theme
        )
    ensure_folder(folder)
    drawn = {}
    for name, draw in drawers.items():
        drawn[name] = Drawn(png(draw(LIGHT)), png(draw(DARK)))
        (folder / f"{name}.png").write_bytes(drawn[name].light)
    return drawn


def png(figure: Figure) -> bytes:
    """The figure as PNG, without the metadata that would differ from one installation to the next."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def training_curve(history: list[dict[str, Any]], theme: Theme) -> Figure:
    """Training loss (line) and held-out loss (dots), in nats per token, by optimiser step."""
    figure, axes = canvas(_WIDTH, 3.2, theme)
    for key, label, colour, style in (
        ("loss", "training plots", theme.series[0], {"linewidth": 1.6}),
        ("eval_loss", "held-out plots", theme.series[1], {"linewidth": 1.6, "marker": "o", "markersize": 5}),
    ):
        points = [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, color=colour, **style)
    axes.set_xlabel("training step")
    axes.set_ylabel("loss, nats per token")
    legend(axes, theme)
    return figure


def copied_runs(samples: pd.Series, real: pd.Series, theme: Theme) -> Figure:
    """Histogram of the longest copied run, in words: samples (bars) and real held-out plots (outline)."""
    figure, axes = canvas(_WIDTH, 3.2, theme)
    longest = int(max(samples.max(), real.max() if len(real) else 0))
    last = min(max(longest, COPIED_WORDS + 5), _MOST_WORDS)
    edges = np.arange(-0.5, last + 1.5)
    for values, style in (
        (samples, {"label": "samples", "color": theme.series[0]}),
        (real, {"label": "real plots, held out", "color": theme.series[1], "histtype": "step", "linewidth": 1.8}),
    ):
        if len(values):
            weights = np.full(len(values), 100 / len(values))
            axes.hist(np.minimum(values, last), bins=edges, weights=weights, **style)
    axes.axvline(COPIED_WORDS + 0.5, color=theme.series[4], linestyle="--", linewidth=1.4, label="counts as copying")
    ticks = [*range(0, last - 2, 5), last]
    axes.set_xticks(ticks, [str(tick) for tick in ticks[:-1]] + [f"{last}{'+' if longest > last else ''}"])
    axes.set_xlabel("longest run of words found in a training plot")
    axes.set_ylabel("share of texts, %")
    legend(axes, theme)
    return figure


def genre_control_bars(cells: list[dict[str, Any]], chance: float | None, theme: Theme) -> Figure:
    """Share of samples on genre (%, with 95 % intervals) by temperature, one colour for each top-p."""
    figure, axes = canvas(_WIDTH, 3.2, theme)
    cells = [cell for cell in cells if cell["genre_hit"]]
    temperatures = sorted({cell["temperature"] for cell in cells})
    top_ps = sorted({cell["top_p"] for cell in cells})
    width = min(0.8 / len(top_ps), 0.3)
    for i, top_p in enumerate(top_ps):
        group = [cell for cell in cells if cell["top_p"] == top_p]
        x = [temperatures.index(cell["temperature"]) + (i - (len(top_ps) - 1) / 2) * width for cell in group]
        hits = [cell["genre_hit"] for cell in group]
        below = [100 * (hit["share"] - hit["low"]) for hit in hits]
        above = [100 * (hit["high"] - hit["share"]) for hit in hits]
        axes.bar(
            x, [100 * hit["share"] for hit in hits], width * 0.92, yerr=[below, above], capsize=3, ecolor=theme.text,
            color=theme.series[i % len(theme.series)], label=f"top-p {top_p:g}" if top_p else "top-p off",
        )  # fmt: skip
    if chance is not None:
        axes.axhline(100 * chance, color=theme.text, linestyle="--", linewidth=1.3, label="other genre's prompt")
    axes.set_xticks(range(len(temperatures)), [f"{temperature:g}" for temperature in temperatures])
    axes.set_xlim(-0.6, len(temperatures) - 0.4)
    axes.set_ylim(0, 100)
    axes.set_xlabel("temperature")
    axes.set_ylabel("samples on genre, %")
    legend(axes, theme)
    return figure


def genre_heatmap(matrix: np.ndarray, prompted: list[str], labels: list[str], theme: Theme) -> Figure:
    """Mean probability of each label (columns) over the samples prompted with each genre (rows), in %."""
    figure, axes = canvas(_genre_width(len(labels)), max(2.4, 0.34 * len(prompted) + 1.9), theme)
    axes.grid(False)
    image = axes.imshow(100 * matrix, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(prompted)), prompted)
    axes.set_xlabel("genre seen by the classifier")
    axes.set_ylabel("genre prompted")
    for i, name in enumerate(prompted):
        axes.add_patch(_square(labels.index(name), i, theme))
        for j in range(len(labels)):
            value = 100 * matrix[i, j]
            if value >= 10:
                axes.text(
                    j, i, f"{value:.0f}", ha="center", va="center", fontsize=8, color="#111" if value > 55 else "#fff"
                )
    scale = figure.colorbar(image, ax=axes, pad=0.02)
    scale.set_label("mean probability, %", color=theme.text)
    scale.ax.tick_params(colors=theme.text)
    scale.outline.set_visible(False)  # type: ignore[operator]
    return figure


def classifier_f1(quality: dict[str, Any], baseline: dict[str, Any] | None, theme: Theme) -> Figure:
    """F1 of each genre (0 to 1) on the test plots, with the means of the classifier and of its baseline."""
    per_label = {name: row for name, row in quality["per_label"].items() if row["support"]}
    names = sorted(per_label, key=lambda name: (-per_label[name]["f1"], name))
    figure, axes = canvas(_genre_width(len(names)), 3.8, theme)
    axes.bar(names, [per_label[name]["f1"] for name in names], color=theme.series[0], width=0.72)
    mean = quality["macro_f1"]
    axes.axhline(mean, color=theme.text, linewidth=1.5, label=f"classifier, mean {mean:.2f}")
    if baseline and baseline.get("macro_f1") is not None:
        mean = baseline["macro_f1"]
        axes.axhline(mean, color=theme.series[4], linestyle="--", linewidth=1.6, label=f"baseline, mean {mean:.2f}")
    axes.set_xticks(range(len(names)), [f"{name} ({per_label[name]['support']})" for name in names], rotation=90)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, 1)
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("genre (test plots that carry it)")
    axes.set_ylabel("F1")
    legend(axes, theme)
    return figure


def _genre_width(genres: int) -> float:
    return max(_WIDTH, 0.36 * genres + 2)


def _square(x: int, y: int, theme: Theme) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=theme.series[4], linewidth=1.6)
