"""Fine-tuning an encoder into a multilabel genre classifier, with TF-IDF baselines trained on the same splits.

The head is initialized first (`movieplots.classification.head`). Then all weights are trained together. With a random
head, the first gradients would distort the encoder.

Teachers are optional trained classifiers. An ensemble is more accurate than its members but as slow as all of them; a
student trained on its probabilities keeps part of the gain
(`Hinton et al. 2015 <https://arxiv.org/abs/1503.02531>`_). Teachers can use titles that the student does not get. They
predict the plots that they were trained on, so an overfitted teacher adds little to the genres of these plots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from transformers import DataCollatorWithPadding, set_seed

from movieplots.classification.finishing import finish
from movieplots.classification.head import align_head, fit_head
from movieplots.classification.imbalance import Loss, log_odds, make_loss
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.labelled_plots import LabelledPlots, labelled, read_labelled
from movieplots.classification.model import (
    add_lora,
    head_parameters,
    keep_layers,
    layers_of,
    merge_lora,
    new_model,
    output_layer,
)
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.training_plots import TrainingPlots, tokenized
from movieplots.classification.training_settings import (
    TOP_RATES,
    ClassifierLrSettings,
    ClassifierSettings,
    FastaiSettings,
    usual_learning_rate,
)
from movieplots.errors import BadInput
from movieplots.progress import notify
from movieplots.runs.find_lr import LrSearch, search_lr
from movieplots.runs.fit import Group, circumstances, fit, history
from movieplots.runs.folder import last_checkpoint, read_info
from movieplots.runs.lifecycle import Finished, Run, run_training
from movieplots.settings import takes

LAYER_DECAY = 0.85  # factor of the learning rate per layer below the top one
EMBEDDING_RATE, HEAD_RATE = 1e-4, 1e-3
SOFT_SHARE = 0.5  # weight of the teachers' probabilities in a target; the rest is the plot's own genres

AnySettings = ClassifierSettings | FastaiSettings | ClassifierLrSettings


@dataclass(frozen=True)
class TrainingInputs:
    """The untrained model, its tokenizer, and the labelled plots."""

    model: Any
    tokenizer: Any
    plots: LabelledPlots


@takes(ClassifierSettings)
def train_classifier(settings: ClassifierSettings) -> ClassifierInfo:
    """Fine-tune an encoder to detect the genres of plots.

    An encoder turns a text into features for classification. The labels are the genres with at least ten training
    plots. If interrupted, call it again with the same arguments to resume. If `output_dir` already holds the finished
    model, it is returned without training.

    Returns
    -------
    ClassifierInfo
        The content of `output_dir/movieplots.json` (class in `movieplots.classification.info`). `metrics.test` holds
        the test scores of the classifier and of two TF-IDF baselines (scikit-learn) that are trained in the same run.

    Raises
    ------
    BadInput
        If an option is out of range, the base model is not an encoder, the base model or a teacher was trained
        on validation or test plots of the data, there are fewer than two labels, a split has no plot with a label, the
        function is started on several processes, or the output folder holds a model trained with other settings.

    Notes
    -----
    The model is a sequence classifier of transformers, so `output_dir` also loads as a `text-classification` pipeline.
    The layer before the output layer is first trained to return the mean of the token vectors, and the output layer
    starts from a logistic regression. Lower layers have lower learning rates (discriminative fine-tuning,
    `Howard and Ruder 2018 <https://arxiv.org/abs/1801.06146>`_). The validation split is used for temperature scaling
    (`Guo et al. 2017 <https://arxiv.org/abs/1706.04599>`_) and for one threshold per genre by F1. The learning rate
    reaches 0 at the last step or at the time limit, whichever comes first.

    Examples
    --------
    >>> from movieplots import prepare, train_classifier
    >>> _ = prepare("sample", "runs/plots")  # doctest: +SKIP
    >>> info = train_classifier("runs/plots", "minilm-l6", "runs/classifier", epochs=1)  # doctest: +SKIP
    >>> info.metrics.test.scores.micro_f1  # doctest: +SKIP
    """

    def make(run: Run[ClassifierSettings]) -> TrainingInputs:
        plots = labelled(run.plots, run.settings.data)
        check_teachers(run.settings.teachers, plots.labels)
        return TrainingInputs(*new_classifier(plots, run.settings), plots)

    def train(run: Run[ClassifierSettings], made: TrainingInputs) -> Any:
        settings, plots, model, tokenizer = run.settings, made.plots, made.model, made.tokenizer
        if last_checkpoint(run.folder / "checkpoints") is None:
            initialize_head(model, tokenizer, plots, settings)
        teachers = settings.teachers
        targets = distillation_targets(teachers, plots) if teachers else plots.targets["train"]
        dataset = training_plots(tokenizer, plots, settings, targets)
        return fit(
            what="Training the classifier",
            model=model,
            parameter_groups=lambda module: layer_groups(module, settings.method, settings.learning_rate),
            output_dir=run.folder,
            seed=settings.seed,
            max_steps=settings.epochs * dataset.steps_per_epoch,
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
            train_dataset=dataset,
            eval_dataset=tokenized(tokenizer, plots.texts["validation"], plots.targets["validation"]),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_loss_func=trainer_loss(loss_of(settings, plots)),
        )

    def finished(run: Run[ClassifierSettings], made: TrainingInputs, trainer: Any) -> Finished[ClassifierInfo]:
        merge_lora(made.model)
        return finish(
            run, made.model, made.tokenizer, made.plots, trainer.state.global_step, history(trainer),
            circumstances(trainer),
        )  # fmt: skip

    return run_training(settings, ClassifierInfo, settings.batch_size, make, train, finished)


@takes(ClassifierLrSettings)
def find_lr(settings: ClassifierLrSettings) -> LrSearch:
    """Run a learning-rate range test for `train_classifier` with the same arguments.

    Returns
    -------
    LrSearch
        Learning rates, losses, and the learning rate at which the loss falls fastest.

    Raises
    ------
    BadInput
        If an option is out of range, the base model is not an encoder, the data have fewer than two labels, or
        the loss does not fall at any learning rate.

    Notes
    -----
    The learning rate grows exponentially over one short training run
    (`Smith 2017 <https://arxiv.org/abs/1506.01186>`_). All trained weights share one learning rate, including the head,
    which is initialized as in `train_classifier`.

    Examples
    --------
    >>> from movieplots.classification.training import find_lr
    >>> search = find_lr("runs/plots", "minilm-l6", steps=50)  # doctest: +SKIP
    >>> search.suggestion  # doctest: +SKIP
    """
    plots = read_labelled(settings.data)
    set_seed(settings.seed)
    model, tokenizer = new_classifier(plots, settings)
    initialize_head(model, tokenizer, plots, settings)
    return search_lr(
        model,
        lambda model: [parameter for parameter in model.parameters() if parameter.requires_grad],
        settings.steps,
        {
            "per_device_train_batch_size": settings.batch_size, "seed": settings.seed, "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=training_plots(tokenizer, plots, settings, plots.targets["train"]),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_loss_func=trainer_loss(loss_of(settings, plots)),
    )  # fmt: skip


def new_classifier(plots: LabelledPlots, settings: AnySettings) -> tuple[Any, Any]:
    """Return (model, tokenizer) to be trained with the settings: number of layers and adapters are set."""
    notify(f"Loading {settings.base_model} …")
    model, tokenizer = new_model(settings.base_model, plots.labels)
    if layers := getattr(settings, "layers", None):
        keep_layers(model, layers)
    output_layer(model).bias.data = torch.from_numpy(log_odds(plots.targets["train"])).float()
    if getattr(settings, "method", "full") == "lora":
        add_lora(model)
    return model, tokenizer


def initialize_head(model: Any, tokenizer: Any, plots: LabelledPlots, settings: AnySettings) -> None:
    """Initialize the head as described in `movieplots.classification.head`."""
    align_head(model, tokenizer, plots, usual_learning_rate(settings.base_model), settings.seed)
    fit_head(model, tokenizer, plots, settings.loss, settings.seed)


def loss_of(settings: AnySettings, plots: LabelledPlots) -> Loss:
    """Return the loss by the settings, with weights from the training plots."""
    return make_loss(settings.loss, plots.targets["train"], settings.label_smoothing)


def trainer_loss(loss: Loss) -> Callable[..., torch.Tensor]:
    """Return the loss as the `Trainer` calls it: divided by the number of targets in the whole step."""

    def compute(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        targets = labels.numel() if num_items_in_batch is None else num_items_in_batch
        return loss(outputs.logits.float(), labels) * labels.numel() / targets

    return compute


def training_plots(tokenizer: Any, plots: LabelledPlots, settings: AnySettings, targets: np.ndarray) -> TrainingPlots:
    """Return the dataset of training plots by the settings, with `targets` (n, labels) from 0 to 1."""
    return TrainingPlots(
        tokenizer, plots.texts["train"], targets, settings.batch_size, settings.seed,
        plots.titles["train"] if settings.titles else None,
    )  # fmt: skip


def layer_groups(model: Any, method: str = "full", learning_rate: float | None = None) -> list[Group]:
    """Return parameter groups with learning rates: output layer, rest of the head, encoder layers, embeddings.

    The rates of the layers decrease from top to bottom.
    Discriminative fine-tuning (`Howard and Ruder 2018 <https://arxiv.org/abs/1801.06146>`_): lower layers hold more
    general features and should change less. Frozen parameters are left out. `learning_rate` is that of the top layer;
    the others scale with it.

    Returns
    -------
    list of dict
        Parameter groups for a torch optimizer.
    """
    usual = TOP_RATES[method]
    output = list(output_layer(model).parameters())
    before = [parameter for parameter in head_parameters(model) if not any(parameter is each for each in output)]
    groups: list[Group] = [{"params": output, "lr": HEAD_RATE}, {"params": before, "lr": TOP_RATES["full"]}]
    for depth, layer in enumerate(reversed(layers_of(model))):
        groups.append({"params": list(layer.parameters()), "lr": usual * LAYER_DECAY**depth})
    taken = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups.append({"params": rest, "lr": EMBEDDING_RATE})
    for group in groups:
        group["lr"] *= (learning_rate or usual) / usual
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    return [group for group in groups if group["params"]]


def check_teachers(teachers: Sequence[str | Path], labels: list[str]) -> None:
    """Raise BadInput if a folder does not hold a classifier, or holds one with other genres."""
    for teacher in teachers:
        own = read_info(teacher, ClassifierInfo).labels
        if own != labels:
            differ = ", ".join(sorted({*own} ^ {*labels}))
            raise BadInput(
                f"The teacher {teacher} has other genres than the student ({differ}): "
                "choose a teacher that was trained on the same --data."
            )


def distillation_targets(teachers: Sequence[str | Path], plots: LabelledPlots) -> np.ndarray:
    """Return soft targets of the training plots: half their genres, half the teachers' probabilities.

    Teachers are averaged in log-odds.

    Returns
    -------
    numpy.ndarray of shape (n_plots, n_labels)
        Targets from 0 to 1.
    """
    total = np.zeros_like(plots.targets["train"], dtype=float)
    for teacher in teachers:
        notify(f"Predicting the training plots with the teacher {teacher} …")
        classifier = GenreClassifier.from_pretrained(teacher)
        titles = plots.titles["train"] if classifier.info.titles else None
        proba = classifier.predict_proba(plots.texts["train"], titles)
        total += logit(np.clip(proba, 1e-6, 1 - 1e-6))
    soft = expit(total / len(teachers))
    return ((1 - SOFT_SHARE) * plots.targets["train"] + SOFT_SHARE * soft).astype(np.float32)
