"""Texts as numbered words: what duplicates, novelty and diversity are counted in.

A word is a lower-cased run of letters, digits and underscores (`\\w+`), so punctuation and case never hide a copy.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"\w+")
_BLANKS = str.maketrans({mark: " " for mark in map(chr, range(128)) if not (mark.isalnum() or mark == "_")})


def split_words(text: str) -> list[str]:
    """The words of a text, lower-cased, in order."""
    if text.isascii():  # the same words, and faster
        return text.lower().translate(_BLANKS).split()
    return _WORD.findall(text.lower())


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


def number_words(texts: Iterable[str], vocabulary: dict[str, int]) -> NumberedTexts:
    """Number the words of texts. `vocabulary` grows with each new word: pass the same one for texts to be compared."""
    parts, ends = [np.empty(0, np.int32)], [0]
    for text in texts:
        words = split_words(text)
        codes = list(map(vocabulary.get, words))
        if None in codes:
            codes = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
        parts.append(np.array(codes, np.int32))
        ends.append(ends[-1] + len(words))
    return NumberedTexts(np.concatenate(parts), np.array(ends, np.int64))
