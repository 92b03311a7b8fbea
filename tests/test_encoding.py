"""Batches for encoders: every text once, in order, on one core and on all."""

from threading import Barrier, Thread

import numpy as np
import pytest
import torch

from movieplots.pretrained import encoding
from movieplots.pretrained.batches import make_batches

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def threads(request):
    """Torch's number of threads during a test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def tokenize(texts):
    longest = max(map(len, texts))
    return {"codes": torch.tensor([[*map(ord, text)] + [0] * (longest - len(text)) for text in texts]), "kind": "text"}


def forward(features):
    assert features["kind"] == "text" and torch.is_inference_mode_enabled()
    return torch.stack([features["codes"].sum(dim=1), (features["codes"] > 0).sum(dim=1)], dim=1)


def test_each_row_belongs_to_its_text(threads, monkeypatch):
    monkeypatch.setattr(encoding, "ON_CPU", 60)
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, rng.integers(97, 123, size=size))) for size in rng.integers(1, 90, size=200)]
    rows = encoding.encode(texts, tokenize, forward, CPU, max_tokens=512)
    assert rows.tolist() == [[sum(map(ord, text)), len(text)] for text in texts]
    assert torch.get_num_threads() == threads
    assert encoding.encode(texts[:1], tokenize, forward, CPU, max_tokens=512).tolist() == rows[:1].tolist()


def test_batches_are_filled():
    lengths = [3, 50, 7, 10, 9, 10, 1, 8]
    batches = make_batches(lengths, 100, 20)
    assert batches == [[1], [3, 5], [4, 7], [2, 0], [6]]
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))


def test_a_long_text_counts_up_to_its_truncation(monkeypatch):
    sizes = []

    def counting(texts):
        sizes.append(len(texts))
        return {"codes": torch.ones(len(texts), 1), "kind": "text"}

    monkeypatch.setattr(encoding, "ON_CPU", 4_000)
    encoding.encode(["x" * 100_000] * 8, counting, forward, CPU, max_tokens=250)  # a token is about four characters
    assert sorted(sizes) == [4, 4]


def test_an_error_stops_the_work_and_restores_the_number_of_threads(threads, monkeypatch):
    monkeypatch.setattr(encoding, "ON_CPU", 2)
    worked = []

    def failing(features):
        worked.append(1)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        encoding.encode(["ab"] * 300, tokenize, failing, CPU, max_tokens=512)
    assert len(worked) < 300  # the remaining batches are cancelled
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_encoding_in_two_threads_does_not_change_the_number_of_threads_of_others(threads, monkeypatch):
    """During and after the two calls, new threads have the number that the program has set."""
    monkeypatch.setattr(encoding, "ON_CPU", 2)
    running, checked, seen = Barrier(5), Barrier(5), []

    def meeting(features):
        running.wait(10)
        checked.wait(10)
        return forward(features)

    def note_threads():
        thread = Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()

    encoders = [
        Thread(target=encoding.encode, args=(["ab", "cd"], tokenize, meeting, CPU), kwargs={"max_tokens": 9})
        for _ in range(2)
    ]
    for encoder in encoders:
        encoder.start()
    running.wait(10)  # with the two threads of each
    note_threads()
    checked.wait(10)
    for encoder in encoders:
        encoder.join()
        note_threads()
    assert seen == [2, 2, 2] and torch.get_num_threads() == 2
