"""The engine: many requests at once, a bounded queue, deadlines, and clients that leave."""

import asyncio
import itertools
import threading
import time
from collections import Counter

import pytest

from movieplots.errors import BadInput
from movieplots.generation.backends.transformers import _Draws
from movieplots.generation.sampling import PlotGenerator, Sample
from movieplots.serving.engine import Busy, Engine, TooLate, WriteRequest
from tests.waiting import until


class Scribe:
    """A generator that writes numbered words, and notes how many plots it writes at once.

    Before each word it calls `before` with the word's number, from 1.
    """

    def __init__(self, words=5, before=lambda count: None, fails_at=None):
        self.words, self.before, self.fails_at = words, before, fails_at
        self.at_once = self.most = self.ended = 0
        self.lock = threading.Lock()

    def stream(self, genres, title, opening, *, temperature, top_p, seed, number=0, continue_opening=False):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            for count in range(1, self.words + 1):
                self.before(count)
                if count == self.fails_at:
                    raise BadInput("It failed.")
                plot = " ".join(f"{seed}-{number}-{i}" for i in range(count))
                yield Sample(", ".join(genres), title or "T", plot, temperature, top_p, seed, count < self.words)
        finally:
            with self.lock:
                self.at_once -= 1
                self.ended += 1


def endless():
    """A generator whose plots nobody can wait for: of more than a minute."""
    return Scribe(words=10_000, before=lambda count: time.sleep(0.01))


async def plots(engine, request):
    with engine.write(request) as writing:
        return {progress.index: progress.sample async for progress in writing if progress.done}


def run(work):
    return asyncio.run(work)


def emptied(engine):
    """Whether all places are free, soon after: a plot is told before its thread is done with it."""
    return until(lambda: engine.running == engine.waiting == 0)


def test_plots_of_transformers_share_batches_and_do_not_depend_on_each_other(untitled, monkeypatch):
    from transformers.generation.continuous_batching import ContinuousBatchingManager as Manager

    generator = PlotGenerator.from_pretrained(untitled, "transformers")
    options = {"top_p": 0.9, "temperature": 0.8}
    alone = [generator.generate(["drama"], seed=seed, **options)[0] for seed in range(6)]
    made, batches = [], []
    start, draw = Manager.start, _Draws.__call__
    monkeypatch.setattr(Manager, "start", lambda manager: [made.append(manager.is_running), start(manager)])
    monkeypatch.setattr(_Draws, "__call__", lambda all, *given: [batches.append(len(all.batch)), draw(all, *given)][1])
    engine = Engine(slots=8)

    async def together():
        with engine.write(WriteRequest(generator, ("drama",), n=2, seed=99)) as left:
            async for _ in left:
                break
        assert sum(running() for running in made) <= 1
        return await asyncio.gather(
            *(plots(engine, WriteRequest(generator, ("drama",), seed=seed, **options)) for seed in range(6))
        )

    assert [written[0] for written in run(together())] == alone
    assert max(batches) > 1
    assert sum(running() for running in made) <= 1
    assert emptied(engine)
    assert not generator.backend._running


def test_each_gets_its_own_plots():
    four = threading.Barrier(4)
    scribe = Scribe(before=lambda count: count == 1 and four.wait(30))
    engine = Engine(slots=4, queue=100)

    async def all_of_them():
        return await asyncio.gather(
            *(plots(engine, WriteRequest(scribe, ("drama",), n=2, seed=seed)) for seed in range(20))
        )

    for seed, written in enumerate(run(all_of_them())):
        assert written.keys() == {0, 1}
        for number, sample in written.items():
            assert sample.plot.split() == [f"{seed}-{number}-{i}" for i in range(5)]
            assert not sample.truncated
    assert scribe.most == 4
    assert emptied(engine)


def test_a_plot_is_told_as_it_grows():
    told = threading.Semaphore()

    async def grow():
        steps = []
        with Engine().write(WriteRequest(Scribe(before=lambda count: told.acquire(timeout=30)))) as writing:
            async for progress in writing:
                steps.append((progress.sample.plot, progress.done))
                told.release()
        return steps

    steps = run(grow())
    assert len({plot for plot, _ in steps}) == 5
    assert [done for _, done in steps] == [False] * (len(steps) - 1) + [True]
    assert all(after.startswith(before) for (before, _), (after, _) in itertools.pairwise(steps))


def test_a_full_queue_sends_away_and_takes_again():
    engine, go = Engine(slots=1, queue=1), threading.Event()

    async def crowd():
        writings = [engine.write(WriteRequest(Scribe(before=lambda count: go.wait(30)))) for _ in range(2)]
        with pytest.raises(Busy) as busy:
            engine.write(WriteRequest(Scribe()))
        assert busy.value.seconds >= 1
        go.set()
        for writing in writings:
            with writing:
                async for _ in writing:
                    pass
        return await plots(engine, WriteRequest(Scribe()))

    assert not run(crowd())[0].truncated


def test_who_leaves_gives_the_places_back():
    scribe = endless()
    counted = Counter()
    engine = Engine(slots=2, queue=10, count=lambda event, number: counted.update({event: number}))

    async def leave():
        with engine.write(WriteRequest(scribe, n=6)) as writing:
            async for _ in writing:
                if scribe.at_once == 2:
                    break
        assert emptied(engine)
        return await plots(engine, WriteRequest(Scribe()))

    assert not run(leave())[0].truncated
    assert emptied(engine) and scribe.at_once == 0
    assert scribe.ended == 2  # the four that waited were never begun
    assert counted["left"] == 2 and counted["plots"] == 1


def test_the_deadline_ends_what_takes_too_long():
    scribe = endless()
    engine = Engine()

    async def wait():
        with pytest.raises(TooLate, match=r"not finished within 0\.2 seconds"):
            await plots(engine, WriteRequest(scribe, seconds=0.2))

    run(wait())
    assert emptied(engine) and scribe.at_once == 0


def test_a_failure_reaches_who_asked_and_nobody_else():
    engine = Engine(slots=2)

    async def both():
        return await asyncio.gather(
            plots(engine, WriteRequest(Scribe(fails_at=3))),
            plots(engine, WriteRequest(Scribe())),
            return_exceptions=True,
        )

    failed, fine = run(both())
    assert isinstance(failed, BadInput) and str(failed) == "It failed."
    assert not fine[0].truncated
    assert emptied(engine)


def test_plots_are_cut_at_the_most_words():
    written = run(plots(Engine(), WriteRequest(Scribe(words=9), max_words=4)))
    assert written[0].plot.split() == [f"0-0-{i}" for i in range(4)]
    assert written[0].truncated
    assert not run(plots(Engine(), WriteRequest(Scribe(words=4), max_words=4)))[0].truncated
