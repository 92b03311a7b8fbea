"""Is a sample new? The longest run of words it shares with a training plot, and the n-grams that no training plot has.

Every count is exact, neither hashed nor sketched. The price is that all training words are held as 32-bit numbers:
some 60 MB for 100,000 plots. Both measures are those of McCoy et al. 2023 (RAVEN: longest copied run, n-gram novelty),
counted in words, case and punctuation left out.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from movieplots.words import NumberedTexts

NGRAMS = range(1, 9)  # the lengths of which unseen n-grams are counted
_CHUNK = 20_000  # training plots searched at once, which bounds the memory


@dataclass(frozen=True)
class Runs:
    """For each word of all samples, in order: the longest run that begins there and stands in a training text.

    `length` is in words (0: the word itself is new), `row` the training text (-1 for none, the earliest of several);
    both have shape (words in all samples,).
    """

    length: np.ndarray
    row: np.ndarray


def verbatim_spans(samples: NumberedTexts, training: NumberedTexts) -> Runs:
    """Find, from each word of each sample on, the longest run of words that some training text holds verbatim."""
    length = np.zeros(len(samples.codes), np.int64)
    row = np.full(len(samples.codes), -1, np.int64)
    for first in range(0, len(training), _CHUNK):
        found = _runs(samples, training.slice(first, min(first + _CHUNK, len(training))))
        longer = found.length > length
        length[longer], row[longer] = found.length[longer], found.row[longer] + first
    return Runs(length, row)


def _runs(samples: NumberedTexts, training: NumberedTexts) -> Runs:
    # All places where a sample and a training text agree on n words are extended to n + 1 words at once, and those
    # that no longer agree are dropped. After four or five words few are left, so long copies cost next to nothing.
    length = np.zeros(len(samples.codes), np.int64)
    row = np.full(len(samples.codes), -1, np.int64)
    sample_end = np.repeat(samples.starts[1:], samples.lengths())
    training_end = np.repeat(training.starts[1:], training.lengths())
    training_of = np.repeat(np.arange(len(training)), training.lengths())
    base = int(max(samples.codes.max(initial=0), training.codes.max(initial=0))) + 1
    s, t = np.arange(len(samples.codes)), np.arange(len(training.codes))
    s_run, t_run = np.zeros_like(s), np.zeros_like(t)  # equal numbers: equal runs of n words
    n = 0
    while True:
        inside_s, inside_t = s + n < sample_end[s], t + n < training_end[t]
        s, s_run, t, t_run = s[inside_s], s_run[inside_s], t[inside_t], t_run[inside_t]
        if not s.size or not t.size:
            return Runs(length, row)
        runs, s_run = np.unique(s_run * base + samples.codes[s + n], return_inverse=True)
        t_run = pd.Index(runs).get_indexer(t_run * base + training.codes[t + n])  # several times as fast as bisecting
        agree = t_run >= 0
        t, t_run = t[agree], t_run[agree]
        first_place = np.full(len(runs), -1)
        first_place[t_run[::-1]] = t[::-1]  # written backwards, so that the earliest place stays
        agree = first_place[s_run] >= 0
        s, s_run = s[agree], s_run[agree]
        n += 1
        length[s] = n
        row[s] = training_of[first_place[s_run]]


def longest_copies(samples: NumberedTexts, runs: Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The longest run of each sample: its length in words, the word at which it begins (from 0), and its training text.

    Three integer arrays of shape (samples,); 0, 0 and -1 where no word is shared; the earliest of equally long runs.
    """
    longest, at = np.zeros(len(samples), np.int64), np.zeros(len(samples), np.int64)
    row = np.full(len(samples), -1, np.int64)
    for i, (start, end) in enumerate(zip(samples.starts[:-1], samples.starts[1:], strict=True)):
        if start < end:
            at[i] = runs.length[start:end].argmax()
            longest[i], row[i] = runs.length[start + at[i]], runs.row[start + at[i]]
    return longest, at, row


def novel_ngrams(samples: NumberedTexts, runs: Runs, n: int) -> np.ndarray:
    """The share of each sample's n-grams that stand in no training text, shape (samples,); NaN where it has none."""
    ends = np.repeat(samples.starts[1:], samples.lengths())
    begins = np.arange(len(samples.codes)) + n <= ends
    owner = np.repeat(np.arange(len(samples)), samples.lengths())
    whole = np.bincount(owner[begins], minlength=len(samples))
    unseen = np.bincount(owner[begins & (runs.length < n)], minlength=len(samples))
    return np.divide(unseen, whole, out=np.full(len(samples), np.nan), where=whole > 0)


def exact_copies(samples: NumberedTexts, training: NumberedTexts) -> np.ndarray:
    """Whether each sample has the same words in the same order as a whole training text; boolean, shape (samples,)."""
    known = {training.text(i).tobytes() for i in range(len(training))} - {b""}
    return np.array([samples.text(i).tobytes() in known for i in range(len(samples))], bool)
