"""The steps after each training of a classifier: calibration, thresholds, test metrics and baselines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from movieplots.classification.baseline import Baseline, fit_baselines
from movieplots.classification.calibration import best_thresholds, calibrated, calibration_error, fit_calibration
from movieplots.classification.card import model_card
from movieplots.classification.imbalance import log_shift
from movieplots.classification.info import BaselineScores, Calibration, ClassifierInfo, ClassifierMetrics, Measured
from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.metrics import intervals, multilabel_metrics
from movieplots.classification.model import calibrate
from movieplots.classification.prediction import with_title
from movieplots.classification.torch_engine import TorchEngine
from movieplots.runs.folder import Circumstances, Logged, to_json
from movieplots.runs.lifecycle import Finished, Run

_fitted: dict[tuple[Any, ...], dict[str, Baseline]] = {}


def finish(
    run: Run[Any],
    model: Any,
    tokenizer: Any,
    plots: LabelledPlots,
    steps: int,
    history: list[Logged],
    circumstances: Circumstances,
) -> Finished[ClassifierInfo]:
    """Calibrate the trained model, choose its thresholds and measure it on the test split."""
    settings = run.settings
    weights = log_shift(settings.loss, plots.targets["train"])
    engine = TorchEngine(model, tokenizer)
    raw = {split: engine.logits(plots.texts[split]) for split in ("validation", "test")}
    shift, by = fit_calibration(plots.targets["validation"], raw["validation"], weights)
    calibrate(model, torch.from_numpy(shift), by)
    proba = {split: calibrated(logits, shift, by) for split, logits in raw.items()}
    thresholds, test, test_titled = measure(
        engine, plots, settings.titles, proba, lambda titles: _measure_baselines(plots, titles)
    )
    info = ClassifierInfo(
        base_model=settings.base_model,
        labels=plots.labels,
        thresholds=[float(t) for t in thresholds],
        not_learned=plots.not_learned,
        max_tokens=tokenizer.model_max_length,
        titles=settings.titles,
        sources=plots.sources,
        data_fingerprint=plots.fingerprint,
        recipe=run.recipe,
        metrics=ClassifierMetrics(
            test=test,
            test_titled=test_titled,
            calibration=Calibration(
                shift=[float(value) for value in shift],
                temperature=by,
                error_before=calibration_error(plots.targets["test"], expit(raw["test"])),
                error_after=calibration_error(plots.targets["test"], proba["test"]),
            ),
            train_plots=len(plots.texts["train"]),
            validation_plots=len(plots.texts["validation"]),
            test_plots=len(plots.texts["test"]),
            steps=steps,
        ),
        history=history,
    )

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return Finished(info, model_card(info), save, circumstances)


def measure(
    engine: Any,
    plots: LabelledPlots,
    titles: bool,
    proba: dict[str, np.ndarray],
    baselines: Callable[[bool], dict[str, BaselineScores]],
) -> tuple[np.ndarray, Measured, Measured | None]:
    """Choose thresholds on the validation split and compute the metrics of the test split with them.

    `proba` are the probabilities of both splits from the plots alone; with `titles`, `engine` predicts them with titles
    too. Each genre then gets one threshold for both kinds of input, since titles are optional in use. Returns
    thresholds, metrics of the plots alone, and metrics with titles or None. `baselines` returns the scores of the
    baselines, without or with titles.
    """
    forms = [proba]
    if titles:
        both = {split: list(map(with_title, plots.titles[split], plots.texts[split])) for split in proba}
        forms.append({split: expit(engine.logits(texts)) for split, texts in both.items()})
    thresholds = best_thresholds(
        np.tile(plots.targets["validation"], (len(forms), 1)),
        np.concatenate([form["validation"] for form in forms]),
        copies=len(forms),
        calibrated=True,
    )
    truth, measured = plots.targets["test"], []
    for number, form in enumerate(forms):
        scores, per_label = multilabel_metrics(truth, form["test"], thresholds, plots.labels)
        between = intervals(truth, form["test"], thresholds)
        measured.append(Measured(scores, between, per_label, baselines(number == 1)))
    return thresholds, measured[0], measured[1] if titles else None


def _measure_baselines(plots: LabelledPlots, titles: bool) -> dict[str, BaselineScores]:
    """Return the test metrics of both baselines and their chosen settings."""
    return {
        name: BaselineScores(
            **to_json(multilabel_metrics(plots.targets["test"], each.proba["test"], each.thresholds, plots.labels)[0]),
            settings=each.settings,
        )
        for name, each in baselines_for(plots, titles).items()
    }


def baselines_for(plots: LabelledPlots, titles: bool) -> dict[str, Baseline]:
    """Return both baselines, fitted once per process and data, since a notebook trains several models on them."""
    key = (plots.fingerprint, *plots.labels, titles)
    if key not in _fitted:
        texts: Any = plots.texts
        if titles:
            texts = {split: list(map(with_title, plots.titles[split], plots.texts[split])) for split in plots.texts}
        _fitted[key] = fit_baselines(texts, plots.targets, plots.labels)
    return _fitted[key]
