"""The engine: concurrent requests, a bounded queue, time limits, and cancelled requests."""

import asyncio
import itertools
import threading
import time
from collections import Counter

import pytest

from movieplots.errors import BadInput
from movieplots.generation.backends.transformers import _Sampler
from movieplots.generation.sampling import PlotGenerator, Sample, Usage
from movieplots.serving.engine import DeadlineExceeded, Engine, QueueFull, WriteRequest
from tests.waiting import until


class FakeGenerator:
    """A generator that writes numbered words, and counts how many plots it writes at the same time.

    Before each word it calls `before` with the number of the word, from 1.
    """

    def __init__(self, words=5, before=lambda count: None, fails_at=None):
        self.words, self.before, self.fails_at = words, before, fails_at
        self.at_once = self.most = self.ended = 0
        self.lock = threading.Lock()

    def stream_with_usage(self, genres, title, opening, *, temperature, top_p, seed, number=0, **_):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            for count in range(1, self.words + 1):
                self.before(count)
                if count == self.fails_at:
                    raise BadInput("It failed.")
                plot = " ".join(f"{seed}-{number}-{i}" for i in range(count))
                sample = Sample(", ".join(genres), title or "T", plot, temperature, top_p, seed, count < self.words)
                yield sample, Usage(7, count)
        finally:
            with self.lock:
                self.at_once -= 1
                self.ended += 1


def endless():
    """A generator whose plots take more than a minute."""
    return FakeGenerator(words=10_000, before=lambda count: time.sleep(0.01))


async def plots(engine, request):
    with engine.write(request) as job:
        return {progress.index: progress.sample async for progress in job if progress.done}


def run(work):
    return asyncio.run(work)


def emptied(engine):
    """Whether all slots become free: a plot is reported before its thread has finished."""
    return until(lambda: engine.running == engine.waiting == 0)


def test_plots_of_transformers_share_batches_and_do_not_depend_on_each_other(untitled, monkeypatch):
    from transformers.generation.continuous_batching import ContinuousBatchingManager as Manager

    generator = PlotGenerator.from_pretrained(untitled, "transformers")
    options = {"top_p": 0.9, "temperature": 0.8}
    alone = [generator.generate(["drama"], seed=seed, **options)[0] for seed in range(6)]
    made, batches = [], []
    start, draw = Manager.start, _Sampler.__call__
    monkeypatch.setattr(Manager, "start", lambda manager: [made.append(manager.is_running), start(manager)])
    monkeypatch.setattr(
        _Sampler, "__call__", lambda all, *given: [batches.append(len(all.batch)), draw(all, *given)][1]
    )
    engine = Engine(slots=8)

    async def together():
        with engine.write(WriteRequest(generator, ("drama",), n=2, seed=99)) as cancelled:
            async for _ in cancelled:
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


def test_each_request_gets_its_own_plots():
    four = threading.Barrier(4)
    generator = FakeGenerator(before=lambda count: count == 1 and four.wait(30))
    engine = Engine(slots=4, queue=100)

    async def all_of_them():
        return await asyncio.gather(
            *(plots(engine, WriteRequest(generator, ("drama",), n=2, seed=seed)) for seed in range(20))
        )

    for seed, written in enumerate(run(all_of_them())):
        assert written.keys() == {0, 1}
        for number, sample in written.items():
            assert sample.plot.split() == [f"{seed}-{number}-{i}" for i in range(5)]
            assert not sample.truncated
    assert generator.most == 4
    assert emptied(engine)


def test_progress_is_reported_as_a_plot_grows():
    reported = threading.Semaphore()

    async def grow():
        steps = []
        with Engine().write(WriteRequest(FakeGenerator(before=lambda count: reported.acquire(timeout=30)))) as job:
            async for progress in job:
                steps.append((progress.sample.plot, progress.done))
                reported.release()
        return steps

    steps = run(grow())
    assert len({plot for plot, _ in steps}) == 5
    assert [done for _, done in steps] == [False] * (len(steps) - 1) + [True]
    assert all(after.startswith(before) for (before, _), (after, _) in itertools.pairwise(steps))


def test_a_full_queue_refuses_requests_until_there_is_room():
    engine, go = Engine(slots=1, queue=1), threading.Event()

    async def crowd():
        jobs = [engine.write(WriteRequest(FakeGenerator(before=lambda count: go.wait(30)))) for _ in range(2)]
        with pytest.raises(QueueFull) as refused:
            engine.write(WriteRequest(FakeGenerator()))
        assert refused.value.retry_after >= 1
        go.set()
        for job in jobs:
            with job:
                async for _ in job:
                    pass
        return await plots(engine, WriteRequest(FakeGenerator()))

    assert not run(crowd())[0].truncated


def test_a_cancelled_request_frees_its_slots():
    generator = endless()
    counted = Counter()
    engine = Engine(slots=2, queue=10, count=lambda event, number: counted.update({event: number}))

    async def cancel():
        with engine.write(WriteRequest(generator, n=6)) as job:
            async for _ in job:
                if generator.at_once == 2:
                    break
        assert emptied(engine)
        return await plots(engine, WriteRequest(FakeGenerator()))

    assert not run(cancel())[0].truncated
    assert emptied(engine) and generator.at_once == 0
    assert generator.ended == 2  # the four that waited never started
    assert counted["cancelled"] == 2 and counted["plots"] == 1


def test_the_time_limit_stops_plots():
    generator = endless()
    engine = Engine()

    async def wait():
        with pytest.raises(DeadlineExceeded, match=r"not finished within 0\.2 seconds"):
            await plots(engine, WriteRequest(generator, seconds=0.2))

    run(wait())
    assert emptied(engine) and generator.at_once == 0


def test_a_failure_affects_only_its_own_request():
    engine = Engine(slots=2)

    async def both():
        return await asyncio.gather(
            plots(engine, WriteRequest(FakeGenerator(fails_at=3))),
            plots(engine, WriteRequest(FakeGenerator())),
            return_exceptions=True,
        )

    failed, fine = run(both())
    assert isinstance(failed, BadInput) and str(failed) == "It failed."
    assert not fine[0].truncated
    assert emptied(engine)


def test_plots_are_truncated_at_max_words():
    written = run(plots(Engine(), WriteRequest(FakeGenerator(words=9), max_words=4)))
    assert written[0].plot.split() == [f"0-0-{i}" for i in range(4)]
    assert written[0].truncated
    assert not run(plots(Engine(), WriteRequest(FakeGenerator(words=4), max_words=4)))[0].truncated


def test_token_counts_of_a_job():
    async def usage():
        with Engine().write(WriteRequest(FakeGenerator(words=9), n=2, max_words=4)) as job:
            return [progress.usage async for progress in job if progress.done]

    assert run(usage()) == [Usage(7, 5)] * 2  # the fifth word shows that the fourth was the last


def test_token_counts_of_a_real_generator(trained):
    generator = PlotGenerator.from_pretrained(trained[0])
    tokenizer = generator.tokenizer

    def used(**options):
        *_, (sample, usage) = generator.stream_with_usage(["horror"], seed=3, max_tokens=40, **options)
        *_, same = generator.stream(["horror"], seed=3, max_tokens=40, **options)
        assert same == sample
        return sample, usage

    _, alone = used()
    assert alone.prompt_tokens == len(tokenizer.prompt("horror")) and 0 < alone.completion_tokens <= 40
    _, given = used(title="Salt (2009)", opening="The sea")
    assert given.prompt_tokens == len(tokenizer.prompt("horror", "Salt (2009)", "The sea"))
    sample, opened = used(opening="The sea")  # its title is generated first
    prompts = [tokenizer.prompt("horror"), tokenizer.prompt("horror", sample.title, "The sea")]
    assert opened.prompt_tokens == sum(map(len, prompts))
    assert opened.completion_tokens > len(tokenizer.encode(sample.title))
