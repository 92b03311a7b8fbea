"""Running a torch encoder over many texts, as fast as the machine allows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock, Thread
from typing import Any

import numpy as np
import torch

from movieplots.pretrained.batches import A_TOKEN, T, in_batches

ON_CPU, ON_GPU = 4_000, 200_000  # characters in a batch, all of its texts counted as long as the longest

Features = Mapping[str, Any]
_setting = Lock()  # how many threads torch uses is set, or taken over by a thread that begins to use it


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
    with _setting:
        threads = torch.get_num_threads()
    return in_batches(
        work, texts, longest=max_tokens * A_TOKEN, most=ON_CPU if on_cpu else ON_GPU, lengths=lengths,
        cores=threads if on_cpu else 1, what=what, initializer=_use_one_thread,
    )  # fmt: skip


def _use_one_thread() -> None:
    """Let torch use one thread in this new thread, and in no other.

    What is set holds in this thread, and in all that begin to use torch later: they take over what was set last. So
    another thread sets it back at once.
    """
    with _setting:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = Thread(target=torch.set_num_threads, args=(threads,))
        restoring.start()
        restoring.join()
