"""Initialization of a classifier's head, before all weights are trained together.

The mean of an encoder's token vectors represents a text better than the vector of the first token, above all in
encoders for sentence embeddings such as `minilm-l6`. But most sequence classifiers of transformers use the first token,
and the linear layer between it and the output layer is random, or was trained for something else. So this layer and the
upper two layers of the encoder are first trained to return the mean vector (`align_head`), for which no genres are
needed. Then the output layer is set to a logistic regression per label (`fit_head`).
"""

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import DataCollatorWithPadding

from movieplots.classification.imbalance import log_odds, log_shift
from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.model import head_layers, layers_of
from movieplots.classification.torch_engine import TorchEngine
from movieplots.classification.training_plots import TrainingPlots
from movieplots.pretrained.encoding import Features, encode
from movieplots.progress import track

ALIGN_PLOTS, ALIGN_BATCH = 8_000, 48
WARMUP_STEPS = 10
ALIGN_LAYERS = 2  # of the encoder, from the top
ALIGN_FACTOR = 1.5  # of the learning rate of the top layer in the training that follows
MEAN_NORM = 8.0  # to which the mean vectors are scaled, as encoders are trained for cosine similarity; small for a tanh
HEAD_PLOTS = 20_000  # enough for the logistic regression
HEAD_STRENGTH = 0.1  # C: its inverse regularization strength


def align_head(model: Any, tokenizer: Any, plots: LabelledPlots, learning_rate: float, seed: int) -> None:
    """Train the layer before the output layer, and the encoder's upper layers, to return the mean of the token vectors.

    The targets are the normalized means of the given model, without their mean over the plots. A trained classifier
    keeps its head, and so does ModernBERT, whose layer comes from pretraining and often receives the mean.
    """
    layers = list(head_layers(model).values())
    if len(layers) < 2 or layers[-2].bias is None or "Classification" in str(model.config.architectures):
        return
    encoder, dense = model.base_model, layers[-2]
    texts = _some(plots.texts["train"], ALIGN_PLOTS, seed)
    device = _to_device(model.eval())

    def first_and_mean(features: Features) -> torch.Tensor:
        mask = features["attention_mask"]
        hidden = encoder(input_ids=features["input_ids"], attention_mask=mask).last_hidden_state.float()
        mean = (hidden * mask.unsqueeze(-1)).sum(dim=1)
        return torch.cat([hidden[:, 0], MEAN_NORM * nn.functional.normalize(mean, dim=-1)], dim=1)

    def tokenize(batch: list[str]) -> Features:
        return tokenizer(batch, padding=True, truncation=True, return_tensors="pt")

    vectors = encode(texts, tokenize, first_and_mean, device, tokenizer.model_max_length, "Encoding plots")
    first, targets = np.split(vectors, 2, axis=1)
    targets -= targets.mean(axis=0)
    fitted = Ridge().fit(first, targets)
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(fitted.coef_))
        dense.bias.copy_(torch.from_numpy(fitted.intercept_))

    trained = [*dense.parameters(), *(p for layer in layers_of(model)[-ALIGN_LAYERS:] for p in layer.parameters())]
    trained = [parameter for parameter in trained if parameter.requires_grad]
    others = [p for p in model.parameters() if p.requires_grad and not any(p is each for each in trained)]
    for parameter in others:
        parameter.requires_grad_(False)
    rows = TrainingPlots(tokenizer, texts, targets, ALIGN_BATCH, seed)
    optimizer = torch.optim.AdamW(trained, lr=ALIGN_FACTOR * learning_rate)
    steps = rows.steps_per_epoch
    schedule = LambdaLR(optimizer, lambda step: min((step + 1) / WARMUP_STEPS, 1 - step / steps))
    collate, stream = DataCollatorWithPadding(tokenizer), iter(rows)
    for _ in track(range(steps), "Aligning the head"):
        batch = collate([next(stream) for _ in range(ALIGN_BATCH)]).to(device)
        hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        loss = (torch.tanh(dense(hidden[:, 0])) - torch.tanh(batch["labels"])).square().sum(dim=1).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    for parameter in others:
        parameter.requires_grad_(True)


def fit_head(model: Any, tokenizer: Any, plots: LabelledPlots, loss: str, seed: int) -> None:
    """Set the output layer to a logistic regression per label on its input for the training plots.

    It is shifted as `loss` will shift it.
    """
    texts, targets = (_some(given["train"], HEAD_PLOTS, seed) for given in (plots.texts, plots.targets))
    _to_device(model)
    name, output = list(head_layers(model).items())[-1]
    model.set_submodule(name, nn.Identity())
    features = TorchEngine(model, tokenizer).logits(texts, "Encoding plots")
    model.set_submodule(name, output)
    weight, bias = np.zeros((len(plots.labels), features.shape[1])), log_odds(np.array(targets))
    for label, truth in enumerate(track(np.transpose(targets), "Fitting the head")):
        if 0 < truth.sum() < len(truth):
            fitted = LogisticRegression(C=HEAD_STRENGTH, max_iter=300).fit(features, truth)
            weight[label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    with torch.no_grad():
        output.weight.copy_(torch.from_numpy(weight))
        output.bias.copy_(torch.from_numpy(bias + log_shift(loss, plots.targets["train"])))


def _some(given: Any, most: int, seed: int) -> list[Any]:
    """Return up to `most` of the given values, the same positions for the same number of values."""
    return [given[i] for i in np.random.default_rng(seed).permutation(len(given))[:most]]


def _to_device(model: Any) -> torch.device:
    return model.to("cuda" if torch.cuda.is_available() else "cpu").device
