"""Fine-tuning an encoder with fastai: gradual unfreezing, layer-wise learning rates, and one 1cycle schedule per stage.

The ULMFiT recipe (`Howard and Ruder 2018 <https://arxiv.org/abs/1801.06146>`_) for any Hugging Face encoder: first the
head, then also the upper half of the layers, then all weights. The result is the same kind of folder as that of
`train_classifier`; loading it does not need fastai.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import DataCollatorWithPadding, set_seed

from movieplots.classification.finishing import finish
from movieplots.classification.head import align_head
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.labelled_plots import LabelledPlots, labelled, read_labelled
from movieplots.classification.model import layers_of
from movieplots.classification.training import (
    AnySettings,
    TrainingInputs,
    layer_groups,
    loss_of,
    new_classifier,
    training_plots,
)
from movieplots.classification.training_plots import Row, TrainingPlots, tokenized
from movieplots.classification.training_settings import ClassifierLrSettings, FastaiSettings, usual_learning_rate
from movieplots.errors import BadInput
from movieplots.files import atomic_path
from movieplots.progress import bar, console, notify
from movieplots.runs.find_lr import LrSearch, smooth
from movieplots.runs.fit import (
    SECONDS_BETWEEN_CHECKPOINTS,
    SECONDS_PER_LINE,
    WEIGHT_DECAY,
    Group,
    mixed_precision,
    run_circumstances,
)
from movieplots.runs.folder import Logged
from movieplots.runs.lifecycle import Finished, Run, run_training
from movieplots.settings import takes

try:
    from fastai.callback.core import Callback
    from fastai.callback.schedule import steep
    from fastai.callback.training import GradientAccumulation, GradientClip
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastcore.foundation import L
except ModuleNotFoundError:
    raise BadInput(
        "Training with fastai needs fastai: run `pip install --no-deps fastai` and `pip install fastcore fasttransform "
        "fastprogress fastdownload 'plum-dispatch<2.10' cloudpickle`, which together leave out torchvision."
    ) from None

FROZEN_EPOCHS = (1, 1)  # for the head alone, and for the head with the upper layers
HEAD_FACTOR = 5.0  # by which the head's learning rate is larger while only the head is trained
LOGGING_STEPS = 10


@takes(FastaiSettings)
def train_with_fastai(settings: FastaiSettings) -> ClassifierInfo:
    """Fine-tune an encoder with a fastai `Learner`: gradual unfreezing, layer-wise learning rates, 1cycle schedules.

    The first epoch trains only the output layer (head), the second also the upper half of the layers. Then all weights
    are trained for `epochs` epochs. In all other
    respects it works like `train_classifier`. If interrupted, call it again with the same arguments to resume.

    Returns
    -------
    ClassifierInfo
        The content of `output_dir/movieplots.json`.

    Raises
    ------
    BadInput
        In the same cases as `train_classifier`.

    Notes
    -----
    Gradual unfreezing and layer-wise learning rates: `Howard and Ruder (2018) <https://arxiv.org/abs/1801.06146>`_.
    1cycle schedule: `Smith (2018) <https://arxiv.org/abs/1803.09820>`_.

    Examples
    --------
    >>> from movieplots.classification.fastai_training import train_with_fastai
    >>> info = train_with_fastai("data/plots", "minilm-l6", "data/fastai", epochs=1)  # doctest: +SKIP
    >>> info.metrics.test.scores.micro_f1  # doctest: +SKIP
    """
    return run_training(settings, ClassifierInfo, settings.batch_size, _make, _train, _finish)


def _make(run: Run[FastaiSettings]) -> TrainingInputs:
    plots = labelled(run.plots, run.settings.data)
    return TrainingInputs(*new_classifier(plots, run.settings), plots)


def _train(run: Run[FastaiSettings], made: TrainingInputs) -> "_CheckpointCallback":
    settings, model = run.settings, made.model
    learner, epochs = new_learner(model, made.tokenizer, made.plots, settings, run.at_once)
    learner.model.to("cuda" if torch.cuda.is_available() else "cpu")
    checkpointer = _CheckpointCallback(run.folder / "checkpoints" / "learner.pth", epochs)
    learning_rate = cast(float, settings.learning_rate)  # resolved settings have one
    by_group = rates(model, learning_rate)  # before anything is frozen
    head = len(by_group) - 1
    upper = 1 + len(layers_of(model)) // 2  # the first group has the embeddings
    stages = [(head, FROZEN_EPOCHS[0]), (upper, FROZEN_EPOCHS[1]), (0, settings.epochs)]
    learner.add_cb(checkpointer)
    if not checkpointer.file.is_file():
        align_head(model, made.tokenizer, made.plots, usual_learning_rate(settings.base_model), settings.seed)
    at = checkpointer.load(learner)
    epochs_before = 0
    try:
        for number, (frozen_below, count) in enumerate(stages):
            learner.freeze_to(frozen_below)  # which also resets the optimizer's state
            if number == at["stage"]:
                checkpointer.restore_optimizer(learner)
            if number >= at["stage"]:
                checkpointer.begin_stage(number, epochs_before, at if number == at["stage"] else None, count)
                start = at["epoch"] if number == at["stage"] else 0
                faster = HEAD_FACTOR if number == 0 else 1.0
                learner.fit_one_cycle(count, lr_max=faster * by_group, start_epoch=start)
            epochs_before += count
    finally:
        checkpointer.stop()
    notify(f"Training with fastai: {checkpointer.steps} steps in {checkpointer.seconds / 60:.1f} minutes.")
    return checkpointer


def _finish(run: Run[FastaiSettings], made: TrainingInputs, trained: "_CheckpointCallback") -> Finished[ClassifierInfo]:
    return finish(
        run, made.model, made.tokenizer, made.plots, trained.steps, trained.history,
        run_circumstances(trained.seconds / 60),
    )  # fmt: skip


@takes(ClassifierLrSettings)
def find_lr(settings: ClassifierLrSettings) -> LrSearch:
    """Run fastai's `lr_find` for `train_with_fastai` with the same arguments.

    Returns
    -------
    LrSearch
        Learning rates, losses as fastai smooths them, and the learning rate at which the loss falls fastest.

    Raises
    ------
    BadInput
        If an option is out of range, the base model is not an encoder, or the data have fewer than two labels.

    Notes
    -----
    Learning-rate range test (`Smith 2017 <https://arxiv.org/abs/1506.01186>`_), with one learning rate for all layers.

    Examples
    --------
    >>> from movieplots.classification.fastai_training import find_lr
    >>> search = find_lr("data/plots", "minilm-l6", steps=50)  # doctest: +SKIP
    >>> search.suggestion  # doctest: +SKIP
    """
    set_seed(settings.seed)
    plots = read_labelled(settings.data)
    model, tokenizer = new_classifier(plots, settings)
    align_head(model, tokenizer, plots, usual_learning_rate(settings.base_model), settings.seed)
    learner, _ = new_learner(model, tokenizer, plots, settings, settings.batch_size)
    with TemporaryDirectory() as folder:
        learner.path = Path(folder)
        found = learner.lr_find(start_lr=1e-5, end_lr=1.0, num_it=settings.steps, show_plot=False, suggest_funcs=steep)
    rates_tried = [float(rate) for rate in learner.recorder.lrs]
    losses = [float(loss) for loss in learner.recorder.losses]  # fastai has smoothed them
    return LrSearch(rates_tried, losses, smooth(losses), float(found.steep))


def new_learner(
    model: Any, tokenizer: Any, plots: LabelledPlots, settings: AnySettings, at_once: int
) -> tuple[Learner, "_Epochs"]:
    """Return a fastai Learner for the model and its dataset, with `at_once` plots per forward pass."""
    collator = DataCollatorWithPadding(tokenizer)

    def collate(rows: list[Row]) -> tuple[torch.Tensor, ...]:
        batch = collator(rows)
        return batch["input_ids"], batch["attention_mask"], batch["labels"]

    dataset = training_plots(tokenizer, plots, settings, plots.targets["train"])
    validation = tokenized(tokenizer, plots.texts["validation"], plots.targets["validation"])
    epochs, size = _Epochs(dataset), settings.batch_size
    learner = Learner(
        DataLoaders(
            DataLoader(epochs, at_once, collate_fn=collate), DataLoader(validation, at_once, collate_fn=collate)
        ),
        _Logits(model),
        loss_func=loss_of(settings, plots),
        splitter=lambda module: [group["params"] for group in _bottom_up(module.model)],
        wd=WEIGHT_DECAY,
        train_bn=False,  # else fastai trains the normalization of frozen layers, and computes gradients for all layers
        cbs=[GradientClip(1.0)] + ([GradientAccumulation(size)] if at_once < size else []),
    )
    learner.remove_cbs([cb for cb in learner.cbs if type(cb).__name__ == "ProgressCallback"])
    learner.logger = lambda *_: None
    precision = mixed_precision()
    if torch.cuda.is_available():
        learner.to_bf16() if precision["bf16"] else learner.to_fp16()
    return learner, epochs


def rates(model: Any, learning_rate: float) -> np.ndarray:
    """Return the learning rate of each parameter group, from the embeddings to the head."""
    return np.array([group["lr"] for group in _bottom_up(model, learning_rate)])


def _bottom_up(model: Any, learning_rate: float | None = None) -> list[Group]:
    """Return the parameter groups from bottom to top, the order in which fastai freezes them."""
    head, *layers, embeddings = layer_groups(model, learning_rate=learning_rate)
    return [embeddings, *reversed(layers), head]


class _Logits(torch.nn.Module):
    """Adapts the model to fastai: tensors in, logits out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the logits."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits.float()


class _Epochs(IterableDataset):
    """A dataset of one epoch of training plots: epoch `number` without its first `skipped` plots."""

    def __init__(self, plots: TrainingPlots) -> None:
        self.plots, self.number, self.skipped = plots, 0, 0

    def __iter__(self) -> Iterator[Row]:
        for i, row in enumerate(self.plots.one_epoch(self.number)):
            if i >= self.skipped:
                yield row

    def __len__(self) -> int:
        return self.plots.steps_per_epoch * self.plots.batch_size


class _CheckpointCallback(Callback):
    """Records losses and progress, selects the epoch of the dataset, and writes a checkpoint every few minutes."""

    order = 65  # after fastai's own counters and recorder

    def __init__(self, file: Path, epochs: _Epochs) -> None:
        self.file, self.epochs = file, epochs
        self.history: list[Logged] = []
        self.steps, self.progress = 0, bar()
        self.at = {"stage": 0, "epoch": 0, "step": 0}
        self.parts: list[float] = []  # losses of the batches of a step
        self.recent: list[float] = []  # losses of the steps since the last log entry
        self.started = self.saved = self.printed = time.monotonic()
        self.before = 0.0
        self.optimizer: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """Training time so far in seconds, including earlier starts of the run."""
        return self.before + time.monotonic() - self.started

    def begin_stage(self, stage: int, epochs_before: int, at: dict[str, int] | None, epochs: int) -> None:
        """Begin stage number `stage`, or resume it from `at`."""
        self.at = at or {"stage": stage, "epoch": 0, "step": 0}
        self.epochs_before = epochs_before
        self.progress.start()
        names = ("Training the head", "Training upper layers", "Training all layers")
        total = epochs * self.epochs.plots.steps_per_epoch
        done = self.at["epoch"] * self.epochs.plots.steps_per_epoch + self.at["step"]
        self.task = self.progress.add_task(names[stage], total=total, completed=done, note="")

    def before_train(self) -> None:
        """Select the epoch of the dataset, and skip what was trained before an interruption."""
        self.epochs.number = self.epochs_before + self.epoch
        resumed = self.at["step"] if self.epoch == self.at["epoch"] else 0
        self.epochs.skipped = resumed * self.epochs.plots.batch_size
        self.learn.pct_train += resumed / (self.epochs.plots.steps_per_epoch * self.n_epoch)
        self.at |= {"epoch": self.epoch, "step": resumed}

    def after_loss(self) -> None:
        """Keep the batch's loss."""
        if self.training:
            self.parts.append(self.loss.item())

    def after_step(self) -> None:
        """Log the loss, update the progress bar, and save a checkpoint if it is time."""
        self.steps += 1
        self.recent.append(float(np.mean(self.parts)))
        self.parts.clear()
        if self.steps % LOGGING_STEPS == 0:
            self.history.append({"step": self.steps, "loss": float(np.mean(self.recent))})
            self.recent.clear()
            self._report(f"loss {self.history[-1]['loss']:.3f}")
        self.at["step"] += 1
        self.progress.update(self.task, advance=1)
        if self.steps % LOGGING_STEPS == 0 and time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._save()

    def after_epoch(self) -> None:
        """Log the validation loss and save a checkpoint."""
        if self.epoch >= self.at["epoch"] and self.learn.recorder.values:
            validation_loss = float(self.learn.recorder.values[-1][-1])
            self.history.append({"step": self.steps, "eval_loss": validation_loss})
            self._report(f"validation {validation_loss:.3f}")
            self.at |= {"epoch": self.epoch + 1, "step": 0}
            self._save()

    def load(self, learner: Learner) -> dict[str, int]:
        """Restore the model from the checkpoint, if there is one; return where training continues."""
        if not self.file.is_file():
            return self.at
        kept = torch.load(self.file, map_location="cpu", weights_only=True)
        learner.model.load_state_dict(kept["model"])
        self.optimizer = kept["optimizer"]
        self.history, self.steps, self.before = kept["history"], kept["steps"], kept["seconds"]
        notify(f"Continuing at step {self.steps}.")
        return kept["at"]

    def restore_optimizer(self, learner: Learner) -> None:
        """Restore the optimizer's state from the checkpoint, if there is one."""
        if self.optimizer is None:
            return
        if learner.opt is None:
            learner.create_opt()
        parameters = [parameter for group in learner.opt.param_lists for parameter in group]
        states = [
            {name: value.to(parameter.device) if torch.is_tensor(value) else value for name, value in state.items()}
            for parameter, state in zip(parameters, self.optimizer["state"], strict=True)
        ]
        learner.opt.load_state_dict({"state": L(states), "hypers": L(self.optimizer["hypers"])})

    def stop(self) -> None:
        """Stop the progress bar, also after an interrupt."""
        self.progress.stop()

    def _save(self) -> None:
        self.saved = time.monotonic()
        state = self.learn.opt.state_dict()
        hypers = [{name: float(value) for name, value in group.items()} for group in state["hypers"]]
        kept = {
            "model": self.learn.model.state_dict(), "at": self.at,
            "optimizer": {"state": list(state["state"]), "hypers": hypers},  # plain types load with weights_only
            "history": self.history, "steps": self.steps, "seconds": self.seconds,
        }  # fmt: skip
        with atomic_path(self.file) as temporary:
            torch.save(kept, temporary)

    def _report(self, note: str) -> None:
        self.progress.update(self.task, note=note)
        if not console.is_terminal and time.monotonic() - self.printed > SECONDS_PER_LINE:
            self.printed = time.monotonic()
            notify(f"Training with fastai: step {self.steps} · {note}")
