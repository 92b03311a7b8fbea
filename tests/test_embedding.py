"""Sentence embeddings: real ones, and a cache that computes each text once, also after a kill."""

import shutil
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from movieplots.bases import resolve
from movieplots.errors import BadInput
from movieplots.evaluation.embedding import Embedder, load_embedder
from movieplots.files import fingerprint


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVIEPLOTS_CACHE", str(tmp_path / "cache"))


class Counting:
    """Gives each text a vector made from its letters, and remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        vectors = np.array([[len(text), text.count("e") + 1, text.count("o")] for text in texts], float)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_each_text_is_computed_once_and_order_and_gaps_stay():
    counting = Counting()
    embedder = Embedder("letters", "letters-1", counting)
    first = embedder.embed(["one", "", "seventeen", "one", " "])
    assert sorted(counting.asked) == ["one", "seventeen"]
    assert first.dtype == np.float16 and first.shape == (5, 3)
    assert np.isnan(first[[1, 4]]).all() and (first[0] == first[3]).all() and not (first[0] == first[2]).any()
    again = Embedder("letters", "letters-1", counting).embed(["seventeen", "two", "one"])
    assert counting.asked[2:] == ["two"]
    assert (again[0] == first[2]).all() and (again[2] == first[0]).all()
    Embedder("others", "others-1", counting).embed(["one"])  # another model's vectors are its own
    assert counting.asked[3:] == ["one"]
    assert embedder.embed(["", ""]).shape == (2, 1)
    assert counting.asked[4:] == []


def test_what_was_computed_before_a_failure_is_kept(monkeypatch):
    monkeypatch.setattr("movieplots.evaluation.embedding._PART", 2)
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


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    script = tmp_path / "embed.py"
    script.write_text(
        "import sys, time, numpy as np\n"
        "import movieplots.evaluation.embedding as embedding\n"
        "embedding._PART = 4\n"
        "log = open(sys.argv[1], 'a')\n"
        "def slow(texts):\n"
        "    time.sleep(0.1)\n"
        "    print(*texts, sep='\\n', file=log, flush=True)\n"
        "    return np.array([[1.0, len(text)] for text in texts])\n"
        "embedding.Embedder('slow', 'slow-1', slow).embed([f'text{n}' for n in range(60)])\n"
    )
    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, str(script), str(log)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not log.is_file() or log.read_text().count("\n") < 20:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 20 <= log.read_text().count("\n") < 60
    subprocess.run([sys.executable, str(script), str(log)], check=True, stderr=subprocess.DEVNULL)
    lines = log.read_text().split()
    assert len(set(lines)) == 60 and len(lines) <= 64  # at most one part was computed again


def test_meaning_counts_more_than_words():
    texts = [
        "A lighthouse keeper finds a message from the drowned.",
        "Someone who tends a beacon by the sea gets a letter from the dead.",
        "A banker finds a message in his office that the shares have fallen.",
    ]
    vectors = load_embedder().embed(texts).astype(float)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > cosine[0, 2] + 0.1


def test_vectors_are_those_of_sentence_transformers_prompt_and_all(tmp_path):
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
    assert abs(ours[0] - plain).max() > 0.01  # without the prompt it is another vector


def test_a_model_in_a_folder_is_known_by_its_content(tiny_roberta, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_roberta, folder)
    first = load_embedder(str(folder))
    assert first.embed(["the sea"]).shape[0] == 1
    assert first.identity == load_embedder(str(folder)).identity == load_embedder(str(tiny_roberta)).identity
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert load_embedder(str(folder)).identity != first.identity


def test_vectors_of_two_models_of_one_name_are_not_mixed():
    Embedder("changed", "changed", lambda texts: np.ones((len(texts), 2))).embed(["one", "two"])
    with pytest.raises(BadInput, match="remove the file"):
        Embedder("changed", "changed", lambda texts: np.ones((len(texts), 6))).embed(["one", "two", "three", "four"])


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        load_embedder("./nowhere")
    with pytest.raises(BadInput, match="works offline"):
        load_embedder("someone/some-embedder").embed(["the sea"])
    embedder = Embedder("letters", "letters-1", Counting())
    embedder.embed(["one"])
    cache = tmp_path / "cache" / "embeddings" / f"{fingerprint('letters-1')}.sqlite"
    cache.write_bytes(b"this is no database" * 99)
    with pytest.raises(BadInput, match="remove it"):
        embedder.embed(["two"])
    cache.unlink()
    assert embedder.embed(["two"]).shape == (1, 3)
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (1,)
