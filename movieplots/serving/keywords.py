"""Keywords of plots by YAKE (Campos et al. 2020), which needs no model: it ranks phrases by statistics of the text."""

from functools import cache
from typing import Any

CANDIDATES = 30  # phrases that YAKE returns; many share words, and of those only the best is kept


def keywords(text: str, max_keywords: int = 5) -> list[str]:
    """Return keywords of one or two words without common words, the most relevant first."""
    found: list[str] = []
    used: set[str] = set()
    for phrase, _ in _extractor().extract_keywords(text):
        words = set(phrase.lower().split())
        if not words & used:
            found.append(phrase)
            used |= words
        if len(found) == max_keywords:
            break
    return found


@cache
def _extractor() -> Any:
    from yake import KeywordExtractor

    return KeywordExtractor(lan="en", n=2, dedup_lim=0.9, top=CANDIDATES)
