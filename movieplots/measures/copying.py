"""Novelty of samples: the longest verbatim span shared with a training plot, and novel n-grams.

The measures are those of `McCoy et al. (2023) <https://arxiv.org/abs/2111.09509>`_ (RAVEN), counted in words without
case and punctuation. All counts are exact, without hashing. For this, all training words are kept in memory as 32-bit
integers: about 60 MB for 100,000 plots.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from movieplots.words import NumberedTexts

NGRAMS = range(1, 9)  # lengths of the novel n-grams that are counted
_CHUNK = 20_000  # training plots searched at a time, to limit memory


@dataclass(frozen=True)
class Spans:
    """For each word of all samples, in order, the longest span from there that occurs in a training text.

    `length` is in words (0 if the word itself is novel); `row` is the training text (-1 for none, the first of
    several). Both have shape (words in all samples,).
    """

    length: np.ndarray
    row: np.ndarray


def verbatim_spans(samples: NumberedTexts, training: NumberedTexts) -> Spans:
    """Find, from each word of each sample, the longest span that occurs verbatim in a training text."""
    length = np.zeros(len(samples.codes), np.int64)
    row = np.full(len(samples.codes), -1, np.int64)
    for first in range(0, len(training), _CHUNK):
        found = _spans(samples, training.slice(first, min(first + _CHUNK, len(training))))
        longer = found.length > length
        length[longer], row[longer] = found.length[longer], found.row[longer] + first
    return Spans(length, row)


def _spans(samples: NumberedTexts, training: NumberedTexts) -> Spans:
    # Extend all positions where a sample and a training text agree on n words to n + 1 words at the same time, and drop
    # those that no longer agree. After four or five words few positions are left, so long spans cost almost nothing.
    length = np.zeros(len(samples.codes), np.int64)
    row = np.full(len(samples.codes), -1, np.int64)
    sample_end = np.repeat(samples.starts[1:], samples.lengths())
    training_end = np.repeat(training.starts[1:], training.lengths())
    training_of = np.repeat(np.arange(len(training)), training.lengths())
    vocabulary = int(max(samples.codes.max(initial=0), training.codes.max(initial=0))) + 1
    s, t = np.arange(len(samples.codes)), np.arange(len(training.codes))
    s_ngram, t_ngram = np.zeros_like(s), np.zeros_like(t)  # equal numbers are equal n-grams
    n = 0
    while True:
        inside_s, inside_t = s + n < sample_end[s], t + n < training_end[t]
        s, s_ngram, t, t_ngram = s[inside_s], s_ngram[inside_s], t[inside_t], t_ngram[inside_t]
        if not s.size or not t.size:
            return Spans(length, row)
        ngrams, s_ngram = np.unique(s_ngram * vocabulary + samples.codes[s + n], return_inverse=True)
        t_ngram = pd.Index(ngrams).get_indexer(
            t_ngram * vocabulary + training.codes[t + n]
        )  # several times faster than searchsorted
        agree = t_ngram >= 0
        t, t_ngram = t[agree], t_ngram[agree]
        first_place = np.full(len(ngrams), -1)
        first_place[t_ngram[::-1]] = t[::-1]  # in reverse order, so that the first place is kept
        agree = first_place[s_ngram] >= 0
        s, s_ngram = s[agree], s_ngram[agree]
        n += 1
        length[s] = n
        row[s] = training_of[first_place[s_ngram]]


def longest_spans(samples: NumberedTexts, spans: Spans) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the longest span of each sample: its length in words, the index of its first word, and its training text.

    These are three integer arrays of shape (samples,): 0, 0 and -1 if no word is shared; the first of equally long
    spans.
    """
    longest, at = np.zeros(len(samples), np.int64), np.zeros(len(samples), np.int64)
    row = np.full(len(samples), -1, np.int64)
    for i, (start, end) in enumerate(zip(samples.starts[:-1], samples.starts[1:], strict=True)):
        if start < end:
            at[i] = spans.length[start:end].argmax()
            longest[i], row[i] = spans.length[start + at[i]], spans.row[start + at[i]]
    return longest, at, row


def novel_ngrams(samples: NumberedTexts, spans: Spans, n: int) -> np.ndarray:
    """Return the share of each sample's n-grams that are in no training text, shape (samples,); NaN without n-grams."""
    ends = np.repeat(samples.starts[1:], samples.lengths())
    begins = np.arange(len(samples.codes)) + n <= ends
    owner = np.repeat(np.arange(len(samples)), samples.lengths())
    whole = np.bincount(owner[begins], minlength=len(samples))
    unseen = np.bincount(owner[begins & (spans.length < n)], minlength=len(samples))
    return np.divide(unseen, whole, out=np.full(len(samples), np.nan), where=whole > 0)


def exact_copies(samples: NumberedTexts, training: NumberedTexts) -> np.ndarray:
    """Return whether each sample has the same words in the same order as a training text, boolean, shape (samples,)."""
    known = {training.text(i).tobytes() for i in range(len(training))} - {b""}
    return np.array([samples.text(i).tobytes() in known for i in range(len(samples))], bool)
