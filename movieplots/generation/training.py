"""Fine-tuning a causal language model on plots in the prompt format: LoRA or all weights, packed or in random crops."""

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
from movieplots.generation.genre_weights import genre_weighted_times
from movieplots.generation.guidance import guidance_loss
from movieplots.generation.info import GeneratorInfo, GeneratorMetrics, GenreLoss
from movieplots.generation.model import context_of, load_generator, new_generator, save_generator
from movieplots.generation.packing import HeldOutSequence, PackedPlots, RandomCrops, collate, held_out_sequences
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
from movieplots.runs.fit import Loss, can_compile, circumstances, fit, history
from movieplots.runs.lifecycle import Finished, Run, processes, run_training
from movieplots.settings import takes

EVALUATIONS = 8  # over a run
HELD_OUT_PLOTS = 400  # of the test split, for the loss before and after
WATCHED_PLOTS = 32  # of the validation split, for the curve during training

GeneratorRun = Run[GeneratorSettings | DistillationSettings]


@dataclass(frozen=True)
class TrainingCorpus:
    """The training plots as they will be read: `stream`, and what is to be said about it.

    `lengths` are the tokens of each plot as an example, uncut, of one draw of genres.
    """

    stream: PackedPlots | RandomCrops
    lengths: list[int]
    tokens: int
    sequences_per_epoch: float
    padding_share: float
    truncated_plots: int
    max_tokens: int
    genre_counts: dict[str, int]


watchers: list[Callable[[], TrainerCallback]] = []  # what shows each training as it runs: see `movieplots.notebook`


@dataclass(frozen=True)
class Made:
    """What is to be trained: a model on `base_model`, its tokenizer, the plots as it reads them, and a loss that takes
    the place of the model's own, or None."""

    base_model: str
    model: Any
    tokenizer: PromptTokenizer
    corpus: TrainingCorpus
    loss: Loss | None


class LossOnPlots(TypedDict):
    """The mean loss on the plots of one genre, so many."""

    loss: float
    plots: int


class MeasuredLosses(TypedDict):
    """The mean `loss` of all target tokens, so many `tokens`, and the loss by genre, in alphabetical order."""

    loss: float
    tokens: int
    by_genre: dict[str, LossOnPlots]


@dataclass(frozen=True)
class Trained:
    """The trainer at the end of training, the test plots, and the losses on these before it."""

    trainer: Any
    test: list[HeldOutSequence]
    before: MeasuredLosses


@takes(GeneratorSettings)
def train_generator(settings: GeneratorSettings) -> GeneratorInfo:
    """Fine-tune a causal language model on the training plots, so that it writes new ones.

    Ends after its epochs or steps or at the time limit, whichever is first, and the learning rate has then fallen to 0;
    early stopping may end it before. Killed and started again with the same arguments it continues; already finished it
    returns at once. A base model that is a trained generator is trained further, its adapter where it left off. With a
    `guidance_scale` above 1 the model learns to match what its base model would write under guidance, not the plots, so
    the test loss rises; each step also runs the unchanged base model twice, which takes memory.

    Returns
    -------
    GeneratorInfo
        What `output_dir/movieplots.json` then holds. Its `metrics.test_loss_before` and `metrics.test_loss_after` are
        the cross-entropy in nats per token of title, plot and end-of-sequence token, on up to 400 plots of the test
        split.

    Raises
    ------
    BadInput
        For an option out of range, a base model that is not there, is an encoder or was trained on held-out plots, with
        guidance a base model that has no adapter of this prompt format, a corpus that lacks a split or does not fill a
        step, a memory too small for one sequence, and an output folder that holds a model trained with other settings.
    """

    def make(run: Run[GeneratorSettings]) -> Made:
        settings = run.settings
        if settings.guidance_scale > 1:
            _check_guided(settings)
        notify(f"Loading {settings.base_model} …")
        model, tokenizer = new_generator(settings.base_model, bool(settings.titles), settings.method)
        loss = None
        if settings.guidance_scale > 1:
            loss = guidance_loss(load_generator(settings.base_model)[0], settings.guidance_scale - 1, tokenizer)
        start = adapter_info(settings.base_model)
        base_model = settings.base_model if start is None else start.base_model
        corpus = measure_corpus(run.parts["train"], model, tokenizer, settings, contrasts=loss is not None)
        return Made(base_model, model, tokenizer, corpus, loss)

    return run_generator_training(settings, make)


def _check_guided(settings: GeneratorSettings) -> None:
    start = adapter_info(settings.base_model)
    if start is None or start.titles != settings.titles or not start.anchored:
        titles = "--titles" if settings.titles else "--no-titles"
        raise BadInput(
            "--guidance-scale needs a --base-model that `movieplots train generator` made with --method lora and "
            f"{titles}: {settings.base_model} is none."
        )


@takes(GeneratorLrSettings)
def find_lr(settings: GeneratorLrSettings) -> LrSearch:
    """Search the learning rate for `train_generator` with the same arguments: the loss over growing rates.

    Returns
    -------
    LrSearch
        Rates, losses, and the rate at which the loss falls fastest.
    """
    plots = load_plots(settings.data, "train")
    set_seed(settings.seed)
    model, tokenizer = new_generator(settings.base_model, settings.titles, settings.method)
    like = CorpusSettings(
        settings.data, settings.base_model, titles=settings.titles, packing=settings.packing, sampler="uniform",
        block_size=settings.block_size, seed=settings.seed,
    )  # fmt: skip
    return search_lr(
        model,
        lambda model: [parameter for parameter in model.parameters() if parameter.requires_grad],
        settings.steps,
        {"per_device_train_batch_size": 1, "seed": settings.seed},
        train_dataset=measure_corpus(plots, model, tokenizer, like).stream,
        data_collator=collate,
    )


@takes(CorpusSettings)
def corpus_of(settings: CorpusSettings) -> TrainingCorpus:
    """The training plots as `train_generator` with the same arguments would read them, without training.

    Returns
    -------
    TrainingCorpus
        The stream of examples, and what is to be said about it.
    """
    model, tokenizer = new_generator(settings.base_model, settings.titles, "full")
    return measure_corpus(load_plots(settings.data, "train"), model, tokenizer, settings.resolved())


def run_generator_training(
    settings: GeneratorSettings | DistillationSettings, make: Callable[[Run[Any]], Made]
) -> GeneratorInfo:
    """Train what `make` gives, by the settings of a training or of a distillation."""

    def checked(run: GeneratorRun) -> Made:
        for name, part in run.parts.items():
            if part.empty:
                raise BadInput(f"{settings.data} has no plots in the {name} split: prepare a larger corpus.")
        return make(run)

    return run_training(settings, GeneratorInfo, _at_once(settings.batch_size), checked, _train, _finish)


def _train(run: GeneratorRun, made: Made) -> Trained:
    settings, state = run.settings, processes()
    watched, test = (
        held_out_sequences(run.parts[split], made.tokenizer, settings.block_size, settings.seed, most)
        for split, most in (("validation", WATCHED_PLOTS), ("test", HELD_OUT_PLOTS))
    )
    made.model.to(state.device)
    learning_rate = cast(float, settings.learning_rate)  # that of resolved settings is never None
    before = run.once("loss_before", lambda: measure_losses(made.model, test))
    steps = settings.max_steps or math.ceil(settings.epochs * made.corpus.sequences_per_epoch / settings.batch_size)
    trainer = fit(
        what="Training the generator",
        model=made.model,
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
        loss=made.loss,
        arguments={
            "per_device_train_batch_size": run.at_once,
            "gradient_accumulation_steps": settings.batch_size // (run.at_once * state.num_processes),
            "per_device_eval_batch_size": 1,
            "eval_strategy": "steps",
            "eval_on_start": True,
            "torch_compile": can_compile(),
            "remove_unused_columns": False,  # contrasts are for our loss
        },
        callbacks=[
            SampleWriter(made.tokenizer, list(made.corpus.genre_counts), run.folder, settings.seed),
            *(make() for make in watchers),
        ],
        train_dataset=made.corpus.stream,
        eval_dataset=[sequence.sequence for sequence in watched],
        data_collator=collate,
    )
    return Trained(trainer, test, before)


def _finish(run: GeneratorRun, made: Made, trained: Trained) -> Finished[GeneratorInfo]:
    settings, corpus, trainer, before = run.settings, made.corpus, trained.trainer, trained.before
    after = measure_losses(trainer.accelerator.unwrap_model(trainer.model), trained.test)
    weights = trainer.accelerator.get_state_dict(trainer.model)  # all processes take part in gathering them
    steps = trainer.state.global_step
    epochs = steps * settings.batch_size / corpus.sequences_per_epoch
    info = GeneratorInfo(
        base_model=made.base_model,
        titles=made.tokenizer.titles,
        anchored=made.tokenizer.anchored,
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
            parameters=sum(p.numel() for p in made.model.parameters()),
            trained_parameters=sum(p.numel() for p in made.model.parameters() if p.requires_grad),
        ),
        test_loss_by_genre={
            genre: GenreLoss(before["by_genre"][genre]["loss"], row["loss"], row["plots"])
            for genre, row in after["by_genre"].items()
        },
        history=history(trainer),
        samples=SampleWriter.kept(trainer),
    )

    def save(folder: Any) -> None:
        save_generator(made.model, weights, made.base_model, folder)
        made.tokenizer.save(folder)

    return Finished(info, model_card(info), save, circumstances(trainer))


def measure_corpus(
    plots: pd.DataFrame,
    model: Any,
    tokenizer: PromptTokenizer,
    settings: GeneratorSettings | DistillationSettings | CorpusSettings,
    contrasts: bool = False,
) -> TrainingCorpus:
    """Make the stream of examples and count an epoch of it; raises BadInput where it is too small."""
    size, seed, batch = settings.block_size, settings.seed, settings.batch_size
    if size > context_of(model):
        name = getattr(settings, "base_model", "The teacher")
        raise BadInput(f"{name} reads at most {context_of(model)} tokens at once: lower --block-size.")
    times = genre_weighted_times(plots) if settings.sampler == "genre-weighted" else None
    whole = [len(example.input_ids) for example in PackedPlots(plots, tokenizer, 2**30, seed, times).examples(0)]
    truncated = sum(length > size for length in whole)
    tokens = sum(min(length, size) for length in whole)
    if truncated:
        notify(
            f"{truncated} of {len(whole)} examples are longer than a sequence of {size} tokens and are cut there: "
            "a larger --block-size, or `movieplots prepare --max-length`, keeps their ends."
        )
    if tokens < size * batch:
        raise BadInput(
            f"The {len(whole)} training plots of {settings.data} have {tokens} tokens, which do not fill the {batch} "
            f"sequences of {size} of one step: prepare a larger corpus, or lower --block-size."
        )
    stream: PackedPlots | RandomCrops
    if settings.packing == "random-crops":
        stream = RandomCrops(plots, tokenizer, size, seed)
        tokens = len(stream.text)  # its genres were drawn differently
        sequences, padding = tokens / size, 0.0
    else:
        stream = PackedPlots(plots, tokenizer, size, seed, times, contrasts=contrasts)
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
def measure_losses(model: torch.nn.Module, sequences: list[HeldOutSequence]) -> MeasuredLosses:
    """Mean negative log-likelihood in nats per target token (title, plot and end mark) over the sequences."""
    model.eval()
    losses: dict[str, list[float]] = {}
    counts: dict[str, list[int]] = {}
    for sequence in track(sequences, "Measuring the test loss"):
        batch = {name: tensor.to(model.device) for name, tensor in collate([sequence.sequence]).items()}
        labels = batch.pop("labels")[0, 1:]
        logits = model(**batch).logits[0, :-1].float()
        nats = torch.nn.functional.cross_entropy(logits, labels, reduction="none")  # 0 where the label is -100
        for genre, start, end in sequence.spans:
            own = slice(start, end - 1)  # the loss at a place is that of foreseeing the next token
            losses.setdefault(genre, []).append(float(nats[own].double().sum()))
            counts.setdefault(genre, []).append(int((labels[own] != -100).sum()))
    total, tokens = sum(map(sum, losses.values())), sum(map(sum, counts.values()))
    return {
        "loss": total / tokens,
        "tokens": tokens,
        "by_genre": {g: {"loss": sum(losses[g]) / sum(counts[g]), "plots": len(losses[g])} for g in sorted(losses)},
    }


def _at_once(batch_size: int) -> int:
    """How many sequences go through the model together: on a GPU up to 32 (a CPU gains nothing from more than one)."""
    count = processes().num_processes
    if batch_size % count:
        raise BadInput(
            f"A batch of {batch_size} cannot be shared out among {count} processes: "
            f"choose a multiple of {count} for --batch-size."
        )
    return math.gcd(batch_size // count, 32 if torch.cuda.is_available() else 1)
