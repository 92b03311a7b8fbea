"""Cleaning that never changes the words: markup, control characters and white space go, everything else stays."""

import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#\d+|#x[\da-f]+|[a-z][a-z\d]*);", re.IGNORECASE)  # `AT&T` and `R&notes` are no entities
_ATTRIBUTES = r"(?:\s[^<>]*=[^<>]*)?\s*/?>"  # so `<I love you>` is no tag
_BREAK_TAG = re.compile(r"</?(?:p|br|div|ul|li)" + _ATTRIBUTES, re.IGNORECASE)
_STYLE_TAG = re.compile(r"</?(?:i|b|u|em|strong|span|a)" + _ATTRIBUTES, re.IGNORECASE)  # may stand inside a word
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060\ufeff\ufffd]")
# Thai, Lao, Japanese and Chinese have no blanks between words: there each character counts as one.
_UNSPACED = r"\u0e01-\u0edf\u3041-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|\w[^\s{_UNSPACED}]*")


def clean_text(text: str) -> str:
    """HTML entities resolved, HTML tags and invisible characters removed, Unicode composed (NFC), single blanks."""
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    text = _STYLE_TAG.sub("", _BREAK_TAG.sub(" ", text))
    text = _INVISIBLE.sub("", text)
    return " ".join(unicodedata.normalize("NFC", text).split())


def count_words(text: str) -> int:
    """The number of words, `mind-bending` being one; punctuation alone is none."""
    return len(_WORD.findall(text))
