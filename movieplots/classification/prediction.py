"""Predicting genres with a trained classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from movieplots.classification.model import GenreModel, load_genre_model
from movieplots.encoding import Features, encode
from movieplots.errors import BadInput

MAX_TOKENS = 256


class GenreClassifier:
    """Predicts the genres of plots. `labels` are its genres, `thresholds` their probability thresholds (labels,)."""

    def __init__(self, model: GenreModel, tokenizer: Any, info: dict[str, Any]) -> None:
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.tokenizer = tokenizer
        self.info = info
        self.labels: list[str] = info["labels"]
        self.thresholds = np.array(info["thresholds"])

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "GenreClassifier":
        """Load a folder that `train_classifier` wrote. Raises BadInput where it is none."""
        return cls(*load_genre_model(path))

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities in [0, 1] of shape (n, labels). Raises BadInput for an empty text."""
        for number, text in enumerate(texts, 1):
            if not text.strip():
                raise BadInput(f"Plot {number} is empty: give it some words.")
        return predict(self.model, self.tokenizer, texts)

    def predict(self, texts: Sequence[str]) -> list[list[str]]:
        """The genres of each text at or above their thresholds, most probable first."""
        return [self.name(row) for row in self.predict_proba(texts)]

    def name(self, proba: np.ndarray) -> list[str]:
        """The genres of one row of probabilities (labels,) at or above their thresholds, most probable first."""
        order = np.argsort(-proba, kind="stable")
        return [self.labels[i] for i in order if proba[i] >= self.thresholds[i]]


def predict(model: GenreModel, tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Probabilities (n, labels); texts beyond `MAX_TOKENS` tokens are cut."""
    if not len(texts):
        return np.empty((0, model.head.out_features))

    def tokenize(texts: list[str]) -> Features:
        return tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")

    def forward(features: Features) -> torch.Tensor:
        return torch.sigmoid(model(features["input_ids"], features["attention_mask"])["logits"])

    device = next(model.eval().parameters()).device
    return encode(texts, tokenize, forward, device, MAX_TOKENS, "Predicting genres").astype(float)
