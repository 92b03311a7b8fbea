"""Do the samples vary, and does each read on, or do they circle? Distinct n-grams, self-BLEU, loops."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from movieplots.intervals import Estimate, estimate, jackknife
from movieplots.words import NumberedTexts, split_words

LOOP_WORDS = 4
LOOP_TIMES = 3
BLEU_NGRAMS = 4


def distinct(texts: NumberedTexts, n: int, budget: int | None = None) -> float:
    """Distinct-n of Li et al. 2016: different n-grams of words, divided by all words, over a group of texts (0 to 1).

    The value falls as a group grows, because new words run out. To compare groups, give all the same `budget`: only
    the first `budget` words of the group then count. 0.0 where there are no words.
    """
    return distinct_estimate(texts, n, budget).value


def distinct_estimate(texts: NumberedTexts, n: int, budget: int | None = None) -> Estimate:
    """The same with its interval, by leaving out one text at a time."""
    if budget is not None:
        texts = NumberedTexts(texts.codes[:budget], np.minimum(texts.starts, budget))
    *_, (ngrams, owner) = _ngrams(texts, n)
    held, holder = np.divmod(np.unique(ngrams * len(texts) + owner), max(len(texts), 1))
    holders = np.bincount(held)
    lost = np.bincount(holder[holders[held] == 1], minlength=len(texts))
    written = texts.lengths() > 0
    return _different(int(np.count_nonzero(holders)), lost[written], texts.lengths()[written])


def unique_share(things: Sequence[Hashable]) -> Estimate | None:
    """How many different things there are, divided by how many things there are; None where there are none."""
    if not things:
        return None
    counts = Counter(things)
    return _different(len(counts), np.array([counts[thing] == 1 for thing in things]), np.ones(len(things)))


def _different(different: int, lost: np.ndarray, sizes: np.ndarray) -> Estimate:
    """Different things of all texts, divided by the sum of sizes, with its interval over the texts.

    Without text i, `lost[i]` of the different things would be gone, and `sizes[i]` of the sum.
    """
    if not len(sizes):
        return estimate(0, 0, 0, 0)
    total = sizes.sum()
    without = (different - lost) / (total - sizes) if len(sizes) > 1 else np.zeros(1)
    return jackknife(different / total, without)


def self_bleu(texts: NumberedTexts) -> np.ndarray:
    """Self-BLEU of Zhu et al. 2018 (Texygen): BLEU-4 of each text against all others; 0 to 1, shape (n,), NaN alone.

    High values mean that the texts repeat one another. More texts repeat one another more: compare groups of equal
    size. BLEU is that of Papineni et al. 2002, on lower-cased words, as sacrebleu computes it for a sentence: smoothed
    (Chen and Cherry 2014, method 3), without the orders for which a text is too short, 0 where not a word is shared.
    Takes hardly more time than in proportion to the words: of each n-gram only the two texts that have it most often
    matter, since a text's own count is no reference.
    """
    log_precision, orders, halvings = np.zeros((3, len(texts)))
    for ngrams, owner in _ngrams(texts, BLEU_NGRAMS):
        total = np.bincount(owner, minlength=len(texts))
        matched = _matched(ngrams, owner, len(texts))
        there, none = total > 0, (total > 0) & (matched == 0)
        halvings[none] += 1
        matched[none] = 0.5 ** halvings[none]
        log_precision[there] += np.log(matched[there] / total[there])
        orders[there] += 1
    scores = np.exp(log_precision / np.maximum(orders, 1)) * _brevity(texts.lengths())
    scores[halvings == orders] = 0  # not a word is shared
    return np.where((orders > 0) & (len(texts) > 1), scores, np.nan)


def _matched(ngrams: np.ndarray, owner: np.ndarray, texts: int) -> np.ndarray:
    """How many n-grams of each text some other text has, too, at most as often as that other; shape (texts,)."""
    pairs, counts = np.unique(ngrams * texts + owner, return_counts=True)
    held, holder = np.divmod(pairs, max(texts, 1))
    order = np.lexsort((counts, held))  # of each n-gram the text that has it most often comes last
    held, holder, counts = held[order], holder[order], counts[order]
    last = np.append(held[1:] != held[:-1], True)[: len(held)]
    first = np.append(True, last[:-1])[: len(held)]
    most = counts[last][np.cumsum(first) - 1]
    next_most = np.where(first, 0, np.append(0, counts[:-1])[: len(held)])
    return np.bincount(holder, np.minimum(counts, np.where(last, next_most, most)), texts)


def _ngrams(texts: NumberedTexts, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each n from 1 to `most` all n-grams in order: equal numbers for equal ones, and the text that each is in."""
    ends, owner = np.repeat(texts.starts[1:], texts.lengths()), np.repeat(np.arange(len(texts)), texts.lengths())
    at, numbers = np.arange(len(texts.codes)), texts.codes.astype(np.int64)
    vocabulary = texts.codes.max(initial=0) + 1
    yield numbers, owner
    for n in range(1, most):
        inside = at + n < ends[at]
        at, numbers = at[inside], numbers[inside]
        numbers = np.unique(numbers * vocabulary + texts.codes[at + n], return_inverse=True)[1]
        yield numbers, owner[at]


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


def repeats(text: str) -> bool:
    """Whether the text circles: some four words in a row occur at least three times in it.

    Repetition of n-grams within a sample marks degenerate text (Holtzman et al. 2020). Four words because shorter
    runs (`at the end`) come back in good prose; three times because a refrain or a repeated name comes back twice.
    """
    words = split_words(text)
    runs = Counter(zip(*(words[i:] for i in range(LOOP_WORDS)), strict=False))
    return max(runs.values(), default=0) >= LOOP_TIMES


def shuffled(texts: np.ndarray, seed: int = 0) -> np.ndarray:
    """The texts, or their numbers, in a seeded random order, so that a budget is spent on a fair mixture of a group."""
    return np.random.default_rng(seed).permutation(texts)
