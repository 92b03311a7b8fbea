"""Is a sample new? The longest run of words it shares with a training plot, and the training plot most like it.

Both searches are exact, neither hashed nor sketched. The price is that all training words are held as 32-bit numbers:
some 100 MB for 100,000 plots. Longest verbatim run: the memorisation measure of McCoy et al. 2023 (RAVEN).
Nearest plot: Jaccard 1912, on the sets of words.
"""

import numpy as np
import pandas as pd
from scipy.sparse import csc_matrix

from movieplots.words import NumberedTexts, number_words

COPIED_WORDS = 20  # a longer run than this counts as copying: stock phrases are seldom half as long
_CHUNK = 20_000  # training plots searched at once, which bounds the memory


def novelty(samples: list[str], training: list[str]) -> pd.DataFrame:
    """Measure each sample against all training plots; one row a sample, in order.

    Columns: `words` (its length), `copied_words` (longest verbatim run, in words), `copied_at` (the word of the sample
    at which that run begins, from 0), `copied_row` (row of the training plot it stands in, -1 for none), `exact_copy`
    (the same words in the same order as a whole training plot), `nearest_similarity` (Jaccard similarity of word
    sets, 0 to 1) and `nearest_row` (-1 where no word is shared).
    """
    vocabulary: dict[str, int] = {}
    numbered, trained = number_words(samples, vocabulary), number_words(training, vocabulary)
    runs, at, rows = longest_copied_runs(numbered, trained)
    similarity, nearest = nearest_texts(numbered, trained)
    return pd.DataFrame(
        {
            "words": numbered.lengths(),
            "copied_words": runs,
            "copied_at": at,
            "copied_row": rows,
            "exact_copy": exact_copies(numbered, trained),
            "nearest_similarity": similarity,
            "nearest_row": nearest,
        }
    )


def longest_copied_runs(samples: NumberedTexts, training: NumberedTexts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The longest run of words of each sample that some training text holds verbatim.

    Returns three integer arrays of shape (samples,): its length in words, the word of the sample at which it begins,
    and the training text it stands in (-1 for none; the earliest of several).
    """
    length = np.zeros(len(samples), np.int64)
    at, row = np.zeros(len(samples), np.int64), np.full(len(samples), -1, np.int64)
    for first in range(0, len(training), _CHUNK):
        chunk = training.slice(first, min(first + _CHUNK, len(training)))
        found, found_at, found_row = _runs(samples, chunk)
        longer = found > length
        length[longer], at[longer], row[longer] = found[longer], found_at[longer], found_row[longer] + first
    return length, at, row


def _runs(samples: NumberedTexts, training: NumberedTexts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # All places where a sample and a training text agree on n words are extended to n + 1 words at once, and those
    # that no longer agree are dropped. After four or five words few are left, so long copies cost next to nothing.
    length = np.zeros(len(samples), np.int64)
    at, row = np.zeros(len(samples), np.int64), np.full(len(samples), -1, np.int64)
    sample_of, sample_end = _owner_and_end(samples)
    training_of, training_end = _owner_and_end(training)
    base = int(max(samples.codes.max(initial=0), training.codes.max(initial=0))) + 1
    s, t = np.arange(len(samples.codes)), np.arange(len(training.codes))
    s_run, t_run = np.zeros_like(s), np.zeros_like(t)  # equal numbers: equal runs of n words
    n = 0
    while True:
        inside_s, inside_t = s + n < sample_end[s], t + n < training_end[t]
        s, s_run, t, t_run = s[inside_s], s_run[inside_s], t[inside_t], t_run[inside_t]
        if not s.size or not t.size:
            break
        runs, s_run = np.unique(s_run * base + samples.codes[s + n], return_inverse=True)
        keys = t_run * base + training.codes[t + n]
        t_run = np.minimum(np.searchsorted(runs, keys), len(runs) - 1)
        agree = runs[t_run] == keys
        t, t_run = t[agree], t_run[agree]
        first_place = np.full(len(runs), -1)
        first_place[t_run[::-1]] = t[::-1]  # written backwards, so that the earliest place stays
        agree = first_place[s_run] >= 0
        s, s_run = s[agree], s_run[agree]
        n += 1
        owner = sample_of[s][::-1]
        length[owner] = n
        at[owner] = s[::-1] - samples.starts[owner]
        row[owner] = training_of[first_place[s_run]][::-1]
    return length, at, row


def _owner_and_end(texts: NumberedTexts) -> tuple[np.ndarray, np.ndarray]:
    lengths = texts.lengths()
    return np.repeat(np.arange(len(texts)), lengths), np.repeat(texts.starts[1:], lengths)


def exact_copies(samples: NumberedTexts, training: NumberedTexts) -> np.ndarray:
    """Whether each sample has the same words in the same order as a whole training text; boolean, shape (samples,)."""
    known = {training.text(i).tobytes() for i in range(len(training))} - {b""}
    return np.array([samples.text(i).tobytes() in known for i in range(len(samples))], bool)


def nearest_texts(samples: NumberedTexts, training: NumberedTexts) -> tuple[np.ndarray, np.ndarray]:
    """The training text with the most similar set of words, by Jaccard similarity |A and B| / |A or B|.

    Returns the similarity (0 to 1) and the training text (the earliest of equals, -1 where no word is shared), each
    of shape (samples,). One sample at a time goes through the inverted index, so no samples x training matrix exists.
    """
    base = int(max(samples.codes.max(initial=0), training.codes.max(initial=0))) + 1
    owner = np.repeat(np.arange(len(training)), training.lengths())
    pairs = np.unique(owner * base + training.codes)
    owner, word = pairs // base, pairs % base
    sizes = np.bincount(owner, minlength=len(training))
    index = csc_matrix((np.ones(len(pairs), np.int8), (owner, word)), shape=(len(training), base))
    similarity, nearest = np.zeros(len(samples)), np.full(len(samples), -1, np.int64)
    for i in range(len(samples)):
        words = np.unique(samples.text(i))
        if not words.size or not len(training):
            continue
        shared = np.bincount(index[:, words].indices, minlength=len(training))
        jaccard = shared / (sizes + len(words) - shared)
        best = int(jaccard.argmax())
        if shared[best]:
            similarity[i], nearest[i] = jaccard[best], best
    return similarity, nearest
