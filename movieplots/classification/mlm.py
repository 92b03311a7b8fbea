"""Continued pretraining: an encoder trained on plots as a masked language model, before it is asked for genres.

As BERT was trained (Devlin et al. 2019): of 15 % of the tokens most are hidden and all are to be guessed. Plots are
packed into blocks of one size, and only the guessed tokens go through the output layer, whose vocabulary would
otherwise cost more than the encoder. Only training plots are read; what is held out stays out.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import nn
from torch.utils.data import IterableDataset
from transformers import AutoModelForMaskedLM, default_data_collator

from movieplots.classification.info import MlmInfo, MlmMetrics
from movieplots.classification.training_settings import MlmSettings
from movieplots.errors import BadInput
from movieplots.formatting import markdown_table
from movieplots.pretrained.base_models import load_pretrained, load_tokenizer
from movieplots.progress import notify, track
from movieplots.runs.fit import circumstances, fit, half_precision, history
from movieplots.runs.lifecycle import Finished, Run, run_training
from movieplots.settings import takes

CHOSEN = 0.15  # share of the tokens that are to be guessed
HIDDEN, REPLACED = 0.8, 0.1  # of these: shown as the mask, shown as a random token; the others stay as they are
EVALUATIONS = 8  # over a run
HELD_OUT_TOKENS = 40_000
IGNORED = -100

Block = dict[str, list[int]]


@dataclass(frozen=True)
class _Made:
    """The model and its tokenizer, the training plots in blocks, and blocks of the other splits with hidden tokens."""

    model: Any
    tokenizer: Any
    blocks: list[list[int]]
    validation: list[Block]
    test: list[Block]


@takes(MlmSettings)
def train_mlm(settings: MlmSettings) -> MlmInfo:
    """Train an encoder further on the training plots, as a masked language model.

    What comes out is then a base model for `train_classifier`. The loss is measured on the same plots of the test
    split, masked alike, before and after. Killed and started again with the same arguments it continues.

    Returns
    -------
    MlmInfo
        What `output_dir/movieplots.json` then holds, with the cross-entropy in nats per hidden token.

    Raises
    ------
    BadInput
        For an option out of range, a base model that has no mask token, was trained on held-out plots or takes no
        sequence of this length, a split that does not fill one, and an output folder with other settings.
    """
    return run_training(settings, MlmInfo, settings.sequences_per_step, _make, _train, _finish)


def _make(run: Run[MlmSettings]) -> _Made:
    settings, base_model = run.settings, run.settings.base_model
    notify(f"Loading {base_model} …")
    tokenizer = load_tokenizer(base_model)
    model = load_pretrained(AutoModelForMaskedLM, base_model)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # costs a third of a training step on a CPU
    room = model.config.max_position_embeddings
    if "roberta" in model.config.model_type:
        room -= 2  # it counts positions from the padding token's id on
    if settings.block_size > room:
        raise BadInput(
            f"--block-size must be at most {room}, which is what {base_model} takes, not {settings.block_size}."
        )
    if tokenizer.mask_token_id is None:
        raise BadInput(f"{base_model} has no mask token: choose an encoder of the BERT or RoBERTa kind.")
    blocks = {name: packed(tokenizer, part["plot"].tolist(), settings.block_size) for name, part in run.parts.items()}
    for name, made in blocks.items():
        if not made:
            raise BadInput(
                f"The {name} split of {settings.data} does not fill one block of {settings.block_size} tokens: lower "
                "--block-size."
            )
    validation, test = (
        MaskedBlocks(tokenizer, blocks[name], f"{settings.seed}-{name}").once(HELD_OUT_TOKENS // settings.block_size)
        for name in ("validation", "test")
    )
    return _Made(model, tokenizer, blocks["train"], validation, test)


def _train(run: Run[MlmSettings], made: _Made) -> tuple[Any, float]:
    """(trainer, test loss before)."""
    settings = run.settings
    before = run.once("loss_before", lambda: {"loss": measure_loss(made.model, made.test)})["loss"]
    per_step = settings.sequences_per_step
    learning_rate = cast(float, settings.learning_rate)  # that of resolved settings is never None
    trainer = fit(
        what="Training on plots",
        model=made.model,
        parameter_groups=lambda module: [{"params": list(module.parameters()), "lr": learning_rate}],
        output_dir=run.folder,
        seed=settings.seed,
        max_steps=math.ceil(settings.epochs * len(made.blocks) / per_step),
        time_limit=settings.time_limit,
        evaluations=EVALUATIONS,
        loss=guessed_loss,
        arguments={
            "per_device_train_batch_size": run.at_once,
            "gradient_accumulation_steps": per_step // run.at_once,
            "per_device_eval_batch_size": 1,  # of these all tokens go through the output layer
            "eval_strategy": "steps",
            "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=MaskedBlocks(made.tokenizer, made.blocks, str(settings.seed)),
        eval_dataset=made.validation,
        data_collator=default_data_collator,
    )
    return trainer, before


def _finish(run: Run[MlmSettings], made: _Made, trained: tuple[Any, float]) -> Finished[MlmInfo]:
    trainer, before = trained
    settings, steps = run.settings, trainer.state.global_step
    info = MlmInfo(
        base_model=settings.base_model,
        sources=run.sources,
        data_fingerprint=run.recipe.data,
        recipe=run.recipe,
        metrics=MlmMetrics(
            test_loss_before=before,
            test_loss_after=measure_loss(made.model, made.test),
            test_tokens=sum(label != IGNORED for block in made.test for label in block["labels"]),
            train_plots=len(run.parts["train"]),
            train_tokens=steps * settings.sequences_per_step * settings.block_size,
            steps=steps,
        ),
        history=history(trainer),
    )

    def save(folder: Path) -> None:
        made.model.save_pretrained(folder)
        made.tokenizer.save_pretrained(folder)

    return Finished(info, _card(info), save, circumstances(trainer))


def mlm_table(infos: Mapping[int, MlmInfo]) -> pd.DataFrame:
    """Losses in nats per hidden token of runs by block size, before and after, and the tokens they were measured on."""
    return pd.DataFrame(
        [
            {
                "block size": size, "validation plots, after": info.history[-1]["eval_loss"],
                "test plots, before": info.metrics.test_loss_before,
                "test plots, after": info.metrics.test_loss_after, "hidden tokens": info.metrics.test_tokens,
            }
            for size, info in infos.items()
        ]
    )  # fmt: skip


def guessed_loss(model: Any, batch: dict[str, torch.Tensor], tokens: Any) -> torch.Tensor:
    """The loss in nats summed over the tokens to be guessed, divided by `tokens`, so many as the whole step has."""
    labels = batch["labels"]
    guessed = labels != IGNORED
    shown = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    head = getattr(model, "cls", None) or getattr(model, "lm_head", None)  # BERT's and RoBERTa's names
    with half_precision(labels.device):
        if head is None:
            logits = model(**shown).logits[guessed]
        else:
            logits = head(model.base_model(**shown).last_hidden_state[guessed])
    return nn.functional.cross_entropy(logits.float(), labels[guessed], reduction="sum") / tokens


def packed(tokenizer: Any, texts: list[str], block_size: int) -> list[list[int]]:
    """All texts one after the other, with the tokenizer's marks around each, cut into blocks; the rest is left out."""
    ids = list(itertools.chain.from_iterable(tokenizer(texts)["input_ids"]))
    return [ids[i : i + block_size] for i in range(0, len(ids) - block_size + 1, block_size)]


class MaskedBlocks(IterableDataset):
    """An endless stream of blocks with tokens hidden anew in each pass; it depends on the seed alone."""

    def __init__(self, tokenizer: Any, blocks: list[list[int]], seed: str) -> None:
        self.blocks, self.seed = blocks, seed
        self.mask, self.size, self.kept = tokenizer.mask_token_id, len(tokenizer), set(tokenizer.all_special_ids)

    def __iter__(self) -> Iterator[Block]:
        for number in itertools.count():
            draw = random.Random(f"{self.seed}-{number}")
            for block in draw.sample(self.blocks, len(self.blocks)):
                yield self._masked(block, draw)

    def once(self, most: int) -> list[Block]:
        """The first blocks of the first pass, at most so many, at least one."""
        return list(itertools.islice(self, min(max(most, 1), len(self.blocks))))

    def _masked(self, block: list[int], draw: random.Random) -> Block:
        shown, labels = list(block), [IGNORED] * len(block)
        for i, token in enumerate(block):
            if token in self.kept or draw.random() >= CHOSEN:
                continue
            labels[i], dice = token, draw.random()
            if dice < HIDDEN:
                shown[i] = self.mask
            elif dice < HIDDEN + REPLACED:
                shown[i] = draw.randrange(self.size)
        if all(label == IGNORED for label in labels):  # a mean over nothing would be no number
            place = next((i for i, token in enumerate(block) if token not in self.kept), 0)
            labels[place], shown[place] = block[place], self.mask
        return {"input_ids": shown, "attention_mask": [1] * len(block), "labels": labels}


@torch.inference_mode()
def measure_loss(model: Any, blocks: list[Block]) -> float:
    """The mean loss over all tokens to be guessed, in nats."""
    model.eval()
    device = next(model.parameters()).device
    total = count = 0.0
    for i in track(range(0, len(blocks), 8), "Measuring the loss"):
        batch = default_data_collator(blocks[i : i + 8])
        count += int((batch["labels"] != IGNORED).sum())
        total += float(guessed_loss(model, {name: value.to(device) for name, value in batch.items()}, 1))
    return total / count


def _card(info: MlmInfo) -> str:
    metrics = info.metrics
    return f"""# Masked language model of movie plots

`{info.base_model}`, trained further on {metrics.train_plots:,} training plots from {", ".join(info.sources)} (data
fingerprint `{info.data_fingerprint}`) as a masked language model. It is a base model for a classifier:

    movieplots train classifier --data DATA --base-model THIS_FOLDER --output-dir CLASSIFIER

Loss on {metrics.test_tokens:,} hidden tokens of test plots: {metrics.test_loss_before:.3f} nats before,
{metrics.test_loss_after:.3f} after {metrics.steps:,} steps.

{markdown_table(("", ""), info.recipe.in_words().items())}
"""
