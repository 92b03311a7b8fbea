"""The engine: many requests at once, a bounded queue, deadlines, and clients that leave."""

import asyncio
import itertools
import threading
import time
from collections import Counter

import pytest

from movieplots.errors import BadInput
from movieplots.generation.sampling import Sample
from movieplots.serving.engine import Busy, Engine, TooLate, WriteRequest


class Scribe:
    """A generator that writes numbered words, one each `pause` seconds, and notes how many plots it writes at once."""

    def __init__(self, words=5, pause=0.0, fails_at=None):
        self.words, self.pause, self.fails_at = words, pause, fails_at
        self.at_once = self.most = self.ended = 0
        self.lock = threading.Lock()

    def stream(self, genres, title, opening, *, temperature, top_p, seed, number=0, continue_opening=False):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            for count in range(1, self.words + 1):
                time.sleep(self.pause)
                if count == self.fails_at:
                    raise BadInput("It failed.")
                plot = " ".join(f"{seed}-{number}-{i}" for i in range(count))
                yield Sample(", ".join(genres), title or "T", plot, temperature, top_p, seed, count < self.words)
        finally:
            with self.lock:
                self.at_once -= 1
                self.ended += 1


async def plots(engine, request):
    with engine.write(request) as writing:
        return {progress.index: progress.sample async for progress in writing if progress.done}


def run(work):
    return asyncio.run(work)


def emptied(engine):
    """Whether all places are free, soon after: a plot is told before its thread is done with it."""
    until = time.monotonic() + 10
    while engine.running + engine.waiting and time.monotonic() < until:
        time.sleep(0.01)
    return engine.running == engine.waiting == 0


def test_each_gets_its_own_plots():
    scribe = Scribe(pause=0.001)
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
    assert 1 < scribe.most <= 4
    assert emptied(engine)


def test_a_plot_is_told_as_it_grows():
    async def grow():
        with Engine().write(WriteRequest(Scribe(pause=0.02))) as writing:
            return [(progress.sample.plot, progress.done) async for progress in writing]

    steps = run(grow())
    assert len(steps) > 2
    assert [done for _, done in steps] == [False] * (len(steps) - 1) + [True]
    assert all(after.startswith(before) for (before, _), (after, _) in itertools.pairwise(steps))


def test_a_full_queue_sends_away_and_takes_again():
    engine = Engine(slots=1, queue=1)

    async def crowd():
        writings = [engine.write(WriteRequest(Scribe(pause=0.01))) for _ in range(2)]
        with pytest.raises(Busy) as busy:
            engine.write(WriteRequest(Scribe()))
        assert busy.value.seconds >= 1
        for writing in writings:
            with writing:
                async for _ in writing:
                    pass
        return await plots(engine, WriteRequest(Scribe()))

    assert not run(crowd())[0].truncated


def test_who_leaves_gives_the_places_back():
    scribe = Scribe(words=1000, pause=0.01)
    counted = Counter()
    engine = Engine(slots=2, queue=10, count=lambda event, number: counted.update({event: number}))

    async def leave():
        with engine.write(WriteRequest(scribe, n=6)) as writing:
            async for _ in writing:
                break
        until = time.monotonic() + 5
        while engine.running + engine.waiting and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return await plots(engine, WriteRequest(Scribe()))

    assert not run(leave())[0].truncated
    assert engine.running == engine.waiting == scribe.at_once == 0
    assert scribe.ended == 2  # the four that waited were never begun
    assert counted["left"] == 2 and counted["plots"] == 1


def test_the_deadline_ends_what_takes_too_long():
    scribe = Scribe(words=1000, pause=0.01)
    engine = Engine()

    async def wait():
        with pytest.raises(TooLate, match=r"not finished within 0\.2 seconds"):
            await plots(engine, WriteRequest(scribe, seconds=0.2))
        await asyncio.sleep(0.1)

    run(wait())
    assert scribe.at_once == 0


def test_a_failure_reaches_who_asked_and_nobody_else():
    engine = Engine(slots=2)

    async def both():
        return await asyncio.gather(
            plots(engine, WriteRequest(Scribe(fails_at=3))),
            plots(engine, WriteRequest(Scribe(pause=0.01))),
            return_exceptions=True,
        )

    failed, fine = run(both())
    assert isinstance(failed, BadInput) and str(failed) == "It failed."
    assert not fine[0].truncated
    engine._threads.shutdown()  # the last word of a plot is told before its thread is done
    assert emptied(engine)


def test_plots_are_cut_at_the_most_words():
    written = run(plots(Engine(), WriteRequest(Scribe(words=9), max_words=4)))
    assert written[0].plot.split() == [f"0-0-{i}" for i in range(4)]
    assert written[0].truncated
    assert not run(plots(Engine(), WriteRequest(Scribe(words=4), max_words=4)))[0].truncated
