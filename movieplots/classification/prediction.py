"""Predicting genres with a trained classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from movieplots.errors import BadInput
from movieplots.model_folder import read_info


def with_title(title: str, plot: str) -> str:
    """What a model reads of a plot whose title is known."""
    return f"{title}: {plot}" if title else plot


class GenreClassifier:
    """Predicts the genres of plots. `labels` are its genres, `thresholds` their probability thresholds (labels,).

    `engine` computes: a `TorchEngine`, or an `OnnxEngine` where the folder holds a compressed model.
    """

    def __init__(self, engine: Any, info: dict[str, Any]) -> None:
        self.engine = engine
        self.info = info
        self.labels: list[str] = info["labels"]
        self.thresholds = np.array(info["thresholds"])

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "GenreClassifier":
        """Load a folder that `train_classifier` or `compress` wrote. Raises BadInput where it is none."""
        info = read_info(path, "classification")
        if info.get("compressed"):
            from movieplots.classification.onnx_engine import OnnxEngine

            return cls(OnnxEngine(path, len(info["labels"])), info)
        import torch

        from movieplots.classification.model import load_genre_model
        from movieplots.classification.torch_engine import TorchEngine

        model, tokenizer = load_genre_model(path, len(info["labels"]))
        return cls(TorchEngine(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer), info)

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read."""
        return self.engine.max_tokens

    def predict_proba(self, texts: Sequence[str], titles: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities in [0, 1] of shape (n, labels), for plots and, if the model was trained with them, titles.

        A title is best in the IMDb form, `Heat (1995)` or `"Dark" (2017)`; an empty one is none. Raises BadInput for an
        empty text. Texts beyond `max_tokens` tokens are cut; `cut(texts)` says which.
        """
        for number, text in enumerate(texts, 1):
            if not text.strip():
                raise BadInput(f"Plot {number} is empty: give it some words.")
        if titles is not None:
            if not self.info["recipe"].get("titles"):
                raise BadInput("This classifier was trained without titles: leave them out, or train with --titles.")
            texts = [with_title(title, text) for title, text in zip(titles, texts, strict=True)]
        return np.exp(-np.logaddexp(0.0, -self.engine.logits(texts)))

    def predict(self, texts: Sequence[str], titles: Sequence[str] | None = None) -> list[list[str]]:
        """The genres of each text at or above their thresholds, most probable first."""
        return [self.name(row) for row in self.predict_proba(texts, titles)]

    def name(self, proba: np.ndarray) -> list[str]:
        """The genres of one row of probabilities (labels,) at or above their thresholds, most probable first."""
        order = np.argsort(-proba, kind="stable")
        return [self.labels[i] for i in order if proba[i] >= self.thresholds[i]]

    def cut(self, texts: Sequence[str]) -> dict[int, int]:
        """Which texts are too long to be read in full: number from 0 -> tokens it has."""
        lengths = self.engine.lengths(texts)
        return {i: length for i, length in enumerate(lengths) if length > self.max_tokens}
