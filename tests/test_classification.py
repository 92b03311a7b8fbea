"""The classifier: weights, thresholds, metrics, training, prediction; on a tiny RoBERTa."""

import json
import os
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.special import expit, logit
from sklearn.metrics import f1_score
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline

from movieplots.classification.baseline import LOGISTIC, SVM, fit_baselines
from movieplots.classification.calibration import GRID, best_thresholds
from movieplots.classification.info import ClassifierInfo, LabelScores
from movieplots.classification.labelled_plots import read_labelled, targets_of
from movieplots.classification.metrics import multilabel_metrics
from movieplots.classification.model import new_model
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.training import distillation_targets, layer_groups, train_classifier
from movieplots.classification.training_plots import MASKED, TrainingPlots
from movieplots.errors import BadInput
from movieplots.plots import FILE_NAME, imdb_title, load_plots, save_plots
from movieplots.pretrained.base_models import load_tokenizer
from movieplots.runs import fit
from movieplots.runs.folder import read_info
from tests.forked import forked


def test_thresholds_maximize_the_f1_of_their_label():
    random = np.random.default_rng(0)
    truth = random.random((400, 3)) < [0.5, 0.1, 0.005]
    proba = np.clip(truth * [0.3, 0.2, 0.3] + random.random((400, 3)) * 0.5, 0, 1)
    chosen = best_thresholds(truth, proba, smoothing=1e-3, price=0, calibrated=False)
    for label in (0, 1):
        scores = [f1_score(truth[:, label], proba[:, label] >= t) for t in np.arange(0.05, 0.96, 0.01).round(2)]
        assert f1_score(truth[:, label], proba[:, label] >= chosen[label]) == pytest.approx(max(scores))
    assert truth[:, 2].sum() < 10  # too rare for its own threshold
    overall = max(GRID, key=lambda t: f1_score(truth, proba >= t, average="micro"))
    assert chosen[2] == overall


def test_thresholds_of_rare_labels_stay_close_to_the_shared_one():
    random = np.random.default_rng(0)
    truth = random.random((20_000, 2)) < 0.3
    proba = expit(2 * truth - 1 + [-1, 1] + random.normal(size=truth.shape))  # the second label needs a higher one

    def apart(plots, price):
        return np.ptp(best_thresholds(truth[:plots], proba[:plots], price=price, calibrated=True))

    assert apart(20_000, 0.1) == pytest.approx(apart(20_000, 0), abs=0.05)
    assert apart(20_000, 0.1) > apart(60, 0.1) > apart(60, 100) == 0
    both = best_thresholds(np.tile(truth[:60], (2, 1)), np.tile(proba[:60], (2, 1)), copies=2, calibrated=True)
    assert both.tolist() == best_thresholds(truth[:60], proba[:60], calibrated=True).tolist()


def test_a_rare_label_gets_the_threshold_with_the_highest_expected_f1():
    random = np.random.default_rng(0)
    proba = np.stack([random.beta(1, 3, 2000), random.beta(0.05, 12, 2000)], axis=1)  # the second is rare
    truth = random.random(proba.shape) < proba
    few = truth.copy()
    few[np.flatnonzero(few[:, 1])[5:], 1] = False  # and the validation split has only five plots of it
    shared, own = (best_thresholds(few, proba, calibrated=calibrated) for calibrated in (False, True))
    assert own[0] == shared[0]
    assert own[1] < shared[1]
    by_hand = [2 * proba[p >= t, 1].sum() / ((p >= t).sum() + p.sum()) for p in [proba[:, 1]] for t in GRID]
    assert own[1] == GRID[np.argmax(by_hand)]
    scores = [f1_score(truth[:, 1], proba[:, 1] >= thresholds[1]) for thresholds in (shared, own)]
    assert scores[1] > scores[0]


def test_metrics_by_hand():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    proba = np.array([[0.9, 0.2, 0.9], [0.4, 0.8, 0.1], [0.1, 0.3, 0.1]])
    scores, per_label = multilabel_metrics(truth, proba, np.array([0.5, 0.25, 0.5]), ["war", "music", "news"])
    assert per_label["war"] == LabelScores(1.0, 0.5, pytest.approx(2 / 3), 1.0, 2)
    assert per_label["music"].f1 == 1.0
    assert per_label["news"].average_precision is None
    assert scores.micro_f1 == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1) / 2)  # labels without a plot do not count
    assert scores.map == 1.0


def test_padding_does_not_change_a_prediction(tiny_roberta):
    torch.manual_seed(0)
    model, tokenizer = new_model(tiny_roberta, list("abcd"))
    model.eval()
    alone = tokenizer(["A sheriff rides into town."], return_tensors="pt")
    beside = tokenizer(["A sheriff rides into town.", "word " * 60], padding=True, return_tensors="pt")
    logits = [model(**batch).logits[0] for batch in (alone, beside)]
    assert torch.allclose(*logits, atol=1e-4)


def test_learning_rates_fall_from_head_to_embeddings(tiny_roberta):
    model, _ = new_model(tiny_roberta, list("abcd"))
    groups = layer_groups(model)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates, reverse=True)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert [id(p) for p in groups[0]["params"]] == [id(p) for p in model.classifier.out_proj.parameters()]


@pytest.mark.parametrize(
    ("kind", "method"),
    [("bert", "full"), ("bert", "lora"), ("roberta", "full"), ("distilbert", "lora"), ("modernbert", "full")],
)
def test_a_trained_folder_works_as_a_pipeline(kind, method, small_corpus, tiny_roberta, tmp_path):
    """A `text-classification` pipeline returns the calibrated probabilities, and truncates like the classifier."""
    base, folder, tokenizer = str(tmp_path / "base"), str(tmp_path / "out"), load_tokenizer(tiny_roberta)
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=300, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    info = train_classifier(small_corpus, base, folder, epochs=1, batch_size=16, method=method)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.problem_type == "multi_label_classification"
    assert model.config.id2label == dict(enumerate(info.labels))
    assert model.config.label2id == {label: i for i, label in enumerate(info.labels)}
    assert info.max_tokens == 298 and info.metrics.calibration.temperature != 1
    texts = ["A sheriff rides into town.", "word " * 600]
    plain = pipeline("text-classification", model=folder, tokenizer=folder, top_k=None)
    expected = GenreClassifier.from_pretrained(folder).predict_proba(texts)
    for found, proba in zip(plain(texts, truncation=True), expected, strict=True):
        assert {each["label"]: each["score"] for each in found} == pytest.approx(
            dict(zip(info.labels, proba, strict=True)), abs=1e-5
        )


def test_training_writes_a_model_that_predicts(classifier, small_corpus):
    folder, info = classifier
    assert read_info(folder, ClassifierInfo) == info
    assert set(info.metrics.test.baselines) == {"TF-IDF + logistic regression", "TF-IDF + linear SVM"}
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]
    counts = load_plots(small_corpus, "train")["genres"].explode().value_counts()
    assert set(info.labels) == {genre for genre, n in counts.items() if n >= 10}
    genres = load_plots(small_corpus)["genres"].explode().unique()
    assert info.not_learned == {genre: int(counts.get(genre, 0)) for genre in genres if counts.get(genre, 0) < 10}

    loaded = GenreClassifier.from_pretrained(folder)
    texts = load_plots(small_corpus, "test")["plot"].tolist()
    proba = loaded.predict_proba(texts)
    assert proba.shape == (len(texts), len(loaded.labels))
    assert ((proba >= 0) & (proba <= 1)).all()
    assert np.allclose(proba[::-1], loaded.predict_proba(texts[::-1]), atol=1e-6)
    for names, row in zip(loaded.predict(texts), proba, strict=True):
        assert names == sorted(names, key=lambda name: -row[loaded.labels.index(name)])
        assert set(names) == {
            label for label, p, t in zip(loaded.labels, row, loaded.thresholds, strict=True) if p >= t
        }


def test_the_same_settings_reuse_the_finished_model(classifier, small_corpus, tiny_roberta):
    folder, info = classifier
    assert train_classifier(small_corpus, tiny_roberta, folder, epochs=2, batch_size=16, titles=True) == info
    with pytest.raises(BadInput, match=r"trained with --epochs 2\. To train it further, start from it"):
        train_classifier(small_corpus, tiny_roberta, folder, epochs=3, batch_size=16, titles=True)


def test_errors_say_what_to_change(classifier, small_corpus, tiny_roberta, tiny_gpt2, tmp_path):
    folder, _ = classifier
    with pytest.raises(BadInput, match="Plot 2 is empty"):
        GenreClassifier.from_pretrained(folder).predict(["A sheriff rides into town.", "  "])
    with pytest.raises(BadInput, match="A base model must be trained first, with `movieplots train classifier`"):
        GenreClassifier.from_pretrained(tmp_path)
    with pytest.raises(BadInput, match="cannot be the base model of a classifier"):
        train_classifier(small_corpus, tiny_gpt2, tmp_path / "gpt2")
    plots = load_plots(small_corpus)
    save_plots(plots[plots["split"] != "test"], tmp_path / FILE_NAME)
    with pytest.raises(BadInput, match="test split"):
        train_classifier(tmp_path, tiny_roberta, tmp_path / "out")


def test_a_model_whose_head_does_not_fit_its_labels_is_rejected(classifier, tmp_path):
    import shutil

    folder = shutil.copytree(classifier[0], tmp_path / "copy")
    info = json.loads((folder / "movieplots.json").read_text())
    (folder / "movieplots.json").write_text(json.dumps(info | {"labels": info["labels"][:-1]}))
    with pytest.raises(BadInput, match="does not fit"):
        GenreClassifier.from_pretrained(folder)


def test_calibration_is_inside_the_saved_model(classifier, small_corpus):
    """The saved model reproduces the metrics that training stored."""
    folder, info = classifier
    loaded, test = GenreClassifier.from_pretrained(folder), load_plots(small_corpus, "test")
    truth = targets_of(test["genres"].tolist(), loaded.labels)
    titles = [imdb_title(row) for _, row in test.iterrows()]
    for stored, given in ((info.metrics.test, None), (info.metrics.test_titled, titles)):
        proba = loaded.predict_proba(test["plot"].tolist(), given)
        scores, per_label = multilabel_metrics(truth, proba, loaded.thresholds, loaded.labels)
        assert vars(scores) == pytest.approx(vars(stored.scores)) and per_label.keys() == stored.per_label.keys()
    assert loaded.predict_proba(["A sheriff."], [""]).tolist() == loaded.predict_proba(["A sheriff."]).tolist()


def test_lora_and_fewer_layers_give_a_folder_like_any_other(small_corpus, tiny_roberta, tmp_path):
    info = train_classifier(small_corpus, tiny_roberta, tmp_path, epochs=1, method="lora", layers=1, loss="asymmetric")
    assert json.loads((tmp_path / "config.json").read_text())["num_hidden_layers"] == 1
    with safe_open(tmp_path / "model.safetensors", "pt") as weights:
        assert not [name for name in weights.keys() if "lora" in name]  # noqa: SIM118
    assert GenreClassifier.from_pretrained(tmp_path).predict_proba(["A sheriff."]).shape == (1, len(info.labels))
    assert (
        info.recipe.settings["method"] == "lora"
        and "--method lora --loss asymmetric" in (tmp_path / "README.md").read_text()
    )
    with pytest.raises(BadInput, match="titles"):
        GenreClassifier.from_pretrained(tmp_path).predict(["A sheriff."], ["Salt (2009)"])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_training_resumes_to_the_same_model(method, small_corpus, tiny_roberta, tmp_path, monkeypatch, capfd):
    """Each step is saved; the process is killed after a step that is not yet saved."""
    monkeypatch.setattr(fit, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)

    def train(folder):
        return train_classifier(small_corpus, tiny_roberta, tmp_path / folder, epochs=1, batch_size=16, method=method)

    def train_until_killed():
        class Dies(fit._CheckpointCallback):
            def on_step_end(self, args, state, control, **kwargs):
                if state.global_step == 4:
                    os.kill(os.getpid(), signal.SIGKILL)
                super().on_step_end(args, state, control, **kwargs)

        fit._CheckpointCallback = Dies
        train("killed")

    assert forked(train_until_killed) == -signal.SIGKILL
    capfd.readouterr()
    train("killed")
    assert "Continuing at step 3." in capfd.readouterr().err
    train("whole")
    weights = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("killed", "whole")]
    assert weights[0] == weights[1]


def test_half_of_a_students_targets_are_its_teachers_probabilities(
    classifier, small_corpus, turned_corpus, corpus, tiny_roberta, tmp_path
):
    folder, teacher = classifier
    plots = read_labelled(small_corpus)
    loaded = GenreClassifier.from_pretrained(folder)
    says = loaded.predict_proba(plots.texts["train"], plots.titles["train"])
    assert distillation_targets([folder, folder], plots) == pytest.approx((plots.targets["train"] + says) / 2, abs=1e-5)
    info = train_classifier(small_corpus, tiny_roberta, tmp_path / "out", epochs=1, layers=1, teachers=[folder])
    assert info.recipe.teachers == [teacher.recipe]
    assert "--layers 1" in (tmp_path / "out" / "README.md").read_text()
    assert "--teacher TEACHER_1" in (tmp_path / "out" / "README.md").read_text()
    other = GenreClassifier.from_pretrained(tmp_path / "out").predict_proba(plots.texts["train"])
    together = expit((logit(says) + logit(other)) / 2)
    pair = [folder, tmp_path / "out"]
    assert distillation_targets(pair, plots) == pytest.approx((plots.targets["train"] + together) / 2, abs=1e-5)
    both = train_classifier(small_corpus, tiny_roberta, tmp_path / "both", epochs=1, layers=1, teachers=pair)
    assert both.recipe.teachers == [teacher.recipe, info.recipe]
    assert "--teacher TEACHER_1 --teacher TEACHER_2" in (tmp_path / "both" / "README.md").read_text()
    with pytest.raises(BadInput, match=r"has other genres than the student \(.*thriller"):
        train_classifier(corpus, tiny_roberta, tmp_path / "other", teachers=[folder])
    with pytest.raises(BadInput, match=r"was trained on 20 of the validation or test plots of this data"):
        train_classifier(turned_corpus, tiny_roberta, tmp_path / "other", teachers=[folder])
    with pytest.raises(BadInput, match="no teacher somewhere: choose the folder of a trained model"):
        train_classifier(small_corpus, tiny_roberta, tmp_path / "other", teachers=["somewhere"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layers": 3}, "--layers must be from 1 to 2"),
        ({"loss": "hinge"}, "--loss must be one of weighted-bce,"),
        ({"method": "half"}, "--method must be full or lora"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
    ],
)
def test_settings_out_of_range_are_rejected(small_corpus, tiny_roberta, tmp_path, settings, says):
    with pytest.raises(BadInput, match=says):
        train_classifier(small_corpus, tiny_roberta, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_epoch_has_every_plot_once_with_some_tokens_masked_and_some_titles(small_corpus, tiny_roberta):
    tokenizer = load_tokenizer(tiny_roberta)
    plots = read_labelled(small_corpus)
    texts, targets, titles = (part["train"] for part in (plots.texts, plots.targets, plots.titles))
    stream = TrainingPlots(tokenizer, texts, targets, 16, seed=0, titles=titles)
    rows = list(stream.one_epoch(0))
    assert len(rows) == stream.steps_per_epoch * 16 >= len(texts)
    seen = Counter(tuple(row["labels"].tolist()) for row in rows)
    assert not Counter(map(tuple, targets.tolist())) - seen  # all of them, and some repeated to fill the last batch
    lengths = [len(row["input_ids"]) for row in TrainingPlots(tokenizer, texts, targets, 16, 0).one_epoch(3)]
    spread = [np.ptp(lengths[i : i + 16]) for i in range(0, len(lengths) - 16, 16)]
    assert np.median(spread) < np.ptp(lengths) / 3  # plots of a batch have about the same length
    shown = [token for row in rows for token in row["input_ids"]]
    assert shown.count(tokenizer.mask_token_id) / len(shown) == pytest.approx(MASKED, abs=0.02)
    longer = len(shown) / sum(len(row["input_ids"]) for row in stream.plots)
    assert 1.0 < longer < sum(len(row["input_ids"]) for row in stream.titled) / len(shown) * longer
    assert rows != list(stream.one_epoch(1)) and rows[0]["input_ids"] == next(stream.one_epoch(0))["input_ids"]


def test_long_plots_are_truncated_and_reported(classifier):
    loaded = GenreClassifier.from_pretrained(classifier[0])
    long = "word " * 600
    assert loaded.max_tokens == 298  # what the tiny encoder has room for
    assert loaded.truncated(["short", long]) == {1: len(loaded.engine.tokenizer(long)["input_ids"])}
    assert np.isfinite(loaded.predict_proba([long])).all()


def test_baselines_choose_by_the_validation_split(small_corpus):
    plots = read_labelled(small_corpus)
    fitted = fit_baselines(plots.texts, plots.targets, plots.labels)
    assert set(fitted) == {LOGISTIC, SVM}
    for baseline in fitted.values():
        assert baseline.proba["test"].shape == plots.targets["test"].shape
        assert ((baseline.proba["test"] >= 0) & (baseline.proba["test"] <= 1)).all()
        assert baseline.settings.startswith("C = ")


def test_metrics_ignore_a_genre_without_training_plots(small_corpus, tmp_path):
    plots = load_plots(small_corpus)
    plots["genres"] = [
        [genre for genre in genres if split != "train" or genre != "western"]
        for genres, split in zip(plots["genres"], plots["split"], strict=True)
    ]
    save_plots(plots, tmp_path / FILE_NAME)
    labelled = read_labelled(tmp_path)
    assert "western" not in labelled.labels and labelled.not_learned["western"] == 0
    assert labelled.targets["test"].shape[1] == len(labelled.labels)
    assert read_labelled(tmp_path, ["western", "drama"]).targets["test"].any(axis=0).tolist() == [True, True]
