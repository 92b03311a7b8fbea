"""Stock phrases of a generator: phrases that are far more frequent in its samples than in its training plots.

Samples and training plots are compared at the same mixture of genres, so a phrase that is typical of a genre is not a
stock phrase. The count of a phrase is the number of texts that contain it. Phrases of common words only do not count.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from movieplots.evaluation.genre_control import split_prompt
from movieplots.generation.controls import MAX_PHRASE_WORDS
from movieplots.intervals import share_of
from movieplots.words import split_words

SIZES = range(2, MAX_PHRASE_WORDS + 1)  # words of a phrase, so that each can be avoided
MIN_SAMPLES = 5  # that contain a phrase
MIN_RATIO = 4.0  # of its share of samples, at the low end of the 95 % interval, to its share of training plots
SAME = 0.7  # a phrase within a longer one is left out if this share of its samples contain the longer one

_END = re.compile("[.!?…;:]+")  # a phrase does not go across


@dataclass(frozen=True)
class StockPhrase:
    """A phrase that is far more frequent in samples than in training plots.

    Attributes
    ----------
    phrase : str
        Two to six words, in lower case.
    samples : int
        Number of samples that contain it.
    share : float
        Share of the samples that contain it, 0 to 1.
    training_share : float
        Share of the training plots of the same genres that contain it, 0 to 1.
    """

    phrase: str
    samples: int
    share: float
    training_share: float


def stock_phrases(samples: pd.DataFrame, training: pd.DataFrame, most: int = 20) -> list[StockPhrase]:
    """Return the stock phrases of samples with the columns `genre` and `plot`, the most frequent first.

    `training` are the training plots. A phrase counts if at least `MIN_SAMPLES` samples contain it, and if even the low
    end of the 95 % interval of its share of samples is `MIN_RATIO` times its share of the training plots.
    """
    if samples.empty:
        return []
    of_samples = [_phrases(plot) for plot in samples["plot"]]
    counts = Counter(phrase for found in of_samples for phrase in found)
    frequent = {
        phrase: count
        for phrase, count in counts.items()
        if count >= MIN_SAMPLES and not ENGLISH_STOP_WORDS.issuperset(phrase.split())
    }
    expected = _training_shares(frequent, samples["genre"], training)
    floor = 1 / max(len(training), 1)  # a phrase that no training plot contains may be in the next one
    kept = {
        phrase: count
        for phrase, count in frequent.items()
        if share_of(count, len(samples)).low >= MIN_RATIO * max(expected[phrase], floor)
    }
    ranked = sorted(kept, key=lambda phrase: (-kept[phrase], phrase))

    def within_longer(phrase: str) -> int:
        longer = (kept[other] for other in ranked if other != phrase and f" {phrase} " in f" {other} ")
        return max(longer, default=0)

    chosen = [phrase for phrase in ranked if within_longer(phrase) < SAME * kept[phrase]][:most]
    return [StockPhrase(phrase, kept[phrase], kept[phrase] / len(samples), expected[phrase]) for phrase in chosen]


def _phrases(plot: str) -> set[str]:
    found: set[str] = set()
    for part in _END.split(plot):
        words = split_words(part)
        found.update(" ".join(words[at : at + size]) for size in SIZES for at in range(len(words) - size + 1))
    return found


def _training_shares(phrases: Iterable[str], prompts: pd.Series, training: pd.DataFrame) -> dict[str, float]:
    """Return the share of training plots with each phrase, weighted by the genres of the prompts."""
    wanted = set(phrases)
    sizes: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for genres, plot in zip(training["genres"], training["plot"], strict=True):
        found = _phrases(plot) & wanted
        for genre in genres:
            sizes[genre] += 1
            counts[genre].update(found)
    weights: dict[str, float] = defaultdict(float)
    for prompt in prompts:
        known = [genre for genre in split_prompt(prompt) if sizes[genre]]
        for genre in known:
            weights[genre] += 1 / len(known)
    total = sum(weights.values())
    return {
        phrase: sum(weight * counts[genre][phrase] / sizes[genre] for genre, weight in weights.items()) / max(total, 1)
        for phrase in wanted
    }
