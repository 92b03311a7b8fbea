"""A quantized classifier is smaller, predicts nearly the same, and does not need torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from movieplots import GenreClassifier, load_plots
from movieplots.classification.explanation import explain
from movieplots.classification.quantization import quantize
from movieplots.errors import BadInput


def size(folder):
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in (".safetensors", ".onnx"))


def test_it_is_smaller_and_predicts_nearly_the_same(classifier, quantized, small_corpus):
    folder, info = quantized
    assert size(folder) < 0.7 * size(classifier[0])  # a quarter of a real model; of this tiny one much is the graph
    texts = load_plots(small_corpus)["plot"].tolist()
    whole, small = (GenreClassifier.from_pretrained(path).predict_proba(texts) for path in (classifier[0], folder))
    assert small.shape == whole.shape
    assert np.abs(small - whole).max() < 0.05
    before, now = info.metrics.before_quantization, info.metrics.test.scores
    assert before == classifier[1].metrics.test.scores
    assert now.map == pytest.approx(before.map, abs=0.05)
    assert info.metrics.test.baselines == classifier[1].metrics.test.baselines
    card = (folder / "README.md").read_text()
    assert "quantized to int8" in card and "Before quantization, from the plot alone: micro-F1" in card
    assert "from transformers import pipeline" not in card
    assert json.loads((folder / "config.json").read_text())["id2label"]["0"] == info.labels[0]
    made = "movieplots quantize --model TRAINED --output-dir THIS_FOLDER --data DATA\n"
    assert "--output-dir TRAINED" in card and made in card
    assert quantize(classifier[0], folder, small_corpus) == info  # once more into the same folder


def test_one_text_and_many_give_the_same(quantized):
    loaded = GenreClassifier.from_pretrained(quantized[0])
    texts = ["A sheriff rides into town. " * n for n in (1, 5, 200)]
    many = loaded.predict_proba(texts * 10)
    assert np.allclose(many[:3], many[-3:], atol=0.02)  # activations are rounded batch by batch
    assert np.allclose(loaded.predict_proba(texts[:1]), many[:1], atol=0.02)
    assert list(loaded.truncated(texts)) == [2]
    assert loaded.engine.lengths(["A sheriff."])[0] < 12


def test_it_needs_no_torch(quantized):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from movieplots import GenreClassifier\n"
        f"loaded = GenreClassifier.from_pretrained({str(quantized[0])!r})\n"
        "print(len(loaded.predict(['A sheriff rides into town.', 'Two strangers meet in Rome.'])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "2\n", done.stderr


def test_it_can_be_explained(quantized):
    explanation = explain(GenreClassifier.from_pretrained(quantized[0]), "A sheriff rides into town.")
    assert len(explanation.words) == 5 and explanation.effects


def test_models_and_folders_that_do_not_fit_are_rejected(request, classifier, quantized, corpus, tmp_path):
    folder, _ = classifier
    small_corpus = request.getfixturevalue("small_corpus")
    with pytest.raises(BadInput, match="quantized already"):
        quantize(quantized[0], tmp_path, small_corpus)
    before = (folder / "movieplots.json").read_bytes()
    with pytest.raises(BadInput, match="holds something other than a quantized classifier"):
        quantize(folder, folder, small_corpus)
    assert (folder / "movieplots.json").read_bytes() == before
    with pytest.raises(BadInput, match="trained on other plots"):
        quantize(folder, tmp_path / "out", corpus)
    assert not (tmp_path / "out").exists()


def test_a_model_trained_into_the_same_folder_replaces_it(classifier, small_corpus, tiny_roberta, tmp_path):
    from movieplots import train_classifier

    quantize(classifier[0], tmp_path, small_corpus)
    train_classifier(small_corpus, tiny_roberta, tmp_path, epochs=1, batch_size=16, overwrite=True)
    assert not (tmp_path / "model.onnx").exists()
    assert type(GenreClassifier.from_pretrained(tmp_path).engine).__name__ == "TorchEngine"
