"""Words: the same as `\\w+` finds in the lower-cased text, whatever the script, and numbered in order."""

import re
import sys

import numpy as np
import pytest

from movieplots import words
from movieplots.words import number_words, split_words, word_spans


def found(text):
    return re.findall(r"\w+", text.lower())


def test_every_character_parts_or_joins_words_as_in_a_regular_expression():
    for first in range(0, sys.maxunicode + 1, 500):
        text = "".join(f"aB{chr(code)}Cd " for code in range(first, min(first + 500, sys.maxunicode + 1)))
        assert split_words(text) == found(text)


@pytest.mark.parametrize(
    "text", ["", " ", "...", "It's a dog_house — café, “naïve”!", "İstanbul\u2028ǅ ß", "a\u00a0b\x1cc\x85d", "x\ud800y"]
)
def test_words_of_odd_texts(text):
    assert split_words(text) == found(text)


def test_spans_are_those_of_the_words():
    text = "The sea — it gives BACK."
    assert [text[start:end].lower() for start, end in word_spans(text)] == split_words(text)


def test_texts_are_numbered_in_the_order_of_their_words(monkeypatch):
    monkeypatch.setattr(words, "_CHUNK", 3)
    texts = ["b a b", "", "— ", "a é c", "c", "", "d Ä b", "..."]
    vocabulary = {"a": 0, "z": 1}
    numbered = number_words(texts, vocabulary)
    assert vocabulary == {"a": 0, "z": 1, "b": 2, "é": 3, "c": 4, "d": 5, "ä": 6}
    assert [numbered.text(i).tolist() for i in range(len(texts))] == [
        [vocabulary[word] for word in found(text)] for text in texts
    ]
    assert numbered.codes.dtype == np.int32 and numbered.starts.tolist() == [0, 3, 3, 3, 6, 7, 7, 10, 10]
    assert len(number_words([], {})) == 0 and number_words(["", "?"], {}).starts.tolist() == [0, 0, 0]
