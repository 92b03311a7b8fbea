"""Logits of a compressed genre model through ONNX Runtime, without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from movieplots.batches import A_TOKEN, core_count, in_batches
from movieplots.errors import BadInput
from movieplots.files import read_json
from movieplots.onnx_running import encode, open_session

MODEL = "model.onnx"
SETTINGS = "engine.json"  # max_tokens, pad token, mask token
AT_ONCE = 4_000  # characters in a batch


class OnnxEngine:
    """Logits of texts. `max_tokens` of a text are read; `mask` stands for a hidden word, empty where there is none."""

    def __init__(self, folder: str | Path, labels: int) -> None:
        try:
            import onnxruntime  # noqa: F401
        except ModuleNotFoundError:
            raise BadInput(
                f"{folder} holds a compressed model, which needs ONNX Runtime: pip install onnxruntime."
            ) from None
        folder = Path(folder)
        settings = read_json(folder / SETTINGS, "compress the classifier again")
        self.max_tokens: int = settings["max_tokens"]
        self.mask: str = settings["mask"]
        self.cores = core_count()
        self._counting = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._counting.no_padding()
        self._counting.no_truncation()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self.max_tokens)
        self._tokenizer.enable_padding(pad_id=settings["pad_id"], pad_token=settings["pad"])
        # One session for single texts, with all cores on each; one for batches, a core each.
        self._sessions = [open_session(folder / MODEL, threads) for threads in (self.cores, 1)]
        self.labels = self._sessions[0].get_outputs()[0].shape[1]
        if self.labels != labels:
            raise BadInput(f"{folder}/{MODEL} does not fit its labels: compress the classifier again.")

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (n, labels); texts beyond `max_tokens` tokens are cut."""
        if not len(texts):
            return np.empty((0, self.labels))
        session = self._sessions[0 if len(texts) == 1 else 1]

        def work(batch: list[str]) -> np.ndarray:
            return session.run(None, encode(self._tokenizer, batch))[0]

        longest = self.max_tokens * A_TOKEN
        rows = in_batches(work, texts, longest=longest, most=AT_ONCE, cores=self.cores, what="Predicting genres")
        return rows.astype(float)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        return [len(encoded.ids) for encoded in self._counting.encode_batch(list(texts))]
