"""The classifier: weights, thresholds, metrics, training, prediction; on a tiny RoBERTa."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from movieplots.base_models import load_encoder
from movieplots.classification.imbalance import log_odds, positive_weights
from movieplots.classification.metrics import multilabel_metrics
from movieplots.classification.model import GenreModel
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.thresholds import best_thresholds
from movieplots.classification.training import layer_groups, train_classifier
from movieplots.errors import BadInput
from movieplots.plots import FILE_NAME, load_plots, save_plots


@pytest.fixture(scope="module")
def trained(small_corpus, tiny_roberta, tmp_path_factory):
    """A classifier trained for a few passes: (folder, info)."""
    folder = tmp_path_factory.mktemp("classifier")
    return folder, train_classifier(small_corpus, tiny_roberta, folder, passes=2, batch_size=16)


def test_rare_labels_weigh_more_up_to_the_cap():
    targets = np.zeros((100, 3))
    targets[:50, 0] = targets[:10, 1] = targets[:1, 2] = 1
    assert positive_weights(targets).tolist() == pytest.approx([1.0, 3.0, 6.0])
    assert log_odds(targets)[0] == pytest.approx(0.0)
    assert log_odds(targets)[1] == pytest.approx(np.log(0.1 / 0.9))


def test_thresholds_are_the_best_of_their_label():
    random = np.random.default_rng(0)
    truth = random.random((400, 3)) < [0.5, 0.1, 0.005]
    proba = np.clip(truth * [0.3, 0.2, 0.3] + random.random((400, 3)) * 0.5, 0, 1)
    chosen = best_thresholds(truth, proba)
    for label in (0, 1):
        scores = [f1_score(truth[:, label], proba[:, label] >= t) for t in np.arange(0.05, 0.96, 0.01).round(2)]
        assert f1_score(truth[:, label], proba[:, label] >= chosen[label]) == max(scores)
    assert truth[:, 2].sum() < 10  # too rare for a threshold of its own
    assert 0.05 <= chosen[2] <= 0.95


def test_metrics_by_hand():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    proba = np.array([[0.9, 0.2, 0.9], [0.4, 0.8, 0.1], [0.1, 0.3, 0.1]])
    metrics = multilabel_metrics(truth, proba, np.array([0.5, 0.25, 0.5]), ["war", "music", "news"])
    assert metrics["per_label"]["war"] == {
        "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "average_precision": 1.0, "support": 2,
    }  # fmt: skip
    assert metrics["per_label"]["music"]["f1"] == 1.0
    assert metrics["per_label"]["news"]["average_precision"] is None
    assert metrics["micro_f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)  # labels without a plot do not count
    assert metrics["map"] == 1.0


def test_padding_does_not_change_a_prediction(tiny_roberta):
    torch.manual_seed(0)
    encoder, tokenizer = load_encoder(tiny_roberta)
    model = GenreModel(encoder, 4).eval()
    alone = tokenizer(["A sheriff rides into town."], return_tensors="pt")
    beside = tokenizer(["A sheriff rides into town.", "word " * 60], padding=True, return_tensors="pt")
    logits = [model(batch["input_ids"], batch["attention_mask"])["logits"][0] for batch in (alone, beside)]
    assert torch.allclose(*logits, atol=1e-4)


def test_learning_rates_fall_from_head_to_embeddings(tiny_roberta):
    encoder, _ = load_encoder(tiny_roberta)
    model = GenreModel(encoder, 4)
    groups = layer_groups(model)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates, reverse=True)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_training_writes_a_model_that_predicts(trained, small_corpus):
    folder, info = trained
    assert json.loads((folder / "movieplots.json").read_text()) == info
    assert set(info["metrics"]["baselines"]) == {"TF-IDF + logistic regression", "TF-IDF + linear SVM"}
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]
    counts = load_plots(small_corpus, "train")["genres"].explode().value_counts()
    assert set(info["labels"]) == {genre for genre, n in counts.items() if n >= 10}
    assert info["not_learned"] == {genre: n for genre, n in counts.items() if n < 10}

    classifier = GenreClassifier.from_pretrained(folder)
    texts = load_plots(small_corpus, "test")["plot"].tolist()
    proba = classifier.predict_proba(texts)
    assert proba.shape == (len(texts), len(classifier.labels))
    assert ((proba >= 0) & (proba <= 1)).all()
    assert np.allclose(proba[::-1], classifier.predict_proba(texts[::-1]), atol=1e-6)
    for names, row in zip(classifier.predict(texts), proba, strict=True):
        assert names == sorted(names, key=lambda name: -row[classifier.labels.index(name)])
        assert set(names) == {
            label for label, p, t in zip(classifier.labels, row, classifier.thresholds, strict=True) if p >= t
        }


def test_the_same_command_gives_the_same_weights_and_again_reuses(trained, small_corpus, tiny_roberta, tmp_path):
    folder, info = trained
    train_classifier(small_corpus, tiny_roberta, tmp_path, passes=2, batch_size=16)
    for name in ("model.safetensors", "head.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert train_classifier(small_corpus, tiny_roberta, folder, passes=2, batch_size=16) == info
    with pytest.raises(BadInput, match="passes"):
        train_classifier(small_corpus, tiny_roberta, folder, passes=3, batch_size=16)


def test_bad_input_says_what_to_change(trained, small_corpus, tiny_roberta, tiny_gpt2, tmp_path):
    folder, _ = trained
    with pytest.raises(BadInput, match="Plot 2 is empty"):
        GenreClassifier.from_pretrained(folder).predict(["A sheriff rides into town.", "  "])
    with pytest.raises(BadInput, match="not a trained model"):
        GenreClassifier.from_pretrained(tmp_path)
    with pytest.raises(BadInput, match="cannot be a classifier's base"):
        train_classifier(small_corpus, tiny_gpt2, tmp_path / "gpt2")
    plots = load_plots(small_corpus)
    save_plots(plots[plots["split"] != "test"], tmp_path / FILE_NAME)
    with pytest.raises(BadInput, match="test split"):
        train_classifier(tmp_path, tiny_roberta, tmp_path / "out")


def test_a_model_whose_head_does_not_fit_its_labels_is_refused(trained, tmp_path):
    import shutil

    folder = shutil.copytree(trained[0], tmp_path / "copy")
    info = json.loads((folder / "movieplots.json").read_text())
    (folder / "movieplots.json").write_text(json.dumps(info | {"labels": info["labels"][:-1]}))
    with pytest.raises(BadInput, match="does not fit"):
        GenreClassifier.from_pretrained(folder)
