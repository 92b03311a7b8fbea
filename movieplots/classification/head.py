"""The head before the encoder: a logistic regression on what the untrained encoder makes of the plots.

Fine-tuning from a random head tears at the encoder until the head has found its place; a head that fits already spares
it that ("linear probing then fine-tuning", Kumar et al. 2022). It costs a third of a pass.
"""

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from movieplots.classification.imbalance import log_odds, log_shift
from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.model import GenreModel
from movieplots.classification.torch_engine import TorchEngine
from movieplots.progress import track

SAMPLE = 20_000  # plots that are enough for a linear model
STRENGTH = 0.1  # C: the inverse of the regularisation


def fit_head(model: GenreModel, tokenizer: Any, plots: LabelledPlots, loss: str, seed: int) -> None:
    """Set the head to the logistic regression of each label on the pooled training plots, shifted as `loss` will."""
    texts, targets = plots.texts["train"], plots.targets["train"]
    keep = np.random.default_rng(seed).permutation(len(texts))[:SAMPLE]
    targets = targets[keep]
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    pooled = TorchEngine(model, tokenizer).pooled([texts[i] for i in keep])
    weight, bias = np.zeros((len(plots.labels), pooled.shape[1])), log_odds(targets)
    for label in track(range(len(plots.labels)), "Fitting the head"):
        if 0 < targets[:, label].sum() < len(targets):
            fitted = LogisticRegression(C=STRENGTH, max_iter=300).fit(pooled, targets[:, label])
            weight[label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias + log_shift(loss, plots.targets["train"])))
