"""Fine-tuning a causal language model on plots in the markup, with LoRA."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, write_text
from movieplots.generation.blocks import TrainingBlocks, collate, held_out_blocks
from movieplots.generation.markup import check_markup
from movieplots.generation.model import RANK, new_adapter, save_adapter
from movieplots.model_folder import clear, finished, table, write_info
from movieplots.plots import SPLITS, data_fingerprint, load_plots
from movieplots.progress import say, track
from movieplots.training import check_time_limit, fit, history

BLOCK_SIZE = 512  # tokens; loglines have 30 to 120, so that a block holds some eight of them
BLOCKS_PER_STEP = 2
LEARNING_RATE = 1e-3
PASSES = 3
HELD_OUT_PLOTS = 400  # of the test split, for the loss before and after
WATCHED_PLOTS = 32  # of the validation split, for the curve during training


def train_generator(
    data: str | Path,
    base: str,
    out: str | Path,
    markup: str = "with-titles",
    max_steps: int | None = None,
    time_limit: float | None = None,
    learning_rate: float = LEARNING_RATE,
    blocks_per_step: int = BLOCKS_PER_STEP,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Fine-tune `base` on the training plots of `data`; returns what `out/movieplots.json` then holds.

    Trains for `max_steps` optimizer steps (by default three passes over the plots) or `time_limit` minutes, whichever
    ends first; the learning rate falls to zero at that end. Killed and started again with the same arguments it
    continues; already finished it returns at once. Losses are nats per token of title, plot and end mark.
    """
    out = Path(out)
    check_markup(markup)
    if max_steps is not None and max_steps < 1:
        raise BadInput(f"--max-steps must be at least 1, not {max_steps}.")
    check_time_limit(time_limit)
    plots = load_plots(data)
    recipe = {
        "base": base, "markup": markup, "data": data_fingerprint(plots), "max_steps": max_steps,
        "time_limit": time_limit, "learning_rate": learning_rate, "blocks_per_step": blocks_per_step, "seed": seed,
    }  # fmt: skip
    done = None if fresh else finished(out, recipe)
    if done:
        say(f"{out} already holds this generator; --fresh trains it again.")
        return done
    parts = {name: plots[plots["split"] == name] for name in SPLITS}
    for name, part in parts.items():
        if part.empty:
            raise BadInput(f"{data} has no plots in the {name} split: prepare a larger corpus.")

    set_seed(seed)
    say(f"Loading {base} …")
    model, tokenizer = new_adapter(base, markup)
    size = min(BLOCK_SIZE, getattr(model.config, "max_position_embeddings", BLOCK_SIZE))
    blocks = TrainingBlocks(parts["train"], tokenizer, size, seed)
    lengths = [len(example.input_ids) for example in blocks.examples(0)]
    blocks_per_pass = sum(1 for _ in blocks.one_pass(0))
    steps = max_steps or math.ceil(PASSES * blocks_per_pass / blocks_per_step)
    watched = held_out_blocks(parts["validation"], tokenizer, size, seed, WATCHED_PLOTS)
    test = held_out_blocks(parts["test"], tokenizer, size, seed, HELD_OUT_PLOTS)

    if fresh:  # only now that nothing can be wrong with the input any more
        clear(out)
    before_file = out / "checkpoints" / "loss_before.txt"  # measured once, also when the run is resumed
    loss_before = float(before_file.read_text()) if before_file.is_file() else held_out_loss(model, test)
    most = 16 if torch.cuda.is_available() else 1  # a CPU gains nothing from more, and pays in memory
    micro_batch = max(n for n in range(1, most + 1) if blocks_per_step % n == 0)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    write_text(before_file, str(loss_before))
    trainer = fit(
        what="Training the generator",
        model=model,
        parameter_groups=[{"params": trainable, "lr": learning_rate}],
        out=out,
        recipe=recipe,
        max_steps=steps,
        time_limit=time_limit,
        save_every=max(10, min(50, steps // 4)),
        arguments={
            "per_device_train_batch_size": micro_batch,
            "gradient_accumulation_steps": blocks_per_step // micro_batch,
            "per_device_eval_batch_size": 1,
            "eval_strategy": "steps",
            "eval_steps": max(1, min(40, steps // 2)),
            "eval_on_start": True,
            "prediction_loss_only": True,
        },
        train_dataset=blocks,
        eval_dataset=watched,
        data_collator=collate,
    )
    loss_after = held_out_loss(model, test)
    passes = trainer.state.global_step * blocks_per_step / blocks_per_pass
    metrics = {
        "test_loss_before": loss_before,
        "test_loss_after": loss_after,
        "test_tokens": _target_tokens(test),
        "steps": trainer.state.global_step,
        "train_plots": len(parts["train"]),
        "train_tokens": round(passes * sum(lengths)),
        "passes": passes,
        "padding_share": 1 - sum(lengths) / (blocks_per_pass * size),
    }
    info = {
        "task": "generation",
        "base": base,
        "markup": markup,
        "max_tokens": int(np.percentile(lengths, 99.5)) + 16,
        "genre_counts": {genre: int(n) for genre, n in parts["train"]["genres"].explode().value_counts().items()},
        "sources": sorted(plots["source"].unique()),
        "data_fingerprint": recipe["data"],
        "recipe": recipe,
        "metrics": metrics,
        "history": history(trainer),
    }
    with atomic_folder(out) as temporary:
        save_adapter(model, base, temporary)
        tokenizer.tokenizer.save_pretrained(temporary)
    write_info(out, info, model_card(info))
    shutil.rmtree(out / "checkpoints")
    return info


def held_out_loss(model: torch.nn.Module, blocks: list[dict[str, list[int]]]) -> float:
    """Mean negative log-likelihood in nats per target token (title, plot and end mark) over the blocks."""
    model.eval()
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for block in track(blocks, "Measuring held-out loss"):
            batch = {name: tensor.to(model.device) for name, tensor in collate([block]).items()}
            count = int((batch["labels"][:, 1:] != -100).sum())
            total += model(**batch).loss.item() * count
            tokens += count
    return total / tokens


def model_card(info: dict[str, Any]) -> str:
    """The generator's README.md."""
    recipe, metrics = info["recipe"], info["metrics"]
    limits = {"--max-steps": recipe["max_steps"], "--time-limit": recipe["time_limit"]}
    options = "".join(f" {name} {value}" for name, value in limits.items() if value is not None)
    titles = " and title" if info["markup"] == "with-titles" else ""
    settings = {
        "learning rate": f"{recipe['learning_rate']:g}",
        "blocks per step": f"{recipe['blocks_per_step']} of {BLOCK_SIZE} tokens",
        "seed": recipe["seed"],
    }
    return f"""# Movie-plot generator

A LoRA adapter (rank {RANK}, all linear layers) on `{info["base"]}`, fine-tuned to write plots in the markup
`{info["markup"]}`, steered by genre{titles}.

    movieplots generate --model THIS_FOLDER --genre horror

## Data

{metrics["train_plots"]} training plots from {", ".join(info["sources"])} (data fingerprint
`{info["data_fingerprint"]}`), split by group before anything else. Licences: see `movieplots sources`.

## Training

    movieplots train generator --data DATA --base {info["base"]} --markup {info["markup"]}{options} --out THIS_FOLDER

{table(settings | {name.replace("_", " "): value for name, value in metrics.items()})}

Losses are nats per token of title, plot and end mark, on held-out (test) plots.

## Limits

It invents stories, names and titles, and can repeat phrases or facts of its training plots; it has the biases of its
base model and of its corpus. Read before you publish.
"""


def _target_tokens(blocks: list[dict[str, list[int]]]) -> int:
    return sum(label != -100 for block in blocks for label in block["labels"][1:])
