"""Running an encoder over many texts, as fast as the machine allows.

Texts of like length share a batch, and a batch is small: what is computed on the way then fits a CPU's cache. On a CPU
each core works on a batch of its own, since two cores on one batch spend much of their time waiting for each other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Lock
from typing import Any

import numpy as np
import torch

from movieplots.progress import track

ON_CPU, ON_GPU = 4_000, 200_000  # characters in a batch, all of its texts counted as long as the longest
_A_TOKEN = 4  # characters in a token, about

Features = Mapping[str, Any]


def encode(
    texts: Sequence[str],
    tokenize: Callable[[list[str]], Features],
    forward: Callable[[Features], torch.Tensor],
    device: torch.device,
    max_tokens: int,
    what: str = "",
) -> np.ndarray:
    """What `forward` makes of all texts, shape (n, d), n at least 1; `what` names the progress bar of a longer work.

    `tokenize` turns the texts of a batch into padded tensors of at most `max_tokens` tokens a text, `forward` these,
    on the device, into rows.
    """
    most = ON_CPU if device.type == "cpu" else ON_GPU
    batches = _batches([len(text) for text in texts], max_tokens * _A_TOKEN, most)
    tokenizing = Lock()  # a tokenizer has one setting for padding, so it cannot serve two threads at once

    @torch.inference_mode()
    def work(batch: list[int]) -> np.ndarray:
        with tokenizing:
            features = tokenize([texts[i] for i in batch])
        there = {name: value.to(device) if torch.is_tensor(value) else value for name, value in features.items()}
        return forward(there).float().cpu().numpy()

    cores = torch.get_num_threads() if device.type == "cpu" and len(batches) > 1 else 1
    with closing(_each_on_a_core(work, batches, cores)) as done:  # interrupted, it begins no further batch
        rows = np.concatenate(list(track(done, what, len(batches)) if what and len(batches) > 8 else done))
    return rows[np.argsort([i for batch in batches for i in batch])]


def _each_on_a_core(
    work: Callable[[list[int]], np.ndarray], batches: list[list[int]], cores: int
) -> Iterator[np.ndarray]:
    """Work on the batches, as many at a time as there are cores; with one, in this thread and with all of torch's."""
    if cores == 1:
        yield from map(work, batches)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(work, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # new threads take over what was set last


def _batches(lengths: Sequence[int], longest: int, most: int) -> list[list[int]]:
    """The numbers of all texts in batches of at most `most` characters, or of one text.

    Of a text `longest` characters count, the others are cut off. Long texts come first, so that all cores end together.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or (len(batches[-1]) + 1) * min(lengths[batches[-1][0]], longest) > most:
            batches.append([])
        batches[-1].append(i)
    return batches
