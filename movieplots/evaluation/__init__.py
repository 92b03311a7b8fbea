"""From a folder of dumps to an answer: did the generator learn, is what it writes new, on genre and readable?

`evaluate` measures every sample against the training plots and writes metrics.json, samples.csv, figures/*.png and
report.html, a single page that needs nothing beside it. Nothing carries a date: the same input gives the same bytes.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from movieplots.errors import BadInput
from movieplots.evaluation.classifier_quality import classifier_quality
from movieplots.evaluation.figures import draw_figures
from movieplots.evaluation.genre_control import GenreControl, genre_control
from movieplots.evaluation.measures import (
    CELL,
    add_genre_control,
    by_cell,
    by_genre,
    genre_groups,
    measure_texts,
    rounded,
    summarise,
    word_budget,
)
from movieplots.evaluation.report import render_report
from movieplots.files import atomic_folder, read_json, write_json, write_text
from movieplots.generation.dumps import read_dump
from movieplots.plots import data_fingerprint, load_plots
from movieplots.progress import say, working

MIN_REAL = 200  # held-out plots measured for comparison even where there are fewer samples


@dataclass(frozen=True)
class Report:
    """What `evaluate` found: `path` of report.html, and `metrics`, exactly what metrics.json holds."""

    path: str
    metrics: dict[str, Any]


def evaluate(dumps: str | Path, data: str | Path, out: str | Path, classifier: str | Path | None = None) -> Report:
    """Measure the samples in the folder `dumps` against the training plots of `data`, and write the report into `out`.

    `classifier` is the folder of a genre classifier; without one, genre control is left out. Raises BadInput, and
    writes nothing, where the input cannot be used.
    """
    samples = read_dump(dumps)
    generator = _generator_info(Path(dumps))
    plots = load_plots(data)
    training = plots[plots["split"] == "train"].reset_index(drop=True)
    if training.empty:
        raise BadInput(f"{data} holds no training plots to compare with: run `movieplots prepare` again.")
    judge = None if classifier is None else _load_classifier(classifier)

    say(f"Comparing {len(samples):,} samples with {len(training):,} training plots …")
    # Plots the generator never saw, about as many as there are samples: what the measures give for human writing.
    real = plots[plots["split"] == "test"]
    real = real.sample(min(len(real), max(len(samples), MIN_REAL)), random_state=0)[["plot"]].reset_index(drop=True)
    with working("Looking for copies and neighbours …"):
        measured = measure_texts([*samples["plot"], *real["plot"]], training)
    table = samples.join(measured.iloc[: len(samples)])
    real = real.join(measured.iloc[len(samples) :].reset_index(drop=True))

    control = quality = None
    if judge is not None:
        say(f"Predicting the genres of {len(samples):,} samples …")
        proba = _probabilities(judge, table["plot"])
        control = genre_control(table["genre"].tolist(), proba, judge.thresholds, list(judge.labels))
        table = add_genre_control(table, control)
        quality = classifier_quality(judge, plots)
    metrics = _metrics(table, real, control, quality, generator, plots)
    history = [entry for entry in generator.get("history") or [] if isinstance(entry, dict) and "step" in entry]

    with atomic_folder(out) as folder:
        figures = draw_figures(metrics, table, real, history, folder / "figures")
        write_json(folder / "metrics.json", metrics)
        write_text(folder / "samples.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        write_text(folder / "report.html", render_report(metrics, table, training, figures))
    return Report(path=str(Path(out) / "report.html"), metrics=metrics)


def _metrics(
    table: pd.DataFrame,
    real: pd.DataFrame,
    control: GenreControl | None,
    quality: dict[str, Any] | None,
    generator: dict[str, Any],
    plots: pd.DataFrame,
) -> dict[str, Any]:
    cells = [rows for _, rows in table.groupby(CELL)]
    budget, genre_budget = word_budget([*cells, real]), word_budget([*genre_groups(table).values()])
    fingerprint = data_fingerprint(plots)
    trained_on = generator.get("data_fingerprint")
    metrics = {
        "evaluated": {
            "base": generator.get("base"),
            "markup": generator.get("markup"),
            "samples": len(table),
            "training_plots": int((plots["split"] == "train").sum()),
            "temperatures": sorted(set(table["temperature"].astype(float))),
            "top_ps": sorted(set(table["top_p"].astype(float))),
            "prompts": sorted(set(table["genre"])),
            "data_fingerprint": fingerprint,
            "generator_trained_on_this_data": None if trained_on is None else trained_on == fingerprint,
            "distinct_word_budget": budget,
            "distinct_word_budget_by_genre": genre_budget,
        },
        "learning": _learning(generator.get("metrics") or {}),
        "samples": summarise(table, budget),
        "real_plots": summarise(real, budget) if len(real) else None,
        "by_cell": by_cell(table, budget),
        "by_genre": by_genre(table, genre_budget),
        "genre_control": None,
        "classifier": quality,
    }
    if control is not None:
        metrics["genre_control"] = {
            "chance": control.chance,
            "unknown_genres": control.unknown,
            "prompted": control.prompted,
            "labels": control.labels,
            "mean_probability": control.matrix,
        }
    return rounded(metrics)


def _learning(stored: dict[str, Any]) -> dict[str, Any] | None:
    # Test losses say more than validation losses, which may have chosen the checkpoint.
    for split in ("test", "validation"):
        before, after = stored.get(f"{split}_loss_before"), stored.get(f"{split}_loss_after")
        if before is not None and after is not None:
            return {
                "split": split,
                "loss_before": before,
                "loss_after": after,
                "perplexity_before": math.exp(min(before, 50)),
                "perplexity_after": math.exp(min(after, 50)),
                "train_tokens": stored.get("train_tokens"),
                "steps": stored.get("steps"),
            }
    return None


def _generator_info(dumps: Path) -> dict[str, Any]:
    # Samples from elsewhere come without dump.json; they can be measured all the same.
    file = dumps / "dump.json"
    if not file.is_file():
        return {}
    return read_json(file, "remove it, or write the dump again").get("model", {})


def _probabilities(judge: Any, texts: pd.Series) -> np.ndarray:
    # A sample without words belongs to no genre; the classifier refuses it.
    written = texts.str.strip().astype(bool).to_numpy()
    proba = np.zeros((len(texts), len(judge.labels)))
    if written.any():
        proba[written] = judge.predict_proba(texts[written].tolist())
    return proba


def _load_classifier(path: str | Path) -> Any:
    from movieplots.classification.prediction import GenreClassifier

    return GenreClassifier.from_pretrained(path)
