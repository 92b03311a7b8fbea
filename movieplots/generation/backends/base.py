"""The seam between prompts and models: a backend continues token ids, and knows nothing of prompts, genres or files.

Three stand behind it. `transformers` is the reference and the one for GPUs; llama.cpp, through the package `xllamacpp`,
is several times as fast on a CPU; a server with OpenAI's completions API, by its address, for more than one machine.
All keep a batch full: what is finished leaves it, what waits takes its place.
Random draws belong to a request's own seed, so the company it is decoded in changes it at most through rounding.
"""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

Decoded = Generator[tuple[int, list[int]], None, None]  # as the requests finish: (number, new ids)
Tokens = Generator[int, None, None]


class BackendFailed(RuntimeError):
    """A backend elsewhere did not answer as it should; the message says which one and how."""


@dataclass(frozen=True)
class Request:
    """One text to continue, and how.

    `stop` ends the text and is part of the result; `suppressed` ids are never drawn, from the first new id to the last
    (among them the model's own end token where `stop` is another one: llama.cpp ends there in any case). With
    `temperature` 0 the likeliest token is always taken. Off are: `top_p` 0 or 1, `min_p` 0, `repetition_penalty` 1,
    `no_repeat_ngram_size` 0. The order is that of transformers: penalty, n-grams, temperature, top-p, min-p.
    `seed` is below 2**31.
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


class Backend(Protocol):
    """Continues prompts of token ids. `context` is the most tokens that prompt and continuation may have together."""

    name: str
    context: int

    def decode(self, requests: Sequence[Request]) -> Decoded:
        """Yield (index of the request, its new ids up to and including `stop`) as each one finishes."""

    def stream(self, request: Request) -> Tokens:
        """Yield the new ids of one request one by one: the same ids as `decode` gives, up to rounding."""


def decode_in_threads(
    requests: Sequence[Request], workers: Sequence[Callable[[Request, threading.Event], list[int] | None]]
) -> Decoded:
    """What `Backend.decode` yields, by one thread for each of `workers`.

    A worker gives a request's new ids, or None soon after its event is set: nobody waits for them any more then.
    """
    waiting: queue.SimpleQueue[tuple[int, Request]] = queue.SimpleQueue()
    for item in enumerate(requests):
        waiting.put(item)
    done: queue.SimpleQueue[tuple[int, list[int]] | BaseException] = queue.SimpleQueue()
    left = threading.Event()

    def work(complete: Callable[[Request, threading.Event], list[int] | None]) -> None:
        try:
            while not left.is_set():
                number, request = waiting.get_nowait()
                if (ids := complete(request, left)) is not None:
                    done.put((number, ids))
        except queue.Empty:
            pass
        except BaseException as error:  # handed to the reader, who would wait for ever otherwise
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
        left.set()
        for thread in threads:  # a server taken down with Python in the middle of a request crashes
            thread.join()
