"""Fine-tune a causal language model on plots in the prompt format, with LoRA or all weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np
import pandas as pd
import torch
from transformers import TrainerCallback, set_seed

from movieplots.errors import BadInput
from movieplots.generation.card import model_card
from movieplots.generation.controls import CONTROLS, training_controls
from movieplots.generation.genre_weights import genre_weighted_times
from movieplots.generation.guidance import guidance_loss
from movieplots.generation.info import GeneratorInfo, GeneratorMetrics, GenreLoss
from movieplots.generation.model import context_of, load_generator, new_generator, save_generator
from movieplots.generation.packing import EvaluationSequence, PackedPlots, RandomCrops, collate, evaluation_sequences
from movieplots.generation.precision import FLOAT32_PLAN, TrainingPlan, plan_training
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.samples_in_training import SampleWriter
from movieplots.generation.training_settings import (
    CorpusSettings,
    DistillationSettings,
    GeneratorLrSettings,
    GeneratorSettings,
    adapter_info,
)
from movieplots.plots import load_plots
from movieplots.progress import notify, track
from movieplots.runs.find_lr import LrSearch, search_lr
from movieplots.runs.fit import Loss, can_compile, circumstances, fit, history, not_finite
from movieplots.runs.lifecycle import Finished, Run, processes, run_training
from movieplots.settings import takes

EVALUATIONS = 8  # of the validation loss, per run
TEST_PLOTS = 400  # for the test loss before and after training
VALIDATION_PLOTS = 32  # for the validation loss during training

GeneratorRun = Run[GeneratorSettings | DistillationSettings]


@dataclass(frozen=True)
class TrainingCorpus:
    """Training sequences and their statistics.

    Attributes
    ----------
    stream : PackedPlots or RandomCrops
        Infinite stream of training sequences.
    lengths : list of int
        Length in tokens of each training example, before truncation.
    tokens : int
        Number of tokens in an epoch, padding excluded.
    sequences_per_epoch : float
        Number of sequences in an epoch.
    padding_share : float
        Fraction of padding in packed sequences, from 0 to 1.
    truncated_plots : int
        Number of plots that are longer than a sequence and are truncated.
    max_tokens : int
        Default length limit for sampling: the 99.5th percentile of the lengths, plus 16.
    genre_counts : dict of str to int
        Number of training plots of each genre, the most frequent genre first.
    """

    stream: PackedPlots | RandomCrops
    lengths: list[int]
    tokens: int
    sequences_per_epoch: float
    padding_share: float
    truncated_plots: int
    max_tokens: int
    genre_counts: dict[str, int]


watchers: list[Callable[[], TrainerCallback]] = []  # callbacks of each training run, set by `movieplots.notebook`


@dataclass(frozen=True)
class TrainingSetup:
    """Model, tokenizer and training corpus of a run, a loss function that replaces the model's own, and the plan."""

    base_model: str
    model: Any
    tokenizer: PromptTokenizer
    corpus: TrainingCorpus
    loss: Loss | None
    plan: TrainingPlan = FLOAT32_PLAN


class LossOnPlots(TypedDict):
    """Mean cross-entropy (nats/token) on the plots of one genre, and their number."""

    loss: float
    plots: int


class MeasuredLosses(TypedDict):
    """Mean cross-entropy (nats/token) of all target tokens, their number, and the loss by genre, sorted by name."""

    loss: float
    tokens: int
    by_genre: dict[str, LossOnPlots]


@dataclass(frozen=True)
class TrainingResult:
    """The trainer after training, the test plots, and the test losses before training."""

    trainer: Any
    test: list[EvaluationSequence]
    before: MeasuredLosses


@takes(GeneratorSettings)
def train_generator(settings: GeneratorSettings) -> GeneratorInfo:
    """Fine-tune a causal language model to generate movie plots.

    A causal language model predicts the next token, so it can generate text. A token is a word piece; English has about
    1.3 per word.

    Training stops after `epochs` or `max_steps`, at `time_limit`, or by early stopping. The learning rate decays to 0
    over the run, also with a time limit. If interrupted, run the same command again to resume. A finished run is not
    repeated.

    If the base model is a trained generator, training continues from its adapter. With a `guidance_scale` above 1 the
    generator learns to match the guided predictions of its base model, not the plots, so the test loss rises. Each step
    then also runs the unchanged base model twice, which needs more memory.

    Returns
    -------
    GeneratorInfo
        Content of `output_dir/movieplots.json` (class in `movieplots.generation.info`). `metrics.test_loss_before` and
        `metrics.test_loss_after` are the cross-entropy in nats/token of title, plot and end-of-sequence token on up to
        400 test plots; its exponential is the perplexity.

    Raises
    ------
    BadInput
        If an option is out of range; if the base model does not exist, is an encoder, or was trained on validation or
        test plots; if `guidance_scale` is above 1 and the base model is not a generator that `train_generator` trained
        with `method="lora"` and the same `titles`; if the corpus lacks a split or has too few plots for one step; if
        the memory that is needed exceeds the free memory; if the loss becomes infinite or NaN; or if `output_dir` holds
        a model trained with other settings.

    Notes
    -----
    Training examples look like this, with titles and without. The prompt ends with `<|endofgenre|>`. In training,
    each example comes after another `<|endoftext|>`.

    `horror<|endofgenre|>Salt (2009)<|endoftitle|>The sea gives back what it took.<|endoftext|>`

    `<|startoftext|>horror<|endofgenre|>The sea gives back what it took.<|endoftext|>`

    Half of the prompts also name one to three content words of their plot, found by YAKE
    (`Campos et al. 2020 <https://doi.org/10.1016/j.ins.2019.09.013>`_), and half name its length class, so that both
    can be given when plots are generated:

    `horror; short; about sea<|endofgenre|>Salt (2009)<|endoftitle|>The sea gives back what it took.<|endoftext|>`

    The test loss is measured before and after training, and the validation loss up to eight times between. On a CPU
    this takes minutes.

    `method="lora"` trains a low-rank adapter of rank 16 on all linear layers
    (`Hu et al. 2022 <https://arxiv.org/abs/2106.09685>`_). With `packing="packed"` a sequence holds whole plots,
    which cannot see each other (their attention is masked). Guidance is classifier-free guidance
    (`Ho and Salimans 2022 <https://arxiv.org/abs/2207.12598>`_, for language models
    `Sanchez et al. 2023 <https://arxiv.org/abs/2306.17806>`_), distilled into the generator
    (`Meng et al. 2023 <https://arxiv.org/abs/2210.03142>`_).

    With LoRA on a GPU, base models of at least 500 million parameters are loaded in half precision: bfloat16, or
    float16 on GPUs without bfloat16. Gemma models stay in float32 there, because their activations exceed the range of
    float16. The adapter is always trained in float32. If the estimated memory does not suffice, fewer sequences share
    a forward pass, then activations are recomputed in the backward pass (gradient checkpointing,
    `Chen et al. 2016 <https://arxiv.org/abs/1604.06174>`_), then the frozen weights are quantized to 4 bits if
    bitsandbytes is installed (QLoRA, `Dettmers et al. 2023 <https://arxiv.org/abs/2305.14314>`_).

    Examples
    --------
    >>> from movieplots import prepare, train_generator
    >>> _ = prepare("sample", "runs/plots")
    >>> info = train_generator("runs/plots", "smollm2-135m", "runs/generator", max_steps=50)  # doctest: +SKIP
    >>> info.metrics.test_loss_after < info.metrics.test_loss_before  # doctest: +SKIP
    True
    """

    def make(run: Run[GeneratorSettings]) -> TrainingSetup:
        settings = run.settings
        if settings.guidance_scale > 1:
            _check_guided(settings)
        plan = plan_training(
            settings.base_model, settings.method, run.at_once, settings.block_size, settings.precision,
            guided=settings.guidance_scale > 1,
        )  # fmt: skip
        run.at_once = plan.at_once
        notify(f"Loading {settings.base_model} …")
        model, tokenizer = new_generator(settings.base_model, bool(settings.titles), settings.method, plan)
        loss = None
        if settings.guidance_scale > 1:
            loss = guidance_loss(load_generator(settings.base_model)[0], settings.guidance_scale - 1, tokenizer)
        start = adapter_info(settings.base_model)
        base_model = settings.base_model if start is None else start.base_model
        corpus = measure_corpus(run.parts["train"], model, tokenizer, settings, contrasts=loss is not None)
        return TrainingSetup(base_model, model, tokenizer, corpus, loss, plan)

    return run_generator_training(settings, make)


def _check_guided(settings: GeneratorSettings) -> None:
    start = adapter_info(settings.base_model)
    if start is None or start.titles != settings.titles or not start.anchored:
        titles = "--titles" if settings.titles else "--no-titles"
        raise BadInput(
            "--guidance-scale needs a --base-model that `movieplots train generator` trained with --method lora and "
            f"{titles}; {settings.base_model} is not."
        )


@takes(GeneratorLrSettings)
def find_lr(settings: GeneratorLrSettings) -> LrSearch:
    """Train briefly at growing learning rates, and suggest one for `train_generator` with the same arguments.

    The learning rate increases exponentially from step to step, and the training loss is recorded.

    Returns
    -------
    LrSearch
        Learning rates, losses, and the suggested learning rate, at which the loss falls fastest.

    Raises
    ------
    BadInput
        If an option is out of range, the base model cannot be loaded, or the corpus has too few plots for one sequence.

    Examples
    --------
    >>> from movieplots.generation.training import find_lr
    >>> search = find_lr("runs/plots", "smollm2-135m", steps=50)  # doctest: +SKIP
    >>> 1e-6 < search.suggestion < 1  # doctest: +SKIP
    True
    """
    plots = load_plots(settings.data, "train")
    set_seed(settings.seed)
    plan = plan_training(settings.base_model, settings.method, 1, settings.block_size)
    model, tokenizer = new_generator(settings.base_model, settings.titles, settings.method, plan)
    corpus_settings = CorpusSettings(
        settings.data, settings.base_model, titles=settings.titles, packing=settings.packing, sampler="uniform",
        block_size=settings.block_size, seed=settings.seed,
    )  # fmt: skip
    return search_lr(
        model,
        lambda model: [parameter for parameter in model.parameters() if parameter.requires_grad],
        settings.steps,
        {"per_device_train_batch_size": 1, "seed": settings.seed},
        train_dataset=measure_corpus(plots, model, tokenizer, corpus_settings).stream,
        data_collator=collate,
    )


@takes(CorpusSettings)
def corpus_of(settings: CorpusSettings) -> TrainingCorpus:
    """Make the training sequences that `train_generator` uses with the same arguments, without training.

    Returns
    -------
    TrainingCorpus
        The stream of sequences and its statistics.

    Raises
    ------
    BadInput
        If an option is out of range, the base model cannot be loaded, or the corpus has too few plots for one step.

    Examples
    --------
    >>> from movieplots.generation.training import corpus_of
    >>> corpus = corpus_of("runs/plots", "smollm2-135m")  # doctest: +SKIP
    >>> corpus.truncated_plots, corpus.padding_share < 0.1  # doctest: +SKIP
    (0, True)
    """
    model, tokenizer = new_generator(settings.base_model, settings.titles, "full")
    return measure_corpus(load_plots(settings.data, "train"), model, tokenizer, settings.resolved())


def run_generator_training(
    settings: GeneratorSettings | DistillationSettings, make: Callable[[Run[Any]], TrainingSetup]
) -> GeneratorInfo:
    """Run a training or a distillation with the setup that `make` returns."""

    def checked(run: GeneratorRun) -> TrainingSetup:
        for name, part in run.parts.items():
            if part.empty:
                raise BadInput(f"{settings.data} has no plots in the {name} split: prepare a larger corpus.")
        return make(run)

    return run_training(settings, GeneratorInfo, _micro_batch_size(settings.batch_size), checked, _train, _finish)


def _train(run: GeneratorRun, setup: TrainingSetup) -> TrainingResult:
    settings, state = run.settings, processes()
    validation, test = (
        evaluation_sequences(run.parts[split], setup.tokenizer, settings.block_size, settings.seed, most)
        for split, most in (("validation", VALIDATION_PLOTS), ("test", TEST_PLOTS))
    )
    setup.model.to(state.device)
    learning_rate = cast(float, settings.learning_rate)  # never None in resolved settings
    before = run.once("loss_before", lambda: measure_losses(setup.model, test))
    steps = settings.max_steps or math.ceil(settings.epochs * setup.corpus.sequences_per_epoch / settings.batch_size)
    trainer = fit(
        what="Training the generator",
        model=setup.model,
        parameter_groups=lambda module: [
            {"params": [p for p in module.parameters() if p.requires_grad], "lr": learning_rate}
        ],
        output_dir=run.folder,
        seed=settings.seed,
        max_steps=steps,
        time_limit=settings.time_limit,
        evaluations=EVALUATIONS,
        lr_scheduler_type=settings.lr_scheduler_type,
        patience=settings.early_stopping_patience,
        loss=setup.loss,
        arguments={
            "per_device_train_batch_size": run.at_once,
            "gradient_accumulation_steps": settings.batch_size // (run.at_once * state.num_processes),
            "per_device_eval_batch_size": 1,
            "eval_strategy": "steps",
            "eval_on_start": True,
            # Not measured with gradient checkpointing and 4-bit weights.
            "torch_compile": can_compile() and not setup.plan.checkpointing and setup.plan.precision != "4bit",
            "remove_unused_columns": False,  # keeps the contrasts for the guidance loss
        },
        callbacks=[
            SampleWriter(setup.tokenizer, list(setup.corpus.genre_counts), run.folder, settings.seed),
            *(make() for make in watchers),
        ],
        train_dataset=setup.corpus.stream,
        eval_dataset=[sequence.sequence for sequence in validation],
        data_collator=collate,
    )
    return TrainingResult(trainer, test, before)


def _finish(run: GeneratorRun, setup: TrainingSetup, result: TrainingResult) -> Finished[GeneratorInfo]:
    settings, corpus, trainer, before = run.settings, setup.corpus, result.trainer, result.before
    after = measure_losses(trainer.accelerator.unwrap_model(trainer.model), result.test)
    weights = trainer.accelerator.get_state_dict(trainer.model)  # a collective operation of all processes
    steps = trainer.state.global_step
    epochs = steps * settings.batch_size / corpus.sequences_per_epoch
    info = GeneratorInfo(
        base_model=setup.base_model,
        titles=setup.tokenizer.titles,
        anchored=setup.tokenizer.anchored,
        max_tokens=corpus.max_tokens,
        genre_counts=corpus.genre_counts,
        sources=run.sources,
        data_fingerprint=run.recipe.data,
        ancestors_recorded=run.ids.complete,
        recipe=run.recipe,
        metrics=GeneratorMetrics(
            test_loss_before=before["loss"],
            test_loss_after=after["loss"],
            test_tokens=after["tokens"],
            steps=steps,
            train_plots=len(run.parts["train"]),
            train_tokens=round(epochs * corpus.tokens),
            epochs=epochs,
            padding_share=corpus.padding_share,
            truncated_plots=corpus.truncated_plots,
            parameters=setup.model.num_parameters(),
            trained_parameters=setup.model.num_parameters(only_trainable=True),
        ),
        test_loss_by_genre={
            genre: GenreLoss(before["by_genre"][genre]["loss"], row["loss"], row["plots"])
            for genre, row in after["by_genre"].items()
        },
        history=history(trainer),
        samples=SampleWriter.samples_of(trainer),
        controls=CONTROLS,
    )

    def save(folder: Any) -> None:
        save_generator(setup.model, weights, setup.base_model, folder)
        setup.tokenizer.save(folder)

    return Finished(info, model_card(info), save, circumstances(trainer))


def measure_corpus(
    plots: pd.DataFrame,
    model: Any,
    tokenizer: PromptTokenizer,
    settings: GeneratorSettings | DistillationSettings | CorpusSettings,
    contrasts: bool = False,
) -> TrainingCorpus:
    """Make the stream of training sequences and count an epoch of it; raises BadInput if the corpus is too small."""
    size, seed, batch = settings.block_size, settings.seed, settings.batch_size
    if size > context_of(model):
        name = getattr(settings, "base_model", "The teacher")
        raise BadInput(f"{name} has a context length of {context_of(model)} tokens: lower --block-size.")
    times = genre_weighted_times(plots) if settings.sampler == "genre-weighted" else None
    controls = training_controls(plots["plot"].tolist())
    everything = PackedPlots(plots, tokenizer, 2**30, seed, times, controls)
    whole = [len(example.input_ids) for example in everything.examples(0)]
    truncated = sum(length > size for length in whole)
    tokens = sum(min(length, size) for length in whole)
    if truncated:
        notify(
            f"{truncated} of {len(whole)} examples are longer than a sequence of {size} tokens and are truncated. To "
            "avoid this, raise --block-size or use `movieplots prepare --max-length`."
        )
    if tokens < size * batch:
        raise BadInput(
            f"The {len(whole)} training plots of {settings.data} have {tokens} tokens, fewer than a batch of {batch} "
            f"sequences of {size} tokens needs: prepare a larger corpus, or lower --block-size."
        )
    stream: PackedPlots | RandomCrops
    if settings.packing == "random-crops":
        stream = RandomCrops(plots, tokenizer, size, seed, controls)
        tokens = len(stream.text)  # differs from the sum above, because the sampled genres differ
        sequences, padding = tokens / size, 0.0
    else:
        stream = PackedPlots(plots, tokenizer, size, seed, times, controls, contrasts)
        sequences = sum(1 for _ in stream.one_epoch(0))
        padding = 1 - tokens / (sequences * size)
    return TrainingCorpus(
        stream=stream,
        lengths=whole,
        tokens=tokens,
        sequences_per_epoch=sequences,
        padding_share=padding,
        truncated_plots=truncated,
        max_tokens=int(np.percentile([min(length, size) for length in whole], 99.5)) + 16,
        genre_counts={str(genre): int(n) for genre, n in plots["genres"].explode().value_counts().items()},
    )


@torch.inference_mode()
def measure_losses(model: torch.nn.Module, sequences: list[EvaluationSequence]) -> MeasuredLosses:
    """Return the mean cross-entropy in nats/token of title, plot and end-of-sequence token over the sequences."""
    model.eval()
    losses: dict[str, list[float]] = {}
    counts: dict[str, list[int]] = {}
    for sequence in track(sequences, "Measuring the test loss"):
        batch = {name: tensor.to(model.device) for name, tensor in collate([sequence.sequence]).items()}
        labels = batch.pop("labels")[0, 1:]
        logits = model(**batch).logits[0, :-1].float()
        nats = torch.nn.functional.cross_entropy(logits, labels, reduction="none")  # 0 where the label is -100
        for genre, start, end in sequence.spans:
            own = slice(start, end - 1)  # the loss at a position is that of predicting the next token
            losses.setdefault(genre, []).append(float(nats[own].double().sum()))
            counts.setdefault(genre, []).append(int((labels[own] != -100).sum()))
    total, tokens = sum(map(sum, losses.values())), sum(map(sum, counts.values()))
    if not math.isfinite(total):
        raise not_finite("test loss", "with these weights")
    return {
        "loss": total / tokens,
        "tokens": tokens,
        "by_genre": {g: {"loss": sum(losses[g]) / sum(counts[g]), "plots": len(losses[g])} for g in sorted(losses)},
    }


def _micro_batch_size(batch_size: int) -> int:
    """Return the number of sequences per forward pass: up to 32 on a GPU, 1 on a CPU, where more is not faster."""
    count = processes().num_processes
    if batch_size % count:
        raise BadInput(f"--batch-size must be a multiple of {count}, the number of processes, not {batch_size}.")
    return math.gcd(batch_size // count, 32 if torch.cuda.is_available() else 1)
