"""Do the samples vary, and does each read on, or do they circle? Distinct n-grams, loops, lengths."""

from collections import Counter

import numpy as np

from movieplots.words import split_words

LOOP_WORDS = 4
LOOP_TIMES = 3


def distinct(texts: list[str], n: int, budget: int | None = None) -> float:
    """Distinct-n of Li et al. 2016: different n-grams of words, divided by all words, over a group of texts (0 to 1).

    The value falls as a group grows, because new words run out. To compare groups, give all the same `budget`: only
    the first `budget` words of the group then count. 0.0 where there are no words.
    """
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        words = split_words(text)
        if budget is not None:
            words = words[: budget - total]
        seen.update(zip(*(words[i:] for i in range(n)), strict=False))
        total += len(words)
    return len(seen) / total if total else 0.0


def loops(text: str) -> bool:
    """Whether the text circles: some four words in a row occur at least three times in it.

    Repetition of n-grams within a sample marks degenerate text (Holtzman et al. 2020). Four words because shorter
    runs (`at the end`) come back in good prose; three times because a refrain or a repeated name comes back twice.
    """
    words = split_words(text)
    runs = Counter(zip(*(words[i:] for i in range(LOOP_WORDS)), strict=False))
    return max(runs.values(), default=0) >= LOOP_TIMES


def shuffled(texts: list[str], seed: int = 0) -> list[str]:
    """The texts in a seeded random order, so that a word budget is spent on a fair mixture of a group."""
    return [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))]
