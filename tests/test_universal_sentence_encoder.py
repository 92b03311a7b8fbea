"""The Universal Sentence Encoder, on a small SavedModel with the same interface.

Tests that need TensorFlow are marked `use`. `make test-all` runs them in .venv-use; without TensorFlow they fail there.
"""

import http.server
import io
import shutil
import socket
import sys
import tarfile
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest

from movieplots.errors import BadInput
from movieplots.measures import universal_sentence_encoder
from movieplots.measures.universal_sentence_encoder import UniversalSentenceEncoder

TEXTS = ["A sheriff rides into town.", "Two sisters open a bakery by the sea.", "The town rides into a sheriff."]


def _save(folder, build):
    """Save the TensorFlow module that `build(tf)` returns with its signatures, and return the path of the folder."""
    import tensorflow as tf

    module, signatures = build(tf)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return str(folder)


def _word_vectors(tf, seed=0):
    """Return a function from strings (n,) to (n, 512): the sum of random vectors per word, later words weigh less."""
    module = tf.Module()
    module.table = tf.Variable(tf.random.stateless_normal([5000, 512], [seed, 1]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def embed(texts):
        words = tf.strings.split(tf.strings.lower(texts))
        numbers = words.with_values(tf.strings.to_hash_bucket_fast(words.values, 5000))
        weights = words.with_values(1 / tf.cast(tf.ragged.range(words.row_lengths()).values + 1, tf.float32))
        vectors = tf.gather(module.table, numbers) * tf.expand_dims(weights, -1)
        return tf.reduce_sum(vectors, axis=1)

    return module, embed


def _like_the_encoder(tf, seed=0):
    module, module.__call__ = _word_vectors(tf, seed)
    return module, {"serving_default": module.__call__}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return _save(tmp_path_factory.mktemp("encoder"), _like_the_encoder)


@pytest.fixture(scope="module")
def encoder(model):
    return UniversalSentenceEncoder(model)


@pytest.fixture
def folder(tmp_path):
    """A folder with the files of a SavedModel, for tests that do not load it."""
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"no graph")
    (tmp_path / "model" / "variables" / "variables.index").write_bytes(b"no index")
    return tmp_path / "model"


@pytest.fixture
def without_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@pytest.fixture
def as_if_installed(monkeypatch):
    monkeypatch.setattr(universal_sentence_encoder, "_NEEDED", ())


def test_without_tensorflow_the_message_has_the_install_command(folder, without_tensorflow):
    with pytest.raises(BadInput, match=r"^The Universal Sentence Encoder needs tensorflow\b.*: run `pip install "):
        UniversalSentenceEncoder(str(folder))
    with pytest.raises(BadInput, match="needs tensorflow"):
        UniversalSentenceEncoder()


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_a_model(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        BadInput, match=rf"{name} contains no saved_model\.pb: give the folder of a TensorFlow SavedModel"
    ):
        UniversalSentenceEncoder(str(tmp_path / name))


def test_identity_is_the_handle_or_the_content(folder, tmp_path, as_if_installed):
    handle = "https://tfhub.dev/google/universal-sentence-encoder/4"
    assert UniversalSentenceEncoder().identity == UniversalSentenceEncoder(handle).identity == handle
    first = UniversalSentenceEncoder(str(folder)).identity
    assert first == UniversalSentenceEncoder(shutil.copytree(folder, tmp_path / "copy")).identity
    (folder / "variables" / "variables.index").write_bytes(b"an index")
    changed = UniversalSentenceEncoder(str(folder)).identity
    (folder / "variables" / "variables.index").rename(folder / "variables" / "index")
    renamed = UniversalSentenceEncoder(str(folder)).identity
    assert len({first, changed, renamed}) == 3
    for unversioned in ("https://example.com/encoder.tar.gz", "https://tfhub.dev/google/universal-sentence-encoder"):
        assert UniversalSentenceEncoder(unversioned).identity is None


@pytest.mark.use
def test_rows_of_unit_length(encoder):
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32 and vectors.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


@pytest.mark.use
def test_the_direction_is_that_of_the_model(model, encoder):
    import tensorflow as tf
    import tensorflow_hub as hub

    raw = hub.load(model)(tf.constant(TEXTS)).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS) * np.linalg.norm(raw, axis=1, keepdims=True), raw, atol=1e-5)


@pytest.mark.use
def test_only_equal_texts_have_equal_vectors(encoder):
    vectors = encoder.encode([*TEXTS, TEXTS[0]])
    np.testing.assert_array_equal(vectors[0], vectors[3])
    similarity = vectors[:3] @ vectors[:3].T
    assert (similarity[~np.eye(3, dtype=bool)] < 0.99).all()


@pytest.mark.use
def test_batches_do_not_change_the_vectors(encoder, monkeypatch):
    texts = [f"Plot {i}: {TEXTS[i % 3]}" for i in range(7)]
    at_once = encoder.encode(texts)
    monkeypatch.setattr(universal_sentence_encoder, "_BATCH", 3)
    np.testing.assert_allclose(encoder.encode(texts), at_once, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([encoder.encode([text]) for text in texts]), at_once, atol=1e-6)


@pytest.mark.use
def test_batches_are_small(tmp_path, monkeypatch):
    def counting(tf):
        module = tf.Module()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def embed(texts):
            size = tf.cast(tf.size(texts), tf.float32)
            return tf.stack([tf.ones_like(texts, tf.float32), tf.ones_like(texts, tf.float32) * size], axis=1)

        module.__call__ = embed
        return module, None

    vectors = UniversalSentenceEncoder(_save(tmp_path, counting)).encode(["a"] * 600)
    sizes = vectors[:, 1] / vectors[:, 0]
    assert vectors.shape == (600, 2) and sizes.max() <= 256.5


@pytest.mark.use
def test_no_texts(encoder):
    vectors = encoder.encode([])
    assert vectors.dtype == np.float32 and vectors.shape == (0, 512)


@pytest.mark.use
def test_odd_texts(encoder):
    vectors = encoder.encode(["", "ein Mädchen, 少女, 🎬"])
    assert np.isfinite(vectors).all()
    assert not vectors[0].any()  # this model returns zeros for it


@pytest.mark.use
@pytest.mark.parametrize("name", ["serving_default", "default"])
def test_a_model_with_a_signature_alone(tmp_path, name, encoder):
    def build(tf):
        module, module.embed = _word_vectors(tf)
        return module, {name: module.embed}

    alone = UniversalSentenceEncoder(_save(tmp_path, build))
    np.testing.assert_allclose(alone.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)


@pytest.mark.use
def test_two_models_have_different_identities(tmp_path, encoder):
    other = UniversalSentenceEncoder(_save(tmp_path, lambda tf: _like_the_encoder(tf, seed=1)))
    assert other.identity != encoder.identity
    assert not np.allclose(other.encode(TEXTS), encoder.encode(TEXTS), atol=1e-3)


def _takes_numbers(tf):
    module = tf.Module()
    module.__call__ = tf.function(lambda x: x * 2, input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    return module, {"serving_default": module.__call__}


def _gives_one_number_per_text(tf):
    module = tf.Module()
    length = tf.function(tf.strings.length, input_signature=[tf.TensorSpec([None], tf.string)])
    module.__call__ = length
    return module, None


def _has_no_function(tf):
    module = tf.Module()
    module.table = tf.Variable([1.0])
    return module, None


@pytest.mark.use
@pytest.mark.parametrize("build", [_takes_numbers, _gives_one_number_per_text, _has_no_function])
def test_another_interface(tmp_path, build):
    encoder = UniversalSentenceEncoder(_save(tmp_path, build))
    with pytest.raises(BadInput, match=r"does not have the interface of .* strings of shape \(n,\) to vectors"):
        encoder.encode(TEXTS)


@pytest.mark.use
@pytest.mark.parametrize("damage", ["graph", "weights"])
def test_a_damaged_model(model, tmp_path, damage):
    copy = shutil.copytree(model, tmp_path / "copy")
    if damage == "graph":
        (copy / "saved_model.pb").write_bytes(b"no graph")
    else:
        shutil.rmtree(copy / "variables")
    with pytest.raises(BadInput, match=r"copy cannot be loaded as a SavedModel \(.+\)\. Download it again") as raised:
        UniversalSentenceEncoder(str(copy)).encode(TEXTS)
    assert "\n" not in str(raised.value)


@pytest.fixture
def hub(model, monkeypatch, tmp_path):
    """The address of a local hub with `/encoder/1`, `/cut/1` (a truncated archive) and `/page/1` (not an archive)."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(model, arcname=".")
    answers = {"/encoder/1": packed.getvalue(), "/cut/1": packed.getvalue()[:5000], "/page/1": b"<html>"}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(urlsplit(self.path).path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.use
def test_a_handle_is_downloaded_once(hub, encoder, tmp_path):
    downloaded = UniversalSentenceEncoder(f"{hub}/encoder/1")
    assert not (tmp_path / "hub").exists()
    np.testing.assert_array_equal(downloaded.encode(TEXTS), encoder.encode(TEXTS))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "hub").rglob("saved_model.pb")}
    assert len(files) == 1
    np.testing.assert_array_equal(UniversalSentenceEncoder(f"{hub}/encoder/1").encode(TEXTS), encoder.encode(TEXTS))
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "hub").rglob("saved_model.pb")}


@pytest.mark.use
@pytest.mark.parametrize("path", ["missing/1", "cut/1", "page/1"])
def test_a_handle_without_a_model(hub, path):
    with pytest.raises(BadInput, match=rf"{path} cannot be downloaded \(.+\)\. Check the handle and the connection"):
        UniversalSentenceEncoder(f"{hub}/{path}").encode(TEXTS)


@pytest.mark.use
def test_no_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with socket.socket() as unused:  # bound, but not listening
        unused.bind(("127.0.0.1", 0))
        handle = f"http://127.0.0.1:{unused.getsockname()[1]}/google/universal-sentence-encoder/4"
        with pytest.raises(BadInput, match=r"^http.*/4 cannot be downloaded \(.*refused.*\)\. Check the handle"):
            UniversalSentenceEncoder(handle).encode(TEXTS)


@pytest.mark.use
def test_a_handle_of_an_unknown_kind():
    with pytest.raises(BadInput, match=r"^ftp2://model/1 cannot be downloaded \("):
        UniversalSentenceEncoder("ftp2://model/1").encode(TEXTS)


@pytest.mark.use
def test_a_server_that_stops_responding(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(universal_sentence_encoder, "_TIMEOUT", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(BadInput, match=r"cannot be downloaded \(.*timed out\)"):
            UniversalSentenceEncoder(f"http://127.0.0.1:{server.getsockname()[1]}/encoder/1").encode(TEXTS)
    assert socket.getdefaulttimeout() is None


@pytest.mark.use
def test_together_with_torch(encoder):
    import torch

    before = encoder.encode(TEXTS)
    assert torch.linalg.norm(torch.from_numpy(before), dim=1).allclose(torch.ones(3))
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)
