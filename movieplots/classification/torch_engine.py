"""Logits of a classifier with torch, on a CPU or a GPU."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from movieplots.classification.masking import Span, masked_ids, masked_lengths
from movieplots.pretrained.batches import T
from movieplots.pretrained.encoding import Features, encode


class TorchEngine:
    """Computes logits with torch. The names of special tokens in a text are treated as text."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens: int = tokenizer.model_max_length

    def logits(self, texts: Sequence[str], what: str = "Predicting genres") -> np.ndarray:
        """Return logits of shape (n, labels). Texts longer than `max_tokens` tokens are truncated."""
        return self._logits(texts, self._tokenized, what=what)

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
        self,
        items: Sequence[T],
        tokenize: Callable[[list[T]], Features],
        lengths: Sequence[int] | None = None,
        what: str = "Predicting genres",
    ) -> np.ndarray:
        if not len(items):
            return np.empty((0, self.model.config.num_labels))

        def forward(features: Features) -> torch.Tensor:
            return self.model(input_ids=features["input_ids"], attention_mask=features["attention_mask"]).logits

        device = next(self.model.parameters()).device
        return encode(items, tokenize, forward, device, self.max_tokens, what, lengths).astype(float)

    def _tokenized(self, batch: list[str]) -> Features:
        return self.tokenizer(batch, padding=True, truncation=True, return_tensors="pt")

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(self.tokenizer(text)["input_ids"]) for text in texts]
