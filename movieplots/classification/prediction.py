"""Predicting genres with a trained classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from movieplots.classification.info import ClassifierInfo
from movieplots.errors import BadInput
from movieplots.runs.folder import read_info
from movieplots.texts import as_texts


def with_title(title: str, plot: str) -> str:
    """What a model reads of a plot whose title is known."""
    return f"{title}: {plot}" if title else plot


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Probabilities in [0, 1] of a classifier's logits, shape as theirs."""
    return np.exp(-np.logaddexp(0.0, -logits))


def check_titled(info: ClassifierInfo) -> None:
    """Raise BadInput where the classifier was trained without titles."""
    if not info.titles:
        raise BadInput("This classifier was trained without titles: leave them out, or train with --titles.")


class GenreClassifier:
    """Predicts the genres of plots; `from_pretrained` makes one.

    `labels` are its genres, `thresholds` the probabilities from which each is predicted, an array of shape (labels,).
    `info` is what the model's `movieplots.json` holds. `engine` computes: a `TorchEngine`, or an `OnnxEngine` where the
    folder holds a quantized model.
    """

    def __init__(self, engine: Any, info: ClassifierInfo) -> None:
        self.engine = engine
        self.info = info
        self.labels = info.labels
        self.thresholds = np.array(info.thresholds)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "GenreClassifier":
        """Load the folder `path` that `train_classifier` or `movieplots quantize` wrote, onto a GPU where there is one.

        Raises BadInput where the folder is none. A quantized model runs on CPUs, with ONNX Runtime and without torch.
        """
        info = read_info(path, ClassifierInfo)
        if info.quantized:
            from movieplots.classification.onnx_engine import OnnxEngine

            return cls(OnnxEngine(path, len(info.labels)), info)
        import torch

        from movieplots.classification.model import load_genre_model
        from movieplots.classification.torch_engine import TorchEngine

        model, tokenizer = load_genre_model(path, len(info.labels))
        return cls(TorchEngine(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer), info)

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read, the tokenizer's own marks among them."""
        return self.engine.max_tokens

    def predict_proba(self, texts: Sequence[str], titles: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities in [0, 1] of shape (n, labels), for plots and, if the model was trained with them, titles.

        `texts` are n plots in a list or any other sequence, taken by position: row i is that of the plot at place i,
        also of a pandas Series with another index. `titles` are one for each, best in the IMDb form, `Heat (1995)` or
        `"Dark" (2017)`; an empty or missing one (None, NaN) is none. Each label has a probability of its own, so a row
        need not sum to 1. Texts beyond `max_tokens` tokens are cut; `truncated` says which. Raises BadInput for one
        string, for a plot that is empty, missing or no text, for titles where the model was trained without, and where
        there are more or fewer titles than plots.
        """
        texts = as_texts(texts)
        for number, text in enumerate(texts, 1):
            if not text or text.isspace():
                raise BadInput(f"Plot {number} is empty: give it some words.")
        if titles is not None:
            check_titled(self.info)
            titles = as_texts(titles, "title", missing="")
            if len(titles) != len(texts):
                raise BadInput(f"There are {len(titles)} titles for {len(texts)} plots: give one for each.")
            texts = [with_title(title, text) for title, text in zip(titles, texts, strict=True)]
        return probabilities(self.engine.logits(texts))

    def predict(self, texts: Sequence[str], titles: Sequence[str] | None = None) -> list[list[str]]:
        """The genres of each text at or above their thresholds, most probable first; arguments as for `predict_proba`.

        A text none of whose genres gets there has an empty list. Raises BadInput as `predict_proba` does.
        """
        return [self.labels_from_proba(row) for row in self.predict_proba(texts, titles)]

    def labels_from_proba(self, proba: np.ndarray) -> list[str]:
        """The genres of one row of probabilities at or above their thresholds, most probable first.

        `proba` has shape (labels,), as a row of what `predict_proba` returns.
        """
        order = np.argsort(-proba, kind="stable")
        return [self.labels[i] for i in order if proba[i] >= self.thresholds[i]]

    def truncated(self, texts: Sequence[str]) -> dict[int, int]:
        """Which of the `texts` are too long to be read in full: number from 0 -> tokens it has."""
        lengths = self.engine.lengths(as_texts(texts))
        return {i: length for i, length in enumerate(lengths) if length > self.max_tokens}
