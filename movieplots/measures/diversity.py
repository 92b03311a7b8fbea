"""Do the samples vary, and does each read on, or do they circle? Distinct n-grams, self-BLEU, loops."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from movieplots.intervals import Estimate, around, estimate, jackknife, share_of
from movieplots.words import NumberedTexts, split_words

LOOP_WORDS = 4
LOOP_TIMES = 3
BLEU_NGRAMS = 4
_AT_ONCE = 128  # texts left out, each alone, in one piece of memory


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
    written = texts.lengths() > 0
    lost = np.bincount(holder[holders[held] == 1], minlength=len(texts))[written]
    words, sizes = len(texts.codes), texts.lengths()[written]
    if not words:
        return estimate(0, 0, 0, 0)
    different = np.count_nonzero(holders)
    if budget is None:
        without = (different - lost) / (words - sizes) if len(sizes) > 1 else np.zeros(1)
    else:  # others would come in its place until the words are as many again, with as much that is new a word
        without = (different - lost + sizes * lost.sum() / words) / words
    return jackknife(different / words, without)


def unique_share(things: Sequence[Hashable]) -> Estimate | None:
    """How many different things there are, divided by how many things there are; None where there are none.

    The variance is that of the number of different things among n (Good and Toulmin 1956): with f1 that come once, f2
    twice and so on, it is f1 - f2 + f3 - … - f1² / n. Where that tells nothing, as where all are different, the
    interval is Wilson's, as for a share.
    """
    if not things:
        return None
    n, counts = len(things), Counter(things)
    times = np.bincount(list(counts.values()))
    variance = times[1::2].sum() - times[2::2].sum() - times[1] ** 2 / n
    return around(len(counts) / n, variance / n**2, n) if variance > 0 else share_of(len(counts), n)


def self_bleu(texts: NumberedTexts) -> np.ndarray:
    """Self-BLEU of Zhu et al. 2018 (Texygen): BLEU-4 of each text against all others; 0 to 1, shape (n,), NaN alone.

    High values mean that the texts repeat one another. More texts repeat one another more: compare groups of equal
    size. BLEU is that of Papineni et al. 2002, on lower-cased words, as sacrebleu computes it for a sentence: smoothed
    (Chen and Cherry 2014, method 3), without the orders for which a text is too short, 0 where not a word is shared.
    Takes hardly more time than in proportion to the words: of each n-gram only the two texts that have it most often
    matter, since a text's own count is no reference.
    """
    totals, matched, _ = _matches(texts)
    scores = _bleu(totals, matched, _brevity(texts.lengths(), np.sort(texts.lengths())))
    return np.where((totals[0] > 0) & (len(texts) > 1), scores, np.nan)


def self_bleu_estimate(texts: NumberedTexts) -> Estimate | None:
    """The mean self-BLEU of the texts with its interval; None where there is none.

    Each text is a reference of all others, so its scores are not independent. As if they were, the interval would be
    too narrow, by a fifth to a third; leaving out one text at a time (Tukey 1958) makes it too wide, by as much, since
    what two texts share is then lost twice (Efron and Stein 1981). The variance is the mean of both, which is within a
    tenth or so of the standard deviation that 20, 66 or 260 texts really have, real plots and made-up ones alike.
    """
    scores = self_bleu(texts)
    known = ~np.isnan(scores)
    n, lengths = int(known.sum()), texts.lengths()
    if not n:
        return None
    value, independent = scores[known].mean(), scores[known].var() / n
    if n < 3:  # with one left out, nothing is left to compare with
        return around(value, 0, 1)
    totals, matched, lost = _matches(texts)
    order, without = np.sort(lengths), []
    for left_out in np.array_split(np.flatnonzero(known), -(-n // _AT_ONCE)):
        rest = matched[:, None] - np.array([each[left_out].toarray() for each in lost])
        each_length, place = np.unique(lengths[left_out], return_inverse=True)
        brevity = [_brevity(lengths, np.delete(order, np.searchsorted(order, length))) for length in each_length]
        scores = _bleu(totals[:, None], rest, np.array(brevity)[place])
        scores[np.arange(len(left_out)), left_out] = 0
        without.append(scores[:, known].sum(axis=1) / (n - 1))
    return around(value, (independent + (n - 1) * np.var(np.concatenate(without))) / 2, n)


def _matches(texts: NumberedTexts) -> tuple[np.ndarray, np.ndarray, list[csr_matrix]]:
    """For each order of n-grams, how many each text has, and how many of these some other text has, too.

    Both have shape (orders, texts). The third says how many of the latter are lost to a text (column) without another
    one (row).
    """
    found = [_matched(ngrams, owner, len(texts)) for ngrams, owner in _ngrams(texts, BLEU_NGRAMS)]
    totals, matched, lost = zip(*found, strict=True)
    return np.array(totals), np.array(matched), list(lost)


def _matched(ngrams: np.ndarray, owner: np.ndarray, texts: int) -> tuple[np.ndarray, np.ndarray, csr_matrix]:
    """The three of `_matches` for one order: an n-gram counts at most as often as the other text has it."""
    pairs, counts = np.unique(ngrams * texts + owner, return_counts=True)
    held, holder = np.divmod(pairs, max(texts, 1))
    order = np.lexsort((counts, held))  # of each n-gram the text that has it most often comes last
    held, holder, counts = held[order], holder[order], counts[order]
    last = np.append(held[1:] != held[:-1], True)[: len(held)]
    first = np.append(True, last[:-1])[: len(held)]
    most = counts[last][np.cumsum(first) - 1]
    next_most = np.where(first, 0, np.append(0, counts[:-1])[: len(held)])
    matched = np.bincount(holder, np.minimum(counts, np.where(last, next_most, most)), texts)
    # Without one of the two texts that have an n-gram most often, the other is left with the third most often.
    end, begin = np.flatnonzero(last), np.flatnonzero(first)
    several, three = end > begin, (end - begin)[end > begin] > 1
    end = end[several]
    less = counts[end - 1] - np.where(three, counts[end - 2], 0)
    one, other = holder[end], holder[end - 1]
    rows, columns = np.append(one, other), np.append(other, one)
    lost = csr_matrix((np.append(less, less).astype(float), (rows, columns)), (texts, texts))
    return np.bincount(owner, minlength=texts), matched, lost


def _bleu(totals: np.ndarray, matched: np.ndarray, brevity: np.ndarray) -> np.ndarray:
    """BLEU from counts by order of n-grams, shape (orders, …, texts), and the penalty for short texts (…, texts)."""
    there = totals > 0
    none = there & (matched == 0)
    halvings, orders = np.cumsum(none, axis=0), there.sum(axis=0)
    precision = np.where(none, 0.5**halvings, np.where(there, matched, 1)) / np.maximum(totals, 1)
    scores = np.exp(np.log(precision).sum(axis=0) / np.maximum(orders, 1)) * brevity
    return np.where(halvings[-1] == orders, 0, scores)  # not a word is shared


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


def _brevity(lengths: np.ndarray, order: np.ndarray) -> np.ndarray:
    """BLEU's penalty for texts shorter than the closest in length of the others (of two as close, the shorter).

    `order` are the lengths of all texts, sorted, each text's own among them.
    """
    padded = np.concatenate([[-np.inf], order, [np.inf, np.inf]])
    at = np.searchsorted(order, lengths)
    shorter, longer = padded[at], padded[at + 2]  # between them lies this text or one as long
    closest = (longer > lengths) & (longer - lengths < lengths - shorter) & (lengths > 0)
    return np.where(closest, np.exp(1 - longer / np.maximum(lengths, 1)), 1)


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
