"""Logits of a genre model through torch: the reference, and the one for GPUs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from movieplots.classification.hiding import Span, ids_without, lengths_without
from movieplots.classification.model import GenreModel
from movieplots.pretrained.batches import T
from movieplots.pretrained.encoding import Features, encode


class TorchEngine:
    """Logits of texts, of which `max_tokens` tokens are read. Special tokens that stand in a text are only text."""

    def __init__(self, model: GenreModel, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens = model.max_tokens

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (n, labels); texts beyond `max_tokens` tokens are cut."""
        return self._logits(texts, self._tokenized)

    def logits_without(self, texts: Sequence[str], hidden: Sequence[Sequence[Span]]) -> np.ndarray:
        """The same where of text i the words at the spans `hidden[i]` are hidden by the mask token."""
        tokenizer = self.tokenizer
        ids = ids_without(
            lambda text: (tokenizer(text, verbose=False).encodings or [None])[0], texts, hidden,
            tokenizer.mask_token_id, self.max_tokens,
        )  # fmt: skip
        lengths = lengths_without(texts, hidden)
        return self._logits(ids, lambda batch: tokenizer.pad({"input_ids": batch}, return_tensors="pt"), lengths)

    def _logits(
        self, items: Sequence[T], tokenize: Callable[[list[T]], Features], lengths: Sequence[int] | None = None
    ) -> np.ndarray:
        if not len(items):
            return np.empty((0, self.model.head.out_features))

        def forward(features: Features) -> torch.Tensor:
            return self.model(features["input_ids"], features["attention_mask"])["logits"]

        return self._encoded(items, tokenize, forward, "Predicting genres", lengths).astype(float)

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """What the head sees of each text, shape (n, hidden size), n at least 1."""

        def forward(features: Features) -> torch.Tensor:
            return self.model.pooled(features["input_ids"], features["attention_mask"])

        return self._encoded(texts, self._tokenized, forward, "Reading plots once")

    def _tokenized(self, batch: list[str]) -> Features:
        return self.tokenizer(batch, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")

    def _encoded(
        self,
        items: Sequence[T],
        tokenize: Callable[[list[T]], Features],
        forward: Callable[[Features], torch.Tensor],
        what: str,
        lengths: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Rows of texts, or of their ids with the texts' lengths in characters."""
        device = next(self.model.parameters()).device
        return encode(items, tokenize, forward, device, self.max_tokens, what, lengths)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        return [len(self.tokenizer(text)["input_ids"]) for text in texts]
