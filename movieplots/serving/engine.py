"""Writes the plots that many clients ask for at once.

Each plot is one piece of work for one of a fixed number of threads, and each thread draws from `PlotGenerator.stream`,
whose backend continues all of them together. What waits is bounded: who comes when the queue is full is told when to
come again. A plot that nobody waits for any more, or whose time is up, ends at its next token (a title that has to be
found first is finished).
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
from movieplots.generation.sampling import PlotGenerator, Sample
from movieplots.generation.sampling_settings import Sampling

REMEMBERED = 50  # finished plots from which the waiting time is estimated


class Busy(Exception):
    """The queue is full. `seconds` says when to come again."""

    def __init__(self, seconds: int, what: str = "plots are being written") -> None:
        super().__init__(f"Too many {what}: try again in {seconds} s.")
        self.seconds = seconds


class TooLate(Exception):
    """The deadline passed before all plots were finished."""


@dataclass(frozen=True)
class WriteRequest:
    """`n` plots that one client asks for together.

    `max_words` bounds what each has beyond the opening, `seconds` is the time they may take.
    With `live` their progress is told as they grow, else only the finished plots.
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
    seconds: float = 60.0
    live: bool = True


@dataclass(frozen=True)
class Progress:
    """How far plot number `index` of a request has grown; `done` with its last words."""

    index: int
    sample: Sample
    done: bool


class Engine:
    """Writes at most `slots` plots at once, lets at most `queue` wait. `count(event, number)` is told what happens.

    Events: `tokens` and `plots` written, `first_token` (seconds after the request), and `left` (a plot given up).
    """

    def __init__(
        self, slots: int = 16, queue: int = 64, count: Callable[[str, float], None] = lambda event, number: None
    ) -> None:
        self.slots, self.queue, self._count = slots, queue, count
        self._threads = ThreadPoolExecutor(slots, "plot")
        self._lock = threading.Lock()
        self._open = self._running = 0
        self._writings: set[Writing] = set()
        self._seconds: deque[float] = deque([1.0], maxlen=REMEMBERED)

    @property
    def running(self) -> int:
        """Plots that are being written."""
        return self._running

    @property
    def waiting(self) -> int:
        """Plots that wait for a place."""
        return max(0, self._open - self._running)

    def write(self, request: WriteRequest) -> "Writing":
        """Begin to write; raises Busy where there is no room. What comes of it is for the one who iterates over it."""
        with self._lock:
            ahead = self._open + request.n - self.slots
            if ahead > self.queue:
                mean = sum(self._seconds) / len(self._seconds)
                raise Busy(max(1, round(mean * ahead / self.slots)))
            self._open += request.n
        return Writing(self, request)

    def close(self) -> None:
        """End the threads; what they write is given up."""
        for writing in list(self._writings):
            writing.leave()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finished(self, _: Future[None]) -> None:
        with self._lock:
            self._open -= 1

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._seconds.append(time.monotonic() - started)


class Writing:
    """The plots of one request, as they grow. Iterating yields each again and again, those of a request in any order.

    States may be skipped, the last one of a plot never. Raises TooLate at the deadline, and BadInput. Whoever leaves
    has to `leave`: what waits is then taken out, what is being written ends at its next token.
    """

    def __init__(self, engine: Engine, request: WriteRequest) -> None:
        self.engine, self.request, self.loop = engine, request, asyncio.get_running_loop()
        self.begun = time.monotonic()
        self.given_up = threading.Event()
        self.changed = asyncio.Event()
        self.states: dict[int, Progress] = {}
        self.error: BaseException | None = None
        engine._writings.add(self)
        self.futures = [engine._threads.submit(self._work, index) for index in range(request.n)]
        for future in self.futures:
            future.add_done_callback(engine._finished)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        left = self.request.n
        while left:
            try:
                await asyncio.wait_for(self.changed.wait(), self.begun + self.request.seconds - time.monotonic())
            except TimeoutError:
                raise TooLate(f"The plots were not finished within {self.request.seconds:g} seconds.") from None
            self.changed.clear()
            if self.error:
                raise self.error
            states, self.states = self.states, {}
            for progress in states.values():
                left -= progress.done
                yield progress

    def leave(self) -> None:
        """Give the places back."""
        self.engine._writings.discard(self)
        self.given_up.set()
        for future in self.futures:
            future.cancel()

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _work(self, index: int) -> None:
        if self.given_up.is_set():
            return
        try:
            with self.engine._place():
                self._write(index)
        except BaseException as error:
            failed = error  # the name `error` ends with this block
            self._tell(lambda: setattr(self, "error", self.error or failed))

    def _write(self, index: int) -> None:
        request, count = self.request, self.engine._count
        samples = request.generator.stream(
            request.genres,
            request.title,
            request.opening,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            number=index,
            continue_opening=request.continue_opening,
        )
        most = request.max_words and request.max_words + len(request.opening.split())
        sample = None
        with contextlib.closing(samples):
            for position, sample in enumerate(samples):
                if self.given_up.is_set():
                    return count("left", 1)
                count("tokens", 1)
                if position == 0:
                    count("first_token", time.monotonic() - self.begun)
                words = sample.plot.split()
                if most and len(words) > most:
                    sample = replace(sample, plot=" ".join(words[:most]), truncated=True)
                    break
                if request.live:
                    self._report(Progress(index, sample, done=False))
        if sample is None:
            raise BackendFailed("The model wrote nothing.")
        count("plots", 1)
        self._report(Progress(index, sample, done=True))

    def _report(self, progress: Progress) -> None:
        self._tell(lambda: self.states.__setitem__(progress.index, progress))

    def _tell(self, change: Callable[[], None]) -> None:
        def do() -> None:
            change()
            self.changed.set()

        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody listens any more
            self.loop.call_soon_threadsafe(do)
