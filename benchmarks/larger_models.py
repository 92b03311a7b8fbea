"""LoRA training of larger base models on a GPU: speed, and peak memory compared with the estimate before training.

    python benchmarks/larger_models.py
    python benchmarks/larger_models.py --tiny

The models have their real size and random weights, which need no model hub and do not change speed or memory. Each is
trained in half precision (Gemma in float32 on a GPU without bfloat16), with and without gradient checkpointing, and
in 4 bits if bitsandbytes is installed. `--tiny` rehearses the same on a CPU with models of two narrow layers, without
claims. The claim is that the estimate is within 30 % of the measured peak.
"""

import argparse
import gc
import itertools
import resource
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from claims import at_most, conclude
from peft import LoraConfig, get_peft_model
from torch.utils.data import IterableDataset
from training import StepTimes
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen3Config
from transformers.trainer_utils import set_seed

from movieplots.errors import sentences
from movieplots.generation.precision import GB, RANK, BaseModelSize, TrainingPlan, memory
from movieplots.pretrained.base_models import quiet_transformers
from movieplots.runs.fit import can_compile, fit, half_dtype, needs_float32

BLOCK_SIZE = 512
WARM_UP = 2
TOLERANCE = 0.3  # of the estimate, relative to the measured peak
CONFIGS: dict[str, Any] = {
    "SmolLM2-1.7B": LlamaConfig(
        vocab_size=49_152, hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=32,
        num_key_value_heads=32, max_position_embeddings=8192, rope_theta=130_000, tie_word_embeddings=True,
    ),
    "Qwen3-1.7B": Qwen3Config(
        vocab_size=151_936, hidden_size=2048, intermediate_size=6144, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, max_position_embeddings=40_960, rope_theta=1e6, tie_word_embeddings=True,
    ),
    "Gemma-3-1B": Gemma3TextConfig(
        vocab_size=262_144, hidden_size=1152, intermediate_size=6912, num_hidden_layers=26, num_attention_heads=4,
        num_key_value_heads=1, head_dim=256, max_position_embeddings=32_768, sliding_window=512,
        query_pre_attn_scalar=256, tie_word_embeddings=True,
    ),
}  # fmt: skip
TINY = {
    "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 64, "layer_types": None,
}  # fmt: skip


class RandomTokens(IterableDataset):
    """An infinite stream of sequences of two packed texts of random tokens."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        half = BLOCK_SIZE // 2
        while True:
            ids = torch.randint(self.vocabulary, (BLOCK_SIZE,))
            yield {"input_ids": ids, "labels": ids, "position_ids": torch.arange(BLOCK_SIZE) % half}


def ways(config: Any, sequences: int) -> Iterator[TrainingPlan]:
    """Yield the ways to train a model that are measured."""
    dtype = torch.float32 if needs_float32(config) else half_dtype()
    name = "float32" if dtype == torch.float32 else "half"
    quantized = ["4bit"] if find_spec("bitsandbytes") else []
    for precision, checkpointing in [(name, False), (name, True), *((each, True) for each in quantized)]:
        parts = memory(BaseModelSize(config), precision, dtype, "lora", sequences * BLOCK_SIZE, checkpointing)
        yield TrainingPlan(precision, dtype, checkpointing, sequences, parts)


def used() -> int:
    """Return the peak of the memory used so far, in bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(weights: str, config: Any, plan: TrainingPlan, steps: int) -> tuple[float, float]:
    """Train for some steps; return steps per second and the peak of memory in bytes."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = AutoModelForCausalLM.from_pretrained(weights, **plan.loading)
    model.config.use_cache = False
    if plan.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    lora = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", trainable_token_indices=[0, 1], task_type="CAUSAL_LM"
    )
    data, times = RandomTokens(config.vocab_size), StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            what="Measuring", model=get_peft_model(model, lora),
            parameter_groups=lambda module: [
                {"params": [p for p in module.parameters() if p.requires_grad], "lr": 1e-4}
            ],
            output_dir=Path(folder), seed=0, max_steps=WARM_UP + steps, time_limit=None, evaluations=1,
            arguments={
                "per_device_train_batch_size": plan.at_once, "per_device_eval_batch_size": 1,
                "torch_compile": can_compile() and not plan.checkpointing and plan.precision != "4bit",
            },
            callbacks=[times], train_dataset=data, eval_dataset=list(itertools.islice(data, 1)),
        )  # fmt: skip
    return times.steps_per_second(WARM_UP), used()


def main() -> int:
    """Measure, print, and return 1 if the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=10, help="steps measured")
    parser.add_argument("--sequences", type=int, default=2, help=f"sequences of {BLOCK_SIZE} tokens per step")
    parser.add_argument("--model", choices=CONFIGS, action="append", help="only this model; can be repeated")
    parser.add_argument("--tiny", action="store_true", help="rehearse with tiny models, also on a CPU")
    arguments = parser.parse_args()
    quiet_transformers()
    if not torch.cuda.is_available() and not arguments.tiny:
        print("This benchmark needs a GPU; --tiny rehearses it without one.")
        return conclude([])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{device}, {arguments.sequences} x {BLOCK_SIZE} tokens per step\n")
    print(f"{'model':<14}{'weights':<10}{'checkpointing':<15}{'steps/s':>9}{'peak GB':>9}{'estimate':>10}")
    claims = []
    for name in arguments.model or CONFIGS:
        config = CONFIGS[name]
        if arguments.tiny:
            config = type(config)(**config.to_dict() | TINY)
        with tempfile.TemporaryDirectory() as weights:
            set_seed(0)
            AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(weights)
            for plan in ways(config, arguments.sequences):
                speed, peak = measure(weights, config, plan, arguments.steps)
                row = f"{name:<14}{plan.precision:<10}{'yes' if plan.checkpointing else 'no':<15}{speed:>9.2f}"
                print(f"{row}{peak / GB:>9.2f}{plan.needed / GB:>10.2f}", flush=True)
                if not arguments.tiny:
                    wrong = abs(plan.needed / peak - 1)
                    what = f"{plan.precision}{', checkpointing' if plan.checkpointing else ''}"
                    claims.append(at_most(f"{name}, {what}: error of the estimate", wrong, TOLERANCE))
    return conclude(claims)


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
