"""Number format of the base model's weights in training, and an estimate of the memory that a training needs.

A small base model is trained from float32 weights, in mixed precision where the hardware has it. For LoRA on a GPU, a
base model of at least `LARGE` parameters is loaded in half precision: its weights are frozen, so nothing is lost to
rounding from step to step. The adapter and new embedding rows stay in float32. If memory does not suffice, fewer
sequences share a forward pass; then activations are computed twice instead of stored (gradient checkpointing), which
takes about a third more time; then the weights are quantized to 4 bits if bitsandbytes is installed (QLoRA, Dettmers et
al. 2023, https://arxiv.org/abs/2305.14314).

The estimate needs only the base model's config, so it is made before the weights are downloaded. It counts the tensors
that are alive at the peak of a step, when the gradient of the logits is computed.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from transformers.pytorch_utils import Conv1D

from movieplots.errors import BadInput
from movieplots.formatting import plural
from movieplots.generation.training_settings import adapter_info
from movieplots.pretrained.base_models import load_config
from movieplots.progress import notify
from movieplots.runs.fit import half_dtype, mixed_precision_of, needs_float32
from movieplots.runs.lifecycle import half_of, processes

RANK = 16  # of the adapter
LARGE = 500_000_000  # parameters from which a base model is loaded in half precision on a GPU
GB = 1e9
# Bytes per element. Adam keeps two float32 numbers per trained weight, next to the weight and its gradient.
TRAINED, FLOAT32, HALF, FOUR_BIT = 16, 4, 2, 0.53  # 4 bits, and a scale per block of 64 weights, itself quantized
LOGIT, GUIDED_LOGIT = 12, 28  # the logits, their log-probabilities and the gradients of both, for the largest part
NORM = 8  # a layer norm stores its input in float32 twice
NEW_ROWS = 1.25  # copies of the embedding matrix with the new rows in place, at the peak
# GPT-2's activation function and its dropout store their intermediate results.
STORED_MORE = {"gpt2": 3.0}
# Libraries and allocators need more: the part on a CPU is measured, that on a GPU is not.
GPU_WORKSPACE, CPU_WORKSPACE, FRAGMENTATION = 0.3 * GB, 0.1 * GB, 1.1


@dataclass(frozen=True)
class BaseModelSize:
    """What the estimate needs to know about a base model, from its config alone."""

    config: Any

    @cached_property
    def _skeleton(self) -> Any:
        from transformers import AutoModelForCausalLM

        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes without numbers
            return AutoModelForCausalLM.from_config(self.config)

    @cached_property
    def parameters(self) -> int:
        """Number of parameters; tied weights count once."""
        return sum(p.numel() for p in self._skeleton.parameters())

    @cached_property
    def linear(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each linear layer, without the output matrix. Each of them gets an adapter."""
        head = self._skeleton.get_output_embeddings()
        return [shape for module in self._skeleton.modules() if module is not head for shape in _shape(module)]

    @cached_property
    def norms(self) -> int:
        """Number of weights of all layer norms."""
        norms = [module for module in self._skeleton.modules() if "Norm" in type(module).__name__]
        return sum(p.numel() for module in norms for p in module.parameters(recurse=False) if p.ndim == 1)

    @property
    def adapter(self) -> int:
        """Number of weights of the adapter."""
        return RANK * sum(inputs + outputs for inputs, outputs in self.linear)

    @property
    def embeddings(self) -> int:
        """Number of weights of the embedding matrix."""
        return int(self._skeleton.get_input_embeddings().weight.numel())

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return int(self.config.vocab_size)

    @property
    def layers(self) -> int:
        """Number of transformer layers."""
        return int(self.config.num_hidden_layers)


def _shape(module: torch.nn.Module) -> Iterator[tuple[int, int]]:
    if isinstance(module, torch.nn.Linear):
        yield module.in_features, module.out_features
    elif isinstance(module, Conv1D):  # of GPT-2
        yield module.nx, module.nf


@dataclass(frozen=True)
class TrainingPlan:
    """How a base model is trained, and the memory that this needs.

    Attributes
    ----------
    precision : str
        `float32`, `half` or `4bit`.
    dtype : torch.dtype
        Type of the frozen weights that are not quantized.
    checkpointing : bool
        Whether gradient checkpointing is used.
    at_once : int
        Number of sequences per forward pass.
    parts : dict of str to float
        Bytes by what needs them.
    """

    precision: str
    dtype: torch.dtype
    checkpointing: bool
    at_once: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def needed(self) -> float:
        """Memory in bytes."""
        workspace = GPU_WORKSPACE if torch.cuda.is_available() else CPU_WORKSPACE
        return sum(self.parts.values()) * FRAGMENTATION + workspace

    @property
    def loading(self) -> dict[str, Any]:
        """Arguments of `from_pretrained`."""
        if self.precision != "4bit":
            return {"dtype": self.dtype}
        from transformers import BitsAndBytesConfig

        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=self.dtype,
        )
        return {"dtype": self.dtype, "quantization_config": quantization, "device_map": {"": processes().device}}


FLOAT32_PLAN = TrainingPlan("float32", torch.float32, checkpointing=False, at_once=1)


def plan_training(
    base_model: str, method: str, at_once: int, block_size: int, precision: str = "auto", guided: bool = False
) -> TrainingPlan:
    """Choose how to train the base model on this machine, and say how much memory it needs.

    `at_once` is the largest number of sequences per forward pass. With `guided` the unchanged base model is kept in
    memory, too. With a `precision` other than `auto` the training is tried even if the estimate exceeds the memory.

    Raises
    ------
    BadInput
        If memory does not suffice, or the precision is not possible here. No weights have been downloaded then.
    """
    start = adapter_info(base_model)
    size = BaseModelSize(load_config(start.base_model if start else base_model))
    gpu, free = torch.cuda.is_available(), available_memory()
    _check_possible(base_model, size, precision)
    plans = [
        TrainingPlan(
            name, dtype, checkpointing, sequences,
            memory(size, name, dtype, method, sequences * block_size, checkpointing, guided),
        )
        for name, dtype in _candidates(size, method, precision)
        for checkpointing in ((False, True) if gpu and method == "lora" else (False,))
        for sequences in _halves(at_once)
    ]  # fmt: skip
    best = plans[-1]
    fitting = [plan for plan in plans if free is None or plan.needed <= free]
    if not fitting and precision == "auto":
        raise BadInput(_too_large(base_model, best, method, free or 0.0))
    chosen = (fitting or [best])[0]
    if processes().num_processes > 1:  # all must do the same
        (chosen,) = broadcast_object_list([chosen])
    notify(_description(base_model, chosen, block_size, free))
    return chosen


def dtype_for_sampling(config: Any) -> torch.dtype:
    """Return the type of a generator's weights after training: half precision for a large one on a GPU."""
    large = torch.cuda.is_available() and BaseModelSize(config).parameters >= LARGE
    return torch.float32 if not large or needs_float32(config) else half_dtype()


def available_memory() -> float | None:
    """Return the free memory in bytes of the GPU, or of the computer if there is none; None if unknown."""
    if torch.cuda.is_available():
        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # held by torch for later
        return float(torch.cuda.mem_get_info()[0] + unused)
    free = None
    if (file := Path("/proc/meminfo")).is_file():
        lines = dict(line.split(":", 1) for line in file.read_text(encoding="ascii").splitlines())
        free = float(lines["MemAvailable"].split()[0]) * 1024
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        free = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return None if free is None else free / processes().num_processes


def memory(
    size: BaseModelSize,
    precision: str,
    dtype: torch.dtype,
    method: str,
    tokens: int,
    checkpointing: bool = False,
    guided: bool = False,
) -> dict[str, float]:
    """Return the bytes that a step on this number of tokens needs, by part.

    A step of LoRA stores the input and output of each linear layer, which has an adapter, and the inputs of layer
    norms. In mixed precision these are in half precision. Float32 weights then need a copy in half precision, which is
    kept for the backward pass.
    """
    width = dtype.itemsize
    mixed = any(mixed_precision_of(size.config).values())
    numbers = HALF if mixed or width == HALF else FLOAT32
    linear = sum(inputs * outputs for inputs, outputs in size.linear)
    weights: float = width * size.parameters
    if precision == "4bit":
        weights = width * (size.parameters - linear) + FOUR_BIT * linear
    elif width == FLOAT32 and mixed:
        weights += HALF * size.parameters
    stored: float = numbers * sum(inputs + outputs for inputs, outputs in size.linear) + NORM * size.norms
    stored *= STORED_MORE.get(size.config.model_type, 1.0)
    if checkpointing:  # the input of each layer, and all of one layer at a time
        stored = width * size.layers * size.config.hidden_size + stored / size.layers
    name = str(dtype).removeprefix("torch.")
    parts = {f"weights in {'4 bits' if precision == '4bit' else name}": weights}
    if method == "lora":
        parts["adapter"] = float(TRAINED * size.adapter + NEW_ROWS * width * size.embeddings)
    else:
        parts["gradients and optimizer"] = float((TRAINED - FLOAT32) * size.parameters)
    if guided:
        parts["the base model for guidance"] = float(dtype_for_sampling(size.config).itemsize * size.parameters)
    parts["activations"] = stored * tokens
    parts["logits"] = float((GUIDED_LOGIT if guided else LOGIT) * size.vocabulary * tokens)
    return parts


def _candidates(size: BaseModelSize, method: str, precision: str) -> list[tuple[str, torch.dtype]]:
    """Return the precisions to try, the best first, each with the type of weights that are not quantized."""
    half = torch.float32 if needs_float32(size.config) else half_dtype()
    named = {"float32": torch.float32, "half": half, "4bit": half}
    if precision != "auto":
        return [(precision, named[precision])]
    if method != "lora" or not torch.cuda.is_available() or size.parameters < LARGE:
        return [("float32", torch.float32)]
    first = "float32" if half == torch.float32 else "half"
    return [(name, named[name]) for name in (first, *(["4bit"] if find_spec("bitsandbytes") else []))]


def _check_possible(base_model: str, size: BaseModelSize, precision: str) -> None:
    try:
        size.parameters  # noqa: B018
    except ValueError:  # transformers has no such model of this type
        raise BadInput(
            f"{base_model} is not a causal language model: choose one such as smollm2-135m or gpt2."
        ) from None
    if precision == "half" and needs_float32(size.config):
        raise BadInput(
            f"--precision half does not work for {base_model} on this GPU: the activations of Gemma models exceed the "
            "range of float16 and the GPU has no bfloat16, so use --precision float32 or 4bit."
        )
    if precision == "4bit" and not find_spec("bitsandbytes"):
        raise BadInput("--precision 4bit needs bitsandbytes: run `pip install bitsandbytes`.")


def _halves(count: int) -> Iterator[int]:
    """Yield the count, and its divisors that at most halve the one before."""
    while count:
        yield count
        count = half_of(count)


def _description(base_model: str, plan: TrainingPlan, block_size: int, free: float | None) -> str:
    where = "GPU memory" if torch.cuda.is_available() else "memory"
    known = "" if free is None else f", {free / GB:.1f} GB are free"
    parts = ", ".join(f"{name} {part / GB:.1f}" for name, part in plan.parts.items() if part >= 0.05 * GB)
    parts = f"{parts}, " if parts else ""
    checkpointing = " and gradient checkpointing" if plan.checkpointing else ""
    return (
        f"Training {base_model} needs about {plan.needed / GB:.1f} GB of {where}{known}: {parts}with "
        f"{plural(plan.at_once, 'sequence')} of {block_size} tokens per forward pass{checkpointing}."
    )


def _too_large(base_model: str, plan: TrainingPlan, method: str, free: float) -> str:
    gpu, how = torch.cuda.is_available(), next(iter(plan.parts))
    remedies = ["lower --block-size", "choose a smaller base model"]
    if method == "full":
        remedies.append("use --method lora")
    elif gpu and plan.precision != "4bit":
        remedies.append("run `pip install bitsandbytes` for weights in 4 bits")
    if not gpu:
        remedies.append("train on a GPU")
    remedies.append(f"give --precision {plan.precision} to try it nevertheless")
    return (
        f"Training {base_model} needs at least {plan.needed / GB:.1f} GB of {'GPU ' if gpu else ''}memory ({how}), but "
        f"only {free / GB:.1f} GB are free: {', '.join(remedies[:-1])}, or {remedies[-1]}."
    )
