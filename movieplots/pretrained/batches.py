"""Batching of texts for any encoder, and running batches in parallel on the cores, without torch or ONNX.

Texts of similar length share a batch. Batches are small, so that intermediate results fit into a CPU's cache. On a CPU
each core computes its own batch, since several cores on one batch spend much time waiting for each other.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import numpy as np

from movieplots.progress import track

T = TypeVar("T", str, list[int])
A_TOKEN = 4  # characters per token, on average
_MANY = 8  # a progress bar is shown for more batches than this


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_batches(
    work: Callable[[list[T]], np.ndarray],
    texts: Iterable[T],
    *,
    longest: int,
    most: int,
    lengths: Sequence[int] | None = None,
    cores: int = 1,
    what: str = "",
    **pool: Any,
) -> np.ndarray:
    """Apply `work` to all texts in batches; return its rows of shape (n, d) in the order of the texts, n at least 1.

    A batch holds at most `most` characters after padding; a text counts at most `longest` characters. Instead of texts,
    token ids can be passed with the `lengths` of their texts in characters. `cores` batches run in parallel; `pool` is
    passed to the `ThreadPoolExecutor`. `what` is the title of the progress bar.
    """
    texts = list(texts)  # by position, also of a pandas Series
    batches = make_batches([len(text) for text in texts] if lengths is None else lengths, longest, most)
    with closing(_each_on_a_core(lambda batch: work([texts[i] for i in batch]), batches, cores, pool)) as done:
        rows = np.concatenate(list(track(done, what, len(batches)) if what and len(batches) > _MANY else done))
    return rows[np.argsort([i for batch in batches for i in batch])]


def make_batches(lengths: Sequence[int], longest: int, most: int) -> list[list[int]]:
    """Group the positions of all texts into batches of at most `most` characters, or of one text.

    A text counts at most `longest` characters, as the rest is truncated. Long texts come first, so that all cores
    finish at about the same time.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or (len(batches[-1]) + 1) * min(lengths[batches[-1][0]], longest) > most:
            batches.append([])
        batches[-1].append(i)
    return batches


def _each_on_a_core(
    work: Callable[[list[int]], np.ndarray], batches: list[list[int]], cores: int, pool: dict[str, Any]
) -> Generator[np.ndarray, None, None]:
    """Run the batches in parallel, one per core; a single batch, or all on one core, in this thread."""
    if cores == 1 or len(batches) == 1:
        yield from map(work, batches)
        return
    executor = ThreadPoolExecutor(cores, **pool)
    try:
        yield from executor.map(work, batches)
    finally:
        executor.shutdown(cancel_futures=True)  # on an interrupt, no further batch starts
