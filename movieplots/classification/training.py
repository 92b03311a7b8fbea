"""Fine-tuning an encoder into a multilabel genre classifier, beside baselines trained on the same split.

The head comes first, fitted on the encoder as it is; then all are trained together.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorWithPadding, set_seed

from movieplots.bases import load_encoder
from movieplots.classification.feeding import TrainingPlots, tokenised
from movieplots.classification.finishing import finish
from movieplots.classification.head import fit_head
from movieplots.classification.imbalance import log_odds, make_loss
from movieplots.classification.labelled_plots import LabelledPlots, read_labelled
from movieplots.classification.model import GenreModel, add_lora, keep_layers, layers_of, merge_lora
from movieplots.classification.recipe import make_recipe
from movieplots.classification.teachers import check_teachers, read_teachers, taught_targets
from movieplots.files import check_folder
from movieplots.lineage import lineage
from movieplots.model_folder import begin, clear, finished
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

    `data` is the folder that `prepare` wrote, or its table; `base` a name of `base_models`, a local folder or a hub id;
    `out` the model's folder. The labels are the genres with at least ten training plots. `passes` are over the training
    plots, a step takes `batch_size` of them. `layers` keeps so many of the base's layers, evenly chosen (Sanh et al.
    2019; default: all).

    `method` is `full` (all weights, a learning rate that falls by layer: Howard and Ruder 2018) or `lora` (adapters of
    rank 16, Hu et al. 2022; the library peft). `learning_rate` is that of the top layer, from which all others follow;
    the default, 3e-4 for `full` and 2e-3 for `lora`, suits `minilm-l6`, and larger encoders want less, such as 5e-5.

    `loss` is binary cross-entropy per label as `weighted` (rare genres count more), `plain`, `class-balanced` (Cui et
    al. 2019), `focal` (Lin et al. 2017) or `asymmetric` (Ridnik et al. 2021), see
    `movieplots.classification.imbalance`. `label_smoothing`, from 0 to below 1, moves targets towards 0.5 by half of it
    (Szegedy et al. 2016). With `titles` half of the plots are shown with their title, so that the model can be given
    one. `teachers` are folders of classifiers trained on the same data; their probabilities make up half of the targets
    (Hinton et al. 2015).

    Calibration (temperature scaling: Guo et al. 2017) and thresholds (by F1) come from the validation split. Under
    `metrics` stand the test split's, beside those of two TF-IDF baselines (scikit-learn) trained in the same run.

    `time_limit` is in minutes; it ends the training early, and the learning rate falls to zero at whichever end comes
    first. `seed` sets every draw. Killed and started again with the same arguments it continues; already finished it
    returns at once; `fresh` starts over.

    Raises BadInput for an option out of range, a base that is no BERT-type encoder or was itself trained on held-out
    plots, fewer than two labels, a split without any, teachers of held-out plots, a start on several processes, and an
    `out` with other settings (unless `fresh`).
    """
    out = Path(out)
    recipe = make_recipe(
        base, passes=passes, batch_size=batch_size, method=method, loss=loss, label_smoothing=label_smoothing,
        titles=titles, layers=layers, learning_rate=learning_rate, time_limit=time_limit, seed=seed,
    )  # fmt: skip
    one_process("train classifier")
    teachers = check_teachers(teachers)
    check_folder(out)
    plots = read_labelled(data)
    recipe |= {"data": plots.fingerprint} | lineage(base, plots.ids)
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
        model, tokenizer, plots, out, recipe, trainer.state.global_step, history(trainer), circumstances(trainer),
        [base, *teachers],
    )  # fmt: skip


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
