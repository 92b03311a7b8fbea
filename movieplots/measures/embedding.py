"""Sentence embeddings with a cache: each text is embedded once.

The cache is one SQLite file per embedder in the cache folder (see `cache_folder`), with the hash of the text as the
key. It is written every few hundred texts, so an interrupted run resumes. Vectors are stored as float16, which changes
a cosine by less than 0.001 and halves the size.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from movieplots.errors import BadInput
from movieplots.files import ensure_folder, fingerprint
from movieplots.pretrained.base_models import PACKAGED, cache_folder, identity, quiet_transformers, resolve
from movieplots.progress import bar, notify
from movieplots.texts import as_texts
from movieplots.words import split_words

EMBEDDER = "minilm-l6"
CACHE_VERSION = 2  # to be increased if the vector of a text changes
_BATCH = 512  # texts per write to the cache: a few seconds on a CPU
_KEYS_PER_QUERY = 500  # old versions of SQLite allow 999


class Embedder:
    """A sentence embedder with a cache; its vectors have unit length, so their dot product is their cosine similarity.

    Parameters
    ----------
    name : str
        Name of the model, for messages.
    identity : str or None
        Identifier of the model: embedders with the same identity give the same vectors. None disables the cache.
    compute : callable
        Function from a list of n texts to an array of shape (n, d).
    """

    def __init__(self, name: str, identity: str | None, compute: Callable[[list[str]], np.ndarray]) -> None:
        self.name, self.identity, self._compute = name, identity, compute

    def embed(self, texts: Sequence[str], what: str = "Embedding texts") -> np.ndarray:
        """Return the vectors of the texts, from the cache if it has them.

        Parameters
        ----------
        texts : sequence of str
            Texts to embed.
        what : str, default "Embedding texts"
            Label of the progress bar.

        Returns
        -------
        numpy.ndarray of shape (n, d), float16
            Vectors of unit length. The row of a text without words is NaN, and so is that of a text for which the model
            returns zeros or NaN.

        Raises
        ------
        BadInput
            If `texts` is not a list of texts, or the cache file cannot be used.
        """
        texts = as_texts(texts, "text")
        keys = [_key(text) if split_words(text) else b"" for text in texts]
        wanted = {key: text for key, text in zip(keys, texts, strict=True) if key}
        if not wanted:
            return np.full((len(texts), 1), np.nan, np.float16)
        file = None
        if self.identity is not None:
            file = cache_folder() / "embeddings" / f"{fingerprint(self.identity)}.sqlite"
        with _cache(file) as cache:
            place, known, widths = _read(cache, sorted(wanted))  # sorted as in the file, which is twice as fast
            missing = sorted(
                wanted.keys() - place.keys(), key=lambda key: len(wanted[key])
            )  # texts of similar length in one batch
            with bar() as progress:
                task = None
                for first in range(0, len(missing), _BATCH):
                    task = task or progress.add_task(what, total=len(missing), note="")
                    part = missing[first : first + _BATCH]
                    vectors = self._compute([wanted[key] for key in part]).astype(np.float16)
                    _write(cache, part, vectors)
                    for key in part:
                        place[key] = len(place)
                    known += vectors.tobytes()
                    widths.add(vectors.shape[1])
                    progress.update(task, advance=len(part))
        if len(widths) > 1:
            raise BadInput(
                f"The cache {file} contains vectors of another model named {self.name}: delete the file and run again."
            )
        rows = np.frombuffer(known, np.float16).reshape(len(place), -1)
        vectors = np.full((len(texts), rows.shape[1]), np.nan, np.float16)
        known_rows = np.asarray(np.isfinite(rows).all(axis=1) & rows.any(axis=1))
        present = [i for i, key in enumerate(keys) if key and known_rows[place[key]]]
        vectors[present] = rows[[place[keys[i]] for i in present]]
        return vectors


def load_embedder(name: str = EMBEDDER) -> Embedder:
    """Return a sentence embedder.

    Parameters
    ----------
    name : str, default "minilm-l6"
        `minilm-l6` (included), `use` (the Universal Sentence Encoder), the folder or hub id of a sentence-transformers
        model, or the folder or TensorFlow Hub handle of a SavedModel with the interface of the Universal Sentence
        Encoder. SavedModels need TensorFlow (`make use`).

    Returns
    -------
    Embedder
        Embedder with a cache. There is no cache if the version of the model is unknown.

    Raises
    ------
    BadInput
        If there is no such model, or TensorFlow is needed and not installed.

    Notes
    -----
    Sentence embeddings are those of `Reimers and Gurevych (2019) <https://arxiv.org/abs/1908.10084>`_, the Universal
    Sentence Encoder that of `Cer et al. (2018) <https://arxiv.org/abs/1803.11175>`_.

    Examples
    --------
    >>> from movieplots.measures.embedding import load_embedder
    >>> vectors = load_embedder().embed(["A storm at sea.", "A ship in bad weather.", "Two rival bakers."])
    >>> vectors.shape
    (3, 384)
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    True
    """
    if name == "use" or "://" in name or (Path(name) / "saved_model.pb").is_file():
        from movieplots.measures.universal_sentence_encoder import DEFAULT_HANDLE, UniversalSentenceEncoder

        use = UniversalSentenceEncoder(DEFAULT_HANDLE if name == "use" else name)
        if use.identity is None:
            notify(f"The address {name} has no version, so its embeddings are not cached.")
        return Embedder(name, use.identity, use.encode)
    encoder = _SentenceEncoder(name)
    if name not in PACKAGED and not Path(resolve(name)).is_dir():
        encoder.load()  # only loading shows whether the model exists, and which version it is
    known = _identity(name)
    if known is None:
        notify(f"The version of the model {name} is unknown, so its embeddings are not cached.")
    return Embedder(name, known, encoder)


class _SentenceEncoder:
    """A sentence-transformers model that is loaded on the first call, because cached vectors do not need it."""

    def __init__(self, name: str) -> None:
        self._name, self._model = name, None

    def load(self) -> Any:
        """Return the model. Raises BadInput if it cannot be loaded."""
        self._model = self._model or _load(self._name)
        return self._model

    def __call__(self, texts: list[str]) -> np.ndarray:
        from torch.nn.functional import normalize

        from movieplots.pretrained.encoding import encode

        model = self.load()
        prompt = model.prompts.get(model.default_prompt_name)  # prompt and truncation as in its own `encode`
        return encode(
            texts,
            lambda batch: model.preprocess(batch, prompt=prompt),
            lambda features: normalize(model(features)["sentence_embedding"][:, : model.truncate_dim]),
            model.device,
            model.max_seq_length or 512,
        )


def _identity(name: str) -> str | None:
    known = identity(name)
    return None if known is None else f"{known}-{CACHE_VERSION}"


def _load(name: str) -> Any:
    from sentence_transformers import SentenceTransformer

    quiet_transformers()
    try:
        model = SentenceTransformer(resolve(name)).eval()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The sentence embedder {name!r} cannot be loaded ({str(error).splitlines()[0]}). Check the name and the "
            f"connection, or use {EMBEDDER}, which works offline."
        ) from None
    model.tokenizer.split_special_tokens = True  # `[SEP]` in a text is not a special token
    return model


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


@contextmanager
def _cache(file: Path | None) -> Iterator[sqlite3.Connection]:
    """Open the cache in a file; without a file, in memory."""
    if file is not None:
        ensure_folder(file.parent)
    try:
        with closing(sqlite3.connect(file or ":memory:", timeout=60)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
            yield connection
    except sqlite3.DatabaseError as error:
        raise BadInput(
            f"The cache {file} cannot be used ({error}). Delete it or free disk space, then run again."
        ) from None


def _read(cache: sqlite3.Connection, keys: list[bytes]) -> tuple[dict[bytes, int], bytearray, set[int]]:
    """Return the position of the vector of each key, all vectors as one buffer, and their dimensions.

    One buffer takes a third less memory than one array per text.
    """
    place: dict[bytes, int] = {}
    known, widths = bytearray(), set()
    for first in range(0, len(keys), _KEYS_PER_QUERY):
        asked = keys[first : first + _KEYS_PER_QUERY]
        rows = cache.execute(f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(asked))})", asked)
        for key, vector in rows:
            place[key] = len(place)
            known += vector
            widths.add(len(vector) // np.float16().itemsize)
    return place, known, widths


def _write(cache: sqlite3.Connection, keys: list[bytes], vectors: np.ndarray) -> None:
    with cache:  # one transaction
        rows = [(key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        cache.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
