"""Logits of a classifier with torch, on a CPU or a GPU."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from movieplots.classification.masking import Span, masked_ids, masked_lengths
from movieplots.classification.model import GenreModel
from movieplots.pretrained.batches import T
from movieplots.pretrained.encoding import Features, encode


class TorchEngine:
    """Computes logits with torch. The names of special tokens in a text are treated as text."""

    def __init__(self, model: GenreModel, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens = model.max_tokens

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return logits of shape (n, labels). Texts longer than `max_tokens` tokens are truncated."""
        return self._logits(texts, self._tokenized)

    def masked_logits(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> np.ndarray:
        """Return the same with the words at `spans[i]` of text i replaced by the mask token."""
        tokenizer = self.tokenizer
        ids = masked_ids(
            lambda text: (tokenizer(text, verbose=False).encodings or [None])[0], texts, spans,
            tokenizer.mask_token_id, self.max_tokens,
        )  # fmt: skip
        lengths = masked_lengths(texts, spans)
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
        """Return the input of the head for each text, shape (n, hidden size), for at least one text."""

        def forward(features: Features) -> torch.Tensor:
            return self.model.pooled(features["input_ids"], features["attention_mask"])

        return self._encoded(texts, self._tokenized, forward, "Encoding plots")

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
        """Encode texts, or their token ids along with the lengths of the texts in characters."""
        device = next(self.model.parameters()).device
        return encode(items, tokenize, forward, device, self.max_tokens, what, lengths)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(self.tokenizer(text)["input_ids"]) for text in texts]
