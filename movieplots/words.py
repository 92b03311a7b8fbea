"""Texts as numbered words: what duplicates, novelty and diversity are counted in.

A word is a lower-cased run of letters, digits and underscores (`\\w+`), so punctuation and case never hide a copy.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movieplots.texts import as_texts

_WORD = re.compile(r"\w+")
# Bytes of ASCII: marks become blanks, capitals small; the bytes of all other characters in UTF-8 stay.
_BLANKS = bytes(
    byte if byte > 127 or chr(byte).isalnum() or byte == ord("_") else 32 for byte in bytes(range(256)).lower()
)
_CHUNK = 10_000  # texts numbered at once, which bounds the memory


def split_words(text: str) -> list[str]:
    """The words of a text, lower-cased, in order."""
    return _only_words(text).decode().split()


def _only_words(text: str) -> bytes:
    """The words in UTF-8, lower-cased, with blanks between them: several times as fast as looking for each word."""
    if not text.isascii():
        text = text.lower()
        for mark in {mark for mark in set(text) if mark > "\x7f" and not mark.isalnum()}:
            text = text.replace(mark, " ")
    return text.encode().translate(_BLANKS)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each word stands in the text: (start, end) in characters, in order."""
    return [match.span() for match in _WORD.finditer(text)]


@dataclass(frozen=True)
class NumberedTexts:
    """Texts as one flat array of word numbers.

    `codes` has shape (words in all texts,); text i is `codes[starts[i]:starts[i + 1]]`, so `starts` has shape (n + 1,).
    """

    codes: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        """How many texts."""
        return len(self.starts) - 1

    def lengths(self) -> np.ndarray:
        """Words in each text, shape (n,)."""
        return np.diff(self.starts)

    def text(self, i: int) -> np.ndarray:
        """The word numbers of text i, shape (its words,)."""
        return self.codes[self.starts[i] : self.starts[i + 1]]

    def slice(self, first: int, last: int) -> "NumberedTexts":
        """Texts `first` to `last - 1` as a view on the same words."""
        starts = self.starts[first : last + 1]
        return NumberedTexts(self.codes[starts[0] : starts[-1]], starts - starts[0])

    def select(self, texts: np.ndarray) -> "NumberedTexts":
        """The texts of these numbers, in their order, copied."""
        parts = [self.text(i) for i in texts.tolist()]
        return NumberedTexts(np.concatenate([np.empty(0, np.int32), *parts]), np.cumsum([0, *map(len, parts)]))


def number_words(texts: Sequence[str], vocabulary: dict[str, int]) -> NumberedTexts:
    """Number the words of texts. `vocabulary` grows with each new word: pass the same one for texts to be compared.

    Raises BadInput for what is no list of texts.
    """
    texts = as_texts(texts, "text")
    import pyarrow as pa  # large, and not needed for a single text
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
