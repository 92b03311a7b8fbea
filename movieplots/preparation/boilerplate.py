"""Find placeholders for missing plots, such as `Add a Plot` or `TBA`, and remove boilerplate.

Boilerplate is a sentence that occurs verbatim under many titles, such as `See details for advisory.` It has no
information about the plot, and a generator memorizes it. Sentences are compared by their words, without case and
punctuation. A plot that consists of boilerplate only is not changed: its copies are duplicates, and deduplication keeps
one of them.

Only a whole text can be a placeholder, in the forms that databases, tables and websites use. The time of every pattern
is linear in the length of the text. A text of more than `_LONGEST` characters is not a placeholder.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from movieplots.preparation.cleaning import count_words, split_sentences
from movieplots.words import split_words

MIN_WORDS = 4  # shorter sentences, such as `No equipment needed.`, can belong to the plot
MIN_TITLES = 10
# In a large corpus ten titles can share a normal sentence, such as `They fall in love with each other.`
MIN_SHARE = 1 / 2500
_PIECE_END = re.compile(r"(?<=[.!?…。！？])\s*(?=\S)")


def remove_boilerplate(
    titles: Sequence[str], plots: Sequence[str], min_length: int = 1
) -> tuple[dict[int, str], Counter[str]]:
    """Remove boilerplate from the plots of one source.

    Returns the shortened texts by the index of their plot, and each removed sentence with its count. `titles` and
    `plots` have the same length; equal titles count once. Plots that would have fewer than `min_length` words are not
    changed.
    """
    names = np.unique(np.array(titles, dtype=object), return_inverse=True)[1] if len(titles) else np.empty(0, np.int64)
    least = max(MIN_TITLES, len(np.unique(names)) * MIN_SHARE)
    # Splitting into sentences is slow. The pieces between full stops of a repeated sentence are repeated too, so only
    # the few plots with repeated pieces are split into sentences.
    pieces, owners = _keys_of({hash(tuple(split_words(piece))) for piece in _PIECE_END.split(plot)} for plot in plots)
    repeated = np.isin(pieces, _under_many_titles(pieces, names[owners], least))
    few = np.unique(owners[repeated]).tolist()
    sentences = {number: [(_key(sentence), sentence) for sentence in split_sentences(plots[number])] for number in few}
    keys, owners = _keys_of({key for key, _ in sentences[number] if key is not None} for number in few)
    boilerplate = set(_under_many_titles(keys, names[few][owners], least).tolist())

    shorter: dict[int, str] = {}
    removed: Counter[str] = Counter()
    written: dict[int, str] = {}  # each sentence in its first spelling
    for number in few:
        kept = "".join(sentence for key, sentence in sentences[number] if key not in boilerplate).rstrip()
        if len(kept) == len(plots[number]) or count_words(kept) < min_length:
            continue
        shorter[number] = kept
        for key, sentence in sentences[number]:
            if key is not None and key in boilerplate:
                removed[written.setdefault(key, sentence.strip())] += 1
    return shorter, removed


def _key(sentence: str) -> int | None:
    """Return a hash of the words of a sentence, or None if there are fewer than `MIN_WORDS`."""
    words = split_words(sentence)
    return hash(tuple(words)) if len(words) >= MIN_WORDS else None


def _keys_of(plots: Iterable[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of all plots in one array, and the index of the plot of each key."""
    keys, sizes = array("q"), array("q")
    for own in plots:
        keys.extend(own)
        sizes.append(len(own))
    counts = np.array(sizes, np.int64)
    return np.array(keys, np.int64), np.repeat(np.arange(len(counts)), counts)


def _under_many_titles(keys: np.ndarray, titles: np.ndarray, least: float) -> np.ndarray:
    """Return the keys that occur under at least `least` different titles; both arrays have an item per key."""
    order = np.lexsort((titles, keys))
    keys, titles = keys[order], titles[order]
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]) | (titles[1:] != titles[:-1])
    found, counts = np.unique(keys[new], return_counts=True)
    return found[counts >= least]


_LONGEST = 200
_NOUN = (
    r"(?:plot|overview|synopsis|summary|description|storyline|logline|outline|biography)"
    r"(?: (?:information|text|summary|synopsis|outline|line|description|details?))?"
)
_DETAILS = rf"(?:{_NOUN}|(?:(?:plot|story|further|more) )?(?:details|information))"
_WHEN = r"(?: (?:yet|currently|here|so far|as of yet|at (?:this|the) (?:time|moment|present)|in english))?"
_WHERE = (
    r"(?: (?:for|to|of|about|in|on) (?:this|the|our|your|that)(?: \w+)?"
    r" (?:title|movie|film|series|show|episode|season|book|entry|item|program|programme|video|page|database|language))?"
)
_GIVEN = r"(?:available|found|known|given|provided|entered|added|written|translated|listed|specified|recorded)"
_HIDDEN = (
    r"(?:(?:kept )?under (?:wraps|construction)|kept secret|unknown|undisclosed|unavailable|missing|pending|needed|none"
    rf"|not(?: yet)?(?: been)? (?:{_GIVEN}|announced|revealed|released|disclosed)"
    r"|coming soon|tb[acd]|to (?:be )?(?:announced|determined|confirmed|added|disclosed|follow))"
)
_IS = r"(?: (?:is|are|has|have|was|were|will)(?: been| be)?(?: currently| still| yet| being)?)?"
_PLACEHOLDER = re.compile(
    "|".join(
        [
            # values for missing data that programs and people write
            r"nan|null|none|nil|n\.?/?a|#n/a|<na>|undefined|unknown|missing|empty|blank|untitled|placeholder|test|todo",
            r"tb[acd]|to be (?:announced|determined|confirmed|added)|(?:coming|available) soon|not(?: yet)? available",
            _NOUN,
            # `No overview found.`, `There is no plot summary available for this title yet.`
            rf"(?:sorry,? )?(?:there (?:is|are) |there's |we have )?(?:currently )?no {_DETAILS}{_IS}"
            rf"(?: {_GIVEN})?{_WHEN}{_WHERE}{_WHEN}",
            # `Plot kept under wraps.`, `The plot is unknown at this time.`
            rf"(?:the |a |an )?{_DETAILS}{_IS} {_HIDDEN}{_WHEN}{_WHERE}{_WHEN}",
            # `Add a Plot`, `Be the first to contribute a synopsis!`
            r"(?:please )?(?:be the first to )?(?:add|write|contribute|submit|enter|insert)"
            rf" (?:a |an |the |your )?{_NOUN}{_WHERE}",
            # `We don't have an overview translated in English. Help us expand our database by adding one.`
            rf"(?:it looks like )?we (?:don't|do not) (?:currently )?have (?:a|an|any) {_DETAILS}(?: {_GIVEN})?"
            rf"{_WHEN}{_WHERE}{_WHEN}(?:\. (?:help us|be the first|please|you can)[^.]*)?",
        ]
    )
)
_AROUND = " \t.!?…-–—_*~#\"'“”‘’«»()[]{}:,"


def is_placeholder(text: str) -> bool:
    """Return whether the whole text is a placeholder for a missing plot; case and outer punctuation do not matter.

    Examples
    --------
    >>> is_placeholder("No overview found."), is_placeholder("No plot is found in the garden of Eden.")
    (True, False)
    """
    if len(text) > _LONGEST:
        return False
    plain = text.casefold().replace("’", "'").strip(_AROUND)
    return not plain or _PLACEHOLDER.fullmatch(plain) is not None
