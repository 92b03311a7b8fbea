"""Is a plot new? An index of the training plots that can be handed out, since it holds none of their sentences.

For each plot it has the title, a sentence embedding in 8 bits, and 32-bit hashes of its runs of eight words. The price
against `evaluation.novelty`, which has the words: a run shorter than eight words is not seen, a run may be put
together from several plots, of which one is named, and one run of eight in some thousands is taken for a copied one
that is none.
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

COPIED_WORDS = 20  # a longer run than this counts as copying: stock phrases are seldom half as long
RUN = 8  # words in a hashed run
_STEPS = np.uint64(0x9E3779B97F4A7C15) ** np.arange(
    RUN, dtype=np.uint64
)  # an odd number's powers, as in Karp and Rabin 1987
Embed = Callable[[Sequence[str]], np.ndarray]
_UNREADABLE = (OSError, ValueError, KeyError, BadZipFile, UnicodeDecodeError)


@dataclass(frozen=True)
class Likeness:
    """How near a plot is to the training plots.

    `title` is that of the nearest one by meaning, at a cosine of `similarity`; "" and 0 for a plot without words. `run`
    is the longest run of words of which every eight in a row stand in some training plot, most of them in `run_title`,
    0 below eight; `copied` where it is longer than 20 words.
    """

    title: str
    similarity: float
    run: int
    run_title: str

    @property
    def copied(self) -> bool:
        return self.run > COPIED_WORDS


class NoveltyIndex:
    """Of n plots: `titles`, `vectors` (n, d) in int8 with a scale each; `hashes`, sorted, and the `rows` of each.

    `plots` are the hashed ids of the plots, shape (n,), by which a generator's training plots are looked up; empty
    where they are not known. `embedder` says which model the vectors are of; "" where that is not known.
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
        """The index of these n plots; `embed` gives vectors of length 1, shape (n, d), `ids` are their hashed ids.

        `embedder` says which model `embed` is.

        `titles` are one for each plot; a missing one (None, NaN) is empty. Raises BadInput where there are more or
        fewer, and for what is no list of texts.
        """
        plots, titles = as_texts(plots), as_texts(titles, "title", missing="")
        if len(titles) != len(plots):
            raise BadInput(f"There are {len(titles)} titles for {len(plots)} plots: give one for each.")
        vectors = _directions(plots, embed)
        scales = np.abs(vectors).max(axis=1, initial=0) / 127
        runs = [_hashes(plot) for plot in plots]
        hashes = np.concatenate(runs)
        rows = np.repeat(np.arange(len(plots), dtype=np.uint32), [len(run) for run in runs])
        hashes, first = np.unique(hashes, return_index=True)
        rounded = np.round(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
        return cls(titles, rounded, scales.astype(np.float32), hashes, rows[first], ids, embedder)

    def save(self, file: str | Path) -> None:
        """Write it as one compressed file of arrays (`.npz`), atomically."""
        titles = np.frombuffer("\n".join(title.replace("\n", " ") for title in self.titles).encode(), np.uint8)
        gaps = np.diff(self.hashes, prepend=np.uint32(0))  # small numbers compress
        with atomic_path(Path(file)) as temporary, open(temporary, "wb") as handle:
            np.savez_compressed(
                handle, titles=titles, vectors=self.vectors.T, scales=self.scales, gaps=gaps, rows=self.rows,
                plots=self.plots, embedder=np.array(self.embedder),
            )  # fmt: skip

    @classmethod
    def load(cls, file: str | Path) -> "NoveltyIndex":
        """Read a file that `save` wrote. Raises BadInput where it is none."""
        try:
            with np.load(file, allow_pickle=False) as kept:
                titles = kept["titles"].tobytes().decode().split("\n")
                hashes = np.cumsum(kept["gaps"], dtype=np.uint32)
                vectors = np.ascontiguousarray(kept["vectors"].T)
                embedder = str(kept.get("embedder", ""))
                return cls(titles, vectors, kept["scales"], hashes, kept["rows"], _plots(kept), embedder)
        except _UNREADABLE:
            raise _no_index(file) from None

    @staticmethod
    def plots_of(file: str | Path) -> np.ndarray:
        """The hashed ids of the plots in a file that `save` wrote, without the rest. Raises BadInput for another."""
        try:
            with np.load(file, allow_pickle=False) as kept:
                return _plots(kept)
        except _UNREADABLE:
            raise _no_index(file) from None

    def compare(self, plots: Sequence[str], embed: Embed) -> list[Likeness]:
        """How near each plot is to those of the index. Raises BadInput for what is no list of texts."""
        plots = as_texts(plots)
        found = []
        for plot, vector in zip(plots, _directions(plots, embed), strict=True):
            nearest, similarity = self._nearest(vector)
            run, row = self._longest_run(plot)
            title = self.titles[row] if run else ""
            found.append(Likeness(nearest, similarity, run, title))
        return found

    def _nearest(self, vector: np.ndarray) -> tuple[str, float]:
        """Title and cosine of the nearest plot; no title and 0 where there is nothing to compare."""
        if not vector.any() or not self.scales.any():
            return "", 0.0
        # A plot without a direction is near to nothing, while a cosine may be below 0.
        cosines = np.where(self.scales > 0, self.scales * _product(self.vectors, vector), -np.inf)
        nearest = int(cosines.argmax())
        return self.titles[nearest], float(min(1.0, cosines[nearest]))

    def _longest_run(self, plot: str) -> tuple[int, int]:
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
        return best + RUN - 1, int(rows[counts.argmax()])


def load_comparison(file: str | Path) -> Callable[[Sequence[str]], list[Likeness]]:
    """A function from plots to how near each is to those of the index in this file. Raises BadInput."""
    from movieplots.measures.sentence_encoder import SentenceEncoder

    index, encoder = NoveltyIndex.load(file), SentenceEncoder()
    if index.embedder and index.embedder != encoder.identity:
        raise BadInput(
            f"{file} was made with {index.embedder}, while plots are compared by {encoder.identity}: make it anew with "
            "`movieplots novelty`."
        )
    return lambda plots: index.compare(plots, encoder.encode)


def _plots(kept: Any) -> np.ndarray:
    return kept["plots"] if "plots" in kept else np.empty(0, np.uint64)


def _no_index(file: str | Path) -> BadInput:
    return BadInput(f"{file} is no index of training plots: make one with `movieplots novelty`.")


def _directions(plots: list[str], embed: Embed) -> np.ndarray:
    """Vectors of length 1, float32 of shape (n, d); zeros for a plot without words, or where `embed` gives no vector.

    What an encoder gives for a text without words says nothing, and may be zeros or NaN.
    """
    vectors = np.asarray(embed(plots), dtype=np.float32)
    known = np.isfinite(vectors).all(axis=1) & np.array([bool(split_words(plot)) for plot in plots], bool)
    return np.where(known[:, None], vectors, 0)


def _product(vectors: np.ndarray, vector: np.ndarray, part: int = 4096) -> np.ndarray:
    """`vectors` (n, d) in int8 times one vector, in parts, so that they are never in memory as floats all at once."""
    return np.concatenate(
        [vectors[first : first + part].astype(np.float32) @ vector for first in range(0, len(vectors), part)]
    )


def _hashes(plot: str) -> np.ndarray:
    """A 32-bit hash of each run of eight words, in order."""
    words = split_words(plot)
    if len(words) < RUN:
        return np.empty(0, np.uint32)
    numbers = np.array([_number(word) for word in words], dtype=np.uint64)
    with np.errstate(over="ignore"):
        sums = (np.lib.stride_tricks.sliding_window_view(numbers, RUN) * _STEPS).sum(axis=1, dtype=np.uint64)
    return (sums >> np.uint64(32)).astype(np.uint32)


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def shipped_index(generator: Path) -> Path | None:
    """The shipped index of training plots, where it has all that this generator was trained on; else None."""
    known = read_plot_ids(generator)
    if known is None or not known.complete or not NOVELTY.is_file():
        return None
    return NOVELTY if np.isin(known.learned, NoveltyIndex.plots_of(NOVELTY)).all() else None
