r"""Texts as arrays of word ids, for the search for duplicates, novelty and diversity.

A word is a lower-cased sequence of letters, digits and underscores (`\w+`), so copies are found despite different
punctuation and case.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movieplots.texts import as_texts

_WORD = re.compile(r"\w+")
# A table for bytes: ASCII punctuation becomes a space, capitals become lower case, all other bytes of UTF-8 stay.
_TO_WORDS = bytes(
    byte if byte > 127 or chr(byte).isalnum() or byte == ord("_") else 32 for byte in bytes(range(256)).lower()
)
_CHUNK = 10_000  # texts per batch, to limit memory


def split_words(text: str) -> list[str]:
    """Return the words of a text, lower-cased, in order."""
    return _only_words(text).decode().split()


def _only_words(text: str) -> bytes:
    """Return the lower-cased words in UTF-8, separated by spaces; several times as fast as a regular expression."""
    if not text.isascii():
        text = text.lower()
        for mark in {mark for mark in set(text) if mark > "\x7f" and not mark.isalnum()}:
            text = text.replace(mark, " ")
    return text.encode().translate(_TO_WORDS)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the position of each word in the text: (start, end) in characters, in order."""
    return [match.span() for match in _WORD.finditer(text)]


@dataclass(frozen=True)
class NumberedTexts:
    """Texts as one flat array of word ids.

    `codes` has shape (n_words,) over all texts. Text i is `codes[starts[i]:starts[i + 1]]`; `starts` has shape
    (n_texts + 1,).
    """

    codes: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.starts) - 1

    def lengths(self) -> np.ndarray:
        """Return the number of words of each text, shape (n_texts,)."""
        return np.diff(self.starts)

    def text(self, i: int) -> np.ndarray:
        """Return the word ids of text i."""
        return self.codes[self.starts[i] : self.starts[i + 1]]

    def slice(self, first: int, last: int) -> "NumberedTexts":
        """Return texts `first` to `last - 1` as a view."""
        starts = self.starts[first : last + 1]
        return NumberedTexts(self.codes[starts[0] : starts[-1]], starts - starts[0])

    def select(self, texts: np.ndarray) -> "NumberedTexts":
        """Return a copy of the texts at these indices, in this order."""
        parts = [self.text(i) for i in texts.tolist()]
        return NumberedTexts(np.concatenate([np.empty(0, np.int32), *parts]), np.cumsum([0, *map(len, parts)]))


def number_words(texts: Sequence[str], vocabulary: dict[str, int]) -> NumberedTexts:
    """Convert texts to word ids.

    `vocabulary` is extended by new words: pass the same one for texts that are compared. Raises BadInput if `texts` is
    not a list of texts.
    """
    texts = as_texts(texts, "text")
    import pyarrow as pa  # large, and not needed to write or classify plots
    from pyarrow import compute

    parts, lengths = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    for first in range(0, len(texts), _CHUNK):
        plain = [_only_words(text).strip() or None for text in texts[first : first + _CHUNK]]
        words = compute.ascii_split_whitespace(pa.array(plain, pa.string()))
        lengths.append(compute.list_value_length(words).fill_null(0).to_numpy())
        encoded = compute.list_flatten(words).dictionary_encode()
        numbers = [vocabulary.setdefault(word, len(vocabulary)) for word in encoded.dictionary.to_pylist()]
        parts.append(np.array(numbers, np.int32)[encoded.indices.to_numpy()])
    return NumberedTexts(np.concatenate(parts), np.cumsum(np.concatenate(lengths)))
