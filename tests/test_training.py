"""What both trainings share: a killed run continues to the same weights, alone or on several processes."""

import ctypes
import json
import random
import signal
import subprocess
import sys

import pytest

from movieplots.classification.calibration import calibration_error
from movieplots.classification.labelled_plots import targets_of
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.training import train_classifier
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.training import train_generator
from movieplots.plots import load_plots
from movieplots.runs.fit import Clock, _schedule, last_checkpoint
from movieplots.runs.folder import read_info

GENERATOR = "train_generator({data!r}, {base!r}, {out!r}, max_steps=24, method={method!r}, packing={packing!r})"
CLASSIFIER = "train_classifier({data!r}, {base!r}, {out!r}, epochs=4, batch_size=16)"
MLM = "train_mlm({data!r}, {base!r}, {out!r}, epochs=14, block_size=64)"
DISTILLATION = "distill({base!r}, {data!r}, {out!r}, layers=1, max_steps=24)"
IMPORTS = """
from movieplots import train_classifier, train_generator
from movieplots.classification.mlm import train_mlm
from movieplots.generation.distillation import distill
"""
# Saves at every step, and dies by kill -9 at the end of step {step}, when that one is not yet saved.
DIES = (
    IMPORTS
    + """
import os, signal
from movieplots.runs import fit
fit.SECONDS_BETWEEN_CHECKPOINTS = 0.0
class Dies(fit._Safekeeping):
    def on_step_end(self, args, state, control, **kwargs):
        super().on_step_end(args, state, control, **kwargs)
        if state.global_step == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
fit._Safekeeping = Dies
"""
)


def files(folder):
    """The model's files but the one that says when and how long; TensorBoard's logs beside them carry times too."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name != "run.json"}


@pytest.mark.parametrize(
    ("call", "base", "kills", "options"),
    [
        (GENERATOR, "tiny_gpt2", 5, {"method": "lora", "packing": "packed"}),
        (GENERATOR, "tiny_llama", 1, {"method": "full", "packing": "random-crops"}),
        (CLASSIFIER, "tiny_roberta", 1, {}),
        (MLM, "tiny_roberta", 1, {}),
        (DISTILLATION, "trained", 1, {}),
    ],
)
def test_a_run_killed_at_random_steps_ends_with_the_same_files(
    request, small_corpus, tmp_path, call, base, kills, options
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    base = request.getfixturevalue(base)
    base = base if isinstance(base, str) else str(base[0])
    exec(IMPORTS + call.format(data=str(small_corpus), base=base, out=str(whole), **options))
    code = call.format(data=str(small_corpus), base=base, out=str(killed), **options)
    for step in sorted(random.Random(0).sample(range(2, 23), kills)):
        process = subprocess.run([sys.executable, "-c", DIES.format(step=step) + code], stderr=subprocess.DEVNULL)
        assert process.returncode == -signal.SIGKILL
        assert last_checkpoint(killed / "checkpoints").name == f"checkpoint-{step - 1}"
    assert not (killed / "movieplots.json").exists()
    exec(IMPORTS + code)
    assert {"movieplots.json", "README.md", "tokenizer.json"} < set(files(whole))
    different = [name for name, content in files(whole).items() if files(killed).get(name) != content]
    assert not different
    assert set(files(killed)) == set(files(whole))


def test_a_checkpoint_cut_off_while_it_is_written_is_left_out(small_corpus, tiny_gpt2, tmp_path):
    code = GENERATOR.format(data=str(small_corpus), base=tiny_gpt2, out=str(tmp_path), method="lora", packing="packed")
    subprocess.run([sys.executable, "-c", DIES.format(step=5) + code], stderr=subprocess.DEVNULL)
    torn = tmp_path / "checkpoints" / "checkpoint-5"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")
    assert last_checkpoint(tmp_path / "checkpoints").name == "checkpoint-4"
    info = train_generator(small_corpus, tiny_gpt2, tmp_path, max_steps=24)
    assert info.metrics.steps == 24


def test_two_processes_reach_the_loss_of_one(small_corpus, tiny_gpt2, tmp_path):
    arguments = ["--data", str(small_corpus), "--base-model", tiny_gpt2, "--max-steps", "12", "--batch-size", "4"]
    arguments += ["--method", "full", "--learning-rate", "0.005"]
    start = {
        "one": ["-m", "movieplots"],
        # To accelerate two processes on one machine are two GPUs; without any they run on the CPU.
        "two": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0",
                "-m", "movieplots"],
    }  # fmt: skip
    for name, program in start.items():
        command = [sys.executable, *program, "train", "generator", *arguments, "--output-dir", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / name / "run.json").read_text())["processes"] == {"one": 1, "two": 2}[name]
    one, two = (read_info(tmp_path / name, GeneratorInfo) for name in start)
    assert one.metrics.test_loss_before == pytest.approx(two.metrics.test_loss_before, rel=1e-6)
    assert one.metrics.test_loss_after < one.metrics.test_loss_before - 0.1  # it learned
    assert two.metrics.test_loss_after == pytest.approx(one.metrics.test_loss_after, rel=0.01)
    curves = [[entry["loss"] for entry in info.history if "loss" in entry] for info in (one, two)]
    assert curves[1] == pytest.approx(curves[0], rel=0.01)


def test_a_run_killed_after_its_last_step_does_not_train_on(small_corpus, tiny_gpt2, tmp_path, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    whole, out = tmp_path / "whole", tmp_path / "out"
    info = train_generator(small_corpus, tiny_gpt2, whole, max_steps=4)
    with monkeypatch.context() as patch:
        patch.setattr("movieplots.generation.training.save_generator", killed)
        with pytest.raises(KeyboardInterrupt):
            train_generator(small_corpus, tiny_gpt2, out, max_steps=4)
    assert train_generator(small_corpus, tiny_gpt2, out, max_steps=4) == info
    name = "adapter_model.safetensors"
    assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_training_runs_in_bfloat16_where_the_cpu_has_it(monkeypatch, small_corpus, tiny_llama, tiny_roberta, tmp_path):
    """On a CPU without it, bfloat16 is emulated: slow, but the path is the same."""
    monkeypatch.setattr("movieplots.runs.fit.mixed_precision", lambda: {"bf16": True})
    metrics = train_generator(small_corpus, tiny_llama, tmp_path / "generator", max_steps=3).metrics
    assert metrics.test_loss_after < metrics.test_loss_before
    info = train_classifier(small_corpus, tiny_roberta, tmp_path / "classifier", epochs=1)
    assert 0 < info.metrics.test.scores.map <= 1
    loaded, plots = GenreClassifier.from_pretrained(tmp_path / "classifier"), load_plots(small_corpus, "test")
    truth, proba = targets_of(plots["genres"].tolist(), loaded.labels), loaded.predict_proba(plots["plot"].tolist())
    measured = calibration_error(truth, proba)  # of what was saved, in float32
    assert measured == pytest.approx(info.metrics.calibration.error_after, rel=1e-4)


def test_the_learning_rate_follows_steps_or_time_whichever_is_further():
    clock = Clock(None)
    factor = _schedule("linear", 100, clock)
    assert factor(0) == pytest.approx(1 / 6)
    assert factor(6) == pytest.approx(1.0)
    assert factor(50) == pytest.approx(0.5 / 0.94)
    assert factor(100) == 0.0
    cosine = _schedule("cosine", 100, clock)
    assert [cosine(step) for step in (0, 6, 53, 100)] == pytest.approx([1 / 6, 1.0, 0.5, 0.0], abs=1e-6)
    limited = Clock(1)
    limited.start(spent_before=45)
    assert _schedule("linear", 10_000, limited)(1000) == pytest.approx(0.25 / 0.94, rel=0.05)
    limited.start(spent_before=1.8)  # the warm-up is a share of the time, too, where time is what ends the run
    assert _schedule("linear", 10_000, limited)(5) == pytest.approx(0.5, rel=0.1)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
def test_memory_that_was_freed_is_taken_again_without_asking_the_system():
    script = """
import resource, sys, torch
from movieplots.runs.fit import reuse_memory
if sys.argv[1] == "reuse":
    reuse_memory()
for _ in range(3):
    torch.ones(30_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(30_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = [
        int(subprocess.run([sys.executable, "-c", script, how], capture_output=True, text=True, check=True).stdout)
        for how in ("reuse", "as it is")
    ]
    assert faults[0] * 10 < faults[1]
