"""Controls of a plot besides its genres: keywords that it contains, and its length class.

They stand after the genres in the prompt, as control codes (Keskar et al. 2019, https://arxiv.org/abs/1909.05858):

    horror, comedy; short; about lighthouse, storm<|endofgenre|>

A training example names one to three content words of its own plot with the probability `CONTROL_SHARE`, and its length
class independently with the same probability. So the generator works with both, with one of them, and without.
"""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from movieplots.errors import BadInput
from movieplots.generation.keywords import content_words
from movieplots.texts import as_names, shortened
from movieplots.words import split_words

# Length class -> least and most words of a plot; the last class is open.
LENGTHS: dict[str, tuple[int, int | None]] = {"short": (1, 25), "medium": (26, 60), "long": (61, None)}
CONTROLS = ["keywords", "length"]  # names in the `movieplots.json` of generators that were trained with them
CONTROL_SHARE = 0.5  # probability that a training example has keywords, and that it has its length class
KEYWORD_PLOTS = 20_000  # plots whose prompts can name keywords: YAKE takes some ten milliseconds a plot
MAX_KEYWORDS, MAX_KEYWORD_WORDS = 3, 3
MAX_PHRASES, MAX_PHRASE_WORDS = 20, 6  # to avoid; stock phrases have up to as many words


@dataclass(frozen=True)
class TrainingControls:
    """Content words of a training plot, of which its prompt can name some, and its length class."""

    words: list[str]
    length: str

    def sample(self, rng: random.Random) -> str:
        """Return the controls of one example as text, empty for none."""
        length = self.length if rng.random() < CONTROL_SHARE else None
        named = rng.random() < CONTROL_SHARE
        words = rng.sample(self.words, min(rng.randint(1, MAX_KEYWORDS), len(self.words))) if named else []
        return controls_text(words, length)


def training_controls(plots: Sequence[str]) -> list[TrainingControls]:
    """Return the controls of training plots, with content words for up to `KEYWORD_PLOTS` of them."""
    some = sorted(random.Random(0).sample(range(len(plots)), min(len(plots), KEYWORD_PLOTS)))
    words = dict(zip(some, content_words([plots[i] for i in some]), strict=True))
    return [TrainingControls(words.get(i, []), length_class(plot)) for i, plot in enumerate(plots)]


def controls_text(keywords: Sequence[str] = (), length: str | None = None) -> str:
    """Return the part of a prompt that follows the genres, empty without controls."""
    return (f"; {length}" if length else "") + (f"; about {', '.join(keywords)}" if keywords else "")


def length_class(plot: str) -> str:
    """Return the length class of a plot: short (up to 25 words), medium (26 to 60) or long."""
    words = len(plot.split())
    return next(name for name, (_, most) in LENGTHS.items() if most is None or words <= most)


def check_keywords(keywords: Iterable[str]) -> list[str]:
    """Return keywords with single spaces and without repetitions; raise BadInput if they cannot be prompted."""
    checked = _checked(keywords, "keyword", MAX_KEYWORDS, MAX_KEYWORD_WORDS)
    for keyword in checked:
        if re.search(r"[;,]", keyword):
            raise BadInput(f"The keyword {keyword!r} contains a comma or semicolon: give each keyword on its own.")
    return checked


def check_phrases(phrases: Iterable[str]) -> list[str]:
    """Return phrases to avoid with single spaces and without repetitions; raise BadInput if one is not a phrase."""
    return _checked(phrases, "avoided phrase", MAX_PHRASES, MAX_PHRASE_WORDS)


def _checked(texts: Iterable[str], what: str, most: int, most_words: int) -> list[str]:
    checked = [" ".join(text.split()) for text in as_names(texts, what)]
    for text in checked:
        words = len(split_words(text))
        if not words:
            raise BadInput(f"The {what} {text!r} contains no word: leave it out.")
        if words > most_words:
            raise BadInput(f"The {what} {shortened(text)!r} has {words} words: give at most {most_words}.")
    checked = list(dict.fromkeys(checked))
    if len(checked) > most:
        raise BadInput(f"There are {len(checked)} {what}s: give at most {most}.")
    return checked
