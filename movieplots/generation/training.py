"""Fine-tuning a causal language model on plots in the markup: LoRA or all weights, packed blocks or random windows."""

import gc
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from transformers import TrainerCallback, set_seed

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, read_json, write_json
from movieplots.generation.blocks import (
    HeldOutBlock,
    TrainingBlocks,
    TrainingWindows,
    collate,
    held_out_blocks,
)
from movieplots.generation.card import model_card
from movieplots.generation.genre_draws import evident_times
from movieplots.generation.guidance import guidance_loss
from movieplots.generation.markup import MarkupTokenizer
from movieplots.generation.model import context_of, load_generator, new_generator, save_generator
from movieplots.generation.recipe import DEFAULTS, adapter_info, make_recipe
from movieplots.generation.samples_in_training import SampleWriter
from movieplots.lineage import PlotIds, held_out_learned, lineage
from movieplots.model_folder import RUN_FILE, begin, clear, finished, write_info
from movieplots.plots import SPLITS, data_fingerprint, load_plots
from movieplots.progress import console, say, track
from movieplots.rate_search import RateSearch, check_steps, search_rate
from movieplots.training import Loss, can_compile, circumstances, fit, history, main_process

PASSES = 3
EVALUATIONS = 8  # over a run
HELD_OUT_PLOTS = 400  # of the test split, for the loss before and after
WATCHED_PLOTS = 32  # of the validation split, for the curve during training

# What is to be trained: a model, its tokenizer, and a loss that takes the place of the model's own, or None.
Made = tuple[Any, MarkupTokenizer, Loss | None]


@dataclass(frozen=True)
class TrainingCorpus:
    """The training plots as they will be fed: `stream`, and what is to be said about it.

    `lengths` are the tokens of each plot as an example, uncut, of one draw of genres.
    """

    stream: TrainingBlocks | TrainingWindows
    lengths: list[int]
    tokens: int
    blocks_per_pass: float
    padding_share: float
    cut_plots: int
    max_tokens: int
    genre_counts: dict[str, int]


def train_generator(
    data: str | Path,
    base: str,
    out: str | Path,
    markup: str | None = None,
    max_steps: int | None = None,
    time_limit: float | None = None,
    *,
    method: str = "lora",
    feeding: str = "blocks",
    draws: str = "uniform",
    guidance: float = 0.0,
    learning_rate: float | None = None,
    schedule: str = "linear",
    patience: int | None = None,
    block_size: int = 512,
    blocks_per_step: int = 2,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Fine-tune `base` on the training plots of `data`; returns what `out/movieplots.json` then holds.

    `data` is the folder that `prepare` wrote, or its table; `base` a name of `base_models`, a local folder or a hub id
    of a causal language model, or the folder of a generator that is to be trained further; `out` the model's folder.
    `markup` is `with-titles` or `without-titles`: whether the model learns titles, too; its default is that of a
    generator that is trained further, else `with-titles`.

    Trains for `max_steps` optimizer steps (by default three passes over the plots) or `time_limit` minutes, whichever
    ends first; the `learning_rate` falls to zero at that end, by the `schedule` `linear` or `cosine` (Loshchilov and
    Hutter 2017). Its default is 1e-3 for the `method` `lora` (an adapter of rank 16, Hu et al. 2022; the library peft)
    and 1e-4 for `full` (all weights). With `patience` (default: none) it stops earlier, after so many of its eight
    evaluations without a lower validation loss, and keeps the best weights.

    A step takes `blocks_per_step` blocks of `block_size` tokens: packed plots, or with the `feeding` `windows` instead
    of `blocks` random cuts of one long text, as gpt-2-simple does (Woolf 2019). A pass shows each plot once, under one
    of its genres (at times several) drawn anew, or with the `draws` `evident` instead of `uniform` those more often
    that show their genre clearly (see `movieplots.generation.genre_draws`). `seed` sets every draw.

    With a `guidance` w above 0, such as 1, a `base` that is a generator with an adapter learns to write what it would
    under classifier-free guidance, log p = (1 + w) log p(own genre) - w log p(another genre), so that its plots keep to
    their genre and are more alike; no token is raised more than fourfold by it, and titles stay as they are
    (see `movieplots.generation.guidance`). The training loss is then the divergence from that, and the held-out loss
    rises. Each step also runs the unchanged base twice, which memory holds as well.

    Under `metrics`, `test_loss_before` and `test_loss_after` are nats per token of title, plot and end mark, on up to
    400 plots of the test split. Killed and started again with the same arguments it continues; already finished it
    returns at once; `fresh` starts over.

    Raises BadInput for an option out of range, a base that is not there or is an encoder, with `guidance` a base that
    has no adapter of this markup, a corpus that lacks a split or does not fill a step, a memory too small for one
    block, and an `out` with other settings (unless `fresh`).
    """
    recipe = make_recipe(
        base, markup, learning_rate, method=method, feeding=feeding, draws=draws, guidance=guidance,
        max_steps=max_steps, time_limit=time_limit, schedule=schedule, patience=patience, block_size=block_size,
        blocks_per_step=blocks_per_step, seed=seed,
    )  # fmt: skip

    def make() -> Made:
        say(f"Loading {base} …")
        model, tokenizer = new_generator(base, recipe["markup"], method)
        if not guidance:
            return model, tokenizer, None
        return model, tokenizer, guidance_loss(load_generator(base)[0], guidance, tokenizer)

    return train(data, Path(out), recipe, make, fresh)


def find_learning_rate(
    data: str | Path,
    base: str,
    markup: str = "with-titles",
    *,
    method: str = "lora",
    feeding: str = "blocks",
    block_size: int = 512,
    steps: int = 50,
    seed: int = 0,
) -> RateSearch:
    """Search the learning rate for `train_generator` with the same arguments, in `steps` steps of one block each."""
    recipe = make_recipe(
        base, markup, None, **DEFAULTS | {"method": method, "feeding": feeding, "block_size": block_size, "seed": seed}
    )
    check_steps(steps)
    plots = load_plots(data, "train")
    set_seed(seed)
    made = new_generator(base, markup, method)
    corpus = measure_corpus(plots, str(data), *made, recipe)
    return search_rate(
        made[0],
        lambda model: [parameter for parameter in model.parameters() if parameter.requires_grad],
        steps,
        {"per_device_train_batch_size": 1, "seed": seed},
        train_dataset=corpus.stream,
        data_collator=collate,
    )


def corpus_of(
    data: str | Path,
    base: str,
    markup: str = "with-titles",
    *,
    feeding: str = "blocks",
    draws: str = "uniform",
    block_size: int = 512,
    seed: int = 0,
) -> TrainingCorpus:
    """The training plots of `data` as `train_generator` with the same arguments would feed them, without training."""
    settings = {"feeding": feeding, "draws": draws, "block_size": block_size, "seed": seed}
    recipe = make_recipe(base, markup, None, **DEFAULTS | settings)
    return measure_corpus(load_plots(data, "train"), str(data), *new_generator(base, markup, "full"), recipe)


def train(
    data: str | Path,
    out: Path,
    recipe: dict[str, Any],
    make: Callable[[], Made],
    fresh: bool,
    teacher: str | Path | None = None,
) -> dict[str, Any]:
    """Train what `make` gives by the recipe, write the model folder and return its info.

    `teacher` is the folder of the generator that a student learns from.

    Where memory runs out, it starts again from the last checkpoint with half as many blocks at a time and twice as many
    turns before each step: the steps stay the same.
    """
    check_folder(out)
    if Path(recipe["base"]).resolve() == out.resolve():
        raise BadInput(f"{out} is the base itself: choose another --out, so that nothing is lost.")
    plots = load_plots(data)
    recipe = recipe | {"data": data_fingerprint(plots)}
    start = recipe["base"] if teacher is None else teacher
    ids = PlotIds.of(plots)
    made_from = lineage(start, ids, refuse=False)
    ids = ids.after([start])
    if teacher is None:
        recipe |= made_from
    base = adapter_info(recipe["base"]).get("base", recipe["base"])
    done = None if fresh else finished(out, recipe)
    if done:
        say(f"{out} already holds this generator; --fresh trains it again.")
        return done
    parts = {name: plots[plots["split"] == name] for name in SPLITS}
    for name, part in parts.items():
        if part.empty:
            raise BadInput(f"{data} has no plots in the {name} split: prepare a larger corpus.")
    at_once = _blocks_at_once(recipe["blocks_per_step"])
    cleared = not fresh
    while True:
        try:
            set_seed(recipe["seed"])
            made = make()
            corpus = measure_corpus(parts["train"], str(data), *made[:2], recipe)
            if not cleared and main_process():  # only now that nothing can be wrong with the input any more
                clear(out)
            cleared = True
            if main_process():
                begin(out, recipe)
            _processes().wait_for_everyone()
            return _run(parts, out, recipe, base, made, corpus, at_once, ids, held_out_learned(start, ids))
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
        if at_once == 1 or _processes().num_processes > 1:  # of several processes one alone cannot start again
            blocks = "one block" if at_once == 1 else f"{at_once} blocks"
            raise BadInput(
                f"The memory does not hold {recipe['base']} with {blocks} of {recipe['block_size']} tokens: "
                "lower --block-size or --blocks-per-step, choose a smaller base, or --method lora."
            )
        at_once //= 2
        say(f"The memory is too small for that; going on with {at_once} blocks at a time.")
        made = None
        gc.collect()
        clear_device_cache()


def _run(
    parts: dict[str, pd.DataFrame],
    out: Path,
    recipe: dict[str, Any],
    base: str,
    made: Made,
    corpus: TrainingCorpus,
    at_once: int,
    ids: PlotIds,
    learned: int | None,
) -> dict[str, Any]:
    model, tokenizer, loss = made
    seed, size, per_step = recipe["seed"], recipe["block_size"], recipe["blocks_per_step"]
    steps = recipe["max_steps"] or math.ceil(PASSES * corpus.blocks_per_pass / per_step)
    watched = held_out_blocks(parts["validation"], tokenizer, size, seed, WATCHED_PLOTS)
    test = held_out_blocks(parts["test"], tokenizer, size, seed, HELD_OUT_PLOTS)
    state = _processes()
    model.to(state.device)
    before_file = out / "checkpoints" / "loss_before.json"  # measured once, also when the run is resumed
    if before_file.is_file():
        before = read_json(before_file, "give --fresh to start over")
    else:
        before = held_out_losses(model, test)
        if main_process():
            write_json(before_file, before)
    trainer = fit(
        what="Training the generator",
        model=model,
        parameter_groups=lambda module: [
            {"params": [p for p in module.parameters() if p.requires_grad], "lr": recipe["learning_rate"]}
        ],
        out=out,
        recipe=recipe,
        max_steps=steps,
        time_limit=recipe["time_limit"],
        evaluations=EVALUATIONS,
        schedule=recipe["schedule"],
        patience=recipe["patience"],
        loss=loss,
        arguments={
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": per_step // (at_once * state.num_processes),
            "per_device_eval_batch_size": 1,
            "eval_strategy": "steps",
            "eval_on_start": True,
            "torch_compile": can_compile(),
            "remove_unused_columns": False,  # twins are for our loss
        },
        callbacks=[SampleWriter(tokenizer, list(corpus.genre_counts), out, seed), *_in_notebooks()],
        train_dataset=corpus.stream,
        eval_dataset=[block.block for block in watched],
        data_collator=collate,
    )
    after = held_out_losses(trainer.accelerator.unwrap_model(trainer.model), test)
    weights = trainer.accelerator.get_state_dict(trainer.model)  # all processes take part in gathering them
    passes = trainer.state.global_step * per_step / corpus.blocks_per_pass
    metrics = {
        "test_loss_before": before["loss"],
        "test_loss_after": after["loss"],
        "test_tokens": after["tokens"],
        "steps": trainer.state.global_step,
        "train_plots": len(parts["train"]),
        "train_tokens": round(passes * corpus.tokens),
        "passes": passes,
        "padding_share": corpus.padding_share,
        "cut_plots": corpus.cut_plots,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    info = {
        "task": "generation",
        "base": base,
        "markup": recipe["markup"],
        "anchored": tokenizer.anchored,
        "max_tokens": corpus.max_tokens,
        "genre_counts": corpus.genre_counts,
        "sources": sorted(pd.concat(parts.values())["source"].unique()),
        "data_fingerprint": recipe["data"],
        "held_out_learned_before": learned,
        "recipe": recipe,
        "metrics": metrics,
        "test_loss_by_genre": {
            genre: {"before": before["by_genre"][genre]["loss"], "after": row["loss"], "plots": row["plots"]}
            for genre, row in after["by_genre"].items()
        },
        "history": history(trainer),
        "samples": SampleWriter.kept(trainer),
    }
    if main_process():
        with atomic_folder(out) as temporary:
            save_generator(model, weights, base, temporary)
            tokenizer.save(temporary)
            write_json(temporary / RUN_FILE, circumstances(trainer))
        write_info(out, info, model_card(info), ids)
    state.wait_for_everyone()  # another process may still read a checkpoint
    if main_process():
        shutil.rmtree(out / "checkpoints")
    return info


def measure_corpus(
    plots: pd.DataFrame, data: str, model: Any, tokenizer: MarkupTokenizer, recipe: dict[str, Any]
) -> TrainingCorpus:
    """Make the stream of blocks or windows and count a pass over it; raises BadInput where it is too small."""
    size, seed = recipe["block_size"], recipe["seed"]
    if size > context_of(model):
        raise BadInput(f"{recipe['base']} reads at most {context_of(model)} tokens at once: lower --block-size.")
    times = evident_times(plots) if recipe["draws"] == "evident" else None
    whole = [len(example.input_ids) for example in TrainingBlocks(plots, tokenizer, 2**30, seed, times).examples(0)]
    cut = sum(length > size for length in whole)
    tokens = sum(min(length, size) for length in whole)
    if cut:
        say(
            f"{cut} of {len(whole)} examples are longer than a block of {size} tokens and are cut there: "
            "a larger --block-size, or `movieplots prepare --max-length`, keeps their ends."
        )
    if tokens < size * recipe["blocks_per_step"]:
        raise BadInput(
            f"The {len(whole)} training plots of {data} have {tokens} tokens, which do not fill the "
            f"{recipe['blocks_per_step']} blocks of {size} of one step: prepare a larger corpus, or lower --block-size."
        )
    stream: TrainingBlocks | TrainingWindows
    if recipe["feeding"] == "windows":
        stream = TrainingWindows(plots, tokenizer, size, seed)
        tokens = len(stream.text)  # its genres were drawn differently
        blocks, padding = tokens / size, 0.0
    else:
        stream = TrainingBlocks(plots, tokenizer, size, seed, times, twins="guidance" in recipe)
        blocks = sum(1 for _ in stream.one_pass(0))
        padding = 1 - tokens / (blocks * size)
    return TrainingCorpus(
        stream=stream,
        lengths=whole,
        tokens=tokens,
        blocks_per_pass=blocks,
        padding_share=padding,
        cut_plots=cut,
        max_tokens=int(np.percentile([min(length, size) for length in whole], 99.5)) + 16,
        genre_counts={genre: int(n) for genre, n in plots["genres"].explode().value_counts().items()},
    )


@torch.inference_mode()
def held_out_losses(model: torch.nn.Module, blocks: list[HeldOutBlock]) -> dict[str, Any]:
    """Mean negative log-likelihood in nats per target token (title, plot and end mark) over the blocks.

    `loss` and `tokens` of all, and `by_genre` the `loss` and the `plots` of each genre, in alphabetical order.
    """
    model.eval()
    losses: dict[str, list[float]] = {}
    counts: dict[str, list[int]] = {}
    for block in track(blocks, "Measuring held-out loss"):
        batch = {name: tensor.to(model.device) for name, tensor in collate([block.block]).items()}
        labels = batch.pop("labels")[0, 1:]
        logits = model(**batch).logits[0, :-1].float()
        nats = torch.nn.functional.cross_entropy(logits, labels, reduction="none")  # 0 where the label is -100
        for genre, start, end in block.spans:
            own = slice(start, end - 1)  # the loss at a place is that of foreseeing the next token
            losses.setdefault(genre, []).append(float(nats[own].double().sum()))
            counts.setdefault(genre, []).append(int((labels[own] != -100).sum()))
    total, tokens = sum(map(sum, losses.values())), sum(map(sum, counts.values()))
    return {
        "loss": total / tokens,
        "tokens": tokens,
        "by_genre": {g: {"loss": sum(losses[g]) / sum(counts[g]), "plots": len(losses[g])} for g in sorted(losses)},
    }


def _in_notebooks() -> list[TrainerCallback]:
    """The curves as a growing picture, where there is a page to show them on."""
    if not console.is_jupyter:
        return []
    from movieplots.generation.live_curves import LiveCurves  # needs IPython

    return [LiveCurves()]


def _blocks_at_once(blocks_per_step: int) -> int:
    """How many blocks go through the model together: on a GPU up to 32 (a CPU gains nothing from more than one)."""
    processes = _processes().num_processes
    if blocks_per_step % processes:
        raise BadInput(
            f"{blocks_per_step} blocks per step cannot be shared out among {processes} processes: "
            f"choose a multiple of {processes} for --blocks-per-step."
        )
    return math.gcd(blocks_per_step // processes, 32 if torch.cuda.is_available() else 1)


def _processes() -> PartialState:
    return PartialState(cpu=not torch.cuda.is_available())
