"""Requirements of each notebook on a free Colab machine with a T4: minutes, GPU memory, Google Drive, disk.

    python benchmarks/notebooks.py
    python benchmarks/notebooks.py --data data/streaming

All numbers are estimates, for the base model in the name of the notebook's folder and the notebook's parameters:

- Minutes: floating-point operations at a published speed of a T4, or kernels times their launch time, whichever is
  longer; CPU work as measured on two cores, times a factor for Colab's slower ones; and the installation.
- GPU memory: the maximum over all cells: weights, gradients and the two states of AdamW; activations (Korthikanti et
  al. 2022, "Reducing Activation Recomputation in Large Transformer Models"); logits; caches; and CUDA itself.
- Space: the files that the notebook writes; on Google Drive also two checkpoints of an unfinished training, on the disk
  three and the base models. Files of other notebooks on Google Drive are not included.

A time may be wrong by a factor of two. `movieplots/notebook/needs.py` has the numbers rounded up.

First, models of the real size with random weights are trained for some steps. On a GPU this is done for each kind of
training, and the measurements replace the estimates. On a CPU it is done for two kinds in float32, and the memory of
their tensors is printed next to the estimate. `--data` counts the corpus and measures CPU work (15 minutes).
"""

import argparse
import contextlib
import gc
import itertools
import json
import math
import random
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claims import at_most, conclude
from peft import LoraConfig, get_peft_model
from sklearn.linear_model import LogisticRegression
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import IterableDataset
from training import StepTimes
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    RobertaConfig,
    default_data_collator,
)

from movieplots import evaluate, load_plots
from movieplots.classification.baseline import fit_baselines
from movieplots.classification.head import HEAD_STRENGTH, MEAN_NORM
from movieplots.classification.imbalance import make_loss
from movieplots.classification.labelled_plots import read_labelled
from movieplots.classification.mlm import MLM_PROBABILITY, masked_loss
from movieplots.classification.training import trainer_loss
from movieplots.classification.training_plots import TrainingPlots
from movieplots.classification.training_settings import LOSSES, TOKENS_PER_STEP
from movieplots.errors import sentences
from movieplots.files import read_json
from movieplots.generation.backends.transformers import LENGTH_STEP, MAX_BATCH_GPU, PAGE_TOKENS
from movieplots.generation.distillation import distillation_loss
from movieplots.generation.dumps import cell_name
from movieplots.generation.genre_weights import genre_evidence, genre_weighted_times
from movieplots.generation.model import RANK
from movieplots.generation.packing import PackedPlots
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.samples_in_training import MAX_NEW_TOKENS
from movieplots.generation.training import EVALUATIONS
from movieplots.generation.training_settings import BATCH_SIZE
from movieplots.measures.embedding import load_embedder
from movieplots.notebook.needs import NEEDS, Needs
from movieplots.pretrained import shipped
from movieplots.pretrained.base_models import load_tokenizer
from movieplots.pretrained.encoding import ON_GPU
from movieplots.runs.fit import can_compile, fit

ROOT = Path(__file__).resolve().parents[1]
GB = 1e9

# A T4. In mixed precision: ModernBERT-base (110M weights in its layers), 32 x 128 tokens, 0.30 s a step
# (https://earino.github.io/applied-deep-learning/site/blog/05_bf16_on_t4.html). Its peak is 65e12, and 24e12 where it
# multiplies large matrices for long (https://forums.developer.nvidia.com/t/about-gpu-peak-performance/264462).
HALF = 9e12  # FLOP/s
# In float32: GPT-2 124M, 7,400 tokens/s in training on two (https://ducto489.github.io/projects/train-gpt-2-with-tpu).
FLOAT = 2.8e12
# GPT-2 with 24 layers of some 25 kernels, 15 ms forward (https://github.com/openai/gpt-2/issues/233).
LAUNCH = 25e-6  # seconds per kernel
KERNELS = {"forward": 25, "full": 75, "lora": 140}  # per layer, without views: counted as below, the first is a guess
CONTEXT = 0.5 * GB  # of GPU memory, for CUDA's context and the libraries' workspaces: assumed

# Assumptions about a Colab machine, which is not measured here.
SETUP = 150  # seconds: mounting, pip, imports
NETWORK = 50e6  # bytes/s, from the model hub and from Google Drive
SLOWER = 1.5  # relative to the two cores on which SECONDS were measured
HOST = 0.02  # seconds per step in addition to the GPU's work: the Trainer, batches, reading losses
COMPILE = 120  # seconds per training with compilation
A_ROW = 0.3e-3  # seconds per generated token of each plot: its mask, its sampling, its cache
FIGURES = 30  # seconds
PACKAGES = 0.5 * GB  # what pip adds on the disk
FILES = 5e6  # in addition to a model's weights: tokenizer, ids, card, curves

ENCODER_BATCH = 48
LABELS, HEADS, PIECES = 26, 12, 8  # genres; attention heads of all five; plots in a packed sequence


@dataclass(frozen=True)
class Corpus:
    """Counts of the corpus `streaming`. Sequences have 512 tokens; other tokens are those of an encoder."""

    training: int = 17_546  # plots
    held_out: int = 4_382
    titled: float = 2_088  # sequences per epoch with titles
    untitled: float = 1_665
    longest_written: int = 217  # tokens of a plot, at most
    tokens: int = 775_584  # per epoch
    padded: int = 864_912  # per epoch in batches of 48
    longest: int = 408  # of a plot


CORPUS = Corpus()
CATALOGUES, PREPARED, REPORT, VECTORS = 8.9e6, 3.1e6, 12e6, 39e6  # bytes: measured
CHARACTERS = 4.4  # per token
WRITTEN = 92  # tokens per plot: generation.py, 182 per second for 1,560 plots in 13.2 minutes

# Seconds on two cores of a shared CPU with AVX2, measured by `--data`. The first is for `movieplots prepare`; the last
# two follow from the speed in classification.py.
SECONDS = {
    "preparation": 12.0,
    "tokenizing": 9.5,  # per epoch of a generator
    "weights": 61.0,  # of genres
    "baselines": 104.0,
    "head": 20.0,  # of a classifier, about the same for 384 and 768 dimensions
    "evaluation": 56.0,  # of 1,560 samples with cached embeddings, figures included
    "quantization, 6 layers": 79.0,
    "quantization, 2 layers": 29.0,
}


@dataclass(frozen=True)
class Model:
    """The shape of a base model, from which its weights are counted."""

    name: str
    layers: int
    width: int
    vocabulary: int
    positions: int

    @property
    def encoder(self) -> bool:
        return "gpt2" not in self.name

    @property
    def inner(self) -> int:
        """Return the number of weights in the matrices of the layers."""
        return 12 * self.layers * self.width**2

    @property
    def output(self) -> int:
        """Return the number of weights of the output layer, tied to the embeddings."""
        return self.vocabulary * self.width

    @property
    def weights(self) -> int:
        """Return the number of all weights, biases and an encoder's pooler included."""
        pooler = self.width**2 + 4 * self.width if self.encoder else self.width
        return self.inner + self.output + self.width * (13 * self.layers + self.positions + 1) + pooler

    @property
    def adapter(self) -> int:
        """Return the number of weights of an adapter on all linear layers."""
        return RANK * 16 * self.layers * self.width


GPT2 = Model("gpt2", 12, 768, 50_257, 1_024)
DISTILGPT2 = replace(GPT2, name="distilgpt2", layers=6)
ROBERTA = Model("roberta-base", 12, 768, 50_265, 514)
BERT = Model("bert-base-uncased", 12, 768, 30_522, 512)
MINILM = Model("minilm-l6", 6, 384, 30_522, 512)


@dataclass(frozen=True)
class Step:
    """A kind of training step: `sequences` of `length` tokens on average, of `longest` tokens in the longest step.

    A share `guessed` of the tokens goes through the output layer. Per weight and token there are `flop` operations: 2
    for the forward pass, 2 for the gradients of earlier layers, 2 for the gradient of the weight.
    """

    model: Model
    sequences: int
    length: int
    longest: int
    guessed: float = 0.0
    adapter: bool = False
    teacher: Model | None = None
    flop: int = 6

    @property
    def trained(self) -> int:
        return self.model.adapter if self.adapter else self.model.weights

    @property
    def checkpoint(self) -> float:
        """Return the size in bytes: trained weights and the two states of AdamW, in float32.

        That of an adapter has the embeddings twice: peft saves them and the tied output layer if tokens were added.
        """
        return 12 * self.trained + (8 * self.model.output if self.adapter else 0)

    def seconds(self) -> float:
        """Estimate the seconds on a T4."""
        model, tokens = self.model, self.sequences * self.length
        flop = tokens * (self.flop * model.inner + 6 * self.guessed * model.output)
        flop += 12 * tokens * self.length * model.layers * model.width  # attention
        kernels = model.layers * KERNELS["lora" if self.adapter else "full"]
        if self.teacher:
            flop += 2 * tokens * (self.teacher.inner + self.teacher.output)
            kernels += self.teacher.layers * KERNELS["forward"]
        return HOST + max(flop / HALF, kernels * LAUNCH)

    def memory(self, number: int = 2) -> float:
        """Estimate the memory in bytes; a `number` has 2 bytes in mixed precision, 4 in float32."""
        model, tokens = self.model, self.sequences * self.longest
        weights = 4 * model.weights + 12 * self.trained
        if self.adapter:  # rows of new tokens are trained: the embeddings are copied, and the copy has a gradient
            weights += 2 * 4 * model.output
        # Attention scores are not stored; without compilation, the GELU of GPT-2 stores four more tensors of its size.
        activations = (34 if model.encoder else 66) * number / 2 * tokens * model.layers * model.width
        logits = (12 + number) * self.guessed * tokens * model.vocabulary
        if number == 2:
            weights += 2 * (model.inner + (self.guessed > 0) * model.output)  # their copies in 16 bits
        if self.teacher:
            weights += (4 + number) * self.teacher.weights
        return weights + activations + logits


@dataclass(frozen=True)
class Taken:
    """The measurements of a step: seconds, and bytes of memory."""

    seconds: float
    memory: float


Parameters = dict[str, Any]
Timed = dict[Step, Taken]  # the steps that were measured on a GPU


class Cells:
    """The sum of the requirements of a notebook's cells."""

    def __init__(self, corpus: Corpus, seconds: dict[str, float], timed: Timed, *base_models: Model) -> None:
        self.corpus, self.cpu_seconds, self.timed = corpus, seconds, timed
        self.seconds, self.gpu_memory = float(SETUP), 0.0
        self.trainings: list[bool] = []  # whether each was measured
        self.on_drive, self.on_disk = 0.0, PACKAGES
        self.drive, self.disk = 0.0, PACKAGES
        self.fetch(sum(4 * model.weights for model in base_models))

    def fetch(self, size: float) -> None:
        """Add a download of `size` bytes."""
        self.seconds += size / NETWORK
        self.on_disk += size
        self.disk = max(self.disk, self.on_disk)

    def keep(self, size: float, passing: float = 0.0) -> None:
        """Add output files of `size` bytes, after checkpoints of `passing` bytes each."""
        self.drive = max(self.drive, self.on_drive + 2 * passing)
        self.disk = max(self.disk, self.on_disk + 3 * passing)
        self.on_drive, self.on_disk = self.on_drive + size, self.on_disk + size
        self.drive, self.disk = max(self.drive, self.on_drive), max(self.disk, self.on_disk)

    def cpu(self, what: str, times: float = 1.0) -> None:
        self.seconds += times * SLOWER * self.cpu_seconds[what]

    def prepare(self) -> None:
        """Fetch the catalogues and prepare the corpus, unless DataPreparation has done so."""
        self.fetch(CATALOGUES)
        self.cpu("preparation")
        self.keep(PREPARED)

    def steps(self, step: Step, count: float, limit: float | None = None) -> None:
        """Add the steps of a training, for at most `limit` minutes."""
        like = next((known for known in self.timed if known == replace(step, flop=known.flop)), None)
        taken = Taken(step.seconds(), step.memory())
        if like:
            taken = replace(self.timed[like], seconds=self.timed[like].seconds * step.flop / like.flop)
        self.trainings.append(like is not None)
        self.seconds += min(count * taken.seconds, 60 * (limit or math.inf))
        self.gpu_memory = max(self.gpu_memory, taken.memory)

    def read(self, model: Model, plots: int) -> None:
        """Add the encoding of plots in float32, in the batches of `encode`."""
        tokens = self.corpus.padded / self.corpus.training
        self.seconds += plots * tokens * 2 * model.inner / FLOAT
        batch = ON_GPU / CHARACTERS
        # The widest point of a layer: the output of its larger matrix before and after the GELU, and four input sizes.
        self.gpu_memory = max(self.gpu_memory, 4 * model.weights + 4 * batch * 12 * model.width)

    def write(self, model: Model, plots: int) -> None:
        """Add the generation of plots in float32, in one batch."""
        rows, longest = min(plots, MAX_BATCH_GPU), self.corpus.longest_written
        steps = plots * WRITTEN / rows + longest  # the last plots finish one by one
        flop = 2 * rows * (model.inner + model.output) + 4 * rows * (rows * WRITTEN) * model.layers * model.width
        a_step = rows * A_ROW + max(flop / FLOAT, model.layers * KERNELS["forward"] * LAUNCH)
        self.seconds += steps * a_step
        room = rows * (-(-(longest + 8) // LENGTH_STEP) * LENGTH_STEP + PAGE_TOKENS)  # tokens of the cache
        cache = 8 * room * model.layers * model.width
        mask, gathered = 4 * LENGTH_STEP * 2 * room, 8 * rows * longest * model.width
        sampled = 48 * rows * model.vocabulary  # scores, and sampling in float64
        self.gpu_memory = max(self.gpu_memory, 4 * model.weights + cache + mask + gathered + sampled)
        self.keep(1_000 * plots)

    def needs(self) -> Needs:
        memory = self.gpu_memory + CONTEXT if self.gpu_memory else 0.0
        measured = bool(self.trainings) and all(self.trainings)
        return Needs(self.seconds / 60, memory / GB, self.drive / GB, self.disk / GB, measured)


def causal(model: Model, length: int, adapter: bool = True, teacher: Model | None = None) -> Step:
    return Step(model, BATCH_SIZE, length, length, 1.0, adapter, teacher, 4 if adapter else 6)


def masked(length: int) -> Step:
    return Step(BERT, TOKENS_PER_STEP // length, length, length, MLM_PROBABILITY)


def genres(model: Model, corpus: Corpus, batch_size: int) -> Step:
    return Step(model, batch_size, round(corpus.padded / corpus.training), corpus.longest)


def data_preparation(cells: Cells, _: Parameters) -> None:
    cells.prepare()
    cells.seconds += FIGURES


def train_generator(cells: Cells, step: Step, steps: float, limit: float | None = None) -> None:
    """Add a training or a distillation, with the samples generated during it."""
    cells.steps(step, steps, limit)
    cells.seconds += COMPILE
    cells.seconds += (EVALUATIONS + 1) * MAX_NEW_TOKENS * step.model.layers * KERNELS["forward"] * 2 * LAUNCH
    cells.keep(2 * step.trained + FILES, step.checkpoint)


def generator_start(cells: Cells, p: Parameters, model: Model) -> None:
    """Add the beginning of all notebooks that train a generator: the corpus and the search for a learning rate."""
    cells.prepare()
    cells.cpu("tokenizing", 4)  # measuring the corpus takes two rounds
    cells.steps(causal(model, p["BLOCK_SIZE"]), p["SEARCH_STEPS"])
    cells.seconds += FIGURES


def grid(p: Parameters) -> int:
    """Return the number of plots of the dump."""
    genre_count = len(p["GENRES"]) if p["GENRES"] else LABELS
    return genre_count * len(p["TEMPERATURES"]) * len(p["TOP_PS"]) * p["SAMPLES_PER_GENRE"]


def gpt2_training(cells: Cells, p: Parameters) -> None:
    generator_start(cells, p, GPT2)
    cells.cpu("weights")
    cells.cpu("tokenizing", 5)
    steps = 3 * (cells.corpus.titled if p["TITLES"] else cells.corpus.untitled) / BATCH_SIZE
    train_generator(cells, causal(GPT2, p["BLOCK_SIZE"]), p["MAX_STEPS"] or steps, p["TIME_LIMIT"])
    cells.write(GPT2, grid(p))


def gpt2simple_training(cells: Cells, p: Parameters) -> None:
    generator_start(cells, p, GPT2)
    for _ in ("random crops", "packed"):
        cells.cpu("tokenizing", 2)
        train_generator(cells, causal(GPT2, p["BLOCK_SIZE"]), p["MAX_STEPS"])
    cells.write(GPT2, grid(p))


def distilgpt2_training(cells: Cells, p: Parameters) -> None:
    generator_start(cells, p, DISTILGPT2)
    cells.cpu("weights")
    steps, size = p["MAX_STEPS"] or 3 * cells.corpus.untitled / BATCH_SIZE, p["BLOCK_SIZE"]
    student = replace(DISTILGPT2, name="student")  # half of the teacher's layers
    for step in (causal(DISTILGPT2, size), causal(GPT2, size), causal(student, size, False, GPT2)):
        cells.cpu("tokenizing", 5)
        train_generator(cells, step, steps, p["TIME_LIMIT"])
    for model in (DISTILGPT2, GPT2, student):
        cells.write(model, p["COMPARED_SAMPLES"])
    cells.write(student, grid(p))


def generator_evaluation(*models: Model) -> Callable[[Cells, Parameters], None]:
    def work(cells: Cells, p: Parameters) -> None:
        for model in models:
            cells.write(model, grid(p))
            cells.cpu("evaluation")
        cells.fetch(4 * MINILM.weights)  # the sentence embedder
        others = 2_000 + len(models) * grid(p)  # validation and test plots, some with shuffled words, and samples
        cells.read(MINILM, cells.corpus.training + others)
        cells.on_disk += VECTORS
        cells.keep(REPORT)

    return work


def train_classifier(cells: Cells, step: Step, epochs: int, titles: bool = False, head: bool = True) -> None:
    """Add a training with its evaluation; with titles, validation and test plots are encoded with and without them."""
    if head:
        cells.read(step.model, cells.corpus.training)
        cells.cpu("head")
    cells.steps(step, epochs * cells.corpus.training / step.sequences)
    cells.read(step.model, (2 if titles else 1) * cells.corpus.held_out)
    cells.keep(4 * step.model.weights + FILES, step.checkpoint)


def bert_training(cells: Cells, p: Parameters) -> None:
    cells.prepare()
    for length in p["BLOCK_SIZES"]:
        step = masked(length)
        cells.steps(step, p["MLM_EPOCHS"] * cells.corpus.tokens / TOKENS_PER_STEP)
        cells.keep(4 * BERT.weights + FILES, step.checkpoint)
    cells.cpu("baselines")
    for _ in ("with reading", "without reading"):
        train_classifier(cells, genres(BERT, cells.corpus, p["BATCH_SIZE"]), p["EPOCHS"])
    cells.seconds += FIGURES


def roberta_training(cells: Cells, p: Parameters) -> None:
    """Add a training with fastai, which first trains an epoch of the head alone and one of the upper half."""
    cells.prepare()
    step = genres(ROBERTA, cells.corpus, p["BATCH_SIZE"])
    cells.steps(step, p["SEARCH_STEPS"])
    for flop in (2, 4):
        cells.steps(replace(step, flop=flop), cells.corpus.training / step.sequences)
    cells.cpu("baselines")
    train_classifier(cells, step, p["EPOCHS"], head=False)
    cells.seconds += FIGURES


def minilm_training(cells: Cells, p: Parameters) -> None:
    cells.prepare()
    few = replace(MINILM, layers=p["FEW_LAYERS"])
    cells.cpu("baselines", 2)  # without and with titles
    for model, epochs in ((MINILM, p["EPOCHS"]), (few, p["FEW_EPOCHS"])):
        train_classifier(cells, genres(model, cells.corpus, p["BATCH_SIZE"]), epochs, titles=p["TITLES"])
        cells.cpu(f"quantization, {model.layers} layers")
        cells.keep(model.weights + FILES)
    cells.read(MINILM, cells.corpus.training)  # as the teacher
    for _ in LOSSES:
        train_classifier(cells, genres(few, cells.corpus, p["BATCH_SIZE"]), 1)
    cells.seconds += FIGURES


def classifier_evaluation(model: Model) -> Callable[[Cells, Parameters], None]:
    def work(cells: Cells, _: Parameters) -> None:
        cells.read(model, cells.corpus.held_out + 2_000)
        cells.seconds += 2 * FIGURES  # a page of them, and occlusion word by word

    return work


GENERATORS, CLASSIFIERS = "text_generation/", "genre_prediction/"
# The work of a notebook's cells, and the base models that it fetches (for an evaluation, the classifier).
NOTEBOOKS: dict[str, tuple[Callable[[Cells, Parameters], None], tuple[Model, ...]]] = {
    "DataPreparation": (data_preparation, ()),
    GENERATORS + "with-titles/GPT-2/Training": (gpt2_training, (GPT2,)),
    GENERATORS + "with-titles/GPT-2/Evaluation": (generator_evaluation(GPT2), (GPT2,)),
    GENERATORS + "with-titles/GPT-2-gpt2simple/Training": (gpt2simple_training, (GPT2,)),
    GENERATORS + "with-titles/GPT-2-gpt2simple/Evaluation": (generator_evaluation(GPT2, GPT2), (GPT2,)),
    GENERATORS + "without-titles/GPT-2/Training": (gpt2_training, (GPT2,)),
    GENERATORS + "without-titles/GPT-2/Evaluation": (generator_evaluation(GPT2), (GPT2,)),
    GENERATORS + "without-titles/DistilGPT-2/Training": (distilgpt2_training, (DISTILGPT2, GPT2)),
    GENERATORS + "without-titles/DistilGPT-2/Evaluation": (generator_evaluation(GPT2, DISTILGPT2), (GPT2, DISTILGPT2)),
    CLASSIFIERS + "MiniLM/Training": (minilm_training, (MINILM,)),
    CLASSIFIERS + "MiniLM/Evaluation": (classifier_evaluation(MINILM), (MINILM,)),
    CLASSIFIERS + "BERT/Training": (bert_training, (BERT,)),
    CLASSIFIERS + "BERT/Evaluation": (classifier_evaluation(BERT), (BERT,)),
    CLASSIFIERS + "RoBERTa/Training": (roberta_training, (ROBERTA,)),
    CLASSIFIERS + "RoBERTa/Evaluation": (classifier_evaluation(ROBERTA), (ROBERTA,)),
}


def parameters(name: str) -> Parameters:
    """Return the parameters of a notebook."""
    cells = read_json(ROOT / f"{name}.ipynb", "restore it")["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    cell = next(cell for cell in code if "parameters" in cell["metadata"].get("tags", ()))
    values: Parameters = {}
    exec("".join(cell["source"]), values)
    return values


def all_needs(
    corpus: Corpus = CORPUS, seconds: dict[str, float] = SECONDS, timed: Timed | None = None
) -> dict[str, Needs]:
    """Return the requirements of each notebook, not rounded."""
    result = {}
    for name, (work, base_models) in NOTEBOOKS.items():
        cells = Cells(corpus, seconds, timed or {}, *base_models)
        work(cells, parameters(name))
        result[name] = cells.needs()
    return result


def rounded(needs: Needs) -> Needs:
    """Round up as in the table: minutes to multiples of five, GPU memory to whole GB, space to 0.1 GB."""
    drive, disk = (math.ceil(10 * value) / 10 for value in (needs.drive, needs.disk))
    return Needs(5 * math.ceil(needs.minutes / 5), math.ceil(needs.gpu_memory), drive, disk, needs.measured)


def kinds(corpus: Corpus) -> dict[str, Step]:
    """Return every kind of training step in the notebooks."""
    p = parameters(GENERATORS + "without-titles/DistilGPT-2/Training")
    bert, minilm = parameters(CLASSIFIERS + "BERT/Training"), parameters(CLASSIFIERS + "MiniLM/Training")
    roberta, size = parameters(CLASSIFIERS + "RoBERTa/Training"), p["BLOCK_SIZE"]
    few = replace(MINILM, layers=minilm["FEW_LAYERS"])
    return {
        "GPT-2, LoRA": causal(GPT2, size),
        "DistilGPT-2, LoRA": causal(DISTILGPT2, size),
        "student of GPT-2": causal(replace(DISTILGPT2, name="student"), size, False, GPT2),
        **{f"BERT, masked, {length} tokens": masked(length) for length in bert["BLOCK_SIZES"]},
        "BERT, genres": genres(BERT, corpus, bert["BATCH_SIZE"]),
        "RoBERTa, genres": genres(ROBERTA, corpus, roberta["BATCH_SIZE"]),
        "MiniLM, genres": genres(MINILM, corpus, minilm["BATCH_SIZE"]),
        "MiniLM of few layers, genres": genres(few, corpus, minilm["BATCH_SIZE"]),
    }


CHECKED_ON_CPU = ("GPT-2, LoRA", "BERT, masked, 128 tokens")


class Tracker(TorchDispatchMode):
    """Tracks the memory of all new tensors, and counts the kernels that compute them."""

    def __init__(self, before: float) -> None:
        super().__init__()
        self.now = self.most = before
        self.kernels = 0
        self.storages: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.kernels += func.namespace == "aten" and not func.is_view
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.storages:
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._freed, storage._cdata)
        return result

    def _freed(self, key: int) -> None:
        self.now -= self.storages.pop(key)


class Examples(IterableDataset):
    """Return sequences of random tokens for a step."""

    def __init__(self, step: Step, length: int) -> None:
        self.step, self.length = step, length

    def __iter__(self) -> Iterator[dict[str, list[Any]]]:
        draw = np.random.default_rng(0)
        while True:
            ids = draw.integers(self.step.model.vocabulary, size=self.length)
            if not self.step.model.encoder:
                places = np.arange(self.length) % (self.length // PIECES)
                yield {"input_ids": ids.tolist(), "labels": ids.tolist(), "position_ids": places.tolist()}
                continue
            labels = (
                np.where(draw.random(self.length) < MLM_PROBABILITY, ids, -100)
                if self.step.guessed
                else np.ones(LABELS)
            )
            yield {"input_ids": ids.tolist(), "attention_mask": [1] * self.length, "labels": labels.tolist()}


def new_model(model: Model, guessed: float = 1.0) -> Any:
    """Return a model with random weights in float32."""
    if not model.encoder:
        # Without dropout, the CPU stores no attention scores; a GPU stores none even with dropout.
        dropout = 0.1 if torch.cuda.is_available() else 0.0
        return AutoModelForCausalLM.from_config(GPT2Config(n_layer=model.layers, attn_pdrop=dropout, use_cache=False))
    shape = {
        "vocab_size": model.vocabulary, "num_hidden_layers": model.layers, "hidden_size": model.width,
        "intermediate_size": 4 * model.width, "num_attention_heads": HEADS, "max_position_embeddings": model.positions,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    shape |= {"num_labels": LABELS, "problem_type": "multi_label_classification"}
    config = RobertaConfig(**shape) if model.name == ROBERTA.name else BertConfig(**shape)
    return (AutoModelForMaskedLM if guessed else AutoModelForSequenceClassification).from_config(config)


def train(step: Step, length: int, steps: int) -> tuple[Taken, float]:
    """Train for some steps on sequences of `length` tokens; return a step's cost, and kernels per layer (0 on GPU)."""
    gpu, before = torch.cuda.is_available(), 0
    torch.manual_seed(0)
    model, loss = new_model(step.model, step.guessed), masked_loss if step.model.encoder and step.guessed else None
    models, genre_loss = [model], None
    if step.model.encoder and not step.guessed:
        genre_loss = trainer_loss(make_loss("weighted-bce", np.eye(LABELS, dtype=np.float32)))
    if step.adapter:
        lora = LoraConfig(
            r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", trainable_token_indices=[0, 1],
            task_type="CAUSAL_LM",
        )  # fmt: skip
        model = get_peft_model(model, lora)
    if step.teacher:
        models.append(new_model(step.teacher).eval().requires_grad_(False))
        loss = distillation_loss(models[-1])
    times, data = StepTimes(), Examples(step, length)
    tracker = Tracker(sum(4 * p.numel() for each in models for p in each.parameters()))
    gc.collect()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()  # memory that an earlier training has not released
    with tempfile.TemporaryDirectory() as folder, contextlib.nullcontext() if gpu else tracker:
        fit(
            what="Measuring",
            model=model,
            parameter_groups=lambda module: [
                {"params": [p for p in module.parameters() if p.requires_grad], "lr": 1e-5}
            ],
            output_dir=Path(folder),
            seed=0,
            max_steps=steps,
            time_limit=None,
            evaluations=1,
            loss=loss,
            compute_loss_func=genre_loss,
            arguments={
                "per_device_train_batch_size": step.sequences, "per_device_eval_batch_size": 1,
                "eval_strategy": "steps", "torch_compile": can_compile() and not step.model.encoder,
                "label_names": ["labels"], "remove_unused_columns": False,
            },
            callbacks=[times],
            train_dataset=data,
            eval_dataset=list(itertools.islice(data, 1)),
            data_collator=default_data_collator,
        )  # fmt: skip
    if gpu:
        memory = torch.cuda.max_memory_allocated() - before
        return Taken(1 / times.tokens_per_second(1, warm_up=steps // 3), memory), 0.0
    return Taken(math.nan, tracker.most), tracker.kernels / steps / step.model.layers


def measure_steps(corpus: Corpus) -> Timed:
    """Train each kind on a GPU and return the measurements; on a CPU print those of two kinds in float32."""
    gpu, timed = torch.cuda.is_available(), {}
    print("\n| step | tokens | seconds | kernels per layer | memory, GB | estimated, GB |\n|---|---|---|---|---|---|")
    for name, step in kinds(corpus).items():
        if not (gpu or name in CHECKED_ON_CPU):
            continue
        taken, kernels = train(step, step.longest, 30 if gpu else 2)
        if gpu:
            if step.longest != step.length:
                taken = replace(taken, seconds=train(step, step.length, 30)[0].seconds)
            timed[step] = taken
        of_gpu, of_cpu = (f"{taken.seconds:.3f}", "") if gpu else ("", f"{kernels:.0f}")
        memory, estimated = taken.memory / GB, step.memory(2 if gpu else 4) / GB
        print(f"| {name} | {step.sequences} x {step.longest} | {of_gpu} | {of_cpu} | {memory:.1f} | {estimated:.1f} |")
    return timed


def count(data: str) -> Corpus:
    """Count the prepared corpus: sequences with the tokenizer of `smollm2-135m`, which is like GPT-2's."""
    plots = load_plots(data)
    train = plots[plots["split"] == "train"]
    times, sequences, longest = genre_weighted_times(train), [], 0.0
    for titles in (True, False):
        tokenizer = PromptTokenizer(load_tokenizer("smollm2-135m"), titles)
        stream = PackedPlots(train, tokenizer, 512, 0, times)
        sequences.append(sum(1 for _ in stream.one_epoch(0)))
        longest = max(longest, float(np.percentile([len(each.input_ids) for each in stream.examples(0)], 99.5)))
    shown = TrainingPlots(
        load_tokenizer("minilm-l6"), train["plot"].tolist(), np.zeros((len(train), 1)), ENCODER_BATCH, 0
    )  # fmt: skip
    lengths = [len(row["input_ids"]) for row in shown.one_epoch(0)]
    batches = [max(lengths[i : i + ENCODER_BATCH]) for i in range(0, len(lengths), ENCODER_BATCH)]
    return Corpus(
        len(train), len(plots) - len(train), *sequences, round(longest) + 16,
        sum(len(plot["input_ids"]) for plot in shown.plots), ENCODER_BATCH * sum(batches), max(batches),
    )  # fmt: skip


def measure_cpu(data: str) -> dict[str, float]:
    """Measure the seconds of the CPU work."""
    plots, table = read_labelled(data), load_plots(data)
    train, others = table[table["split"] == "train"], table[table["split"] != "train"]
    tokenizer = PromptTokenizer(load_tokenizer("smollm2-135m"), titles=True)
    dimensions = load_embedder().embed(plots.texts["train"]).astype(np.float32) * MEAN_NORM

    def heads() -> None:
        for label in plots.targets["train"].T:
            LogisticRegression(C=HEAD_STRENGTH, max_iter=300).fit(dimensions, label)

    with tempfile.TemporaryDirectory() as folder:
        write_dump(others["plot"].tolist(), plots.labels, Path(folder, "dump"))

        def judged() -> None:
            evaluate({"made": Path(folder, "dump")}, data, Path(folder, "report"), classifier=shipped.CLASSIFIER)

        judged()  # fills the cache of embeddings
        works = {
            "tokenizing": lambda: sum(1 for _ in PackedPlots(train, tokenizer, 512, 0).one_epoch(0)),
            "weights": lambda: genre_evidence(train, plots.labels),
            "baselines": lambda: fit_baselines(plots.texts, plots.targets, plots.labels),
            "head": heads,
            "evaluation": judged,
        }
        result = {}
        for name, work in works.items():
            start, spent = time.perf_counter(), time.process_time()
            work()
            # Work of one core is measured in CPU time, which other programs do not affect.
            result[name] = min(time.perf_counter() - start, time.process_time() - spent)
    return result


def write_dump(texts: list[str], genres: list[str], out: Path) -> None:
    """Write a dump of the default grid; each sample combines halves of two validation or test plots."""
    draw = random.Random(0)
    out.mkdir()
    for temperature, top_p in itertools.product((0.7, 1.0, 1.3), (0, 0.9)):
        lines = []
        for genre, _ in itertools.product(genres, range(10)):
            one, other = (draw.choice(texts).split() for _ in range(2))
            plot = " ".join(one[: len(one) // 2] + other[len(other) // 2 :])
            sample = {
                "genre": genre, "title": " ".join(other[:3]), "plot": plot, "temperature": temperature, "top_p": top_p,
                "truncated": False, "seed": 0,
            }  # fmt: skip
            lines.append(json.dumps(sample, ensure_ascii=False) + "\n")
        (out / f"{cell_name(temperature, top_p)}.jsonl").write_text("".join(lines), encoding="utf-8")


def main() -> int:
    """Print the tables; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder that `movieplots prepare` wrote, to count it and to measure CPU work")
    arguments = parser.parse_args()
    corpus, seconds = CORPUS, SECONDS
    if arguments.data:
        corpus = count(arguments.data)
        seconds = SECONDS | measure_cpu(arguments.data)
        print(f"\n{corpus}\n{ {name: round(value, 1) for name, value in seconds.items()} }")
    timed = measure_steps(corpus)
    found = all_needs(corpus, seconds, timed)
    print("\n| notebook | minutes | GPU memory, GB | Google Drive, GB | disk, GB | trainings |")
    print("|---|---|---|---|---|---|")
    for name, needs in found.items():
        numbers = f"{needs.minutes:.1f} | {needs.gpu_memory:.1f} | {needs.drive:.2f} | {needs.disk:.2f}"
        print(f"| {name} | {numbers} | {'measured' if needs.measured else 'estimated'} |")
    table = {name: rounded(needs) for name, needs in found.items()}
    if table != NEEDS:
        print("\nRounded up, for movieplots/notebook/needs.py:")
        for name, needs in table.items():
            print(f'    "{name}": Needs({", ".join(str(getattr(needs, field.name)) for field in fields(needs))}),')
    return conclude(
        [
            at_most("GB of GPU memory per notebook (a T4 has 15)", max(each.gpu_memory for each in found.values()), 15),
            at_most("GB on Google Drive per notebook (15 are free)", max(each.drive for each in found.values()), 15),
            at_most(
                "notebooks with other numbers in needs.py", sum(table[name] != NEEDS.get(name) for name in table), 0
            ),
        ]
    )


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
