"""Resuming interrupted runs of every kind of training to the same weights, also on several processes."""

import ctypes
import json
import os
import random
import resource
import signal
import subprocess
import sys

import pytest
import torch
from transformers import TrainingArguments

from movieplots.classification import mlm
from movieplots.classification.calibration import calibration_error
from movieplots.classification.labelled_plots import targets_of
from movieplots.classification.mlm import train_mlm
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.training import train_classifier
from movieplots.generation.distillation import distill
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.training import train_generator
from movieplots.plots import load_plots
from movieplots.runs import fit
from movieplots.runs.fit import Clock, _schedule, reuse_memory, training_arguments
from movieplots.runs.folder import last_checkpoint, read_info
from tests.forked import forked


def files(folder):
    """The model's files without those that hold times: `run.json`, and the folder of TensorBoard's logs."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name != "run.json"}


def test_a_process_uses_one_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 4))
    assert training_arguments(output_dir=str(tmp_path)).n_gpu == 1


@pytest.fixture
def dies_in_step(monkeypatch):
    """A function to call in a fork: training then saves every step, and is killed while it saves the given one."""
    monkeypatch.setattr(fit, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Dies(fit._CheckpointCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == self.last:  # it is written, but not yet marked as complete
                os.kill(os.getpid(), signal.SIGKILL)
            super().on_save(args, state, control, **kwargs)

    def dies(step):
        fit._CheckpointCallback, Dies.last = Dies, step

    return dies


@pytest.fixture
def runs(small_corpus, tiny_gpt2, tiny_llama, tiny_roberta, trained, classifier, tmp_path, monkeypatch):
    """For each kind, a function that trains it into a folder, and the folder of an uninterrupted run."""
    monkeypatch.setattr(fit, "mixed_precision", dict)  # as in the fixture
    monkeypatch.setattr(mlm, "EVALUATIONS", 2)
    quick = {"max_steps": 6, "batch_size": 2, "block_size": 128}
    crops = quick | {"method": "full", "packing": "random-crops"}
    return {
        "adapter": (lambda out: train_generator(small_corpus, tiny_gpt2, out, max_steps=6), trained[0]),
        "crops": (lambda out: train_generator(small_corpus, tiny_llama, out, **crops), None),
        "classifier": (
            lambda out: train_classifier(small_corpus, tiny_roberta, out, epochs=2, batch_size=16, titles=True),
            classifier[0],
        ),
        "mlm": (lambda out: train_mlm(small_corpus, tiny_roberta, out, epochs=2, block_size=64), None),
        "distillation": (lambda out: distill(trained[0], small_corpus, out, layers=1, **quick), None),
    }


@pytest.mark.parametrize("kind", ["adapter", "crops", "classifier", "mlm", "distillation"])
def test_a_run_killed_at_random_steps_resumes_to_the_same_files(kind, runs, dies_in_step, tmp_path, capfd):
    train, whole = runs[kind]
    killed = tmp_path / "killed"
    if whole is None:
        train(whole := tmp_path / "whole")

    def train_until(step):
        dies_in_step(step)
        train(killed)

    for step in sorted(random.Random(kind).sample(range(2, 6), 2 if kind == "adapter" else 1)):
        assert forked(train_until, step) == -signal.SIGKILL
        assert (killed / "checkpoints" / f"checkpoint-{step}").is_dir()  # cut off while it was written, it is left out
        assert last_checkpoint(killed / "checkpoints").name == f"checkpoint-{step - 1}"
    assert not (killed / "movieplots.json").exists()
    capfd.readouterr()
    train(killed)
    assert f"Continuing at step {step - 1}." in capfd.readouterr().err
    assert {"movieplots.json", "README.md", "tokenizer.json"} < set(files(whole))
    different = [name for name, content in files(whole).items() if files(killed).get(name) != content]
    assert not different
    assert set(files(killed)) == set(files(whole))


@pytest.mark.slow
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


def test_a_run_killed_after_its_last_step_is_not_trained_further(runs, trained, tmp_path, monkeypatch):
    def killed(*arguments, **more):
        raise KeyboardInterrupt

    train, whole = runs["adapter"]
    with monkeypatch.context() as patch:
        patch.setattr("movieplots.generation.training.save_generator", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    monkeypatch.setattr(fit._Trainer, "training_step", killed)
    assert train(tmp_path) == trained[1]
    name = "adapter_model.safetensors"
    assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_training_in_bfloat16(monkeypatch, small_corpus, tiny_llama, tiny_roberta, tmp_path):
    """A CPU without bfloat16 emulates it."""
    monkeypatch.setattr("movieplots.runs.fit.mixed_precision", lambda: {"bf16": True})
    quick = {"max_steps": 3, "batch_size": 1, "block_size": 128}
    metrics = train_generator(small_corpus, tiny_llama, tmp_path / "generator", **quick).metrics
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
def test_freed_memory_is_reused_without_page_faults(tmp_path):
    def count(reuse):
        """Write how many page faults there are while memory is taken that has just been freed."""
        library = ctypes.CDLL(None)  # earlier trainings here have had memory kept: glibc's own settings again
        library.mallopt(fit._M_MMAP_MAX, 65_536)
        library.mallopt(fit._M_TRIM_THRESHOLD, 128 * 1024)
        library.malloc_trim(0)
        if reuse:
            reuse_memory()
        for _ in range(3):
            torch.ones(30_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            torch.ones(30_000_000)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        (tmp_path / "faults").write_text(str(faults))

    faults = []
    for reuse in (True, False):
        assert forked(count, reuse) == 0
        faults.append(int((tmp_path / "faults").read_text()))
    assert faults[0] * 10 < faults[1]
