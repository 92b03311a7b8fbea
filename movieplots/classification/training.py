"""Fine-tuning an encoder into a multilabel genre classifier, beside baselines trained on the same split.

The head comes first, fitted on the encoder as it is; then all are trained together.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorWithPadding, set_seed

from movieplots.base_models import load_encoder
from movieplots.classification.feeding import TrainingPlots, tokenised
from movieplots.classification.finishing import finish
from movieplots.classification.head import fit_head
from movieplots.classification.imbalance import log_odds, make_loss
from movieplots.classification.labelled_plots import LabelledPlots, read_labelled
from movieplots.classification.model import GenreModel, add_lora, keep_layers, layers_of, merge_lora
from movieplots.classification.recipe import make_recipe
from movieplots.classification.teachers import read_teachers, taught_targets
from movieplots.model_folder import begin, clear, finished, lineage
from movieplots.progress import say
from movieplots.training import circumstances, fit, history, last_checkpoint, one_process

TOP_RATES = {"full": 3e-4, "lora": 2e-3}  # learning rate of the top layer, unless another is given
LAYER_DECAY = 0.85  # its factor per layer below
EMBEDDING_RATE, HEAD_RATE = 1e-4, 1e-3


def train_classifier(
    data: str | Path,
    base: str,
    out: str | Path,
    passes: int = 3,
    batch_size: int = 48,
    *,
    method: str = "full",
    loss: str = "weighted",
    label_smoothing: float = 0.0,
    titles: bool = False,
    layers: int | None = None,
    learning_rate: float | None = None,
    teachers: Sequence[str | Path] = (),
    time_limit: float | None = None,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Fine-tune the encoder `base` on the training plots of `data`; returns what `out/movieplots.json` then holds.

    `method` is `full` (all weights, a learning rate that falls by layer) or `lora`; `loss` one of
    `imbalance.LOSSES`; with `titles` half of the plots are shown with their title, so that the model can be given one;
    `layers` keeps so many of the base's layers; `learning_rate` is that of the top layer, from which all others follow
    (by default one that suits `minilm-l6`; larger encoders want less, such as 5e-5); `teachers` are folders of
    classifiers trained on the same data; their probabilities make up half of the targets. Calibration and thresholds
    come from the validation split; metrics on the test split stand beside both baselines, trained in the same run.
    `time_limit` is in minutes. Killed and started again with the same arguments it continues; already finished it
    returns at once.
    """
    out = Path(out)
    recipe = make_recipe(
        base, passes=passes, batch_size=batch_size, method=method, loss=loss, label_smoothing=label_smoothing,
        titles=titles, layers=layers, learning_rate=learning_rate, time_limit=time_limit, seed=seed,
    )  # fmt: skip
    one_process("train classifier")
    plots = read_labelled(data)
    recipe |= {"data": plots.fingerprint} | lineage(base, plots.fingerprint)
    if teachers:
        recipe["teachers"] = read_teachers(teachers, plots)
    done = None if fresh else finished(out, recipe)
    if done:
        say(f"{out} already holds this classifier; --fresh trains it again.")
        return done
    set_seed(seed)
    model, tokenizer = new_classifier(base, plots, recipe)
    if fresh:  # only now that nothing can be wrong with the input any more
        clear(out)
    begin(out, recipe)
    if last_checkpoint(out / "checkpoints") is None:
        fit_head(model, tokenizer, plots, loss, seed)
    targets = taught_targets(teachers, plots) if teachers else plots.targets["train"]
    feed = training_plots(tokenizer, plots, model.max_tokens, recipe, targets)
    held_out = tokenised(tokenizer, plots.texts["validation"], plots.targets["validation"], model.max_tokens)
    trainer = fit(
        what="Training the classifier",
        model=model,
        parameter_groups=lambda module: layer_groups(module, method, learning_rate),
        out=out,
        recipe=recipe,
        max_steps=passes * feed.steps_per_pass,
        time_limit=time_limit,
        evaluations=passes,
        arguments={
            "per_device_train_batch_size": batch_size,
            "per_device_eval_batch_size": batch_size,
            "eval_strategy": "steps",
            "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=feed,
        eval_dataset=held_out,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    merge_lora(model)
    return finish(
        model, tokenizer, plots, out, recipe, trainer.state.global_step, history(trainer), circumstances(trainer)
    )


def new_classifier(base: str, plots: LabelledPlots, recipe: dict[str, Any]) -> tuple[GenreModel, Any]:
    """(model, tokenizer) ready to be trained by the recipe: with its loss, its layers, its adapters."""
    say(f"Loading {base} …")
    encoder, tokenizer = load_encoder(base)
    layers_of(encoder)  # raises where the encoder has none to go by
    if recipe["layers"] is not None:
        keep_layers(encoder, recipe["layers"])
    targets = plots.targets["train"]
    model = GenreModel(encoder, len(plots.labels), make_loss(recipe["loss"], targets, recipe["label_smoothing"]))
    model.head.bias.data = torch.from_numpy(log_odds(targets)).float()
    if recipe["method"] == "lora":
        add_lora(model)
    return model, tokenizer


def training_plots(
    tokenizer: Any, plots: LabelledPlots, max_tokens: int, recipe: dict[str, Any], targets: np.ndarray
) -> TrainingPlots:
    """The training plots as the recipe feeds them, with `targets` (n, labels) in [0, 1]."""
    return TrainingPlots(
        tokenizer, plots.texts["train"], targets, max_tokens, recipe["batch_size"], recipe["seed"],
        plots.titles["train"] if recipe["titles"] else None,
    )  # fmt: skip


def layer_groups(model: GenreModel, method: str = "full", learning_rate: float | None = None) -> list[dict[str, Any]]:
    """Parameter groups with a learning rate each: head, encoder layers (falling from top to bottom), embeddings.

    Discriminative fine-tuning (Howard and Ruder 2018): lower layers hold what is general and should move less. Only
    what is to be trained is in them. `learning_rate` is that of the top layer; the others keep their relation to it.
    """
    usual = TOP_RATES[method]
    groups: list[dict[str, Any]] = [{"params": list(model.head.parameters()), "lr": HEAD_RATE}]
    for depth, layer in enumerate(reversed(layers_of(model.encoder))):
        groups.append({"params": list(layer.parameters()), "lr": usual * LAYER_DECAY**depth})
    taken = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups.append({"params": rest, "lr": EMBEDDING_RATE})
    for group in groups:
        group["lr"] *= (learning_rate or usual) / usual
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    return [group for group in groups if group["params"]]
