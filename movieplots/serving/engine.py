"""Concurrent generation of plots for many clients.

Each plot is one task of a thread pool of fixed size. A task iterates over `PlotGenerator.stream_with_usage`, and the
backend decodes all running plots in one batch. The queue is bounded: a request that does not fit raises `QueueFull`.
After a request was cancelled or timed out, its plots stop at their next token. A title that must be generated before a
given opening is completed first.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from movieplots.generation.backends.base import BackendFailed
from movieplots.generation.sampling import PlotGenerator, Sample, Usage
from movieplots.generation.sampling_settings import Sampling

RECENT = 50  # finished plots from which the waiting time is estimated


class QueueFull(Exception):
    """The queue has no room for the request; `retry_after` is the estimated waiting time in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"The server is busy. Try again in {retry_after} s.")
        self.retry_after = retry_after


class DeadlineExceeded(Exception):
    """The time limit of the request passed before the result was complete."""


@dataclass(frozen=True)
class WriteRequest:
    """A request for `n` plots.

    `max_words` bounds the words of each plot after the opening. `seconds` is the time limit of the request. With
    `live`, progress is reported after each token, otherwise only for finished plots.
    """

    generator: PlotGenerator
    genres: tuple[str, ...] = ()
    title: str | None = None
    opening: str = ""
    n: int = 1
    temperature: float = Sampling.temperature
    top_p: float = Sampling.top_p
    seed: int = 0
    max_words: int | None = None
    continue_opening: bool = False
    keywords: tuple[str, ...] = ()
    length: str | None = None
    avoid: tuple[str, ...] = ()
    seconds: float = 60.0
    live: bool = True


@dataclass(frozen=True)
class Progress:
    """The current state of plot number `index` of a request; `done` marks the last state."""

    index: int
    sample: Sample
    usage: Usage
    done: bool


class Engine:
    """Thread pool that generates at most `slots` plots at the same time and lets at most `queue` plots wait.

    `count(event, number)` is called for these events: `tokens` and `plots` generated, `first_token` (seconds since the
    request), and `cancelled` (plots stopped early).
    """

    def __init__(
        self, slots: int = 16, queue: int = 64, count: Callable[[str, float], None] = lambda event, number: None
    ) -> None:
        self.slots, self.queue, self._count = slots, queue, count
        self._threads = ThreadPoolExecutor(slots, "plot")
        self._lock = threading.Lock()
        self._pending = self._running = 0
        self._jobs: set[WriteJob] = set()
        self._durations: deque[float] = deque([1.0], maxlen=RECENT)

    @property
    def running(self) -> int:
        """Number of plots being generated."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of plots in the queue."""
        return max(0, self._pending - self._running)

    def write(self, request: WriteRequest) -> "WriteJob":
        """Start a job for the request; raise QueueFull if the queue has no room for it."""
        with self._lock:
            excess = self._pending + request.n - self.slots
            if excess > self.queue:
                mean = sum(self._durations) / len(self._durations)
                raise QueueFull(max(1, round(mean * excess / self.slots)))
            self._pending += request.n
        return WriteJob(self, request)

    def close(self) -> None:
        """Cancel all jobs and shut the thread pool down."""
        for job in list(self._jobs):
            job.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finished(self, _: Future[None]) -> None:
        with self._lock:
            self._pending -= 1

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._durations.append(time.monotonic() - started)


class WriteJob:
    """The plots of one request while they are generated: an asynchronous iterator over their `Progress`.

    Plots come in any order. Intermediate states may be skipped; the last state of a plot never is. Iteration raises
    DeadlineExceeded at the time limit, and any exception of a plot. Use it as a context manager, or call
    `cancel`, so that unfinished plots free their slots.
    """

    def __init__(self, engine: Engine, request: WriteRequest) -> None:
        self.engine, self.request, self.loop = engine, request, asyncio.get_running_loop()
        self.started = time.monotonic()
        self.cancelled = threading.Event()
        self.changed = asyncio.Event()
        self.states: dict[int, Progress] = {}
        self.error: BaseException | None = None
        engine._jobs.add(self)
        self.futures = [engine._threads.submit(self._run, index) for index in range(request.n)]
        for future in self.futures:
            future.add_done_callback(engine._finished)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """Yield the progress of the plots until all are done."""
        unfinished = self.request.n
        while unfinished:
            try:
                await asyncio.wait_for(self.changed.wait(), self.started + self.request.seconds - time.monotonic())
            except TimeoutError:
                raise DeadlineExceeded(
                    f"The plots were not finished within {self.request.seconds:g} seconds."
                ) from None
            self.changed.clear()
            if self.error:
                raise self.error
            states, self.states = self.states, {}
            for progress in states.values():
                unfinished -= progress.done
                yield progress

    def cancel(self) -> None:
        """Remove waiting plots from the queue, and stop running ones at their next token."""
        self.engine._jobs.discard(self)
        self.cancelled.set()
        for future in self.futures:
            future.cancel()

    def __enter__(self) -> "WriteJob":
        """Return the job."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel unfinished plots."""
        self.cancel()

    def _run(self, index: int) -> None:
        if self.cancelled.is_set():
            return
        try:
            with self.engine._slot():
                self._write(index)
        except BaseException as error:
            failure = error  # Python deletes the name `error` at the end of this block
            self._update(lambda: setattr(self, "error", self.error or failure))

    def _write(self, index: int) -> None:
        request, count = self.request, self.engine._count
        samples = request.generator.stream_with_usage(
            request.genres,
            request.title,
            request.opening,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            number=index,
            continue_opening=request.continue_opening,
            keywords=request.keywords,
            length=request.length,
            avoid=request.avoid,
        )
        max_words = request.max_words and request.max_words + len(request.opening.split())
        last = None
        with contextlib.closing(samples):
            for position, (sample, usage) in enumerate(samples):
                if self.cancelled.is_set():
                    return count("cancelled", 1)
                count("tokens", 1)
                if position == 0:
                    count("first_token", time.monotonic() - self.started)
                words = sample.plot.split()
                if max_words and len(words) > max_words:
                    last = replace(sample, plot=" ".join(words[:max_words]), truncated=True), usage
                    break
                last = sample, usage
                if request.live:
                    self._report(Progress(index, sample, usage, done=False))
        if last is None:
            raise BackendFailed("The model generated no text.")
        count("plots", 1)
        self._report(Progress(index, *last, done=True))

    def _report(self, progress: Progress) -> None:
        self._update(lambda: self.states.__setitem__(progress.index, progress))

    def _update(self, change: Callable[[], None]) -> None:
        """Apply a change in the event loop and wake the iterator."""

        def apply() -> None:
            change()
            self.changed.set()

        with contextlib.suppress(RuntimeError):  # the loop is closed: no iterator is left
            self.loop.call_soon_threadsafe(apply)
