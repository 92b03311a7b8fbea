"""Sentence embeddings, computed once: each text's vector is kept under its content, so a second run reads it back.

The cache is one SQLite file per embedder in the cache folder (see `cache_folder`), written every few hundred texts: a
run that dies goes on where it was, and a corpus that grew by a few plots costs those few. Vectors are kept in 16 bits,
which changes a cosine by less than a thousandth and halves file and memory.
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
LAYOUT = 2  # of the cached vectors: one more where the same text gets another one
_PART = 512  # texts between two writes: some seconds' work on a CPU
_ASKED = 500  # keys in one query: SQLite's oldest limit is 999


class Embedder:
    """Turns texts into vectors of length 1, so that their dot product is their cosine.

    `name` is what it was asked for by; equal `identity` means equal vectors for equal texts. Where it is None, vectors
    are not kept.
    """

    def __init__(self, name: str, identity: str | None, compute: Callable[[list[str]], np.ndarray]) -> None:
        self.name, self.identity, self._compute = name, identity, compute

    def embed(self, texts: Sequence[str], what: str = "Embedding texts") -> np.ndarray:
        """Vectors of shape (n, d) in float16, read from the cache where they are known.

        A text without words is NaN, and so is one for which the model gives zeros or NaN.

        Raises BadInput for what is no list of texts.
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
            place, known, widths = _read(cache, sorted(wanted))  # as they lie there in order: twice as fast
            missing = sorted(wanted.keys() - place.keys(), key=lambda key: len(wanted[key]))  # like lengths together
            with bar() as progress:
                task = None
                for first in range(0, len(missing), _PART):
                    task = task or progress.add_task(what, total=len(missing), note="")
                    part = missing[first : first + _PART]
                    vectors = self._compute([wanted[key] for key in part]).astype(np.float16)
                    _write(cache, part, vectors)
                    for key in part:
                        place[key] = len(place)
                    known += vectors.tobytes()
                    widths.add(vectors.shape[1])
                    progress.update(task, advance=len(part))
        if len(widths) > 1:
            raise BadInput(
                f"The cache {file} holds vectors of another model called {self.name}: remove the file, then run again."
            )
        rows = np.frombuffer(known, np.float16).reshape(len(place), -1)
        vectors = np.full((len(texts), rows.shape[1]), np.nan, np.float16)
        known_rows = np.asarray(np.isfinite(rows).all(axis=1) & rows.any(axis=1))
        there = [i for i, key in enumerate(keys) if key and known_rows[place[key]]]
        vectors[there] = rows[[place[keys[i]] for i in there]]
        return vectors


def load_embedder(name: str = EMBEDDER) -> Embedder:
    """An embedder by name: `minilm-l6`, `use`, a local folder, or a hub id of a sentence-transformers model.

    `use` is the Universal Sentence Encoder (Cer et al. 2018) from its hub, for which TensorFlow has to be installed
    (`make use`); another hub handle or a folder with a SavedModel is taken for one, too. Raises BadInput where the
    name leads to none.
    """
    if name == "use" or "://" in name or (Path(name) / "saved_model.pb").is_file():
        from movieplots.measures.universal_sentence_encoder import DEFAULT_HANDLE, UniversalSentenceEncoder

        use = UniversalSentenceEncoder(DEFAULT_HANDLE if name == "use" else name)
        if use.identity is None:
            notify(f"{name} names no version of a model: its embeddings are not kept, but computed anew each time.")
        return Embedder(name, use.identity, use.encode)
    encoder = _SentenceEncoder(name)
    if name not in PACKAGED and not Path(resolve(name)).is_dir():
        encoder.load()  # nothing else tells whether there is a model of that name, and which one
    known = _identity(name)
    if known is None:
        notify(f"Which model {name} is now cannot be told: its embeddings are not kept, but computed anew each time.")
    return Embedder(name, known, encoder)


class _SentenceEncoder:
    """A model of sentence-transformers, which is loaded when it is first called: known vectors need none."""

    def __init__(self, name: str) -> None:
        self._name, self._model = name, None

    def load(self) -> Any:
        """The model. Raises BadInput where the name leads to none."""
        self._model = self._model or _load(self._name)
        return self._model

    def __call__(self, texts: list[str]) -> np.ndarray:
        from torch.nn.functional import normalize

        from movieplots.pretrained.encoding import encode

        model = self.load()
        prompt = model.prompts.get(model.default_prompt_name)  # this and the cut, as its own `encode` does
        return encode(
            texts,
            lambda batch: model.preprocess(batch, prompt=prompt),
            lambda features: normalize(model(features)["sentence_embedding"][:, : model.truncate_dim]),
            model.device,
            model.max_seq_length or 512,
        )


def _identity(name: str) -> str | None:
    known = identity(name)
    return None if known is None else f"{known}-{LAYOUT}"


def _load(name: str) -> Any:
    from sentence_transformers import SentenceTransformer

    quiet_transformers()
    try:
        model = SentenceTransformer(resolve(name)).eval()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The sentence embedder {name!r} cannot be loaded ({str(error).splitlines()[0]}): check the name and the "
            f"connection, or use {EMBEDDER}, which works offline."
        ) from None
    model.tokenizer.split_special_tokens = True  # `[SEP]` in a text is only text
    return model


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


@contextmanager
def _cache(file: Path | None) -> Iterator[sqlite3.Connection]:
    """The vectors kept in a file; without one, in memory until the end."""
    if file is not None:
        ensure_folder(file.parent)
    try:
        with closing(sqlite3.connect(file or ":memory:", timeout=60)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
            yield connection
    except sqlite3.DatabaseError as error:
        raise BadInput(f"The cache {file} cannot be used ({error}): remove it or make room, then run again.") from None


def _read(cache: sqlite3.Connection, keys: list[bytes]) -> tuple[dict[bytes, int], bytearray, set[int]]:
    """Which of the known vectors belongs to a key, all of them one after another, and what widths they have.

    One piece of memory for all, since a small one for each text would take half as much again.
    """
    place: dict[bytes, int] = {}
    known, widths = bytearray(), set()
    for first in range(0, len(keys), _ASKED):
        asked = keys[first : first + _ASKED]
        rows = cache.execute(f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(asked))})", asked)
        for key, vector in rows:
            place[key] = len(place)
            known += vector
            widths.add(len(vector) // np.float16().itemsize)
    return place, known, widths


def _write(cache: sqlite3.Connection, keys: list[bytes], vectors: np.ndarray) -> None:
    with cache:  # one transaction: all of them or none
        rows = [(key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        cache.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
