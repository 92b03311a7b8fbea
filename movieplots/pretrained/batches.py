"""Texts in batches, and the batches on the cores, for any encoder: nothing here knows torch or ONNX.

Texts of like length share a batch, and a batch is small: what is computed on the way then fits a CPU's cache. On a CPU
each core works on a batch of its own, since two cores on one batch spend much of their time waiting for each other.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import numpy as np

from movieplots.progress import track

T = TypeVar("T", str, list[int])
A_TOKEN = 4  # characters in a token, about
_MANY = 8  # batches from which on progress is worth showing


def core_count() -> int:
    """How many cores this process may use."""
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
    """The rows that `work` makes of all texts, in their order, shape (n, d); n is at least 1.

    A batch holds at most `most` characters, all of its texts counted as long as the longest, of which `longest`
    characters count. The texts' token ids may be given instead, with the texts' `lengths` in characters. `cores`
    batches are worked on at a time; `pool` goes to the `ThreadPoolExecutor`. `what` names the progress bar of a longer
    work.
    """
    texts = list(texts)  # by position, whatever labels a Series has
    batches = make_batches([len(text) for text in texts] if lengths is None else lengths, longest, most)
    with closing(_each_on_a_core(lambda batch: work([texts[i] for i in batch]), batches, cores, pool)) as done:
        rows = np.concatenate(list(track(done, what, len(batches)) if what and len(batches) > _MANY else done))
    return rows[np.argsort([i for batch in batches for i in batch])]


def make_batches(lengths: Sequence[int], longest: int, most: int) -> list[list[int]]:
    """The numbers of all texts in batches of at most `most` characters, or of one text.

    Of a text `longest` characters count, the others are cut off. Long texts come first, so that all cores end together.
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
    """Work on the batches, as many at a time as there are cores; with one, or with one batch, in this thread."""
    if cores == 1 or len(batches) == 1:
        yield from map(work, batches)
        return
    executor = ThreadPoolExecutor(cores, **pool)
    try:
        yield from executor.map(work, batches)
    finally:
        executor.shutdown(cancel_futures=True)  # interrupted, it begins no further batch
