"""The words that a plot is about, by YAKE (Campos et al. 2020): statistics of the text alone, in milliseconds."""

from functools import cache
from typing import Any

CANDIDATES = 30  # looked at for each keyword wanted, since many are parts of others


def keywords(text: str, most: int = 5) -> list[str]:
    """At most `most` keywords of one or two words, the most telling first; none is part of another."""
    found: list[str] = []
    taken: set[str] = set()
    for phrase, _ in _extractor().extract_keywords(text):
        words = set(phrase.lower().split())
        if not words & taken:
            found.append(phrase)
            taken |= words
        if len(found) == most:
            break
    return found


@cache
def _extractor() -> Any:
    from yake import KeywordExtractor

    return KeywordExtractor(lan="en", n=2, dedup_lim=0.9, top=CANDIDATES)
