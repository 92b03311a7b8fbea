"""Running an encoder over many texts, as fast as the machine allows.

Texts of like length share a batch, and a batch is small: what is computed on the way then fits a CPU's cache. On a CPU
each core works on a batch of its own, since two cores on one batch spend much of their time waiting for each other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import torch

from movieplots.progress import track

ON_CPU, ON_GPU = 4_000, 200_000  # characters in a batch, all of its texts counted as long as the longest
LONGEST = 1_000  # characters counted of a text: encoders cut off most of what comes later

Features = Mapping[str, Any]


def encode(
    texts: Sequence[str],
    tokenize: Callable[[list[str]], Features],
    forward: Callable[[Features], torch.Tensor],
    device: torch.device,
    what: str = "",
) -> np.ndarray:
    """What `forward` makes of all texts, shape (n, d), n at least 1; `what` names the progress bar of a longer work.

    `tokenize` turns the texts of a batch into padded tensors, `forward` these, on the device, into rows.
    """
    batches = _batches([min(len(text), LONGEST) for text in texts], ON_CPU if device.type == "cpu" else ON_GPU)
    tokenizing = Lock()  # a tokenizer has one setting for padding, so it cannot serve two threads at once

    @torch.inference_mode()
    def work(batch: list[int]) -> np.ndarray:
        with tokenizing:
            features = tokenize([texts[i] for i in batch])
        there = {name: value.to(device) if torch.is_tensor(value) else value for name, value in features.items()}
        return forward(there).float().cpu().numpy()

    one_by_one = device.type != "cpu" or len(batches) == 1
    done = map(work, batches) if one_by_one else _each_on_a_core(work, batches)
    if what and len(batches) > 8:
        done = track(done, what, len(batches))
    rows = np.concatenate(list(done))
    return rows[np.argsort([i for batch in batches for i in batch])]


def _each_on_a_core(work: Callable[[list[int]], np.ndarray], batches: list[list[int]]) -> Iterator[np.ndarray]:
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, batches)
    finally:
        torch.set_num_threads(threads)  # new threads take over what was set last


def _batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """The numbers of all texts in batches of at most so many characters, or of one text.

    The longest texts come first, so that all cores end at about the same time.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > most:
            batches.append([])
        batches[-1].append(i)
    return batches
