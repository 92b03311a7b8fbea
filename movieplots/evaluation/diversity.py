"""Do the samples vary, and does each read on, or do they circle? Distinct n-grams, self-BLEU, loops."""

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np

from movieplots.evaluation.intervals import Estimate, estimate, jackknife
from movieplots.words import split_words

LOOP_WORDS = 4
LOOP_TIMES = 3
BLEU_NGRAMS = 4


def distinct(texts: Sequence[str], n: int, budget: int | None = None) -> float:
    """Distinct-n of Li et al. 2016: different n-grams of words, divided by all words, over a group of texts (0 to 1).

    The value falls as a group grows, because new words run out. To compare groups, give all the same `budget`: only
    the first `budget` words of the group then count. 0.0 where there are no words.
    """
    return distinct_estimate(texts, n, budget)["value"]


def distinct_estimate(texts: Sequence[str], n: int, budget: int | None = None) -> Estimate:
    """The same with its interval, by leaving out one text at a time."""
    counted, lengths = [], []
    left = sum(len(split_words(text)) for text in texts) if budget is None else budget
    for text in texts:
        words = split_words(text)[:left]
        if words:
            counted.append(set(zip(*(words[i:] for i in range(n)), strict=False)))
            lengths.append(len(words))
        left -= len(words)
    return _different(counted, np.array(lengths))


def unique_share(things: Sequence[Hashable]) -> Estimate | None:
    """How many different things there are, divided by how many things there are; None where there are none."""
    return _different([{thing} for thing in things], np.ones(len(things))) if things else None


def _different(members: Sequence[set], sizes: np.ndarray) -> Estimate:
    """Different members of all sets, divided by the sum of sizes, with its interval over the sets."""
    if not members:
        return estimate(0, 0, 0, 0)
    holders = Counter(member for group in members for member in group)
    lost = np.array([sum(holders[member] == 1 for member in group) for group in members])
    total = sizes.sum()
    without = (len(holders) - lost) / (total - sizes) if len(members) > 1 else np.zeros(1)
    return jackknife(len(holders) / total, without)


def self_bleu(texts: Sequence[str]) -> np.ndarray:
    """Self-BLEU of Zhu et al. 2018 (Texygen): BLEU-4 of each text against all others; 0 to 1, shape (n,), NaN alone.

    High values mean that the texts repeat one another. More texts repeat one another more: compare groups of equal
    size. BLEU is that of Papineni et al. 2002, on lower-cased words, as sacrebleu computes it for a sentence: smoothed
    (Chen and Cherry 2014, method 3), without the orders for which a text is too short, 0 where not a word is shared.
    Takes time in proportion to the words: of each n-gram only the two texts that have it most often matter, since a
    text's own count is no reference.
    """
    lengths = np.array([sum(_ngrams(text)[0].values()) for text in texts])
    log_precision, orders = np.zeros(len(texts)), np.zeros(len(texts))
    halvings = np.zeros(len(texts))
    for n in range(1, BLEU_NGRAMS + 1):
        counts = [_ngrams(text)[n - 1] for text in texts]
        most: dict[tuple[str, ...], tuple[int, int, int]] = {}  # n-gram: largest count, its text, next largest count
        for i, own in enumerate(counts):
            for ngram, count in own.items():
                first, holder, second = most.get(ngram, (0, -1, 0))
                most[ngram] = (count, i, first) if count > first else (first, holder, max(second, count))
        for i, own in enumerate(counts):
            total = sum(own.values())
            if not total:
                continue
            matched = sum(min(count, most[ngram][2 if most[ngram][1] == i else 0]) for ngram, count in own.items())
            if not matched:
                halvings[i] += 1
                matched = 0.5 ** halvings[i]
            log_precision[i] += np.log(matched / total)
            orders[i] += 1
    scores = np.exp(log_precision / np.maximum(orders, 1)) * _brevity(lengths)
    scores[halvings == orders] = 0  # not a word is shared
    return np.where((orders > 0) & (len(texts) > 1), scores, np.nan)


@lru_cache(maxsize=10_000)  # the same text is in several groups
def _ngrams(text: str) -> list[Counter[tuple[str, ...]]]:
    """How often each n-gram of words comes, for n from 1 to BLEU_NGRAMS."""
    words = split_words(text)
    return [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in range(1, BLEU_NGRAMS + 1)]


def _brevity(lengths: np.ndarray) -> np.ndarray:
    """BLEU's penalty for texts shorter than the closest in length of the others (of two as close, the shorter)."""
    penalty = np.ones(len(lengths))
    order = np.sort(lengths)
    for i, length in enumerate(lengths):
        at = np.searchsorted(order, length)
        shorter = order[at - 1] if at else None
        longer = order[at + 1] if at + 1 < len(order) else None  # order[at] is this text or one as long
        if longer is None or length == 0:
            continue
        if longer > length and (shorter is None or longer - length < length - shorter):
            penalty[i] = np.exp(1 - longer / length)
    return penalty


def loops(text: str) -> bool:
    """Whether the text circles: some four words in a row occur at least three times in it.

    Repetition of n-grams within a sample marks degenerate text (Holtzman et al. 2020). Four words because shorter
    runs (`at the end`) come back in good prose; three times because a refrain or a repeated name comes back twice.
    """
    words = split_words(text)
    runs = Counter(zip(*(words[i:] for i in range(LOOP_WORDS)), strict=False))
    return max(runs.values(), default=0) >= LOOP_TIMES


def shuffled(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The texts in a seeded random order, so that a budget is spent on a fair mixture of a group."""
    return [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))]
