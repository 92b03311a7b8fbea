"""Training with fastai: stages, learning rates, a run killed at any step, a result that does not need fastai."""

import os
import random
import signal
import sys

import numpy as np
import pytest

from movieplots import GenreClassifier, load_plots
from movieplots.classification import fastai_training
from movieplots.classification import training as trainer_training
from movieplots.classification.fastai_training import rates, train_with_fastai
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.model import new_model
from movieplots.errors import BadInput
from movieplots.runs.find_lr import kept_search
from movieplots.runs.folder import read_info
from tests.forked import forked

QUICK = {"epochs": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def watched(small_corpus, tiny_roberta, tmp_path_factory):
    """A classifier trained with fastai: (folder, info, names of the parameters that were trained, in each stage)."""
    folder, free = tmp_path_factory.mktemp("fastai"), []

    class Watching(fastai_training._CheckpointCallback):
        def after_step(self):
            super().after_step()
            names = {name for name, parameter in self.learn.model.named_parameters() if parameter.requires_grad}
            if names not in free:
                free.append(names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastai_training, "_CheckpointCallback", Watching)
        return folder, train_with_fastai(small_corpus, tiny_roberta, folder, **QUICK), free


@pytest.fixture
def trained(watched):
    """The same: (folder, info)."""
    return watched[:2]


def test_it_unfreezes_from_the_head_down(watched):
    head, upper, everything = watched[2]
    assert head == {"model.classifier.out_proj.weight", "model.classifier.out_proj.bias"}
    assert "model.classifier.dense.weight" in upper
    assert head < upper < everything
    assert {name.split(".layer.")[1][0] for name in upper - head if ".layer." in name} == {"1"}  # of its two layers
    assert any("embeddings" in name for name in everything - upper)


def test_learning_rates_rise_from_the_embeddings_to_the_head(tiny_roberta):
    model, _ = new_model(tiny_roberta, list("abcd"))
    usual, tenth = rates(model, 3e-4), rates(model, 3e-5)
    assert len(usual) == 5 and usual[1] < usual[2] <= usual[3] < usual[4]
    assert np.allclose(usual, 10 * tenth)


def test_the_result_loads_without_fastai(trained, small_corpus):
    folder, info = trained
    assert read_info(folder, ClassifierInfo) == info
    assert info.metrics.steps == (1 + 1 + 2) * 6  # epochs times steps an epoch
    assert [entry["step"] for entry in info.history if "eval_loss" in entry] == [6, 12, 18, 24]
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pth", ".pkl")]

    def predict_without_fastai():
        for name in [name for name in sys.modules if name.partition(".")[0] in ("movieplots", "fastai")]:
            del sys.modules[name]
        sys.modules["fastai"] = None
        from movieplots import GenreClassifier

        assert len(GenreClassifier.from_pretrained(folder).predict(["A sheriff rides into town."])) == 1
        assert "movieplots.classification.fastai_training" not in sys.modules

    assert forked(predict_without_fastai) == 0
    proba = GenreClassifier.from_pretrained(folder).predict_proba(load_plots(small_corpus, "test")["plot"].tolist())
    assert ((proba >= 0) & (proba <= 1)).all()


def test_a_run_killed_in_any_stage_resumes_to_the_same_files(
    trained, small_corpus, tiny_roberta, tmp_path, monkeypatch, capfd
):
    """Each step is saved; the process is killed after a step that is not yet saved."""
    folder, _ = trained
    monkeypatch.setattr(fastai_training, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)

    def train_until(step):
        class Dies(fastai_training._CheckpointCallback):
            def after_step(self):
                if self.steps + 1 == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                super().after_step()

        fastai_training._CheckpointCallback, fastai_training.LOGGING_STEPS = Dies, 1
        train_with_fastai(small_corpus, tiny_roberta, tmp_path, **QUICK)

    for step in [random.Random(0).randrange(2, 7), 9, random.Random(1).randrange(14, 24)]:  # one in each stage
        assert forked(train_until, step) == -signal.SIGKILL
    capfd.readouterr()
    train_with_fastai(small_corpus, tiny_roberta, tmp_path, **QUICK)
    assert f"Continuing at step {step - 1}." in capfd.readouterr().err
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_the_same_settings_reuse_the_finished_model(trained, small_corpus, tiny_roberta):
    folder, info = trained
    assert train_with_fastai(small_corpus, tiny_roberta, folder, **QUICK) == info
    with pytest.raises(BadInput, match="learning_rate"):
        train_with_fastai(small_corpus, tiny_roberta, folder, **QUICK, learning_rate=1e-3)


def test_find_lr_suggests_a_learning_rate(small_corpus, tiny_roberta):
    search = fastai_training.find_lr(small_corpus, tiny_roberta, batch_size=16, steps=60)
    assert len(search.rates) == len(search.losses) <= 60
    assert search.rates == sorted(search.rates)
    assert search.rates[0] == pytest.approx(1e-5)
    assert search.rates[0] < search.suggestion < 1


def test_kept_searches_of_fastai_and_of_the_trainer_differ(small_corpus, tiny_roberta, tmp_path):
    file = tmp_path / "learning_rates.json"
    for module, lowest in ((trainer_training, 1e-6), (fastai_training, 1e-5)):
        first, again = (
            kept_search(file, module.find_lr, small_corpus, tiny_roberta, batch_size=32, steps=30) for _ in range(2)
        )
        assert first == again and first.rates[0] == pytest.approx(lowest)


def test_a_learning_rate_out_of_range_is_rejected(small_corpus, tiny_roberta, tmp_path):
    with pytest.raises(BadInput, match="learning-rate must be above 0"):
        train_with_fastai(small_corpus, tiny_roberta, tmp_path, learning_rate=2)
