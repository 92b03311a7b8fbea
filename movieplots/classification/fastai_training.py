"""Fine-tuning an encoder with fastai: gradual unfreezing, a learning rate by layer, one cycle a stage.

The recipe of ULMFiT (Howard and Ruder 2018) around any Hugging Face encoder: the head alone, then the upper half of the
layers with it, then all. What comes out is the same folder as that of `train_classifier`, loadable without fastai.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import DataCollatorWithPadding, set_seed

from movieplots.classification.feeding import TrainingPlots, tokenised
from movieplots.classification.finishing import finish
from movieplots.classification.labelled_plots import LabelledPlots, read_labelled
from movieplots.classification.model import GenreModel, layers_of
from movieplots.classification.recipe import make_recipe
from movieplots.classification.training import TOP_RATES, layer_groups, new_classifier, training_plots
from movieplots.errors import BadInput
from movieplots.files import atomic_path, check_folder
from movieplots.lineage import lineage
from movieplots.model_folder import begin, clear, finished
from movieplots.progress import bar, console, say
from movieplots.rate_search import RateSearch, smooth
from movieplots.training import (
    SECONDS_BETWEEN_CHECKPOINTS,
    SECONDS_PER_LINE,
    WEIGHT_DECAY,
    mixed_precision,
    one_process,
    run_circumstances,
)

try:
    from fastai.callback.core import Callback
    from fastai.callback.schedule import steep
    from fastai.callback.training import GradientClip
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastcore.foundation import L
except ModuleNotFoundError:
    raise BadInput(
        "This recipe needs fastai: run `pip install --no-deps fastai` and "
        "`pip install fastcore fasttransform fastprogress fastdownload 'plum-dispatch<2.10' cloudpickle`, which leaves "
        "out torchvision."
    ) from None

FROZEN_PASSES = (1, 1)  # of the head alone, and of the head with the upper layers
ALONE = 5.0  # times its usual rate the head takes while it is alone and new
EVERY = 10  # steps between two losses of the curve


def train_with_fastai(
    data: str | Path,
    base: str,
    out: str | Path,
    passes: int = 3,
    batch_size: int = 48,
    *,
    learning_rate: float = TOP_RATES["full"],
    loss: str = "weighted",
    label_smoothing: float = 0.0,
    titles: bool = False,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Fine-tune the encoder `base` with a fastai `Learner`; returns what `out/movieplots.json` then holds.

    One pass over the training plots for the head, one for the upper half of the layers too, then `passes` for all.
    `learning_rate` is that of the top layer; those below it, the embeddings and the head keep their usual relation to
    it. Everything else, and what happens to a killed run, is as in `train_classifier`.
    """
    out = Path(out)
    recipe = make_recipe(
        base, passes=passes, batch_size=batch_size, method="full", loss=loss, label_smoothing=label_smoothing,
        titles=titles, layers=None, learning_rate=learning_rate, time_limit=None, seed=seed,
    ) | {"verb": "fastai"}  # fmt: skip
    one_process("train fastai")
    check_folder(out)
    plots = read_labelled(data)
    recipe |= {"data": plots.fingerprint} | lineage(base, plots.ids)
    done = None if fresh else finished(out, recipe)
    if done:
        say(f"{out} already holds this classifier; --fresh trains it again.")
        return done
    set_seed(seed)
    model, tokenizer = new_classifier(base, plots, recipe)
    if fresh:
        clear(out)
    begin(out, recipe)
    learner, passing = new_learner(model, tokenizer, plots, recipe)
    learner.model.to("cuda" if torch.cuda.is_available() else "cpu")
    keeper = _Keeper(out / "checkpoints" / "learner.pth", passing)
    by_group = rates(model, learning_rate)  # before anything is frozen
    head = len(by_group) - 1
    upper = head - math.ceil(len(layers_of(model.encoder)) / 2)
    stages = [(head, FROZEN_PASSES[0]), (upper, FROZEN_PASSES[1]), (0, passes)]
    learner.add_cb(keeper)
    at = keeper.load(learner)
    passes_before = 0
    try:
        for number, (frozen_below, count) in enumerate(stages):
            learner.freeze_to(frozen_below)  # which also forgets what the optimizer has gathered
            if number == at["stage"]:
                keeper.restore_optimizer(learner)
            if number >= at["stage"]:
                keeper.begin_stage(number, passes_before, at if number == at["stage"] else None, count)
                start = at["pass"] if number == at["stage"] else 0
                faster = ALONE if number == 0 else 1.0
                learner.fit_one_cycle(count, lr_max=faster * by_group, start_epoch=start)
            passes_before += count
    finally:
        keeper.stop()
    say(f"Training with fastai: {keeper.steps} steps in {keeper.seconds / 60:.1f} minutes.")
    run = run_circumstances(keeper.seconds / 60)
    return finish(model, tokenizer, plots, out, recipe, keeper.steps, keeper.history, run, [base])


def search_rate(
    data: str | Path,
    base: str,
    *,
    batch_size: int = 48,
    loss: str = "weighted",
    label_smoothing: float = 0.0,
    titles: bool = False,
    steps: int = 100,
    seed: int = 0,
) -> RateSearch:
    """fastai's `lr_find` (Smith 2017), one rate for all layers: the losses, as fastai smooths them, at growing rates.

    The suggestion is where they fall fastest.
    """
    recipe = make_recipe(
        base, passes=1, batch_size=batch_size, method="full", loss=loss, label_smoothing=label_smoothing, titles=titles,
        layers=None, learning_rate=None, time_limit=None, seed=seed,
    )  # fmt: skip
    set_seed(seed)
    plots = read_labelled(data)
    model, tokenizer = new_classifier(base, plots, recipe)
    learner, _ = new_learner(model, tokenizer, plots, recipe)
    with TemporaryDirectory() as folder:
        learner.path = Path(folder)
        found = learner.lr_find(start_lr=1e-5, end_lr=1.0, num_it=steps, show_plot=False, suggest_funcs=steep)
    rates_tried = [float(rate) for rate in learner.recorder.lrs]
    losses = [float(loss) for loss in learner.recorder.losses]  # fastai's are smoothed already
    return RateSearch(rates_tried, losses, smooth(losses), float(found.steep))


def new_learner(
    model: GenreModel, tokenizer: Any, plots: LabelledPlots, recipe: dict[str, Any]
) -> tuple[Learner, "_Passing"]:
    """A fastai Learner around the model, and the dataset that it is fed from."""
    collator = DataCollatorWithPadding(tokenizer)

    def collate(rows: list[dict[str, Any]]) -> tuple[torch.Tensor, ...]:
        batch = collator(rows)
        return batch["input_ids"], batch["attention_mask"], batch["labels"]

    feed = training_plots(tokenizer, plots, model.max_tokens, recipe, plots.targets["train"])
    held_out = tokenised(tokenizer, plots.texts["validation"], plots.targets["validation"], model.max_tokens)
    passing = _Passing(feed)
    size = recipe["batch_size"]
    learner = Learner(
        DataLoaders(DataLoader(passing, size, collate_fn=collate), DataLoader(held_out, size, collate_fn=collate)),
        _Logits(model),
        loss_func=model.loss,
        splitter=lambda module: [group["params"] for group in _bottom_up(module.model)],
        wd=WEIGHT_DECAY,
        train_bn=False,  # or the normalisations of frozen layers were trained, and gradients computed through all
        cbs=GradientClip(1.0),
    )
    learner.remove_cbs([cb for cb in learner.cbs if type(cb).__name__ == "ProgressCallback"])
    learner.logger = lambda *_: None
    precision = mixed_precision()
    if torch.cuda.is_available():
        learner.to_bf16() if precision["bf16"] else learner.to_fp16()
    return learner, passing


def rates(model: GenreModel, learning_rate: float) -> np.ndarray:
    """The learning rate of each parameter group, from the embeddings to the head."""
    return np.array([group["lr"] for group in _bottom_up(model, learning_rate)])


def _bottom_up(model: GenreModel, learning_rate: float | None = None) -> list[dict[str, Any]]:
    """fastai freezes from the first group on, so the head comes last."""
    head, *layers, embeddings = layer_groups(model, learning_rate=learning_rate)
    return [embeddings, *reversed(layers), head]


class _Logits(torch.nn.Module):
    """The genre model as fastai calls it: tensors in, logits out."""

    def __init__(self, model: GenreModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids, attention_mask)["logits"]


class _Passing(IterableDataset):
    """One pass over the training plots each time it is asked: pass `number`, without its first `skipped` plots."""

    def __init__(self, feed: TrainingPlots) -> None:
        self.feed, self.number, self.skipped = feed, 0, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for i, row in enumerate(self.feed.one_pass(self.number)):
            if i >= self.skipped:
                yield row

    def __len__(self) -> int:
        return self.feed.steps_per_pass * self.feed.batch_size


class _Keeper(Callback):
    """Keeps curve and progress, chooses the pass that is fed, and writes a checkpoint every few minutes."""

    order = 65  # after fastai's own counting and recording

    def __init__(self, file: Path, passing: _Passing) -> None:
        self.file, self.passing = file, passing
        self.history: list[dict[str, float]] = []
        self.steps, self.progress = 0, bar()
        self.at = {"stage": 0, "pass": 0, "batch": 0}
        self.recent: list[float] = []
        self.started = self.saved = self.spoken = time.monotonic()
        self.before = 0.0
        self.optimizer: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def begin_stage(self, stage: int, passes_before: int, at: dict[str, int] | None, passes: int) -> None:
        """Stage number `stage` begins, or goes on from `at`."""
        self.at = at or {"stage": stage, "pass": 0, "batch": 0}
        self.passes_before = passes_before
        self.progress.start()
        names = ("Training the head", "Training upper layers", "Training all layers")
        total = passes * self.passing.feed.steps_per_pass
        done = self.at["pass"] * self.passing.feed.steps_per_pass + self.at["batch"]
        self.task = self.progress.add_task(names[stage], total=total, completed=done, note="")

    def before_train(self) -> None:
        self.passing.number = self.passes_before + self.epoch
        resumed = self.at["batch"] if self.epoch == self.at["pass"] else 0
        self.passing.skipped = resumed * self.passing.feed.batch_size
        self.learn.pct_train += resumed / (len(self.dls.train) * self.n_epoch)
        self.at |= {"pass": self.epoch, "batch": resumed}

    def after_step(self) -> None:
        self.steps += 1
        self.recent.append(self.loss.item())
        if self.steps % EVERY == 0:
            self.history.append({"step": self.steps, "loss": float(np.mean(self.recent))})
            self.recent.clear()
            self._tell(f"loss {self.history[-1]['loss']:.3f}")

    def after_batch(self) -> None:
        if self.training:
            self.at["batch"] += 1
            self.progress.update(self.task, advance=1)
            if self.steps % EVERY == 0 and time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._save()

    def after_epoch(self) -> None:
        if self.epoch >= self.at["pass"] and self.learn.recorder.values:
            held_out = float(self.learn.recorder.values[-1][-1])
            self.history.append({"step": self.steps, "eval_loss": held_out})
            self._tell(f"held-out {held_out:.3f}")
            self.at |= {"pass": self.epoch + 1, "batch": 0}
            self._save()

    def load(self, learner: Learner) -> dict[str, int]:
        """Put the model back from the checkpoint, if there is one; returns the place where training goes on."""
        if not self.file.is_file():
            return self.at
        kept = torch.load(self.file, map_location="cpu", weights_only=True)
        learner.model.load_state_dict(kept["model"])
        self.optimizer = kept["optimizer"]
        self.history, self.steps, self.before = kept["history"], kept["steps"], kept["seconds"]
        say(f"Continuing at step {self.steps}.")
        return kept["at"]

    def restore_optimizer(self, learner: Learner) -> None:
        """Put back what the optimizer had gathered when the checkpoint was written, if there is one."""
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
        """Give the terminal back, also after an interrupt."""
        self.progress.stop()

    def _save(self) -> None:
        self.saved = time.monotonic()
        state = self.learn.opt.state_dict()
        hypers = [{name: float(value) for name, value in group.items()} for group in state["hypers"]]
        kept = {
            "model": self.learn.model.state_dict(), "at": self.at,
            "optimizer": {"state": list(state["state"]), "hypers": hypers},  # plain types load without running code
            "history": self.history, "steps": self.steps, "seconds": self.seconds,
        }  # fmt: skip
        with atomic_path(self.file) as temporary:
            torch.save(kept, temporary)

    def _tell(self, note: str) -> None:
        self.progress.update(self.task, note=note)
        if not console.is_terminal and time.monotonic() - self.spoken > SECONDS_PER_LINE:
            self.spoken = time.monotonic()
            say(f"Training with fastai: step {self.steps} · {note}")
