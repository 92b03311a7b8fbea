"""Fine-tuning an encoder into a multilabel genre classifier, beside baselines trained on the same split.

The head comes first, a logistic regression on what the untrained encoder makes of the plots; then all are trained
together. From a random head, training would tear at the encoder until the head has found its place.

Teachers, where given, are trained classifiers. An ensemble is better than each of its members and as slow as all of
them; a student that learns from its probabilities keeps part of what it gained (Hinton et al. 2015). Teachers may read
titles that the student is not given. They are asked about plots that they were trained on: one that knows these by
heart has little to add to their genres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from transformers import DataCollatorWithPadding, set_seed

from movieplots.classification.finishing import finish
from movieplots.classification.imbalance import log_odds, log_shift, make_loss
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.labelled_plots import LabelledPlots, labelled, read_labelled
from movieplots.classification.model import GenreModel, add_lora, keep_layers, layers_of, merge_lora
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.torch_engine import TorchEngine
from movieplots.classification.training_plots import TrainingPlots, tokenised
from movieplots.classification.training_settings import (
    TOP_RATES,
    ClassifierLrSettings,
    ClassifierSettings,
    FastaiSettings,
)
from movieplots.errors import BadInput
from movieplots.pretrained.base_models import load_encoder
from movieplots.progress import notify, track
from movieplots.runs.find_lr import LrSearch, search_lr
from movieplots.runs.fit import Group, circumstances, fit, history
from movieplots.runs.folder import last_checkpoint, read_info
from movieplots.runs.lifecycle import Finished, Run, run_training
from movieplots.settings import takes

LAYER_DECAY = 0.85  # factor of the learning rate per layer below the top one
EMBEDDING_RATE, HEAD_RATE = 1e-4, 1e-3
HEAD_PLOTS = 20_000  # that are enough for the logistic regression of the head
HEAD_STRENGTH = 0.1  # C: the inverse of its regularisation
SOFT_SHARE = 0.5  # of a target, where teachers are asked; the rest is the plot's own genres

AnySettings = ClassifierSettings | FastaiSettings | ClassifierLrSettings


@dataclass(frozen=True)
class Made:
    """What is to be trained: the model with its tokenizer, and the plots with their labels."""

    model: GenreModel
    tokenizer: Any
    plots: LabelledPlots


@takes(ClassifierSettings)
def train_classifier(settings: ClassifierSettings) -> ClassifierInfo:
    """Fine-tune an encoder on the training plots, so that it detects genres.

    The labels are the genres with at least ten training plots. Calibration (temperature scaling: Guo et al. 2017) and
    thresholds (by F1) come from the validation split. A time limit ends the training early, and the learning rate falls
    to zero at whichever end comes first. Killed and started again with the same arguments it continues; already
    finished it returns at once.

    Returns
    -------
    ClassifierInfo
        What `output_dir/movieplots.json` then holds. Under `metrics.test` stand the scores on the test split, beside
        those of two TF-IDF baselines (scikit-learn) trained in the same run.

    Raises
    ------
    BadInput
        For an option out of range, a base model that is no BERT-type encoder, a base model or a teacher that was
        trained on held-out plots, fewer than two labels, a split without any, a start on several processes, and an
        output folder that holds a model trained with other settings.
    """

    def make(run: Run[ClassifierSettings]) -> Made:
        plots = labelled(run.plots, run.settings.data)
        check_teachers(run.settings.teachers, plots.labels)
        return Made(*new_classifier(plots, run.settings), plots)

    def train(run: Run[ClassifierSettings], made: Made) -> Any:
        settings, plots, model, tokenizer = run.settings, made.plots, made.model, made.tokenizer
        if last_checkpoint(run.folder / "checkpoints") is None:
            fit_head(model, tokenizer, plots, settings.loss, settings.seed)
        teachers = settings.teachers
        targets = taught_targets(teachers, plots) if teachers else plots.targets["train"]
        shown = training_plots(tokenizer, plots, model.max_tokens, settings, targets)
        return fit(
            what="Training the classifier",
            model=model,
            parameter_groups=lambda module: layer_groups(module, settings.method, settings.learning_rate),
            output_dir=run.folder,
            seed=settings.seed,
            max_steps=settings.epochs * shown.steps_per_epoch,
            time_limit=settings.time_limit,
            evaluations=settings.epochs,
            arguments={
                "per_device_train_batch_size": run.at_once,
                "gradient_accumulation_steps": settings.batch_size // run.at_once,
                "per_device_eval_batch_size": run.at_once,
                "eval_strategy": "steps",
                "label_names": ["labels"],
                "remove_unused_columns": False,
            },
            train_dataset=shown,
            eval_dataset=tokenised(tokenizer, plots.texts["validation"], plots.targets["validation"], model.max_tokens),
            data_collator=DataCollatorWithPadding(tokenizer),
        )

    def finished(run: Run[ClassifierSettings], made: Made, trainer: Any) -> Finished[ClassifierInfo]:
        merge_lora(made.model)
        return finish(
            run, made.model, made.tokenizer, made.plots, trainer.state.global_step, history(trainer),
            circumstances(trainer),
        )  # fmt: skip

    return run_training(settings, ClassifierInfo, settings.batch_size, make, train, finished)


@takes(ClassifierLrSettings)
def find_lr(settings: ClassifierLrSettings) -> LrSearch:
    """Search the learning rate for `train_classifier` with the same arguments: the loss over growing rates.

    All weights that are trained share the rate, the head, fitted before, among them.

    Returns
    -------
    LrSearch
        Rates, losses, and the rate at which the loss falls fastest.
    """
    plots = read_labelled(settings.data)
    set_seed(settings.seed)
    model, tokenizer = new_classifier(plots, settings)
    fit_head(model, tokenizer, plots, settings.loss, settings.seed)
    return search_lr(
        model,
        lambda model: [parameter for parameter in model.parameters() if parameter.requires_grad],
        settings.steps,
        {
            "per_device_train_batch_size": settings.batch_size, "seed": settings.seed, "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=training_plots(tokenizer, plots, model.max_tokens, settings, plots.targets["train"]),
        data_collator=DataCollatorWithPadding(tokenizer),
    )  # fmt: skip


def new_classifier(plots: LabelledPlots, settings: AnySettings) -> tuple[GenreModel, Any]:
    """(model, tokenizer) ready to be trained by the settings: with its loss, its layers, its adapters."""
    notify(f"Loading {settings.base_model} …")
    encoder, tokenizer = load_encoder(settings.base_model)
    layers_of(encoder)  # raises where the encoder has none to go by
    if layers := getattr(settings, "layers", None):
        keep_layers(encoder, layers)
    targets = plots.targets["train"]
    model = GenreModel(encoder, len(plots.labels), make_loss(settings.loss, targets, settings.label_smoothing))
    model.head.bias.data = torch.from_numpy(log_odds(targets)).float()
    if getattr(settings, "method", "full") == "lora":
        add_lora(model)
    return model, tokenizer


def training_plots(
    tokenizer: Any, plots: LabelledPlots, max_tokens: int, settings: AnySettings, targets: np.ndarray
) -> TrainingPlots:
    """The training plots as the settings show them, with `targets` (n, labels) in [0, 1]."""
    return TrainingPlots(
        tokenizer, plots.texts["train"], targets, max_tokens, settings.batch_size, settings.seed,
        plots.titles["train"] if settings.titles else None,
    )  # fmt: skip


def layer_groups(model: GenreModel, method: str = "full", learning_rate: float | None = None) -> list[Group]:
    """Parameter groups with a learning rate each: head, encoder layers (falling from top to bottom), embeddings.

    Discriminative fine-tuning (Howard and Ruder 2018): lower layers hold what is general and should move less. Only
    what is to be trained is in them. `learning_rate` is that of the top layer; the others keep their relation to it.
    """
    usual = TOP_RATES[method]
    groups: list[Group] = [{"params": list(model.head.parameters()), "lr": HEAD_RATE}]
    for depth, layer in enumerate(reversed(layers_of(model.encoder))):
        groups.append({"params": list(layer.parameters()), "lr": usual * LAYER_DECAY**depth})
    taken = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups.append({"params": rest, "lr": EMBEDDING_RATE})
    for group in groups:
        group["lr"] *= (learning_rate or usual) / usual
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    return [group for group in groups if group["params"]]


def check_teachers(teachers: Sequence[str | Path], labels: list[str]) -> None:
    """Raise BadInput for a folder that holds no classifier, and for a teacher that knows other genres."""
    for teacher in teachers:
        own = read_info(teacher, ClassifierInfo).labels
        if own != labels:
            differ = ", ".join(sorted({*own} ^ {*labels}))
            raise BadInput(
                f"The teacher {teacher} knows other genres than the student is to learn ({differ}): "
                "give a teacher that was trained on the same --data."
            )


def taught_targets(teachers: Sequence[str | Path], plots: LabelledPlots) -> np.ndarray:
    """Targets in [0, 1] of the training plots, (n, labels): half their genres, half what the teachers say together."""
    total = np.zeros_like(plots.targets["train"], dtype=float)
    for teacher in teachers:
        notify(f"Asking the teacher {teacher} …")
        classifier = GenreClassifier.from_pretrained(teacher)
        titles = plots.titles["train"] if classifier.info.titles else None
        proba = classifier.predict_proba(plots.texts["train"], titles)
        total += logit(np.clip(proba, 1e-6, 1 - 1e-6))
    soft = expit(total / len(teachers))
    return ((1 - SOFT_SHARE) * plots.targets["train"] + SOFT_SHARE * soft).astype(np.float32)


def fit_head(model: GenreModel, tokenizer: Any, plots: LabelledPlots, loss: str, seed: int) -> None:
    """Set the head to the logistic regression of each label on the pooled training plots, shifted as `loss` will."""
    texts, targets = plots.texts["train"], plots.targets["train"]
    keep = np.random.default_rng(seed).permutation(len(texts))[:HEAD_PLOTS]
    targets = targets[keep]
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    pooled = TorchEngine(model, tokenizer).pooled([texts[i] for i in keep])
    weight, bias = np.zeros((len(plots.labels), pooled.shape[1])), log_odds(targets)
    for label in track(range(len(plots.labels)), "Fitting the head"):
        if 0 < targets[:, label].sum() < len(targets):
            fitted = LogisticRegression(C=HEAD_STRENGTH, max_iter=300).fit(pooled, targets[:, label])
            weight[label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias + log_shift(loss, plots.targets["train"])))
