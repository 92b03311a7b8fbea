"""Sentence embeddings: the models, and the cache, which embeds each text once, also after an interruption."""

import os
import shutil
import signal
import sqlite3

import numpy as np
import pytest

from movieplots.errors import BadInput
from movieplots.files import fingerprint
from movieplots.measures import embedding
from movieplots.measures.embedding import Embedder, load_embedder
from movieplots.measures.similarity import nearest_by_embedding
from movieplots.pretrained.base_models import identity, resolve
from tests.forked import forked


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVIEPLOTS_CACHE", str(tmp_path / "cache"))


class Counting:
    """An embedder by letter counts that records its texts."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        vectors = np.array([[len(text), text.count("e") + 1, text.count("o")] for text in texts], float)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_each_text_is_embedded_once_and_order_and_gaps_are_kept():
    counting = Counting()
    embedder = Embedder("letters", "letters-1", counting)
    first = embedder.embed(["one", "", "seventeen", "one", " "])
    assert sorted(counting.asked) == ["one", "seventeen"]
    assert first.dtype == np.float16 and first.shape == (5, 3)
    assert np.isnan(first[[1, 4]]).all() and (first[0] == first[3]).all() and not (first[0] == first[2]).any()
    again = Embedder("letters", "letters-1", counting).embed(["seventeen", "two", "one"])
    assert counting.asked[2:] == ["two"]
    assert (again[0] == first[2]).all() and (again[2] == first[0]).all()
    Embedder("others", "others-1", counting).embed(["one"])  # the vectors of models are separate
    assert counting.asked[3:] == ["one"]
    assert embedder.embed(["", ""]).shape == (2, 1)
    assert counting.asked[4:] == []


def test_vectors_computed_before_a_failure_are_kept(monkeypatch):
    monkeypatch.setattr("movieplots.measures.embedding._BATCH", 2)
    counting = Counting()

    def failing(texts):
        if len(counting.asked) == 4:
            raise RuntimeError("the runtime vanished")
        return counting(texts)

    texts = [f"text {'e' * n}" for n in range(7)]
    with pytest.raises(RuntimeError):
        Embedder("letters", "letters-1", failing).embed(texts)
    assert len(counting.asked) == 4
    Embedder("letters", "letters-1", counting).embed(texts)
    assert sorted(counting.asked) == texts


def _embed_sixty(cache, log, most):
    """Embed sixty texts in batches of four, recorded in `log`; the process is killed when it has `most` lines."""
    os.environ["MOVIEPLOTS_CACHE"] = str(cache)
    embedding._BATCH = 4

    def noted(texts):
        with log.open("a") as file:
            if log.read_text().count("\n") == most:
                os.kill(os.getpid(), signal.SIGKILL)
            print(*texts, sep="\n", file=file)
        return np.array([[1.0, len(text)] for text in texts])

    Embedder("noted", "noted-1", noted).embed([f"text{n}" for n in range(60)])


def test_a_killed_run_resumes(tmp_path):
    log = tmp_path / "log"
    assert forked(_embed_sixty, tmp_path / "cache", log, 24) == -signal.SIGKILL
    assert forked(_embed_sixty, tmp_path / "cache", log, None) == 0
    lines = log.read_text().split()
    assert len(set(lines)) == 60 and len(lines) <= 64  # at most one batch was computed twice


def test_similar_meaning_counts_more_than_equal_words():
    texts = [
        "A lighthouse keeper finds a message from the drowned.",
        "Someone who tends a beacon by the sea gets a letter from the dead.",
        "A banker finds a message in his office that the shares have fallen.",
    ]
    vectors = load_embedder().embed(texts).astype(float)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > cosine[0, 2] + 0.1


def test_vectors_are_those_of_sentence_transformers_including_the_prompt(tmp_path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        resolve("minilm-l6"), prompts={"asked": "query: "}, default_prompt_name="asked", truncate_dim=100
    )
    model.save(str(tmp_path / "asking"))
    texts = [" ".join(["the sea gives back what it took"] * n) for n in (1, 2, 5, 9, 20, 80, 200)] * 2
    ours = load_embedder(str(tmp_path / "asking")).embed(texts)
    assert ours == pytest.approx(model.encode(texts, normalize_embeddings=True, show_progress_bar=False), abs=1e-3)
    assert ours.shape == (14, 100)
    plain = SentenceTransformer(resolve("minilm-l6"), truncate_dim=100).encode(texts[0], normalize_embeddings=True)
    assert abs(ours[0] - plain).max() > 0.01  # the prompt changes the vector


def test_a_model_in_a_folder_is_identified_by_its_content(tiny_roberta, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_roberta, folder)
    first = load_embedder(str(folder))
    assert first.embed(["the sea"]).shape[0] == 1
    assert first.identity == load_embedder(str(folder)).identity == load_embedder(str(tiny_roberta)).identity
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert load_embedder(str(folder)).identity != first.identity


@pytest.mark.parametrize("changed", ["pytorch_model.bin", "1_Dense/pytorch_model.bin", "vocab.model"])
def test_every_file_that_changes_the_vectors_changes_the_identity(tmp_path, changed):
    for name in ("config.json", changed):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    first = identity(str(tmp_path))
    (tmp_path / "README.md").write_text("A card.")
    assert identity(str(tmp_path)) == first
    before = (tmp_path / changed).stat()
    (tmp_path / changed).write_text("[]")
    os.utime(tmp_path / changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert identity(str(tmp_path)) != first


def test_a_model_of_the_hub_is_identified_by_the_loaded_version(tmp_path, monkeypatch):
    """Its name is the same for all versions."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    hub = tmp_path / "models--someone--some-embedder"

    def loaded(commit, weights):
        (hub / "snapshots" / commit).mkdir(parents=True)
        (hub / "snapshots" / commit / "model.safetensors").write_text(weights)
        (hub / "refs").mkdir(exist_ok=True)
        (hub / "refs" / "main").write_text(commit)
        return identity("someone/some-embedder")

    assert identity("someone/some-embedder") is None
    old, new, moved = loaded("a" * 40, "old"), loaded("b" * 40, "new"), loaded("c" * 40, "new")
    assert old != new == moved


def test_vectors_of_an_unknown_model_are_not_cached(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(embedding, "_load", lambda name: None)
    assert load_embedder("someone/some-embedder").identity is None
    assert "its embeddings are not cached" in capsys.readouterr().err
    counting = Counting()
    embedder = Embedder("unknown", None, counting)
    assert (embedder.embed(["one"]) == embedder.embed(["one"])).all()
    assert counting.asked == ["one"] * 2
    assert not (tmp_path / "cache").exists()


@pytest.mark.filterwarnings("error")
def test_a_text_without_words_or_vector_is_nan():
    def compute(texts):
        return np.array([{"zero": [0, 0], "nan": [np.nan, 1], "sea": [1, 0]}[text] for text in texts])

    vectors = Embedder("made up", "made-up-1", compute).embed(["…", "zero", "nan", "sea"])
    assert np.isnan(vectors[:3]).all() and vectors[3].tolist() == [1, 0]
    found = nearest_by_embedding(vectors, vectors)
    assert found.row.tolist() == [-1, -1, -1, 3] and np.isnan(found.similarity[:3]).all()


def test_vectors_of_two_models_of_one_name_are_not_mixed():
    Embedder("changed", "changed", lambda texts: np.ones((len(texts), 2))).embed(["one", "two"])
    with pytest.raises(BadInput, match="delete the file and run again"):
        Embedder("changed", "changed", lambda texts: np.ones((len(texts), 6))).embed(["one", "two", "three", "four"])


def test_bad_input_has_a_message(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        load_embedder("./nowhere")
    with pytest.raises(BadInput, match="works offline"):
        load_embedder("someone/some-embedder").embed(["the sea"])
    embedder = Embedder("letters", "letters-1", Counting())
    embedder.embed(["one"])
    cache = tmp_path / "cache" / "embeddings" / f"{fingerprint('letters-1')}.sqlite"
    cache.write_bytes(b"this is not a database" * 99)
    with pytest.raises(BadInput, match="Delete it or free disk space"):
        embedder.embed(["two"])
    cache.unlink()
    assert embedder.embed(["two"]).shape == (1, 3)
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (1,)
