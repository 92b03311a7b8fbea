"""Sentence embeddings from the Universal Sentence Encoder (Cer et al. 2018, arXiv:1803.11175) or a model like it.

The model is a TensorFlow SavedModel: a folder, or a handle of TensorFlow Hub, which is downloaded once into the cache.
TensorFlow runs in this process, beside torch; importing it takes about ten seconds, so that waits for the first texts.
It is an extra, not a requirement, because TensorBoard imports it in every training wherever it is installed.
"""

import contextlib
import importlib.util
import os
import re
import socket
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from http.client import HTTPException
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.error import URLError

import numpy as np

from movieplots.errors import BadInput
from movieplots.files import content_fingerprint
from movieplots.pretrained.base_models import cache_folder
from movieplots.progress import notify
from movieplots.texts import as_texts

DEFAULT_HANDLE = "https://tfhub.dev/google/universal-sentence-encoder/4"

_VERSIONED = re.compile(r"https://(www\.)?(tfhub\.dev|kaggle\.com)/.+/\d+")
_NEEDED = ("tensorflow", "tensorflow_hub", "tf_keras", "pkg_resources")
_INSTALL = "run `pip install tensorflow tensorflow-hub 'setuptools<82'`"  # later ones have no pkg_resources
_BATCH = 256  # texts embedded at once, which bounds the memory
_PROBE = ["A first text.", "Another one."]
_PATIENCE = 60.0  # seconds without a byte from the hub, whose library itself would wait for ever
_waiting = Lock()  # of two at once, the second would take the first one's patience for the program's, and leave it


class UniversalSentenceEncoder:
    """A sentence encoder at `location`: a hub handle (with `://` in it) or a folder that holds a saved_model.pb.

    The model must take strings of shape (n,) and give vectors of shape (n, d), called itself or through its signature
    `serving_default` or `default`. The Universal Sentence Encoder is such a model, with d = 512. It is loaded by the
    first call of `encode`. Raises BadInput where the folder holds no model or TensorFlow is not installed.
    """

    def __init__(self, location: str | Path = DEFAULT_HANDLE) -> None:
        self.location = str(location)
        if not _is_handle(self.location) and not Path(location, "saved_model.pb").is_file():
            raise BadInput(
                f"{location} holds no saved_model.pb: give the folder of a TensorFlow SavedModel, "
                f"or a handle like {DEFAULT_HANDLE}."
            )
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise BadInput(f"The Universal Sentence Encoder needs {', '.join(missing)}: {_INSTALL} first.")

    @cached_property
    def identity(self) -> str | None:
        """What tells this model from another, for caches: the handle, or a hash of the folder's files; None if unknown.

        Behind a handle that ends with a version the hub never changes a model; behind another address anything may lie.
        """
        if not _is_handle(self.location):
            return content_fingerprint(self.location)
        return self.location if _VERSIONED.fullmatch(self.location) else None

    def encode(self, texts: list[str]) -> np.ndarray:
        """The embeddings of the texts: float32, shape (n, d), rows of length 1; (0, d) for no texts.

        A row is all zeros where the model gives a text no direction. Raises BadInput for what is no list of texts, and
        where the model cannot be fetched or loaded, or has another signature.
        """
        texts = as_texts(texts, "text")
        embed = self._embed
        if not texts:
            return embed(_PROBE)[:0]  # the model itself is not asked for nothing, but it knows d
        vectors = np.concatenate([embed(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    @cached_property
    def _embed(self) -> Callable[[list[str]], np.ndarray]:
        notify(f"Loading {self.location} …")  # no spinner: the caller may have a bar, and older rich has one at a time
        return _embedder(_load(self.location), self.location)


def _is_handle(location: str) -> bool:
    return "://" in location


def _load(location: str) -> Any:
    """The SavedModel as TensorFlow restores it."""
    tf, hub = _tensorflow()
    folder = location
    if _is_handle(location):
        try:
            with _patience():
                folder = hub.resolve(location)
        # RuntimeError: no resolver knows such handles. EOFError and zlib's: the archive is cut off or damaged.
        except (
            OSError, ValueError, RuntimeError, EOFError, HTTPException, zlib.error, tarfile.TarError, tf.errors.OpError
        ) as error:  # fmt: skip
            raise BadInput(
                f"{location} cannot be fetched ({_reason(error)}): check the handle and the connection, "
                "or give the folder of a SavedModel that is here already."
            ) from None
    try:
        return hub.load(folder)
    except Exception as error:  # a damaged model fails in TensorFlow in more ways than can be listed
        raise BadInput(
            f"{location} cannot be loaded as a SavedModel ({_reason(error)}): download it again, or give another model."
        ) from None


def _tensorflow() -> tuple[Any, Any]:
    """The modules tensorflow and tensorflow_hub, quiet and polite."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong is raised as well
    # By itself the hub's library downloads into the system's temporary folder, to be lost at the next start.
    os.environ.setdefault("TFHUB_CACHE_DIR", str(cache_folder() / "tensorflow-hub"))
    warnings.filterwarnings("ignore", message=".*pkg_resources")  # tensorflow_hub imports it
    try:
        import tensorflow as tf
        import tensorflow_hub as hub
    except ImportError as error:
        raise BadInput(f"TensorFlow cannot be imported ({_reason(error)}): {_INSTALL}.") from None
    with contextlib.suppress(RuntimeError):  # too late where the program itself has used TensorFlow on the GPU
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # else it takes all the memory, also torch's
    return tf, hub


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    with _waiting:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)
        try:
            yield
        finally:
            socket.setdefaulttimeout(before)


def _embedder(model: Any, location: str) -> Callable[[list[str]], np.ndarray]:
    """From texts to float32 vectors, by the first way of calling the model that turns n texts into n vectors."""
    import tensorflow as tf

    def embed(call: Callable[[Any], Any], texts: list[str]) -> np.ndarray:
        found = call(tf.constant([text.encode() for text in texts]))
        fits = isinstance(found, tf.Tensor) and found.dtype.is_floating
        if not (fits and found.shape.rank == 2 and len(found) == len(texts)):
            raise TypeError("These are no vectors of the texts.")
        return np.asarray(found, np.float32)

    for call in _ways_to_call(model):
        with contextlib.suppress(TypeError, ValueError, tf.errors.OpError):
            embed(call, _PROBE)
            return partial(embed, call)
    raise BadInput(
        f"{location} has another signature than the Universal Sentence Encoder, which takes strings of shape (n,) "
        "and gives vectors of shape (n, d): give a model like it."
    )


def _ways_to_call(model: Any) -> Iterator[Callable[[Any], Any]]:
    if callable(model):
        yield model
    signatures = getattr(model, "signatures", {})
    for name in ("serving_default", "default"):
        if name in signatures:
            signature = signatures[name]
            inputs = list(signature.structured_input_signature[1])  # a signature takes its tensors by name only
            outputs = list(signature.structured_outputs)
            if len(inputs) == 1 and len(outputs) == 1:
                yield partial(_by_name, signature, inputs[0], outputs[0])


def _by_name(signature: Callable[..., Any], given: str, found: str, texts: Any) -> Any:
    return signature(**{given: texts})[found]


def _reason(error: BaseException) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason  # what urllib wraps says it without brackets
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")
