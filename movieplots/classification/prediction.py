"""Predicting genres with a trained classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from movieplots.classification.model import GenreModel, load_genre_model
from movieplots.errors import BadInput
from movieplots.progress import track

MAX_TOKENS = 256
BATCH_TOKENS = 2_048  # in a batch, padding included: more no longer fit a CPU's cache, which costs a fifth of the speed


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
    encoded = [torch.tensor(ids) for ids in tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]]
    proba = np.zeros((len(texts), model.head.out_features))
    batches = _batches([len(ids) for ids in encoded])
    for chosen in track(batches, "Predicting genres") if len(batches) > 8 else batches:
        rows = [encoded[i] for i in chosen]
        ids = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        proba[chosen] = torch.sigmoid(model(ids.to(device), mask.to(device))["logits"]).cpu().numpy()
    return proba


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of all texts, the shortest first, in batches of at most `BATCH_TOKENS` tokens, or of one text."""
    batches: list[list[int]] = [[]]
    for i in np.argsort(lengths, kind="stable").tolist():
        if batches[-1] and (len(batches[-1]) + 1) * lengths[i] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(i)
    return batches
