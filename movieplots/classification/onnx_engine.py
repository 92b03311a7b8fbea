"""Logits of a quantized classifier with ONNX Runtime, without torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from movieplots.classification.masking import Span, masked_ids, masked_lengths
from movieplots.errors import BadInput
from movieplots.files import read_json
from movieplots.pretrained.batches import A_TOKEN, T, core_count, in_batches
from movieplots.pretrained.onnx_running import encode, open_session, padded

MODEL = "model.onnx"
SETTINGS = "engine.json"  # max_tokens, pad token, mask token
BATCH_CHARACTERS = 4_000


class OnnxEngine:
    """Computes logits with ONNX Runtime. The names of special tokens in a text are treated as text."""

    def __init__(self, folder: str | Path, labels: int) -> None:
        try:
            import onnxruntime  # noqa: F401
        except ModuleNotFoundError:
            raise BadInput(
                f"{folder} holds a quantized model, which needs ONNX Runtime: run `pip install onnxruntime`."
            ) from None
        folder = Path(folder)
        settings = read_json(folder / SETTINGS, "quantize the classifier again")
        self.max_tokens: int = settings["max_tokens"]
        self.cores = core_count()
        self._counting = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._counting.no_padding()
        self._counting.no_truncation()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self.max_tokens)
        self._tokenizer.enable_padding(pad_id=settings["pad_id"], pad_token=settings["pad"])
        self._counting.encode_special_tokens = self._tokenizer.encode_special_tokens = True
        self._mask = self._counting.token_to_id(settings["mask"]) if settings["mask"] else None
        self._pad: int = settings["pad_id"]
        # One session for single texts, which uses all cores; one for batches, with one core per batch.
        self._sessions = [open_session(folder / MODEL, threads) for threads in (self.cores, 1)]
        self.labels = self._sessions[0].get_outputs()[0].shape[1]
        if self.labels != labels:
            raise BadInput(f"{folder}/{MODEL} does not fit the labels: quantize the classifier again.")

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return logits of shape (n, labels). Texts longer than `max_tokens` tokens are truncated."""
        return self._logits(texts, lambda batch: encode(self._tokenizer, batch))

    def masked_logits(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> np.ndarray:
        """Return the same with the words at `spans[i]` of text i replaced by the mask token."""
        ids = masked_ids(self._counting.encode, texts, spans, self._mask, self.max_tokens)
        return self._logits(ids, lambda batch: padded(batch, self._pad), masked_lengths(texts, spans))

    def _logits(
        self,
        items: Sequence[T],
        features: Callable[[list[T]], dict[str, np.ndarray]],
        lengths: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Compute logits of texts, or of their token ids along with the lengths of the texts in characters."""
        if not len(items):
            return np.empty((0, self.labels))
        session = self._sessions[0 if len(items) == 1 else 1]
        rows = in_batches(
            lambda batch: session.run(None, features(batch))[0], items, longest=self.max_tokens * A_TOKEN,
            most=BATCH_CHARACTERS, lengths=lengths, cores=self.cores, what="Predicting genres",
        )  # fmt: skip
        return rows.astype(float)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(encoded.ids) for encoded in self._counting.encode_batch(list(texts))]
