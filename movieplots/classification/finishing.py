"""What follows each training of a classifier: calibration, thresholds, metrics beside the baselines, its folder."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from movieplots.classification.baseline import Baseline, fit_baselines
from movieplots.classification.calibration import calibrated, calibration_error, fit_calibration
from movieplots.classification.card import model_card
from movieplots.classification.imbalance import log_shift
from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.metrics import headline, intervals, multilabel_metrics
from movieplots.classification.model import GenreModel, save_genre_model
from movieplots.classification.prediction import with_title
from movieplots.classification.thresholds import best_thresholds
from movieplots.classification.torch_engine import TorchEngine
from movieplots.files import atomic_folder, write_json
from movieplots.model_folder import RUN_FILE, write_info

_fitted: dict[tuple[Any, ...], dict[str, Baseline]] = {}


def finish(
    model: GenreModel,
    tokenizer: Any,
    plots: LabelledPlots,
    out: Path,
    recipe: dict[str, Any],
    steps: int,
    history: list[dict[str, float]],
    run: dict[str, Any],
    learned_from: Sequence[str | Path],
) -> dict[str, Any]:
    """Calibrate the trained model, choose thresholds, measure it, write its folder, and return its info.

    `run` are the circumstances that are no part of the recipe; they go into a file of their own. `learned_from` are the
    base and the teachers.
    """
    weights = log_shift(recipe["loss"], plots.targets["train"])
    engine = TorchEngine(model, tokenizer)
    raw = {split: engine.logits(plots.texts[split]) for split in ("validation", "test")}
    shift, by = fit_calibration(plots.targets["validation"], raw["validation"], weights)
    model.calibrate(torch.from_numpy(shift), by)
    proba = {split: calibrated(logits, shift, by) for split, logits in raw.items()}
    thresholds, measured = measure(engine, plots, recipe["titles"], proba)
    metrics = measured | {
        "baselines": _measure_baselines(plots, titles=False),
        "calibration": {
            "shift": [float(value) for value in shift],
            "temperature": by,
            "error_before": calibration_error(plots.targets["test"], expit(raw["test"])),
            "error_after": calibration_error(plots.targets["test"], proba["test"]),
        },
        **{f"{name}_plots": len(plots.texts[name]) for name in plots.texts},
        "steps": steps,
    }
    if recipe["titles"]:
        metrics["baselines_titled"] = _measure_baselines(plots, titles=True)
    info = {
        "task": "classification",
        "base": recipe["base"],
        "labels": plots.labels,
        "thresholds": [float(t) for t in thresholds],
        "not_learned": plots.not_learned,
        "max_tokens": model.max_tokens,
        "sources": plots.sources,
        "data_fingerprint": plots.fingerprint,
        "recipe": recipe,
        "metrics": metrics,
        "history": history,
    }
    with atomic_folder(out) as temporary:
        save_genre_model(model, tokenizer, temporary)
    write_json(out / RUN_FILE, run)
    write_info(out, info, model_card(info), plots.ids.after(learned_from))
    shutil.rmtree(out / "checkpoints")
    return info


def measure(
    engine: Any, plots: LabelledPlots, titles: bool, proba: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Thresholds from the validation split and the metrics of the test split with them, by an engine of logits.

    With `titles` both forms are predicted, and each genre gets one threshold for both, since whoever asks may have a
    title or not. `proba` are the probabilities of both splits from the plots alone.
    """
    forms = {"test": proba}
    if titles:
        both = {split: list(map(with_title, plots.titles[split], plots.texts[split])) for split in proba}
        forms["test_titled"] = {split: expit(engine.logits(texts)) for split, texts in both.items()}
    thresholds = best_thresholds(
        np.tile(plots.targets["validation"], (len(forms), 1)),
        np.concatenate([form["validation"] for form in forms.values()]),
        copies=len(forms),
        calibrated=True,
    )
    truth, metrics = plots.targets["test"], {}
    for name, form in forms.items():
        measured = multilabel_metrics(truth, form["test"], thresholds, plots.labels)
        metrics[name] = headline(measured)
        metrics[f"{name}_intervals"] = intervals(truth, form["test"], thresholds)
        metrics[f"{name}_per_label"] = measured["per_label"]
    return thresholds, metrics


def _measure_baselines(plots: LabelledPlots, titles: bool) -> dict[str, dict[str, Any]]:
    """The test metrics of both baselines, and the settings that the validation split chose."""
    truth = plots.targets["test"]
    return {
        name: headline(multilabel_metrics(truth, fitted.proba["test"], fitted.thresholds, plots.labels))
        | {"settings": fitted.settings}
        for name, fitted in baselines_for(plots, titles).items()
    }


def baselines_for(plots: LabelledPlots, titles: bool) -> dict[str, Baseline]:
    """Both baselines, fitted once a process for the same plots, since a notebook trains several models on them."""
    key = (plots.fingerprint, *plots.labels, titles)
    if key not in _fitted:
        texts: Any = plots.texts
        if titles:
            texts = {split: list(map(with_title, plots.titles[split], plots.texts[split])) for split in plots.texts}
        _fitted[key] = fit_baselines(texts, plots.targets, plots.labels)
    return _fitted[key]
