"""Novelty index: a file that finds copies of training plots without containing their text.

For each plot it has the title, an int8 sentence embedding, and 32-bit hashes of the 8-grams of its words. It is less
exact than `movieplots.measures.copying`, which has the words: spans of fewer than eight words are not found, the parts
of a span may be from several plots, one of which is named, and about one in several thousand novel 8-grams is
reported as copied because of hash collisions.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from movieplots.errors import BadInput
from movieplots.files import atomic_path
from movieplots.pretrained.shipped import NOVELTY
from movieplots.runs.lineage import read_plot_ids
from movieplots.texts import as_texts
from movieplots.words import split_words

COPIED_WORDS = 20  # a longer span counts as copied: common phrases are rarely half as long
NGRAM = 8  # words of a hashed n-gram
# Powers of an odd number, for a polynomial hash as in Karp and Rabin 1987.
_POWERS = np.uint64(0x9E3779B97F4A7C15) ** np.arange(NGRAM, dtype=np.uint64)
Embed = Callable[[Sequence[str]], np.ndarray]
_UNREADABLE = (OSError, ValueError, KeyError, BadZipFile, UnicodeDecodeError)


@dataclass(frozen=True)
class NearestPlot:
    """The training plot most similar to a plot, and the longest verbatim span shared with training plots.

    Attributes
    ----------
    title : str
        Title of the training plot with the highest cosine similarity; empty for a plot without words.
    similarity : float
        That cosine similarity, from -1 to 1; 0 for a plot without words.
    longest_verbatim_span : int
        Number of words in the longest passage in which every 8 consecutive words occur in some training plot; 0 if
        there is none.
    span_title : str
        Title of the training plot that contains most of the span; empty if there is no span.
    """

    title: str
    similarity: float
    longest_verbatim_span: int
    span_title: str

    @property
    def copied(self) -> bool:
        """Whether the longest verbatim span has more than 20 words."""
        return self.longest_verbatim_span > COPIED_WORDS


class NoveltyIndex:
    """An index of n training plots for `compare`, without their text.

    Create one with `build` or `load`.

    Attributes
    ----------
    titles : list of str
        Title of each plot.
    vectors : numpy.ndarray of shape (n, d), int8
        Quantized sentence embeddings.
    scales : numpy.ndarray of shape (n,), float32
        Scale of each vector: the embedding is `vectors * scales[:, None]`.
    hashes : numpy.ndarray, uint32
        Sorted hashes of all 8-grams of words.
    rows : numpy.ndarray, uint32
        Index of the first plot with each of the hashes.
    plots : numpy.ndarray, uint64
        Hashed ids of the plots; empty if unknown.
    embedder : str
        Identifier of the sentence embedder; empty if unknown.

    Notes
    -----
    The 8-grams are hashed with the polynomial of `Karp and Rabin (1987) <https://doi.org/10.1147/rd.312.0249>`_, modulo
    2**64.
    """

    def __init__(
        self,
        titles: list[str],
        vectors: np.ndarray,
        scales: np.ndarray,
        hashes: np.ndarray,
        rows: np.ndarray,
        plots: np.ndarray | None = None,
        embedder: str = "",
    ) -> None:
        self.titles, self.vectors, self.scales, self.hashes, self.rows = titles, vectors, scales, hashes, rows
        self.plots = np.empty(0, np.uint64) if plots is None else plots
        self.embedder = embedder

    @classmethod
    def build(
        cls,
        titles: Sequence[str],
        plots: Sequence[str],
        embed: Embed,
        ids: np.ndarray | None = None,
        embedder: str = "",
    ) -> "NoveltyIndex":
        """Return the index of some plots.

        Parameters
        ----------
        titles : sequence of str
            Title of each of the n plots; a missing one (None, NaN) is stored as an empty title.
        plots : sequence of str
            The plots.
        embed : callable
            Function from n texts to vectors of unit length, shape (n, d).
        ids : numpy.ndarray of shape (n,) or None, default None
            Hashed ids of the plots, from `movieplots.runs.lineage.hashed_ids`.
        embedder : str, default ""
            Identifier of the model behind `embed`.

        Returns
        -------
        NoveltyIndex
            The index.

        Raises
        ------
        BadInput
            If `titles` or `plots` is not a list of texts, or their lengths differ.
        """
        plots, titles = as_texts(plots), as_texts(titles, "title", missing="")
        if len(titles) != len(plots):
            raise BadInput(f"There are {len(titles)} titles for {len(plots)} plots: give one title per plot.")
        vectors = _vectors(plots, embed)
        scales = np.abs(vectors).max(axis=1, initial=0) / 127
        ngrams = [_hashes(plot) for plot in plots]
        hashes = np.concatenate(ngrams)
        rows = np.repeat(np.arange(len(plots), dtype=np.uint32), [len(each) for each in ngrams])
        hashes, first = np.unique(hashes, return_index=True)
        rounded = np.round(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
        return cls(titles, rounded, scales.astype(np.float32), hashes, rows[first], ids, embedder)

    def save(self, file: str | Path) -> None:
        """Write the index to a compressed NumPy file.

        Parameters
        ----------
        file : str or Path
            File to write, with the ending `.npz`. It is replaced atomically.
        """
        titles = np.frombuffer("\n".join(title.replace("\n", " ") for title in self.titles).encode(), np.uint8)
        gaps = np.diff(self.hashes, prepend=np.uint32(0))  # differences compress better
        with atomic_path(Path(file)) as temporary, open(temporary, "wb") as handle:
            np.savez_compressed(
                handle, titles=titles, vectors=self.vectors.T, scales=self.scales, gaps=gaps, rows=self.rows,
                plots=self.plots, embedder=np.array(self.embedder),
            )  # fmt: skip

    @classmethod
    def load(cls, file: str | Path) -> "NoveltyIndex":
        """Read an index from a file written by `save`.

        Parameters
        ----------
        file : str or Path
            File to read.

        Returns
        -------
        NoveltyIndex
            The index.

        Raises
        ------
        BadInput
            If the file is not an index.

        Examples
        --------
        >>> from movieplots.measures.novelty_index import NoveltyIndex
        >>> from movieplots.pretrained import shipped
        >>> index = NoveltyIndex.load(shipped.NOVELTY)
        >>> len(index.titles) == len(index.vectors)
        True
        """
        try:
            with np.load(file, allow_pickle=False) as kept:
                titles = kept["titles"].tobytes().decode().split("\n")
                hashes = np.cumsum(kept["gaps"], dtype=np.uint32)
                vectors = np.ascontiguousarray(kept["vectors"].T)
                embedder = str(kept.get("embedder", ""))
                return cls(titles, vectors, kept["scales"], hashes, kept["rows"], _plots(kept), embedder)
        except _UNREADABLE:
            raise BadInput(_not_an_index(file)) from None

    @staticmethod
    def plots_of(file: str | Path) -> np.ndarray:
        """Return the hashed ids of the plots in an index file, without loading the rest.

        Parameters
        ----------
        file : str or Path
            File written by `save`.

        Returns
        -------
        numpy.ndarray of shape (n,), uint64
            Hashed ids of the plots; empty if unknown.

        Raises
        ------
        BadInput
            If the file is not an index.
        """
        try:
            with np.load(file, allow_pickle=False) as kept:
                return _plots(kept)
        except _UNREADABLE:
            raise BadInput(_not_an_index(file)) from None

    def compare(self, plots: Sequence[str], embed: Embed) -> list[NearestPlot]:
        """Compare plots with those of the index.

        Parameters
        ----------
        plots : sequence of str
            Plots to compare.
        embed : callable
            Function from n texts to vectors of unit length, shape (n, d), of the same model as those of the index.

        Returns
        -------
        list of NearestPlot
            The most similar plot and the longest verbatim span of each plot, in order.

        Raises
        ------
        BadInput
            If `plots` is not a list of texts.
        """
        plots = as_texts(plots)
        found = []
        for plot, vector in zip(plots, _vectors(plots, embed), strict=True):
            nearest, similarity = self._nearest(vector)
            span, row = self._longest_span(plot)
            title = self.titles[row] if span else ""
            found.append(NearestPlot(nearest, similarity, span, title))
        return found

    def _nearest(self, vector: np.ndarray) -> tuple[str, float]:
        """Return title and cosine similarity of the nearest plot; an empty title and 0 if nothing can be compared."""
        if not vector.any() or not self.scales.any():
            return "", 0.0
        # A zero vector must not be the nearest one when all cosines are negative.
        cosines = np.where(self.scales > 0, self.scales * _product(self.vectors, vector), -np.inf)
        nearest = int(cosines.argmax())
        return self.titles[nearest], float(min(1.0, cosines[nearest]))

    def _longest_span(self, plot: str) -> tuple[int, int]:
        hashes = _hashes(plot)
        places = np.searchsorted(self.hashes, hashes).clip(max=max(0, len(self.hashes) - 1))
        known = self.hashes[places] == hashes if len(self.hashes) else np.zeros(len(hashes), bool)
        best, end, length = 0, 0, 0
        for at, here in enumerate(known.tolist()):
            length = length + 1 if here else 0
            if length > best:
                best, end = length, at + 1
        if not best:
            return 0, 0
        rows, counts = np.unique(self.rows[places[end - best : end]], return_counts=True)
        return best + NGRAM - 1, int(rows[counts.argmax()])


def load_comparison(file: str | Path) -> Callable[[Sequence[str]], list[NearestPlot]]:
    """Return a function that compares plots with those of an index file.

    Parameters
    ----------
    file : str or Path
        Index written by `movieplots novelty` or `NoveltyIndex.save`.

    Returns
    -------
    callable
        Function from a sequence of plots to a list with a `NearestPlot` per plot.

    Raises
    ------
    BadInput
        If the file is not an index, or was made with another embedder than `minilm-l6`.

    Notes
    -----
    Similarity is the cosine of sentence embeddings (`Reimers and Gurevych 2019 <https://arxiv.org/abs/1908.10084>`_).

    Examples
    --------
    >>> from movieplots.measures.novelty_index import load_comparison
    >>> from movieplots.pretrained import shipped
    >>> compare = load_comparison(shipped.NOVELTY)
    >>> nearest, = compare(["A sheriff rides into a town that has forgotten its name."])
    >>> 0 < nearest.similarity < 1, nearest.longest_verbatim_span, nearest.copied
    (True, 0, False)
    """
    from movieplots.measures.sentence_encoder import SentenceEncoder

    index, encoder = NoveltyIndex.load(file), SentenceEncoder()
    if index.embedder and index.embedder != encoder.identity:
        raise BadInput(
            f"{file} was made with the sentence embedder {index.embedder}, not with {encoder.identity}: run "
            "`movieplots novelty` to make it again."
        )
    return lambda plots: index.compare(plots, encoder.encode)


def _plots(kept: Any) -> np.ndarray:
    return kept["plots"] if "plots" in kept else np.empty(0, np.uint64)


def _not_an_index(file: str | Path) -> str:
    return f"{file} is not a novelty index: run `movieplots novelty` to make one."


def _vectors(plots: list[str], embed: Embed) -> np.ndarray:
    """Return the vectors of plots, float32 of shape (n, d); zeros for a plot without words or a finite vector."""
    # The vector of a text without words has no meaning, and may be zeros or NaN.
    vectors = np.asarray(embed(plots), dtype=np.float32)
    known = np.isfinite(vectors).all(axis=1) & np.array([bool(split_words(plot)) for plot in plots], bool)
    return np.where(known[:, None], vectors, 0)


def _product(vectors: np.ndarray, vector: np.ndarray, part: int = 4096) -> np.ndarray:
    """Return the product of int8 `vectors` (n, d) and one vector, converting a part to float at a time."""
    return np.concatenate(
        [vectors[first : first + part].astype(np.float32) @ vector for first in range(0, len(vectors), part)]
    )


def _hashes(plot: str) -> np.ndarray:
    """Return a 32-bit hash of each 8-gram of words, in order."""
    words = split_words(plot)
    if len(words) < NGRAM:
        return np.empty(0, np.uint32)
    numbers = np.array([_number(word) for word in words], dtype=np.uint64)
    with np.errstate(over="ignore"):
        sums = (np.lib.stride_tricks.sliding_window_view(numbers, NGRAM) * _POWERS).sum(axis=1, dtype=np.uint64)
    return (sums >> np.uint64(32)).astype(np.uint32)


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def shipped_index(generator: Path) -> Path | None:
    """Return the bundled index if it contains all training plots of this generator, else None."""
    known = read_plot_ids(generator)
    if known is None or not known.complete or not NOVELTY.is_file():
        return None
    return NOVELTY if np.isin(known.learned, NoveltyIndex.plots_of(NOVELTY)).all() else None
