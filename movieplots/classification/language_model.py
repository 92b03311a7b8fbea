"""A masked language model fine-tuned on training plots: an encoder that reads plots before it is asked for genres.

As BERT was trained (Devlin et al. 2019): of 15 % of the tokens most are hidden and all are to be guessed. Plots are
packed into blocks of one size, and only the guessed tokens go through the output layer, whose vocabulary would
otherwise cost more than the encoder. Only training plots are read; what is held out stays out.
"""

import itertools
import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.utils.data import IterableDataset
from transformers import AutoModelForMaskedLM, default_data_collator, set_seed

from movieplots.bases import load_pretrained, load_tokenizer
from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, read_json, write_json
from movieplots.lineage import PlotIds, lineage
from movieplots.model_folder import RUN_FILE, begin, clear, finished, table, write_info
from movieplots.plots import SPLITS, data_fingerprint, load_plots
from movieplots.progress import say, track
from movieplots.training import (
    check_learning_rate,
    check_seed,
    check_time_limit,
    circumstances,
    fit,
    half_precision,
    history,
    one_process,
)

CHOSEN = 0.15  # share of the tokens that are to be guessed
HIDDEN, REPLACED = 0.8, 0.1  # of these: shown as the mask, shown as a random token; the others stay as they are
TOKENS_PER_STEP = 4096
LEARNING_RATE = 3e-4
EVALUATIONS = 8  # over a run
LEAST_BLOCK = 16  # tokens
HELD_OUT_TOKENS = 40_000
IGNORED = -100

Block = dict[str, list[int]]


def train_language_model(
    data: str | Path,
    base: str,
    out: str | Path,
    passes: int = 2,
    block_size: int = 128,
    *,
    learning_rate: float = LEARNING_RATE,
    time_limit: float | None = None,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Fine-tune the encoder `base` to guess hidden tokens of training plots; returns what `out/movieplots.json` holds.

    `out` is then a base for `train_classifier`. The learning rate warms up and falls linearly; `block_size` is in
    tokens, and a step takes about 4,096 of them, whatever the size. The loss, in nats per guessed token, is measured on
    the same plots of the test split, masked alike, before and after. Killed, it continues when started again.
    """
    out = Path(out)
    check_time_limit(time_limit)
    if passes < 1:
        raise BadInput(f"--passes must be at least 1, not {passes}.")
    if block_size < LEAST_BLOCK:
        raise BadInput(f"--block-size must be at least {LEAST_BLOCK}, not {block_size}.")
    check_learning_rate(learning_rate)
    check_seed(seed)
    one_process("train language-model")
    check_folder(out)
    plots = load_plots(data)
    recipe = {
        "base": base, "data": data_fingerprint(plots), "passes": passes, "block_size": block_size,
        "learning_rate": learning_rate, "time_limit": time_limit, "seed": seed,
    }  # fmt: skip
    ids = PlotIds.of(plots)
    recipe |= lineage(base, ids, refuse=False)
    done = None if fresh else finished(out, recipe)
    if done:
        say(f"{out} already holds this language model; --fresh trains it again.")
        return done
    texts = {name: plots["plot"][plots["split"] == name].tolist() for name in SPLITS}
    set_seed(seed)
    say(f"Loading {base} …")
    tokenizer = load_tokenizer(base)
    model = load_pretrained(AutoModelForMaskedLM, base)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # costs a third of a training step on a CPU
    room = model.config.max_position_embeddings
    if "roberta" in model.config.model_type:
        room -= 2  # it counts positions from the padding token's id on
    if block_size > room:
        raise BadInput(
            f"--block-size must be from {LEAST_BLOCK} to {room}, the most that {base} takes, not {block_size}."
        )
    if tokenizer.mask_token_id is None:
        raise BadInput(f"{base} has no mask token: choose an encoder of the BERT or RoBERTa kind.")
    blocks = {name: packed(tokenizer, part, block_size) for name, part in texts.items()}
    for name, part in blocks.items():
        if not part:
            raise BadInput(f"The {name} split of {data} does not fill one block of {block_size} tokens: lower it.")
    if fresh:
        clear(out)
    begin(out, recipe)
    held_out = {
        name: MaskedBlocks(tokenizer, blocks[name], f"{seed}-{name}").once(HELD_OUT_TOKENS // block_size)
        for name in ("validation", "test")
    }
    before_file = out / "checkpoints" / "loss_before.json"  # measured once, also when the run is resumed
    if not before_file.is_file():
        write_json(before_file, {"loss": held_out_loss(model, held_out["test"])})
    before = read_json(before_file, "give --fresh to start over")["loss"]
    per_step = max(1, TOKENS_PER_STEP // block_size)
    trainer = fit(
        what="Training on plots",
        model=model,
        parameter_groups=lambda module: [{"params": list(module.parameters()), "lr": learning_rate}],
        out=out,
        recipe=recipe,
        max_steps=math.ceil(passes * len(blocks["train"]) / per_step),
        time_limit=time_limit,
        evaluations=EVALUATIONS,
        loss=guessed_loss,
        arguments={
            "per_device_train_batch_size": per_step,
            "per_device_eval_batch_size": 1,  # of these all tokens go through the output layer
            "eval_strategy": "steps",
            "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=MaskedBlocks(tokenizer, blocks["train"], str(seed)),
        eval_dataset=held_out["validation"],
        data_collator=default_data_collator,
    )
    steps = trainer.state.global_step
    info = {
        "task": "language-model",
        "base": base,
        "sources": sorted(plots["source"].unique()),
        "data_fingerprint": recipe["data"],
        "recipe": recipe,
        "metrics": {
            "test_loss_before": before,
            "test_loss_after": held_out_loss(model, held_out["test"]),
            "test_tokens": sum(label != IGNORED for block in held_out["test"] for label in block["labels"]),
            "train_plots": len(texts["train"]),
            "train_tokens": steps * per_step * block_size,
            "steps": steps,
        },
        "history": history(trainer),
    }
    with atomic_folder(out) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    write_json(out / RUN_FILE, circumstances(trainer))
    write_info(out, info, _card(info), ids.after([base]))
    shutil.rmtree(out / "checkpoints")
    return info


def language_table(infos: dict[int, dict[str, Any]]) -> pd.DataFrame:
    """Losses in nats per hidden token of runs by block size, before and after, and the tokens they were measured on."""
    return pd.DataFrame(
        [
            {
                "block size": size, "validation plots, after": info["history"][-1]["eval_loss"],
                "test plots, before": info["metrics"]["test_loss_before"],
                "test plots, after": info["metrics"]["test_loss_after"],
                "hidden tokens": info["metrics"]["test_tokens"],
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
def held_out_loss(model: Any, blocks: list[Block]) -> float:
    """The mean loss over all tokens to be guessed, in nats."""
    model.eval()
    device = next(model.parameters()).device
    total = count = 0.0
    for i in track(range(0, len(blocks), 8), "Measuring the loss"):
        batch = default_data_collator(blocks[i : i + 8])
        count += int((batch["labels"] != IGNORED).sum())
        total += float(guessed_loss(model, {name: value.to(device) for name, value in batch.items()}, 1))
    return total / count


def _card(info: dict[str, Any]) -> str:
    metrics = info["metrics"]
    settings = {name.replace("_", " "): value for name, value in info["recipe"].items() if value is not None}
    return f"""# Masked language model of movie plots

`{info["base"]}`, trained on to guess hidden words of {metrics["train_plots"]} training plots from
{", ".join(info["sources"])} (data fingerprint `{info["data_fingerprint"]}`). It is a base for a classifier:

    movieplots train classifier --data DATA --base THIS_FOLDER --out CLASSIFIER

Loss on {metrics["test_tokens"]} hidden tokens of held-out plots: {metrics["test_loss_before"]:.3f} nats before,
{metrics["test_loss_after"]:.3f} after {metrics["steps"]} steps.

{table(settings)}
"""
