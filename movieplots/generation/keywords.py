"""Keywords of plots by YAKE (Campos et al. 2020), which needs no model: it ranks phrases by statistics of the text.

YAKE: https://doi.org/10.1016/j.ins.2019.09.013. Whether a text contains a keyword is decided by word stems (Porter's
English stemmer, https://snowballstem.org), so `lighthouses` counts for `lighthouse`.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

from movieplots.progress import track
from movieplots.words import split_words

CANDIDATES = 30  # phrases that YAKE returns; many share words, and of those only the best is kept
CONTENT_WORDS = 10  # words of a training plot that its prompt may name, from its first `SEARCHED` words
SEARCHED = 200
_WORD = re.compile(r"[^\W\d_]{3,}(?:[-'’][^\W\d_]+)*")


def keywords(text: str, max_keywords: int = 5) -> list[str]:
    """Return keywords of one or two words without common words, the most relevant first."""
    found: list[str] = []
    used: set[str] = set()
    for phrase, _ in _extractor(2).extract_keywords(text):
        words = set(phrase.lower().split())
        if not words & used:
            found.append(phrase)
            used |= words
        if len(found) == max_keywords:
            break
    return found


def content_words(plots: Sequence[str]) -> list[list[str]]:
    """Return up to `CONTENT_WORDS` single words of each plot, the most relevant first.

    A word is written as in the plot, but in lower case if it also occurs in lower case in any of the plots: only names
    keep their capital at the beginning of a sentence.
    """
    return [list(words) for words in _content_words(tuple(plots))]


@lru_cache(maxsize=1)  # for a restart with a smaller batch, and for the next training in a notebook
def _content_words(plots: tuple[str, ...]) -> list[list[str]]:
    lower = {word for plot in plots for word in _WORD.findall(plot) if word.islower()}
    found = []
    for plot in track(plots, "Finding content words of the plots"):
        start = " ".join(plot.split()[:SEARCHED])
        written = {word.lower(): word for word in _WORD.findall(start)}  # YAKE lower-cases words that occur twice
        keys = [word.lower() for word, _ in _extractor(1).extract_keywords(start) if word.lower() in written]
        found.append([key if key in lower else written[key] for key in keys][:CONTENT_WORDS])
    return found


def contains(text: str, keyword: str) -> bool:
    """Return whether the text contains the keyword in any inflection: the same word stems, in this order."""
    return _occurs(stems(keyword), stems(text))


def missing(text: str, wanted: Iterable[str]) -> list[str]:
    """Return those of the keywords that the text does not contain in any inflection."""
    found = stems(text)
    return [keyword for keyword in wanted if not _occurs(stems(keyword), found)]


def stems(text: str) -> list[str]:
    """Return the stems of the words of a text, in order."""
    return [stem(word) for word in split_words(text)]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the stem of a lower-case word."""
    return str(_stemmer().stemWord(word))


def _occurs(wanted: list[str], found: list[str]) -> bool:
    return any(found[i : i + len(wanted)] == wanted for i in range(len(found) - len(wanted) + 1))


@cache
def _stemmer() -> Any:
    from snowballstemmer import stemmer

    return stemmer("english")


@cache
def _extractor(words: int) -> Any:
    from yake import KeywordExtractor

    return KeywordExtractor(lan="en", n=words, dedup_lim=0.9 if words > 1 else 1.0, top=CANDIDATES)
