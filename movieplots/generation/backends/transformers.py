"""The reference backend: the continuous batching of transformers, on the GPU where there is one.

The library schedules requests, keeps their caches in pages and refills the batch. Its sampling draws from one generator
for the whole batch and drops what needs a request's history; so a processor of ours stands at the end of its chain: it
applies transformers' own logits processors to each request and draws from the request's own seed. It runs outside of
CUDA graphs, because it reads what the requests have written so far.

None of that processor's interface is documented, nor how it gets into the chain, so pyproject.toml bounds the versions
of transformers to those that `make transformers-bounds` tests.
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

ROWS, ROWS_ON_CPU, ROWS_ON_GPU = 16, 32, 256  # requests at once: a place for so many at least, and at most
PAGE = 32  # tokens
GRAIN = 256  # tokens: what a request may need is rounded up to this, so that few managers have to be started anew
LOOK = 0.1  # seconds between two looks whether the manager is still needed
IDLE = 10  # such looks without a request, after which it ends; to start one takes less than a look


class TransformersBackend:
    """Decodes with a causal language model of transformers: all requests, of all threads, in one batch.

    The batch has a manager of the library, which has a thread and a cache. It starts with the first request and ends
    when there has been none for a moment, or with Python. A request that does not fit into it waits, and those behind
    it, until it is empty; then a larger one is started.
    """

    name = "transformers"

    def __init__(self, model: Any) -> None:
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.context = context_of(model)
        self._lock = threading.RLock()  # for all below; an iterator that is lost ends wherever memory is collected
        self._ids = itertools.count()
        self._waiting: dict[str, _Job] = {}
        self._running: dict[str, _Job] = {}
        self._manager: Any = None
        self._rows = self._room = 0

    def decode(self, requests: Sequence[Request]) -> Decoded:
        with self._asked(requests) as results:
            for _ in requests:
                number, ids, _ = _checked(results.get())
                yield number, ids

    def stream(self, request: Request) -> Tokens:
        given, finished = 0, False
        with self._asked([request], streaming=True) as results:
            while not finished:
                _, ids, finished = _checked(results.get())
                yield from ids[given:]
                given = len(ids)

    @contextmanager
    def _asked(self, requests: Sequence[Request], streaming: bool = False) -> "Iterator[_Results]":
        """Have these decoded in the background; left early, what is still running is given up."""
        results: _Results = queue.SimpleQueue()
        jobs = {str(next(self._ids)): _Job(i, request, streaming, results) for i, request in enumerate(requests)}
        try:
            with self._lock:
                self._waiting |= jobs
                self._fill()
            yield results
        finally:
            with self._lock:
                for name in jobs:
                    self._waiting.pop(name, None)
                    if self._running.pop(name, None):
                        self._manager.cancel_request(name)

    def _fill(self) -> None:
        """Give the manager what waits and fits."""
        try:
            self._give()
        except BaseException as error:  # those who wait would do so for ever otherwise
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        for job in (*self._running.values(), *self._waiting.values()):
            job.results.put(error)
        self._running, self._waiting = {}, {}
        self._stop()

    def _give(self) -> None:
        while self._waiting:
            name, job = next(iter(self._waiting.items()))
            full = len(self._running) == self._rows
            if self._manager is None or job.room > self._room or (full and self._rows < self._most_rows()):
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

    def _most_rows(self) -> int:
        return ROWS_ON_GPU if self.model.device.type == "cuda" else ROWS_ON_CPU

    def _start(self) -> None:
        """Start a manager that is large enough for all that wait."""
        self._rows = min(max(len(self._waiting), ROWS), self._most_rows())
        self._room = max((job.room for job in self._waiting.values()), default=GRAIN)
        # The library would take most of the free memory for the cache: this is what so many requests can need at most.
        config = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=self._rows * (self._room // PAGE + 1),
            max_batch_tokens=max(self._rows, min(self._room, 512)),
            max_requests_per_batch=self._rows,
            allow_block_sharing=False,
            use_async_batching=False,
            use_cuda_graph=False,
            safety_margin=0.0,
        )
        greedy = GenerationConfig(do_sample=False, eos_token_id=-1)  # the draws are made by then
        manager = self.model.init_continuous_batching(greedy, config)
        manager.logit_processor = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([_Draws()]))
        manager.logit_processor.tensors_required = 1
        manager.start()
        self._manager = manager
        threading.Thread(target=self._hand_out, args=[manager]).start()

    def _stop(self) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.stop(hard_stop=True)

    def _hand_out(self, manager: Any) -> None:
        """Give what the manager writes to those who asked, and end it when nobody needs it any more."""
        idle = 0
        while True:
            result = manager.get_result(timeout=LOOK)
            with self._lock:
                if manager is not self._manager:
                    return
                if result is None and not manager.is_running():
                    return self._fail(RuntimeError("its thread has ended."))
                if result is not None and result.error:
                    return self._fail(RuntimeError(result.error))
                if result is not None:
                    self._tell(result)
                self._fill()
                if manager is not self._manager:
                    return
                idle = 0 if self._running else idle + 1
                # Python ends when all threads have ended: what was asked for in one that has is not wanted any more.
                ending = not threading.main_thread().is_alive()
                if idle > IDLE or (ending and not any(job.thread.is_alive() for job in self._running.values())):
                    return self._fail(RuntimeError("Python ends."))

    def _tell(self, result: Any) -> None:
        finished, name = result.is_finished(), result.request_id
        job = self._running.get(name)
        if job is not None:
            job.results.put((job.number, result.generated_tokens, finished))
        elif not finished:
            self._manager.cancel_request(name)  # the library forgets it where the request had not reached its thread
        if finished:
            self._running.pop(name, None)


_Results = queue.SimpleQueue[tuple[int, list[int], bool] | BaseException]  # (number, new ids so far, finished)


@dataclass(frozen=True)
class _Job:
    """Request number `number` of those that somebody asked for together, who waits for its results."""

    number: int
    request: Request
    streaming: bool
    results: _Results
    thread: threading.Thread = field(default_factory=threading.current_thread)

    @property
    def room(self) -> int:
        """Tokens that it needs in the cache, rounded up."""
        return -(-(len(self.request.prompt) + self.request.max_new_tokens) // GRAIN) * GRAIN


def _checked(result: tuple[int, list[int], bool] | BaseException) -> tuple[int, list[int], bool]:
    if isinstance(result, BaseException):
        raise RuntimeError(f"The backend failed: {result}") from result
    return result


class _Draws(ContinuousBatchingLogitsProcessor):
    """From the scores of the batch to one token for each request, which is left with a score of 0, all others -inf."""

    supported_kwargs = {"request": Request}  # noqa: RUF012
    ignored_kwargs = ()

    def __init__(self) -> None:
        self.batch: list[tuple[Request, list[int]]] = []  # each request with its ids so far, prompt included

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        states = [each.state for each in requests_with_new_token]
        self.batch = [
            (state.logit_processor_kwargs["request"], state.initial_tokens + state.generated_tokens) for state in states
        ]
        return torch.zeros(len(states), dtype=torch.int32)  # the chain passes numbers only; ours are in `batch`

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """`scores` (requests, vocabulary) -> the same shape."""
        alike: dict[_Settings, list[int]] = {}
        for row, (request, _) in enumerate(self.batch):
            alike.setdefault(_settings(request), []).append(row)
        tokens = torch.empty(len(self.batch), 1, dtype=torch.long, device=scores.device)
        for settings, rows in alike.items():
            tokens[rows] = self._draw(scores[rows], settings, [self.batch[row] for row in rows])
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)

    def _draw(
        self, scores: torch.Tensor, settings: "_Settings", batch: list[tuple[Request, list[int]]]
    ) -> torch.Tensor:
        """One token for each of these requests, which share their settings; shape (requests, 1)."""
        of_history, of_scores = _processors(settings, scores.device)
        if of_history:
            rows = zip(batch, scores.split(1), strict=True)
            scores = torch.cat([of_history(torch.tensor([ids], device=row.device), row) for (_, ids), row in rows])
        scores = of_scores(None, scores)
        if settings.temperature == 0:
            return scores.argmax(-1, keepdim=True)
        # An exponential race, as in torch.multinomial: rounding, which differs with the size of the batch, moves a draw
        # only where two tokens are nearly level, while a walk along the summed probabilities has an edge at each token.
        generator = torch.Generator(scores.device)
        noise = torch.empty(scores.shape, dtype=torch.float64, device=scores.device)
        for row, (request, ids) in zip(noise, batch, strict=True):
            generator.manual_seed(_seed(request.seed, len(ids) - len(request.prompt)))
            row.uniform_(generator=generator)
        return (scores.softmax(-1, dtype=torch.float64) / noise.log_().neg_()).argmax(-1, keepdim=True)


def _seed(seed: int, position: int) -> int:
    """A seed that depends on the sample and the place in it alone."""
    return random.Random(f"{seed}-{position}").getrandbits(63)


class _Settings(NamedTuple):
    """What decides a request's logits processors."""

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
    """(those that read what a request has written so far, those that need its scores only), in transformers' order."""
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
