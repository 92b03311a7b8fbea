"""What both trainings share: a killed run continues to the same weights."""

import os
import signal
import subprocess
import sys
import time

import pytest

from movieplots.classification.training import train_classifier
from movieplots.generation.training import train_generator
from movieplots.training import Clock, _schedule, last_checkpoint

GENERATOR = "train_generator({data!r}, {base!r}, {out!r}, max_steps=60)"
CLASSIFIER = "train_classifier({data!r}, {base!r}, {out!r}, passes=20, batch_size=16)"


@pytest.mark.parametrize(("call", "base"), [(GENERATOR, "tiny_gpt2"), (CLASSIFIER, "tiny_roberta")])
def test_a_killed_run_continues_to_the_same_files(request, small_corpus, tmp_path, call, base):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    base = request.getfixturevalue(base)
    call = f"from movieplots import train_generator, train_classifier; {call}"
    exec(call.format(data=str(small_corpus), base=base, out=str(whole)))

    code = call.format(data=str(small_corpus), base=base, out=str(killed))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while last_checkpoint(killed / "checkpoints") is None and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "movieplots.json").exists()
    assert last_checkpoint(killed / "checkpoints") is not None

    exec(code)
    names = sorted(file.name for file in whole.iterdir())
    assert names == sorted(file.name for file in killed.iterdir())
    assert {"movieplots.json", "README.md", "tokenizer.json"} < set(names)
    different = [name for name in names if (killed / name).read_bytes() != (whole / name).read_bytes()]
    assert not different


def test_a_run_killed_after_its_last_step_does_not_train_on(small_corpus, tiny_gpt2, tmp_path, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    whole, out = tmp_path / "whole", tmp_path / "out"
    info = train_generator(small_corpus, tiny_gpt2, whole, max_steps=4)
    with monkeypatch.context() as patch:
        patch.setattr("movieplots.generation.training.save_adapter", killed)
        with pytest.raises(KeyboardInterrupt):
            train_generator(small_corpus, tiny_gpt2, out, max_steps=4)
    assert train_generator(small_corpus, tiny_gpt2, out, max_steps=4) == info
    name = "adapter_model.safetensors"
    assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_training_runs_in_bfloat16_where_the_cpu_has_it(monkeypatch, small_corpus, tiny_llama, tiny_roberta, tmp_path):
    """On a CPU without it, bfloat16 is emulated: slow, but the path is the same."""
    monkeypatch.setattr("movieplots.training.mixed_precision", lambda: {"bf16": True})
    metrics = train_generator(small_corpus, tiny_llama, tmp_path / "generator", max_steps=3)["metrics"]
    assert metrics["test_loss_after"] < metrics["test_loss_before"]
    info = train_classifier(small_corpus, tiny_roberta, tmp_path / "classifier", passes=1)
    assert 0 < info["metrics"]["test"]["map"] <= 1


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
    limited.start(spent_before=1.8)  # the warm-up is a share of the time, too, where time is what ends the run
    assert _schedule(10_000, limited)(5) == pytest.approx(0.5, rel=0.1)
