"""Logits of a genre model through torch: the reference, and the one for GPUs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from movieplots.classification.model import GenreModel
from movieplots.encoding import Features, encode


class TorchEngine:
    """Logits of texts. `max_tokens` of a text are read; `mask` stands for a hidden word, empty where there is none."""

    def __init__(self, model: GenreModel, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens = model.max_tokens
        self.mask: str = tokenizer.mask_token or ""

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (n, labels); texts beyond `max_tokens` tokens are cut."""
        if not len(texts):
            return np.empty((0, self.model.head.out_features))

        def forward(features: Features) -> torch.Tensor:
            return self.model(features["input_ids"], features["attention_mask"])["logits"]

        return self._encoded(texts, forward, "Predicting genres").astype(float)

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """What the head sees of each text, shape (n, hidden size), n at least 1."""

        def forward(features: Features) -> torch.Tensor:
            return self.model.pooled(features["input_ids"], features["attention_mask"])

        return self._encoded(texts, forward, "Reading plots once")

    def _encoded(self, texts: Sequence[str], forward: Callable[[Features], torch.Tensor], what: str) -> np.ndarray:
        def tokenize(batch: list[str]) -> Features:
            return self.tokenizer(batch, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")

        device = next(self.model.parameters()).device
        return encode(texts, tokenize, forward, device, self.max_tokens, what)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        return [len(self.tokenizer(text)["input_ids"]) for text in texts]
