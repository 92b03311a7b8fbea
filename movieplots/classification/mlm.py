"""Continued pretraining of an encoder on plots as a masked language model (MLM), before it is fine-tuned on genres.

Domain-adaptive pretraining (`Gururangan et al. 2020 <https://arxiv.org/abs/2004.10964>`_) with BERT's objective
(`Devlin et al. 2019 <https://arxiv.org/abs/1810.04805>`_): the model predicts 15 % of the tokens, most of which are
masked. Plots are packed into sequences of one length. Only the predicted tokens pass through the output layer, which
would otherwise cost more than the encoder. Training uses the training split only.
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
from movieplots.classification.model import without_dropout
from movieplots.classification.training_settings import MlmSettings
from movieplots.errors import BadInput
from movieplots.formatting import markdown_table, perplexity
from movieplots.pretrained.base_models import load_pretrained, load_tokenizer
from movieplots.progress import notify, track
from movieplots.runs.fit import circumstances, fit, half_precision, history
from movieplots.runs.lifecycle import Finished, Run, run_training
from movieplots.settings import takes

MLM_PROBABILITY = 0.15  # share of the tokens that are predicted
MASKED, RANDOM = 0.8, 0.1  # of these: replaced by the mask token, by a random token; the others are unchanged
EVALUATIONS = 8  # per run
EVALUATION_TOKENS = 40_000
IGNORED = -100

Example = dict[str, list[int]]


@dataclass(frozen=True)
class _Inputs:
    """The model and its tokenizer, the packed training sequences, and masked sequences of the other splits."""

    model: Any
    tokenizer: Any
    sequences: list[list[int]]
    validation: list[Example]
    test: list[Example]


@takes(MlmSettings)
def train_mlm(settings: MlmSettings) -> MlmInfo:
    """Continue the pretraining of an encoder on the training plots with the masked-language-model (MLM) objective.

    The result is a base model for `train_classifier`. If interrupted, call it again with the same arguments to resume.

    Returns
    -------
    MlmInfo
        The content of `output_dir/movieplots.json`, with the cross-entropy in nats/token on the same masked tokens of
        the test split before and after training.

    Raises
    ------
    BadInput
        If an option is out of range, the base model has no mask token, was trained on validation or test plots of the
        data or has fewer positions than `block_size`, a split has too few plots for one sequence, or the output folder
        holds a model trained with other settings.

    Notes
    -----
    Domain-adaptive pretraining: `Gururangan et al. (2020) <https://arxiv.org/abs/2004.10964>`_. Masking as in BERT:
    `Devlin et al. (2019) <https://arxiv.org/abs/1810.04805>`_.

    Examples
    --------
    >>> from movieplots.classification.mlm import train_mlm
    >>> info = train_mlm("data/plots", "minilm-l6", "data/mlm", epochs=1)  # doctest: +SKIP
    >>> info.metrics.test_loss_before, info.metrics.test_loss_after  # doctest: +SKIP
    """
    return run_training(settings, MlmInfo, settings.sequences_per_step, _make, _train, _finish)


def _make(run: Run[MlmSettings]) -> _Inputs:
    settings, base_model = run.settings, run.settings.base_model
    notify(f"Loading {base_model} …")
    tokenizer = load_tokenizer(base_model)
    model = load_pretrained(AutoModelForMaskedLM, base_model)
    without_dropout(model)
    positions = model.config.max_position_embeddings
    if "roberta" in model.config.model_type:
        positions -= 2  # it numbers positions from the padding token's id plus 1
    if settings.block_size > positions:
        raise BadInput(
            f"--block-size must be at most {positions}, the maximum length of {base_model}, not {settings.block_size}."
        )
    if tokenizer.mask_token_id is None:
        raise BadInput(f"{base_model} has no mask token: choose an encoder such as BERT or RoBERTa.")
    sequences = {
        name: packed(tokenizer, part["plot"].tolist(), settings.block_size) for name, part in run.parts.items()
    }
    for name, made in sequences.items():
        if not made:
            raise BadInput(
                f"The {name} split of {settings.data} does not fill one sequence of {settings.block_size} tokens: "
                "lower --block-size."
            )
    validation, test = (
        MaskedSequences(tokenizer, sequences[name], f"{settings.seed}-{name}").once(
            EVALUATION_TOKENS // settings.block_size
        )
        for name in ("validation", "test")
    )
    return _Inputs(model, tokenizer, sequences["train"], validation, test)


def _train(run: Run[MlmSettings], made: _Inputs) -> tuple[Any, float]:
    """Train the model; return (trainer, test cross-entropy before)."""
    settings = run.settings
    before = run.once("loss_before", lambda: {"loss": measure_loss(made.model, made.test)})["loss"]
    per_step = settings.sequences_per_step
    learning_rate = cast(float, settings.learning_rate)  # resolved settings have one
    trainer = fit(
        what="Pretraining on plots",
        model=made.model,
        parameter_groups=lambda module: [{"params": list(module.parameters()), "lr": learning_rate}],
        output_dir=run.folder,
        seed=settings.seed,
        max_steps=math.ceil(settings.epochs * len(made.sequences) / per_step),
        time_limit=settings.time_limit,
        evaluations=EVALUATIONS,
        loss=masked_loss,
        arguments={
            "per_device_train_batch_size": run.at_once,
            "gradient_accumulation_steps": per_step // run.at_once,
            "per_device_eval_batch_size": 1,  # in evaluation all tokens pass through the output layer
            "eval_strategy": "steps",
            "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=MaskedSequences(made.tokenizer, made.sequences, str(settings.seed)),
        eval_dataset=made.validation,
        data_collator=default_data_collator,
    )
    return trainer, before


def _finish(run: Run[MlmSettings], made: _Inputs, trained: tuple[Any, float]) -> Finished[MlmInfo]:
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
            test_tokens=sum(label != IGNORED for sequence in made.test for label in sequence["labels"]),
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
    """Compare the cross-entropies of several runs by block size.

    Parameters
    ----------
    infos : mapping of int to MlmInfo
        Block size and result of each run.

    Returns
    -------
    pandas.DataFrame
        A row per run: block size, cross-entropy in nats/token on the validation and test plots, perplexity on the test
        plots, and the number of masked test tokens that it was measured on.

    Examples
    --------
    >>> from movieplots.classification.mlm import mlm_table, train_mlm
    >>> infos = {
    ...     size: train_mlm("data/plots", "minilm-l6", f"data/mlm-{size}", block_size=size)  # doctest: +SKIP
    ...     for size in (128, 256)
    ... }
    >>> mlm_table(infos)  # doctest: +SKIP
    """
    return pd.DataFrame(
        [
            {
                "block size": size, "validation plots, after": info.history[-1]["eval_loss"],
                "test plots, before": info.metrics.test_loss_before,
                "test plots, after": info.metrics.test_loss_after,
                "perplexity, before": perplexity(info.metrics.test_loss_before),
                "perplexity, after": perplexity(info.metrics.test_loss_after),
                "masked tokens": info.metrics.test_tokens,
            }
            for size, info in infos.items()
        ]
    )  # fmt: skip


def masked_loss(model: Any, batch: dict[str, torch.Tensor], tokens: Any) -> torch.Tensor:
    """Return the summed cross-entropy of a batch's masked tokens divided by `tokens`, the number in the whole step."""
    labels = batch["labels"]
    masked = labels != IGNORED
    shown = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    head = getattr(model, "cls", None) or getattr(model, "lm_head", None)  # BERT's and RoBERTa's names
    with half_precision(labels.device):
        if head is None:
            logits = model(**shown).logits[masked]
        else:
            logits = head(model.base_model(**shown).last_hidden_state[masked])
    return nn.functional.cross_entropy(logits.float(), labels[masked], reduction="sum") / tokens


def packed(tokenizer: Any, texts: list[str], block_size: int) -> list[list[int]]:
    """Concatenate all texts with their special tokens and split them into sequences, without an incomplete last one."""
    ids = list(itertools.chain.from_iterable(tokenizer(texts)["input_ids"]))
    return [ids[i : i + block_size] for i in range(0, len(ids) - block_size + 1, block_size)]


class MaskedSequences(IterableDataset):
    """An endless stream of sequences, masked differently in each epoch, that depends only on the seed."""

    def __init__(self, tokenizer: Any, sequences: list[list[int]], seed: str) -> None:
        self.sequences, self.seed = sequences, seed
        self.mask, self.size, self.kept = tokenizer.mask_token_id, len(tokenizer), set(tokenizer.all_special_ids)

    def __iter__(self) -> Iterator[Example]:
        """Yield masked sequences without end, shuffled again for each epoch."""
        for number in itertools.count():
            rng = random.Random(f"{self.seed}-{number}")
            for sequence in rng.sample(self.sequences, len(self.sequences)):
                yield self._masked(sequence, rng)

    def once(self, most: int) -> list[Example]:
        """Return up to `most` sequences, at least one, from the start of the first epoch."""
        return list(itertools.islice(self, min(max(most, 1), len(self.sequences))))

    def _masked(self, sequence: list[int], rng: random.Random) -> Example:
        shown, labels = list(sequence), [IGNORED] * len(sequence)
        for i, token in enumerate(sequence):
            if token in self.kept or rng.random() >= MLM_PROBABILITY:
                continue
            labels[i], dice = token, rng.random()
            if dice < MASKED:
                shown[i] = self.mask
            elif dice < MASKED + RANDOM:
                shown[i] = rng.randrange(self.size)
        if all(label == IGNORED for label in labels):  # the mean loss would be NaN
            place = next((i for i, token in enumerate(sequence) if token not in self.kept), 0)
            labels[place], shown[place] = sequence[place], self.mask
        return {"input_ids": shown, "attention_mask": [1] * len(sequence), "labels": labels}


@torch.inference_mode()
def measure_loss(model: Any, sequences: list[Example]) -> float:
    """Return the mean cross-entropy in nats/token over all masked tokens."""
    model.eval()
    device = next(model.parameters()).device
    total = count = 0.0
    for i in track(range(0, len(sequences), 8), "Measuring the loss"):
        batch = default_data_collator(sequences[i : i + 8])
        count += int((batch["labels"] != IGNORED).sum())
        total += float(masked_loss(model, {name: value.to(device) for name, value in batch.items()}, 1))
    return total / count


def _card(info: MlmInfo) -> str:
    metrics = info.metrics
    return f"""# Masked language model of movie plots

`{info.base_model}`, pretrained further with the masked-language-model (MLM) objective on {metrics.train_plots:,}
training plots from {", ".join(info.sources)} (data fingerprint `{info.data_fingerprint}`). Cross-entropy on
{metrics.test_tokens:,} masked tokens of test plots: {metrics.test_loss_before:.2f} nats/token
(perplexity {perplexity(metrics.test_loss_before):,.0f}) before, {metrics.test_loss_after:.2f} nats/token
(perplexity {perplexity(metrics.test_loss_after):,.0f}) after {metrics.steps:,} steps.

Use it as the base model of a classifier:

    movieplots train classifier --data DATA --base-model THIS_FOLDER --output-dir CLASSIFIER

{markdown_table(("setting", "value"), info.recipe.in_words().items())}
"""
