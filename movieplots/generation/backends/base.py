"""The interface of backends, which continue token ids without knowledge of prompts, genres or files.

There are three backends. `transformers` is the reference and runs on GPUs. llama.cpp, through the package `xllamacpp`,
is several times faster on a CPU. A server with OpenAI's completions API, given by its address, can use other machines.
All use continuous batching: a waiting request takes the place of a finished one. Each request has its own random
stream, so other requests in the batch change it only through rounding.
"""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

Decoded = Generator[tuple[int, list[int]], None, None]  # (index of the request, new ids), in the order of completion
Tokens = Generator[int, None, None]


class BackendFailed(RuntimeError):
    """Raised if a remote backend fails; the message names the backend and the failure."""


@dataclass(frozen=True)
class Request:
    """One text to continue, with its sampling options.

    The options apply in this order: logit bias, repetition penalty, n-grams, temperature, top-p, min-p.

    Attributes
    ----------
    prompt : list of int
        Token ids to continue.
    stop : int
        Id that stops generation; it is part of the result.
    max_new_tokens : int
        Maximum number of new tokens.
    suppressed : tuple of int
        Ids that are never sampled. If `stop` is not the model's end-of-sequence token, this must include that token,
        because llama.cpp always stops there.
    temperature : float
        Sampling temperature; 0 is greedy decoding.
    top_p : float
        Probability mass of nucleus sampling; 0 and 1 are off.
    min_p : float
        Minimum probability relative to the most probable token; 0 is off.
    repetition_penalty : float
        Penalty for tokens that occur already; 1 is off.
    no_repeat_ngram_size : int
        Length of n-grams that must not occur twice; 0 is off.
    seed : int
        Seed of the random stream, below 2**31.
    logit_bias : tuple of (int, float)
        Ids, and what is added to their logits.
    """

    prompt: list[int]
    stop: int
    max_new_tokens: int
    suppressed: tuple[int, ...] = ()
    temperature: float = 1.0
    top_p: float = 0.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    seed: int = 0
    logit_bias: tuple[tuple[int, float], ...] = ()


class Backend(Protocol):
    """Continues prompts of token ids; `context` is the maximum number of tokens of prompt and continuation together."""

    name: str
    context: int

    def decode(self, requests: Sequence[Request]) -> Decoded:
        """Yield (index of the request, its new ids up to and including `stop`) whenever a request finishes."""

    def stream(self, request: Request) -> Tokens:
        """Yield the new ids of one request one by one: the same ids as from `decode`, up to rounding."""


def decode_in_threads(
    requests: Sequence[Request], workers: Sequence[Callable[[Request, threading.Event], list[int] | None]]
) -> Decoded:
    """Implement `Backend.decode` with one thread per worker.

    A worker returns the new ids of a request. When its event is set, the request is cancelled, and the worker returns
    None soon.
    """
    waiting: queue.SimpleQueue[tuple[int, Request]] = queue.SimpleQueue()
    for item in enumerate(requests):
        waiting.put(item)
    done: queue.SimpleQueue[tuple[int, list[int]] | BaseException] = queue.SimpleQueue()
    cancelled = threading.Event()

    def work(complete: Callable[[Request, threading.Event], list[int] | None]) -> None:
        try:
            while not cancelled.is_set():
                number, request = waiting.get_nowait()
                if (ids := complete(request, cancelled)) is not None:
                    done.put((number, ids))
        except queue.Empty:
            pass
        except BaseException as error:  # passed to the consumer, which would otherwise wait forever
            done.put(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in requests:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        cancelled.set()
        for thread in threads:  # because a server crashes if Python exits during a request
            thread.join()
