"""What both trainings share: a killed run continues to the same weights."""

import os
import signal
import subprocess
import sys
import time

import pytest

from movieplots.generation.training import train_generator
from movieplots.training import Clock, _schedule, last_checkpoint

SCRIPT = """
import sys
from movieplots import train_generator
train_generator(sys.argv[1], sys.argv[2], sys.argv[3], max_steps=60)
"""


def test_a_killed_run_continues_to_the_same_weights(small_corpus, tiny_gpt2, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_generator(small_corpus, tiny_gpt2, whole, max_steps=60)

    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(small_corpus), tiny_gpt2, str(killed)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while last_checkpoint(killed / "checkpoints") is None and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "movieplots.json").exists()
    assert last_checkpoint(killed / "checkpoints") is not None

    info = train_generator(small_corpus, tiny_gpt2, killed, max_steps=60)
    assert info["metrics"]["steps"] == 60
    name = "adapter_model.safetensors"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert not (killed / "checkpoints").exists()


def test_the_learning_rate_follows_steps_or_time_whichever_is_further():
    clock = Clock(None)
    factor = _schedule(100, clock)
    assert factor(0) == pytest.approx(1 / 6)
    assert factor(6) == pytest.approx(1.0)
    assert factor(50) == pytest.approx(0.5 / 0.94)
    assert factor(100) == 0.0
    limited = Clock(1)
    limited.start(spent_before=45)
    assert _schedule(10_000, limited)(1000) == pytest.approx(0.25 / 0.94, rel=0.05)
