"""Training speed of generators, compared with recipes of the standard `Trainer`.

    python benchmarks/training.py --data data/streaming
    python benchmarks/training.py --data data/streaming --runs runs/generator runs/student

Each recipe trains all weights (this project's also an adapter) of GPT-2 124M and SmolLM2-135M on the same tokens. The
weights are random, which does not change the speed. On a GPU, bfloat16 with `torch.compile` is measured too, and the
model FLOPs utilization (MFU; PaLM, Chowdhery et al. 2022, appendix B). `--runs` adds the test losses of trained
generators, by genre.
"""

import argparse
import gc
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from math import exp
from pathlib import Path
from statistics import median
from typing import Any

import torch
from claims import at_least, conclude
from peft import LoraConfig, get_peft_model
from torch.utils.data import IterableDataset
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, Trainer, TrainerCallback, TrainingArguments

from movieplots import load_plots
from movieplots.errors import sentences
from movieplots.formatting import percent
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import RANK
from movieplots.generation.packing import PackedPlots, collate
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.pretrained.base_models import load_tokenizer, resolve
from movieplots.runs.fit import fit
from movieplots.runs.folder import read_info

BLOCK_SIZE = 512
PLAIN_BATCH = 4
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "T4": 65e12}  # FLOP/s, 16 bit, dense
MFU, TIMES_PLAIN = 0.40, 10.0  # claims for an H100
BASE_MODELS = {"GPT-2 124M": "gpt2", "SmolLM2 135M": "smollm2-135m"}


class Sequences(IterableDataset):
    """Packed sequences with every token below the size of the vocabulary."""

    def __init__(self, stream: PackedPlots, vocabulary: int) -> None:
        self.stream, self.vocabulary = stream, vocabulary

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        for sequence in self.stream:
            ids = [token % self.vocabulary for token in sequence["input_ids"]]
            labels = [token if token < 0 else token % self.vocabulary for token in sequence["labels"]]
            yield sequence | {"input_ids": ids, "labels": labels}


class Texts(Sequences):
    """The same tokens without position ids: the model treats each sequence as one text, as in the usual recipe."""

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        for sequence in super().__iter__():
            yield {"input_ids": sequence["input_ids"], "labels": sequence["input_ids"]}


class StepTimes(TrainerCallback):
    """Measures the time of each step, synchronized with the GPU."""

    def __init__(self) -> None:
        self.ends = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def steps_per_second(self, warm_up: int) -> float:
        """Return the median over the steps after the warm-up, which includes compilation and allocation."""
        return 1 / median(b - a for a, b in itertools.pairwise(self.ends[warm_up - 1 :]))

    def tokens_per_second(self, tokens: int, warm_up: int) -> float:
        """Return the same for steps of this number of tokens."""
        return tokens * self.steps_per_second(warm_up)


def new_model(base_model: str) -> Any:
    """Return a model with random weights, which need no model hub."""
    torch.manual_seed(0)
    config = GPT2Config() if base_model == "gpt2" else AutoConfig.from_pretrained(resolve(base_model))
    config.use_cache = False
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def flop_per_token(model: Any) -> float:
    """Return the FLOPs of a forward and a backward pass per token: 6 per parameter, and attention."""
    config = model.config
    embeddings = sum(p.numel() for name, p in model.named_parameters() if "wpe" in name)
    parameters = sum(p.numel() for p in model.parameters()) - embeddings  # the tied output matrix counts once
    return 6 * parameters + 12 * config.num_hidden_layers * config.hidden_size * BLOCK_SIZE


def plain(model: Any, data: IterableDataset, steps: int, batch: int, **options: Any) -> StepTimes:
    """Train with the standard `Trainer`."""
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=batch, report_to="none", disable_tqdm=True,
            save_strategy="no", logging_strategy="no", use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(), **options,
        )  # fmt: skip
        Trainer(model, arguments, collate, data, callbacks=[times]).train()
    return times


def ours(model: Any, data: IterableDataset, steps: int, batch: int) -> StepTimes:
    """Train with the project's `fit`."""
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            what="Measuring",
            model=model,
            parameter_groups=lambda module: [
                {"params": [p for p in module.parameters() if p.requires_grad], "lr": 1e-4}
            ],
            output_dir=Path(folder),
            seed=0,
            max_steps=steps,
            time_limit=None,
            evaluations=1,
            arguments={
                "per_device_train_batch_size": batch, "torch_compile": torch.cuda.is_available(),
                "per_device_eval_batch_size": 1,
            },
            callbacks=[times],
            train_dataset=data,
            eval_dataset=list(itertools.islice(data, 1)),
            data_collator=collate,
        )  # fmt: skip
    return times


def speeds(data: str, steps: int, warm_up: int) -> list[dict[str, Any]]:
    """Return tokens per second of every recipe and model, one dict each."""
    tokenizer = PromptTokenizer(load_tokenizer("smollm2-135m"), titles=True)
    stream = PackedPlots(load_plots(data, "train"), tokenizer, BLOCK_SIZE, seed=0)
    gpu = torch.cuda.is_available()
    batch = 64 if gpu else 1
    rows = []
    for name, base_model in BASE_MODELS.items():
        recipes: dict[str, Any] = {"standard Trainer, float32, batch 4": (plain, Texts, PLAIN_BATCH, {})}
        if gpu:
            fast = {"bf16": True, "torch_compile": True}
            recipes["Trainer, bf16 and compile"] = (plain, Texts, batch, fast)
        recipes["this project, all weights"] = (ours, Sequences, batch, {})
        recipes["this project, LoRA"] = (ours, Sequences, batch, {})
        for recipe, (run, dataset, size, options) in recipes.items():
            model = new_model(base_model)
            arithmetic = flop_per_token(model)
            if recipe.endswith("LoRA"):
                config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
                model = get_peft_model(model, config)
            vocabulary = model.config.vocab_size
            times = run(model, dataset(stream, vocabulary), steps + warm_up, size, **options)
            speed = times.tokens_per_second(size * BLOCK_SIZE, warm_up)
            # An adapter needs no gradients of the base model's weights, so its MFU would be too high.
            share = None if recipe.endswith("LoRA") else mfu(arithmetic * speed)
            rows.append({"model": name, "recipe": recipe, "tokens_per_second": speed, "mfu": share})
            del model, times
            gc.collect()
            torch.cuda.empty_cache()
    return rows


def mfu(flop_per_second: float) -> float | None:
    """Return the share of the GPU's peak, or None on a CPU or an unknown GPU."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((value for key, value in PEAK.items() if key in name), None)
    return None if peak is None else flop_per_second / peak


def print_runs(folders: list[str]) -> None:
    """Print the test losses of trained generators, before and after training, overall and by genre."""
    infos = {folder: read_info(folder, GeneratorInfo) for folder in folders}
    print("\nTest loss before → after training, cross-entropy in nats/token (perplexity)")
    for folder, info in infos.items():
        before, after = (
            f"{loss:.3f} ({exp(loss):,.0f})" for loss in (info.metrics.test_loss_before, info.metrics.test_loss_after)
        )
        print(f"\n{folder}: {before} → {after}")
        for genre, row in info.test_loss_by_genre.items():
            print(f"  {genre:<14}{row.before:.2f} → {row.after:.2f}   {row.plots:>4} plots")


def main() -> int:
    """Measure, print, and return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="data/streaming", help="folder that `movieplots prepare` wrote")
    parser.add_argument("--steps", type=int, default=20 if torch.cuda.is_available() else 3, help="steps measured")
    parser.add_argument("--runs", nargs="*", default=[], help="folders of trained generators")
    arguments = parser.parse_args()
    warm_up = 5 if torch.cuda.is_available() else 1
    rows = speeds(arguments.data, arguments.steps, warm_up)
    print(f"\n{'model':<14}{'recipe':<36}{'tokens/s':>10}{'relative':>10}{'MFU':>8}")
    claims = []
    for name in BASE_MODELS:
        own = [row for row in rows if row["model"] == name]
        for row in own:
            times = row["tokens_per_second"] / own[0]["tokens_per_second"]
            share = percent(row["mfu"])
            print(f"{name:<14}{row['recipe']:<36}{row['tokens_per_second']:>10,.0f}{times:>10.2f}{share:>8}")
            if row["recipe"] == "this project, all weights" and row["mfu"] is not None:
                claims.append(at_least(f"{name}: relative to the standard Trainer", times, TIMES_PLAIN))
                claims.append(at_least(f"{name}: model FLOPs utilization", row["mfu"], MFU))
    if not claims:
        print("\nThere are no claims about speed without a GPU.")
    if arguments.runs:
        print_runs(arguments.runs)
    return conclude(claims)


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
