"""The life that every training shares: memory that runs out, folders that are kept, and what is asked for more."""

import pytest
import torch

from movieplots.classification.fastai_training import train_with_fastai
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.mlm import train_mlm
from movieplots.classification.training import train_classifier
from movieplots.errors import BadInput
from movieplots.generation.distillation import distill
from movieplots.generation.training import train_generator
from movieplots.runs import fit
from movieplots.runs.folder import read_info
from movieplots.runs.lifecycle import _half

KINDS = ("generator", "distillation", "classifier", "mlm", "fastai")


@pytest.fixture
def train(small_corpus, tiny_gpt2, tiny_roberta, trained):
    """A function that trains one kind for a few steps of several examples each into a folder, and returns its info."""

    def run(kind, folder, **options):
        calls = {
            "generator": lambda: train_generator(
                small_corpus, tiny_gpt2, folder, **{"max_steps": 6, "batch_size": 4, "method": "full"} | options
            ),
            "distillation": lambda: distill(
                trained[0], small_corpus, folder, layers=1, **{"max_steps": 6, "batch_size": 4} | options
            ),
            "classifier": lambda: train_classifier(
                small_corpus, tiny_roberta, folder, **{"epochs": 1, "batch_size": 16} | options
            ),
            "mlm": lambda: train_mlm(small_corpus, tiny_roberta, folder, **{"epochs": 4, "block_size": 64} | options),
            "fastai": lambda: train_with_fastai(
                small_corpus, tiny_roberta, folder, **{"epochs": 1, "batch_size": 16} | options
            ),
        }
        return calls[kind]()

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_where_memory_runs_out_the_same_steps_are_made_in_smaller_parts(kind, train, tmp_path, monkeypatch, capsys):
    """An allocation of a million gigabytes fails as a real one does, as long as more than two examples go at once."""
    whole = train(kind, tmp_path / "whole")
    monkeypatch.setattr("movieplots.generation.training._at_once", lambda batch_size: batch_size)
    sizes = []

    def limited(size):
        sizes.append(size)
        if size > 2:
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
    capsys.readouterr()
    parts = train(kind, tmp_path / "parts")
    assert "continuing with 2 examples at a time" in " ".join(capsys.readouterr().err.split())
    assert max(sizes) > 2 and sizes[-1] == 2
    assert parts.metrics.steps == whole.metrics.steps and parts.recipe == whole.recipe
    losses = [[entry["loss"] for entry in info.history if "loss" in entry] for info in (whole, parts)]
    assert losses[1] == pytest.approx(losses[0], rel=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_for_not_even_one_example_is_a_sentence(kind, train, tmp_path, monkeypatch):
    def full(*arguments, **more):
        return torch.empty(2**50)

    monkeypatch.setattr(fit._Trainer, "training_step", full)
    monkeypatch.setattr("movieplots.classification.fastai_training._Logits.forward", full)
    with pytest.raises(BadInput, match="does not hold the model with one of its examples: lower"):
        train(kind, tmp_path, **{"batch_size": 1} if kind != "mlm" else {"block_size": 200})
    assert not (tmp_path / "movieplots.json").exists()


def test_what_goes_at_once_divides_a_step_evenly():
    assert [_half(count) for count in (48, 3, 2, 1, 64, 45)] == [24, 1, 1, 0, 32, 15]


def test_a_finished_classifier_that_is_asked_for_more_epochs_says_how(classifier, small_corpus, tiny_roberta):
    folder, info = classifier
    with pytest.raises(BadInput, match=rf"start from it: `movieplots train classifier --base-model {folder}"):
        train_classifier(small_corpus, tiny_roberta, folder, epochs=4, batch_size=16, titles=True)
    assert read_info(folder, ClassifierInfo) == info


def test_a_classifier_is_trained_further_from_its_folder(classifier, small_corpus, tmp_path):
    folder, info = classifier
    further = train_classifier(small_corpus, str(folder), tmp_path, epochs=1, batch_size=16, titles=True)
    assert further.recipe.base_recipe == info.recipe and further.labels == info.labels


@pytest.mark.parametrize("kind", KINDS)
def test_no_model_is_written_among_the_plots(kind, train, small_corpus):
    with pytest.raises(BadInput, match="holds prepared plots: choose another --output-dir"):
        train(kind, small_corpus)
    assert [file.name for file in small_corpus.iterdir()] == ["plots.parquet"]
