"""Running a torch encoder over many texts, as fast as the machine allows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch

from movieplots.batches import A_TOKEN, T, in_batches

ON_CPU, ON_GPU = 4_000, 200_000  # characters in a batch, all of its texts counted as long as the longest

Features = Mapping[str, Any]


def encode(
    texts: Iterable[T],
    tokenize: Callable[[list[T]], Features],
    forward: Callable[[Features], torch.Tensor],
    device: torch.device,
    max_tokens: int,
    what: str = "",
    lengths: Sequence[int] | None = None,
) -> np.ndarray:
    """What `forward` makes of all texts, shape (n, d), n at least 1; `what` names the progress bar of a longer work.

    `tokenize` turns the texts of a batch into padded tensors of at most `max_tokens` tokens a text, `forward` these,
    on the device, into rows. Instead of texts there may be their token ids, with the texts' `lengths` in characters.
    """
    tokenizing = Lock()  # a tokenizer has one setting for padding, so it cannot serve two threads at once

    @torch.inference_mode()
    def work(batch: list[T]) -> np.ndarray:
        with tokenizing:
            features = tokenize(batch)
        there = {name: value.to(device) if torch.is_tensor(value) else value for name, value in features.items()}
        return forward(there).float().cpu().numpy()

    on_cpu = device.type == "cpu"
    threads = torch.get_num_threads()
    try:
        return in_batches(
            work, texts, longest=max_tokens * A_TOKEN, most=ON_CPU if on_cpu else ON_GPU, lengths=lengths,
            cores=threads if on_cpu else 1, what=what, initializer=torch.set_num_threads, initargs=(1,),
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)  # new threads take over what was set last
