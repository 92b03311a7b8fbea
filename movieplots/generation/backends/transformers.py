"""The reference backend: continuous batching of transformers, on a GPU if there is one.

The library schedules requests, stores their caches in pages and refills the batch. However, its sampling uses one
random generator for the whole batch and ignores logits processors that need a request's history. Therefore this module
adds a processor at the end of its chain, which applies transformers' own logits processors to each request and samples
with the request's seed. It runs outside of CUDA graphs, because it reads the tokens that the requests have so far.

The interface of this processor and the way to add it are not documented, so pyproject.toml restricts transformers to
versions that `make transformers-bounds` tests.
"""

import itertools
import queue
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from transformers import (
    ContinuousBatchingConfig,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)

from movieplots.generation.backends.base import Decoded, Request, Tokens
from movieplots.generation.model import context_of

MIN_BATCH, MAX_BATCH_CPU, MAX_BATCH_GPU = 16, 32, 256  # requests in a batch
PAGE_TOKENS = 32
LENGTH_STEP = 256  # tokens; lengths are rounded up to a multiple of this, so that the manager is rarely restarted
POLL_SECONDS = 0.1  # between two checks whether the manager is still needed
IDLE_POLLS = 10  # without a request, after which the manager is stopped; starting one takes less than POLL_SECONDS


class TransformersBackend:
    """Continues token ids with a causal language model of transformers: the requests of all threads in one batch.

    The library's manager of the batch has a thread and a cache. It starts with the first request, and stops after a
    short time without requests or when Python exits. If a request does not fit, it and the requests after it wait until
    the batch is empty; then a larger manager is started.
    """

    name = "transformers"

    def __init__(self, model: Any) -> None:
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.context = context_of(model)
        # Protects all attributes below. Reentrant, because garbage collection can close an iterator in any thread.
        self._lock = threading.RLock()
        self._ids = itertools.count()
        self._waiting: dict[str, _Job] = {}
        self._running: dict[str, _Job] = {}
        self._manager: Any = None
        self._batch_size = self._max_length = 0  # requests, tokens per request

    def decode(self, requests: Sequence[Request]) -> Decoded:
        """Yield (index of the request, its new ids) whenever a request finishes."""
        with self._submitted(requests) as results:
            for _ in requests:
                number, ids, _ = _checked(results.get())
                yield number, ids

    def stream(self, request: Request) -> Tokens:
        """Yield the new ids of one request one by one."""
        yielded, finished = 0, False
        with self._submitted([request], streaming=True) as results:
            while not finished:
                _, ids, finished = _checked(results.get())
                yield from ids[yielded:]
                yielded = len(ids)

    @contextmanager
    def _submitted(self, requests: Sequence[Request], streaming: bool = False) -> "Iterator[_Results]":
        """Process the requests in the background; leaving the context cancels those that are not finished."""
        results: _Results = queue.SimpleQueue()
        jobs = {str(next(self._ids)): _Job(i, request, streaming, results) for i, request in enumerate(requests)}
        try:
            with self._lock:
                self._waiting |= jobs
                self._fill_batch()
            yield results
        finally:
            with self._lock:
                for name in jobs:
                    self._waiting.pop(name, None)
                    if self._running.pop(name, None):
                        self._manager.cancel_request(name)

    def _fill_batch(self) -> None:
        """Submit waiting requests to the manager as long as they fit."""
        try:
            self._submit_waiting()
        except BaseException as error:  # passed to the waiting threads, which would otherwise wait forever
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        for job in (*self._running.values(), *self._waiting.values()):
            job.results.put(error)
        self._running, self._waiting = {}, {}
        self._stop()

    def _submit_waiting(self) -> None:
        while self._waiting:
            name, job = next(iter(self._waiting.items()))
            full = len(self._running) == self._batch_size
            too_small = job.length > self._max_length or (full and self._batch_size < self._max_batch_size())
            if self._manager is None or too_small:
                if self._running:
                    return
                self._stop()
                self._start()
                continue
            if full:
                return
            self._running[name] = self._waiting.pop(name)
            request = job.request
            self._manager.add_request(
                request.prompt,
                request_id=name,
                max_new_tokens=request.max_new_tokens,
                eos_token_id=request.stop,
                streaming=job.streaming,
                request=request,
            )

    def _max_batch_size(self) -> int:
        return MAX_BATCH_GPU if self.model.device.type == "cuda" else MAX_BATCH_CPU

    def _start(self) -> None:
        """Start a manager that is large enough for all waiting requests."""
        self._batch_size = min(max(len(self._waiting), MIN_BATCH), self._max_batch_size())
        self._max_length = max((job.length for job in self._waiting.values()), default=LENGTH_STEP)
        # By default the library uses most of the free memory for the cache; this is the maximum that a batch needs.
        config = ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=self._batch_size * (self._max_length // PAGE_TOKENS + 1),
            max_batch_tokens=max(self._batch_size, min(self._max_length, 512)),
            max_requests_per_batch=self._batch_size,
            allow_block_sharing=False,
            use_async_batching=False,
            use_cuda_graph=False,
            safety_margin=0.0,
        )
        greedy = GenerationConfig(do_sample=False, eos_token_id=-1)  # the processor has sampled the tokens already
        manager = self.model.init_continuous_batching(greedy, config)
        manager.logit_processor = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([_Sampler()]))
        manager.logit_processor.tensors_required = 1
        manager.start()
        self._manager = manager
        threading.Thread(target=self._dispatch_results, args=[manager]).start()

    def _stop(self) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.stop(hard_stop=True)

    def _dispatch_results(self, manager: Any) -> None:
        """Pass the manager's results to the requests' queues, and stop the manager when it is no longer needed."""
        idle = 0
        while True:
            result = manager.get_result(timeout=POLL_SECONDS)
            with self._lock:
                if manager is not self._manager:
                    return
                if result is None and not manager.is_running():
                    return self._fail(RuntimeError("its thread has stopped."))
                if result is not None and result.error:
                    return self._fail(RuntimeError(result.error))
                if result is not None:
                    self._dispatch(result)
                self._fill_batch()
                if manager is not self._manager:
                    return
                idle = 0 if self._running else idle + 1
                # Python exits only after this thread. Requests of threads that have stopped are no longer needed.
                exiting = not threading.main_thread().is_alive()
                if idle > IDLE_POLLS or (exiting and not any(job.thread.is_alive() for job in self._running.values())):
                    return self._fail(RuntimeError("Python exits."))

    def _dispatch(self, result: Any) -> None:
        finished, name = result.is_finished(), result.request_id
        job = self._running.get(name)
        if job is not None:
            job.results.put((job.number, result.generated_tokens, finished))
        elif not finished:
            self._manager.cancel_request(name)  # again: the first call had no effect if its thread had no request yet
        if finished:
            self._running.pop(name, None)


_Results = queue.SimpleQueue[tuple[int, list[int], bool] | BaseException]  # (number, new ids so far, finished)


@dataclass(frozen=True)
class _Job:
    """A request with its index among the requests that were submitted together, and the queue of their results."""

    number: int
    request: Request
    streaming: bool
    results: _Results
    thread: threading.Thread = field(default_factory=threading.current_thread)

    @property
    def length(self) -> int:
        """Maximum number of tokens in the cache, rounded up."""
        return -(-(len(self.request.prompt) + self.request.max_new_tokens) // LENGTH_STEP) * LENGTH_STEP


def _checked(result: tuple[int, list[int], bool] | BaseException) -> tuple[int, list[int], bool]:
    if isinstance(result, BaseException):
        raise RuntimeError(f"The transformers backend failed: {result}") from result
    return result


class _Sampler(ContinuousBatchingLogitsProcessor):
    """Samples one token per request: its score becomes 0, and the scores of all other tokens -inf."""

    supported_kwargs = {"request": Request}  # noqa: RUF012
    ignored_kwargs = ()

    def __init__(self) -> None:
        self.batch: list[tuple[Request, list[int]]] = []  # each request with its ids so far, including the prompt

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """Set the unused tensor argument to 0."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        """Store the requests of this step; the tensor argument itself is not used."""
        states = [each.state for each in requests_with_new_token]
        self.batch = [
            (state.logit_processor_kwargs["request"], state.initial_tokens + state.generated_tokens) for state in states
        ]
        return torch.zeros(len(states), dtype=torch.int32)  # the chain accepts only numbers; `batch` has the requests

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """Return scores that allow one token per request; input and output have the shape (requests, vocabulary)."""
        by_settings: dict[_Settings, list[int]] = {}
        for row, (request, _) in enumerate(self.batch):
            by_settings.setdefault(_settings(request), []).append(row)
        tokens = torch.empty(len(self.batch), 1, dtype=torch.long, device=scores.device)
        for settings, rows in by_settings.items():
            tokens[rows] = self._sample(scores[rows], settings, [self.batch[row] for row in rows])
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)

    def _sample(
        self, scores: torch.Tensor, settings: "_Settings", batch: list[tuple[Request, list[int]]]
    ) -> torch.Tensor:
        """Sample one token for each of these requests, which share their settings; shape (requests, 1)."""
        of_history, of_scores = _processors(settings, scores.device)
        for row, (request, _) in zip(scores, batch, strict=True):
            for token, added in request.logit_bias:
                row[token] += added
        if of_history:
            rows = zip(batch, scores.split(1), strict=True)
            scores = torch.cat([of_history(torch.tensor([ids], device=row.device), row) for (_, ids), row in rows])
        scores = of_scores(None, scores)
        if settings.temperature == 0:
            return scores.argmax(-1, keepdim=True)
        # Exponential race (Gumbel-max trick), as in torch.multinomial. Rounding depends on the batch size. Here it
        # changes a sample only if two tokens are nearly tied; inverse transform sampling has a boundary at each token.
        generator = torch.Generator(scores.device)
        noise = torch.empty(scores.shape, dtype=torch.float64, device=scores.device)
        for row, (request, ids) in zip(noise, batch, strict=True):
            generator.manual_seed(_seed(request.seed, len(ids) - len(request.prompt)))
            row.uniform_(generator=generator)
        return (scores.softmax(-1, dtype=torch.float64) / noise.log_().neg_()).argmax(-1, keepdim=True)


def _seed(seed: int, position: int) -> int:
    """Return a seed that depends only on the request's seed and the position."""
    return random.Random(f"{seed}-{position}").getrandbits(63)


class _Settings(NamedTuple):
    """The options that determine a request's logits processors."""

    suppressed: tuple[int, ...]
    temperature: float
    top_p: float
    min_p: float
    repetition_penalty: float
    no_repeat_ngram_size: int


def _settings(request: Request) -> _Settings:
    return _Settings(*(getattr(request, name) for name in _Settings._fields))


@lru_cache(maxsize=256)
def _processors(request: _Settings, device: torch.device) -> tuple[LogitsProcessorList, LogitsProcessorList]:
    """Return (processors that need the ids so far, processors that need only the scores), in transformers' order."""
    of_history: list[LogitsProcessor] = []
    if request.repetition_penalty != 1:
        of_history.append(RepetitionPenaltyLogitsProcessor(request.repetition_penalty))
    if request.no_repeat_ngram_size:
        of_history.append(NoRepeatNGramLogitsProcessor(request.no_repeat_ngram_size))
    of_scores: list[LogitsProcessor] = []
    if request.suppressed:
        of_scores.append(SuppressTokensLogitsProcessor(list(request.suppressed), device=device))
    if request.temperature not in (0, 1):
        of_scores.append(TemperatureLogitsWarper(request.temperature))
    if request.temperature and 0 < request.top_p < 1:
        of_scores.append(TopPLogitsWarper(request.top_p))
    if request.temperature and request.min_p > 0:
        of_scores.append(MinPLogitsWarper(request.min_p))
    return LogitsProcessorList(of_history), LogitsProcessorList(of_scores)
