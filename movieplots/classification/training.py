"""Fine-tuning an encoder into a multilabel genre classifier, beside a baseline trained on the same split."""

import itertools
import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import DataCollatorWithPadding, set_seed

from movieplots.base_models import load_encoder
from movieplots.classification.baseline import fit_baseline
from movieplots.classification.imbalance import log_odds, positive_weights
from movieplots.classification.metrics import headline, multilabel_metrics
from movieplots.classification.model import GenreModel, save_genre_model
from movieplots.classification.prediction import MAX_TOKENS, predict
from movieplots.classification.thresholds import best_thresholds
from movieplots.errors import BadInput
from movieplots.files import atomic_folder
from movieplots.model_folder import begin, clear, finished, table, write_info
from movieplots.plots import SPLITS, data_fingerprint, load_plots
from movieplots.progress import say, working
from movieplots.training import check_time_limit, fit, history

PASSES = 3
BATCH = 48
TOP_RATE, LAYER_DECAY = 3e-4, 0.85  # learning rate of the top layer, and its factor per layer below
EMBEDDING_RATE, HEAD_RATE = 1e-4, 5e-3
MIN_PLOTS = 5  # a genre with fewer training plots is not learned


def train_classifier(
    data: str | Path,
    base: str,
    out: str | Path,
    passes: int = PASSES,
    batch_size: int = BATCH,
    time_limit: float | None = None,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Fine-tune the encoder `base` on the training plots of `data`; returns what `out/movieplots.json` then holds.

    Weighted binary cross-entropy, a learning rate that falls by layer, thresholds from the validation split; metrics on
    the test split stand beside a TF-IDF + logistic-regression baseline trained in the same run, at 0.5 and with its
    own thresholds from the validation split. `time_limit` is in minutes. Killed and started again with the same
    arguments it continues; already finished it returns at once.
    """
    out = Path(out)
    if passes < 1:
        raise BadInput(f"The number of passes must be at least 1, not {passes}.")
    check_time_limit(time_limit)
    plots = load_plots(data)
    recipe = {
        "base": base, "data": data_fingerprint(plots), "passes": passes, "batch_size": batch_size,
        "time_limit": time_limit, "seed": seed,
    }  # fmt: skip
    done = None if fresh else finished(out, recipe)
    if done:
        say(f"{out} already holds this classifier; --fresh trains it again.")
        return done
    parts = {name: plots[plots["split"] == name] for name in SPLITS}
    counts = parts["train"]["genres"].explode().value_counts()
    labels = sorted(genre for genre, n in counts.items() if n >= MIN_PLOTS)
    not_learned = {genre: int(n) for genre, n in counts.items() if genre not in labels}
    if len(labels) < 2:
        raise BadInput(f"{data} has fewer than two genres with {MIN_PLOTS} training plots: prepare a larger corpus.")
    texts = {name: part["plot"].tolist() for name, part in parts.items()}
    targets = {
        name: np.array([[label in genres for label in labels] for genres in part["genres"]], dtype=np.float32)
        for name, part in parts.items()
    }
    for name in parts:
        if not targets[name].any():
            raise BadInput(f"{data} has no labelled plots in the {name} split: prepare a larger corpus.")

    set_seed(seed)
    say(f"Loading {base} …")
    encoder, tokenizer = load_encoder(base)
    model = GenreModel(encoder, len(labels), torch.from_numpy(positive_weights(targets["train"])).float())
    model.head.bias.data = torch.from_numpy(log_odds(targets["train"])).float()
    steps_per_pass = math.ceil(len(texts["train"]) / batch_size)
    steps = passes * steps_per_pass
    layer_groups(model)  # raises where the encoder has no layers to go by
    if fresh:  # only now that nothing can be wrong with the input any more
        clear(out)
    begin(out, recipe)
    trainer = fit(
        what="Training the classifier",
        model=model,
        parameter_groups=layer_groups,
        out=out,
        recipe=recipe,
        max_steps=steps,
        time_limit=time_limit,
        evaluations=passes,
        arguments={
            "per_device_train_batch_size": batch_size,
            "per_device_eval_batch_size": batch_size,
            "eval_strategy": "steps",
            "label_names": ["labels"],
            "remove_unused_columns": False,
        },
        train_dataset=TrainingPlots(_tokenised(tokenizer, texts["train"], targets["train"]), batch_size, seed),
        eval_dataset=_tokenised(tokenizer, texts["validation"], targets["validation"]),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    proba = {name: predict(model, tokenizer, texts[name]) for name in ("validation", "test")}
    thresholds = best_thresholds(targets["validation"], proba["validation"])
    test = multilabel_metrics(targets["test"], proba["test"], thresholds, labels)

    with working("Training the baseline …"):
        baseline = fit_baseline(texts["train"], targets["train"])
    baseline_proba = {name: baseline.predict_proba(texts[name]) for name in ("validation", "test")}
    baseline_thresholds = best_thresholds(targets["validation"], baseline_proba["validation"])
    info = {
        "task": "classification",
        "base": base,
        "labels": labels,
        "thresholds": [float(t) for t in thresholds],
        "not_learned": not_learned,
        "sources": sorted(plots["source"].unique()),
        "data_fingerprint": recipe["data"],
        "recipe": recipe,
        "metrics": {
            "test": headline(test),
            "test_per_label": test["per_label"],
            "baseline": headline(
                multilabel_metrics(targets["test"], baseline_proba["test"], baseline_thresholds, labels)
            ),
            "baseline_at_half": headline(multilabel_metrics(targets["test"], baseline_proba["test"], 0.5, labels)),
            "train_plots": len(texts["train"]),
            "validation_plots": len(texts["validation"]),
            "test_plots": len(texts["test"]),
            "steps": trainer.state.global_step,
        },
        "history": history(trainer),
    }
    with atomic_folder(out) as temporary:
        save_genre_model(model, tokenizer, temporary)
    write_info(out, info, model_card(info))
    shutil.rmtree(out / "checkpoints")
    return info


class TrainingPlots(IterableDataset):
    """An endless stream of tokenised plots, pass after pass, in which the plots of a batch have about the same length.

    Each pass is shuffled anew; within stretches of 50 batches plots are sorted by length and the batches shuffled. The
    stream depends on the seed alone, so a resumed run skips to where it stopped and sees the same batches.
    """

    def __init__(self, plots: list[dict[str, Any]], batch_size: int, seed: int) -> None:
        self.plots, self.batch_size, self.seed = plots, batch_size, seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in itertools.count():
            draw = random.Random(f"{self.seed}-{number}")
            order = draw.sample(self.plots, len(self.plots))
            stretch = 50 * self.batch_size
            for start in range(0, len(order), stretch):
                rows = sorted(order[start : start + stretch], key=lambda row: len(row["input_ids"]))
                batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
                whole = [batch for batch in batches if len(batch) == self.batch_size]
                for batch in draw.sample(whole, len(whole)) + batches[len(whole) :]:
                    yield from batch


def layer_groups(model: GenreModel) -> list[dict[str, Any]]:
    """Parameter groups with a learning rate each: head, encoder layers (falling from top to bottom), embeddings.

    Discriminative fine-tuning (Howard and Ruder 2018): lower layers hold what is general and should move less.
    """
    layers = getattr(getattr(model.encoder, "encoder", None), "layer", None)
    if layers is None:
        raise BadInput(
            f"A {model.encoder.config.model_type} model cannot be a classifier's base: "
            "choose an encoder of the BERT or RoBERTa kind."
        )
    groups: list[dict[str, Any]] = [{"params": list(model.head.parameters()), "lr": HEAD_RATE}]
    for depth, layer in enumerate(reversed(layers)):
        groups.append({"params": list(layer.parameters()), "lr": TOP_RATE * LAYER_DECAY**depth})
    taken = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    return [*groups, {"params": rest, "lr": EMBEDDING_RATE}]


def _tokenised(tokenizer: Any, texts: list[str], targets: np.ndarray) -> list[dict[str, Any]]:
    encoded = tokenizer(texts, truncation=True, max_length=MAX_TOKENS)
    rows = zip(encoded["input_ids"], encoded["attention_mask"], targets, strict=True)
    return [{"input_ids": ids, "attention_mask": mask, "labels": target} for ids, mask, target in rows]


def model_card(info: dict[str, Any]) -> str:
    """The classifier's README.md."""
    recipe, metrics = info["recipe"], info["metrics"]
    columns = ("test", "baseline", "baseline_at_half")
    results = "\n".join(
        f"| {label} | " + " | ".join(f"{metrics[column][name]:.3f}" for column in columns) + " |"
        for name, label in (("micro_f1", "micro-F1"), ("macro_f1", "macro-F1"), ("map", "mean average precision"))
    )
    rows = zip(metrics["test_per_label"].items(), info["thresholds"], strict=True)
    per_label = "\n".join(
        f"| {label} | {threshold:.2f} | "
        f"{row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} | {row['support']} |"
        for (label, row), threshold in rows
    )
    not_learned = ", ".join(f"{genre} ({n})" for genre, n in info["not_learned"].items()) or "none"
    settings = {name: recipe[name] for name in ("passes", "batch_size", "seed")}
    settings["steps"] = metrics["steps"]
    return f"""# Movie-genre classifier

`{info["base"]}` fine-tuned to predict the genres of a plot (several at once), {len(info["labels"])} labels.

    movieplots genres --model THIS_FOLDER "A sheriff rides into a town that has forgotten its name."

## Data

{metrics["train_plots"]} training plots from {", ".join(info["sources"])} (data fingerprint
`{info["data_fingerprint"]}`), split by group before anything else. Genres with fewer than {MIN_PLOTS} training plots
are not learned: {not_learned}. Licences: see `movieplots sources`.

## Results on {metrics["test_plots"]} held-out plots

| | this model | TF-IDF + logistic regression | the same at threshold 0.5 |
|---|---|---|---|
{results}

| genre | threshold | precision | recall | F1 | plots |
|---|---|---|---|---|---|
{per_label}

## Training

    movieplots train classifier --data DATA --base {info["base"]} --out THIS_FOLDER

{table({name.replace("_", " "): value for name, value in settings.items()})}

## Limits

It knows what its corpus calls a genre; catalogues tag loosely and leave genres out. Texts beyond {MAX_TOKENS} tokens
are cut.
"""
