"""Running a torch encoder over many texts in batches, on all cores or a GPU."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock, Thread
from typing import Any

import numpy as np
import torch

from movieplots.pretrained.batches import A_TOKEN, T, in_batches

ON_CPU, ON_GPU = 4_000, 200_000  # characters in a padded batch

Features = Mapping[str, Any]
_setting = Lock()  # held while torch's number of threads is read or set


def encode(
    texts: Iterable[T],
    tokenize: Callable[[list[T]], Features],
    forward: Callable[[Features], torch.Tensor],
    device: torch.device,
    max_tokens: int,
    what: str = "",
    lengths: Sequence[int] | None = None,
) -> np.ndarray:
    """Encode at least one text with `tokenize` and `forward`; return rows of shape (n, d) in the order of the texts.

    `tokenize` turns the texts of a batch into padded tensors of at most `max_tokens` tokens per text, and `forward`
    turns these, on the device, into rows. Instead of texts, token ids can be passed with the `lengths` of their texts
    in characters. `what` is the title of the progress bar.
    """
    tokenizing = Lock()  # a tokenizer's padding is a setting, so it is not thread-safe

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
    """Limit torch to one thread in this new thread only.

    `torch.set_num_threads` applies to the calling thread and to all threads that start to use torch later, which
    inherit the last value. So another thread immediately restores the previous value.
    """
    with _setting:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = Thread(target=torch.set_num_threads, args=(threads,))
        restoring.start()
        restoring.join()
