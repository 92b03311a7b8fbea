"""Running encoders with ONNX Runtime on a CPU: sessions and inputs, for the classifier and for sentence embeddings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def open_session(file: Path, threads: int) -> Any:
    """Return an inference session of the model in `file` with this number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def encode(tokenizer: Any, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return `input_ids` and `attention_mask`, each (n, tokens), from a tokenizer that truncates and pads."""
    encoded = tokenizer.encode_batch(list(texts))
    return {
        "input_ids": np.array([text.ids for text in encoded], dtype=np.int64),
        "attention_mask": np.array([text.attention_mask for text in encoded], dtype=np.int64),
    }


def padded(ids: Sequence[Sequence[int]], pad: int) -> dict[str, np.ndarray]:
    """Return the same for token ids, padded with the token `pad` to the length of the longest."""
    longest = max(map(len, ids))
    return {
        "input_ids": np.array([[*text, *[pad] * (longest - len(text))] for text in ids], dtype=np.int64),
        "attention_mask": np.array([[1] * len(text) + [0] * (longest - len(text)) for text in ids], dtype=np.int64),
    }
