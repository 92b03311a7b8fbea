"""Predicting genres with a trained classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from movieplots.classification.model import GenreModel, load_genre_model
from movieplots.errors import BadInput
from movieplots.progress import track

MAX_TOKENS = 256
BATCH = 32


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


@torch.inference_mode()
def predict(model: GenreModel, tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Probabilities (n, labels); texts beyond `MAX_TOKENS` tokens are cut. Batches hold texts of like length."""
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort([len(text) for text in texts], kind="stable")
    proba = np.zeros((len(texts), model.head.out_features))
    starts = range(0, len(texts), BATCH)
    for start in track(starts, "Predicting genres") if len(starts) > 8 else starts:
        chosen = order[start : start + BATCH]
        batch = tokenizer(
            [texts[i] for i in chosen], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(device)
        logits = model(batch["input_ids"], batch["attention_mask"])["logits"]
        proba[chosen] = torch.sigmoid(logits).cpu().numpy()
    return proba
