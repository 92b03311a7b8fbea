"""The steps that every training run shares: resuming, running out of memory, output folders, further training."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from movieplots.classification import mlm
from movieplots.classification.fastai_training import train_with_fastai
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.mlm import train_mlm
from movieplots.classification.training import train_classifier
from movieplots.errors import BadInput
from movieplots.formatting import plural
from movieplots.generation.distillation import distill
from movieplots.generation.training import train_generator
from movieplots.runs import fit
from movieplots.runs.folder import Recipe, read_info
from movieplots.runs.lifecycle import Finished, run_training
from tests.forked import forked

KINDS = ("generator", "distillation", "classifier", "mlm", "fastai")
STEPS = 9


# A training run of milliseconds, whose weights are one number


@dataclass(frozen=True)
class Settings:
    """The settings of a training that sums up the numbers of its steps."""

    command_name: ClassVar[str] = "train sum"
    several_processes: ClassVar[bool] = False
    extendable: ClassVar[tuple[str, ...]] = ("steps",)
    data: Path
    output_dir: Path
    steps: int = STEPS
    seed: int = 0
    overwrite: bool = False
    teacher_folders: tuple[str, ...] = ()

    def resolved(self):
        return self

    def recipe(self):
        return {"steps": self.steps}


@dataclass(frozen=True)
class Sum:
    """The metadata in its folder."""

    TASK: ClassVar[str] = "mlm"
    base_model: str
    recipe: Recipe
    steps: int


def train_sum(settings, at_once=16, before_step=lambda step, at_once: None, before_save=lambda: None):
    """Train it with a checkpoint after each step; return its info."""

    def train(run, total):
        checkpoint = run.folder / "checkpoints" / "sum.txt"
        start, total = map(int, checkpoint.read_text().split()) if checkpoint.is_file() else (0, total)
        for step in range(start, settings.steps):
            before_step(step, run.at_once)
            total += step
            checkpoint.write_text(f"{step + 1} {total}")
        return total

    def finish(run, made, total):
        def save(folder):
            (folder / "model.safetensors").write_text(str(total))
            before_save()

        return Finished(Sum("none", run.recipe, settings.steps), "# A sum", save, {"minutes": 0.0})

    return run_training(settings, Sum, at_once, lambda run: 0, train, finish)


def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_step(number):
    return lambda step, at_once: die() if step == number else None


def must_not_train(step, at_once):
    raise AssertionError("It trains further.")


def test_a_run_killed_anywhere_resumes_to_the_same_files(small_corpus, tmp_path):
    whole, killed = (Settings(small_corpus, tmp_path / name) for name in ("whole", "killed"))
    info = train_sum(whole)
    for step in (0, 3, STEPS - 1):
        assert forked(train_sum, killed, before_step=die_in_step(step)) == -signal.SIGKILL
    assert forked(train_sum, killed, before_step=die_in_step(3), before_save=die) == -signal.SIGKILL
    assert not (killed.output_dir / "movieplots.json").exists()
    assert not (killed.output_dir / "model.safetensors").exists()  # an incomplete file would be taken for a model
    with pytest.raises(BadInput, match=r"other settings \(steps\)"):
        train_sum(Settings(small_corpus, killed.output_dir, steps=STEPS - 1))
    assert train_sum(killed, before_step=must_not_train) == info
    files = [{file.name: file.read_bytes() for file in one.output_dir.iterdir()} for one in (whole, killed)]
    assert files[0] == files[1] and files[0]["model.safetensors"] == str(sum(range(STEPS))).encode()
    assert train_sum(killed, before_step=must_not_train) == info  # it is finished
    with pytest.raises(BadInput, match=rf"trained with --steps {STEPS}\. To train it further, start from it"):
        train_sum(Settings(small_corpus, killed.output_dir, steps=STEPS + 1))
    again = Settings(small_corpus, killed.output_dir, overwrite=True)
    assert forked(train_sum, again, before_step=die_in_step(0)) == -signal.SIGKILL
    assert not (killed.output_dir / "movieplots.json").exists()


@pytest.mark.parametrize(("at_once", "tried"), [(12, [12, 6, 3, 1]), (45, [45, 15, 5, 1])])
def test_out_of_memory_halves_the_examples_per_forward_pass(small_corpus, tmp_path, at_once, tried):
    """Each number divides the batch evenly. An allocation of a million gigabytes fails like a real one."""
    sizes = []

    def full(step, size):
        sizes.append(size)
        torch.empty(2**50)

    with pytest.raises(BadInput, match="not enough memory for the model and 1 example: lower"):
        train_sum(Settings(small_corpus, tmp_path / "out"), at_once, full)
    assert sizes == tried
    assert not (tmp_path / "out" / "movieplots.json").exists()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_out_of_memory_repeats_no_step(small_corpus, tmp_path, capsys, error):
    made = []

    def step_in_little_memory(step, at_once):
        if step >= 5 and at_once > 4:
            raise error("CUDA out of memory.")
        made.append((step, at_once))

    train_sum(Settings(small_corpus, tmp_path), before_step=step_in_little_memory)
    assert made == [(step, 16 if step < 5 else 4) for step in range(STEPS)]
    assert (tmp_path / "model.safetensors").read_text() == str(sum(range(STEPS)))
    said = " ".join(capsys.readouterr().err.split())
    assert "continuing with 8 examples at a time" in said and "continuing with 4 examples at a time" in said


def test_other_errors_are_not_taken_for_out_of_memory(small_corpus, tmp_path):
    def broken(step, at_once):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train_sum(Settings(small_corpus, tmp_path), before_step=broken)


# All kinds of training


@pytest.fixture
def train(small_corpus, tiny_gpt2, tiny_roberta, trained, monkeypatch):
    """A function that trains one kind for a few steps of several examples each into a folder, and returns its info."""

    monkeypatch.setattr(mlm, "EVALUATIONS", 1)
    short = {"block_size": 128}

    def run(kind, folder, **options):
        calls = {
            "generator": lambda: train_generator(
                small_corpus, tiny_gpt2, folder, **{"max_steps": 2, "batch_size": 4, "method": "full"} | short | options
            ),
            "distillation": lambda: distill(
                trained[0], small_corpus, folder, layers=1, **{"max_steps": 2, "batch_size": 4} | short | options
            ),
            "classifier": lambda: train_classifier(
                small_corpus, tiny_roberta, folder, **{"epochs": 1, "batch_size": 16} | options
            ),
            "mlm": lambda: train_mlm(small_corpus, tiny_roberta, folder, **{"epochs": 1, "block_size": 64} | options),
            "fastai": lambda: train_with_fastai(
                small_corpus, tiny_roberta, folder, **{"epochs": 1, "batch_size": 16} | options
            ),
        }
        return calls[kind]()

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_out_of_memory_accumulates_gradients_over_the_same_steps(kind, train, tmp_path, monkeypatch, capsys):
    """An allocation of a million gigabytes fails like a real one if a forward pass has more examples than allowed."""
    monkeypatch.setattr("movieplots.generation.training._micro_batch_size", lambda batch_size: batch_size)
    sizes, room = [], [float("inf")]

    def limited(size):
        sizes.append(size)
        if size > room[0]:
            torch.empty(2**50)

    step = fit._Trainer.training_step

    def training_step(self, model, inputs, *rest, **more):
        limited(len(next(iter(inputs.values()))))
        return step(self, model, inputs, *rest, **more)

    monkeypatch.setattr(fit._Trainer, "training_step", training_step)
    if kind == "fastai":
        from movieplots.classification.fastai_training import _Logits

        forward = _Logits.forward

        def limited_forward(self, input_ids, attention_mask):
            if self.training:
                limited(len(input_ids))
            return forward(self, input_ids, attention_mask)

        monkeypatch.setattr(_Logits, "forward", limited_forward)
    whole = train(kind, tmp_path / "whole")
    room[0] = max(sizes) // 2
    sizes.clear()
    capsys.readouterr()
    parts = train(kind, tmp_path / "parts")
    assert f"continuing with {plural(room[0], 'example')} at a time" in " ".join(capsys.readouterr().err.split())
    assert sizes[0] == 2 * room[0] and set(sizes[1:]) == {room[0]}
    assert parts.metrics.steps == whole.metrics.steps and parts.recipe == whole.recipe
    losses = [[entry["loss"] for entry in info.history if "loss" in entry] for info in (whole, parts)]
    assert losses[0] and losses[1] == pytest.approx(losses[0], rel=0.04 if kind in ("classifier", "fastai") else 1e-3)


def test_more_epochs_for_a_finished_classifier_are_rejected_with_a_remedy(classifier, small_corpus, tiny_roberta):
    folder, info = classifier
    with pytest.raises(BadInput, match=rf"start from it: `movieplots train classifier --base-model {folder}"):
        train_classifier(small_corpus, tiny_roberta, folder, epochs=4, batch_size=16, titles=True)
    assert read_info(folder, ClassifierInfo) == info


def test_a_classifier_is_trained_further_from_its_folder(classifier, small_corpus, tmp_path):
    folder, info = classifier
    further = train_classifier(small_corpus, str(folder), tmp_path, epochs=1, batch_size=16, titles=True)
    assert further.recipe.base_recipe == info.recipe and further.labels == info.labels


@pytest.mark.parametrize("kind", KINDS)
def test_no_model_is_written_into_a_folder_of_plots(kind, train, small_corpus):
    with pytest.raises(BadInput, match="holds prepared plots: choose another --output-dir"):
        train(kind, small_corpus)
    assert [file.name for file in small_corpus.iterdir()] == ["plots.parquet"]
