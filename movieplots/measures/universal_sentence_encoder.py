"""Sentence embeddings from the Universal Sentence Encoder or a model with the same interface.

The model is a TensorFlow SavedModel: a folder, or a TensorFlow Hub handle that is downloaded once into the cache.
Importing TensorFlow takes about ten seconds, so it is imported when the first texts are embedded. It is an optional
dependency, because TensorBoard would import it in every training if it were installed.
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
_INSTALL = "run `pip install tensorflow tensorflow-hub 'setuptools<82'`"  # later versions have no pkg_resources
_BATCH = 256  # texts embedded at a time, to limit memory
_PROBE = ["A first text.", "Another one."]
_TIMEOUT = 60.0  # seconds without data from the hub; its library has no timeout
_timeout_lock = Lock()  # otherwise a second thread could restore the first one's timeout as the default


class UniversalSentenceEncoder:
    """A sentence embedder from a TensorFlow SavedModel, loaded on the first call of `encode`.

    Parameters
    ----------
    location : str or Path, default "https://tfhub.dev/google/universal-sentence-encoder/4"
        TensorFlow Hub handle (with `://`), or a folder with a saved_model.pb. The model must map strings of shape (n,)
        to vectors of shape (n, d), by a call or by its signature `serving_default` or `default`.

    Raises
    ------
    BadInput
        If the folder does not contain a SavedModel, or TensorFlow is not installed.

    Notes
    -----
    The Universal Sentence Encoder (d = 512) is that of `Cer et al. (2018) <https://arxiv.org/abs/1803.11175>`_.
    """

    def __init__(self, location: str | Path = DEFAULT_HANDLE) -> None:
        self.location = str(location)
        if not _is_handle(self.location) and not Path(location, "saved_model.pb").is_file():
            raise BadInput(
                f"{location} contains no saved_model.pb: give the folder of a TensorFlow SavedModel, "
                f"or a handle such as {DEFAULT_HANDLE}."
            )
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise BadInput(f"The Universal Sentence Encoder needs {', '.join(missing)}: {_INSTALL}.")

    @cached_property
    def identity(self) -> str | None:
        """Identifier of the model for caches: the handle, or a hash of the folder's files; None if unknown.

        A handle that ends with a version always refers to the same model. Other addresses may change.
        """
        if not _is_handle(self.location):
            return content_fingerprint(self.location)
        return self.location if _VERSIONED.fullmatch(self.location) else None

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the embeddings of the texts.

        Parameters
        ----------
        texts : list of str
            Texts to embed.

        Returns
        -------
        numpy.ndarray of shape (n, d), float32
            Vectors of unit length; zeros if the model returns zeros for a text.

        Raises
        ------
        BadInput
            If `texts` is not a list of texts, or the model cannot be downloaded or loaded, or has another interface.
        """
        texts = as_texts(texts, "text")
        embed = self._embed
        if not texts:
            return embed(_PROBE)[:0]  # the model does not take an empty list; d is that of other texts
        vectors = np.concatenate([embed(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    @cached_property
    def _embed(self) -> Callable[[list[str]], np.ndarray]:
        notify(
            f"Loading {self.location} …"
        )  # no spinner, because older versions of rich allow one progress display and the caller may have one
        return _embedder(_load(self.location), self.location)


def _is_handle(location: str) -> bool:
    return "://" in location


def _load(location: str) -> Any:
    """Download the SavedModel if necessary, and load it."""
    tf, hub = _tensorflow()
    folder = location
    if _is_handle(location):
        try:
            with _timeout():
                folder = hub.resolve(location)
        # RuntimeError: no resolver for such handles. EOFError and zlib.error: a truncated or damaged archive.
        except (
            OSError, ValueError, RuntimeError, EOFError, HTTPException, zlib.error, tarfile.TarError, tf.errors.OpError
        ) as error:  # fmt: skip
            raise BadInput(
                f"{location} cannot be downloaded ({_reason(error)}). Check the handle and the connection, "
                "or give the folder of a local SavedModel."
            ) from None
    try:
        return hub.load(folder)
    except Exception as error:  # TensorFlow has no common exception for damaged models
        raise BadInput(
            f"{location} cannot be loaded as a SavedModel ({_reason(error)}). Download it again, or give another model."
        ) from None


def _tensorflow() -> tuple[Any, Any]:
    """Import tensorflow and tensorflow_hub, without log output and without reserving all GPU memory."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are also raised
    # The default of the hub's library is the system's temporary folder, which does not survive a restart.
    os.environ.setdefault("TFHUB_CACHE_DIR", str(cache_folder() / "tensorflow-hub"))
    warnings.filterwarnings("ignore", message=".*pkg_resources")  # tensorflow_hub imports it
    try:
        import tensorflow as tf
        import tensorflow_hub as hub
    except ImportError as error:
        raise BadInput(f"TensorFlow cannot be imported ({_reason(error)}): {_INSTALL}.") from None
    with contextlib.suppress(RuntimeError):  # too late if the program has already used TensorFlow on the GPU
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(
                gpu, True
            )  # otherwise TensorFlow takes all GPU memory, including torch's
    return tf, hub


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Set the default timeout of sockets temporarily."""
    with _timeout_lock:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_TIMEOUT)
        try:
            yield
        finally:
            socket.setdefaulttimeout(before)


def _embedder(model: Any, location: str) -> Callable[[list[str]], np.ndarray]:
    """Return a function from texts to float32 vectors, by the first way of calling the model that works."""
    import tensorflow as tf

    def embed(call: Callable[[Any], Any], texts: list[str]) -> np.ndarray:
        found = call(tf.constant([text.encode() for text in texts]))
        fits = isinstance(found, tf.Tensor) and found.dtype.is_floating
        if not (fits and found.shape.rank == 2 and len(found) == len(texts)):
            raise TypeError("The output is not one vector per text.")
        return np.asarray(found, np.float32)

    for call in _ways_to_call(model):
        with contextlib.suppress(TypeError, ValueError, tf.errors.OpError):
            embed(call, _PROBE)
            return partial(embed, call)
    raise BadInput(
        f"{location} does not have the interface of the Universal Sentence Encoder: give a model that maps strings of "
        "shape (n,) to vectors of shape (n, d)."
    )


def _ways_to_call(model: Any) -> Iterator[Callable[[Any], Any]]:
    if callable(model):
        yield model
    signatures = getattr(model, "signatures", {})
    for name in ("serving_default", "default"):
        if name in signatures:
            signature = signatures[name]
            inputs = list(signature.structured_input_signature[1])  # a signature takes its tensors only by name
            outputs = list(signature.structured_outputs)
            if len(inputs) == 1 and len(outputs) == 1:
                yield partial(_by_name, signature, inputs[0], outputs[0])


def _by_name(signature: Callable[..., Any], given: str, found: str, texts: Any) -> Any:
    return signature(**{given: texts})[found]


def _reason(error: BaseException) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason  # without the brackets that urllib adds
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")
