"""Keep phrases out of generated texts with any backend: return to the token that begins a phrase, and ban it there.

When a text contains an avoided phrase, it is cut before the phrase and continued from there, and the tokens with which
the phrase's first word can begin are banned for the first new token. The text before the phrase stays, unlike with a
new text, and the tokens stay possible elsewhere, unlike with a ban of single tokens. koboldcpp calls this anti-slop
sampling (https://github.com/LostRuins/koboldcpp/wiki). After `MAX_REWINDS` returns, the tokens are banned everywhere.

A phrase is found by word stems, so its inflections are avoided too: `serial killers` for `serial killer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from movieplots.generation.keywords import stem, stems
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.words import split_words

MAX_REWINDS = 3


@dataclass(frozen=True)
class Occurrence:
    """An avoided phrase in a text: the index of its first new token, and token ids with which it can begin there."""

    token: int
    banned: tuple[int, ...]


class Avoidance:
    """Finds avoided phrases in token ids. Title and plot are separate texts.

    Parameters
    ----------
    phrases : sequence of str
        Phrases to avoid, each with at least one word.
    tokenizer : PromptTokenizer
        Tokenizer of the generator.
    """

    def __init__(self, phrases: Sequence[str], tokenizer: PromptTokenizer) -> None:
        self.tokenizer = tokenizer
        self.phrases = [stems(phrase) for phrase in phrases]

    def find(self, given: list[int], ids: list[int], complete: bool) -> Occurrence | None:
        """Return the avoided phrase that is complete first in `ids`, which follow the tokens `given`, or None.

        Phrases within `given` do not count, but one can begin there. Unless the text is `complete`, its last word can
        still grow and does not count.
        """
        words = self._words([*given, *ids], complete)
        known = len(self._words(given, complete=False))
        ends = [
            (start + len(phrase), start)
            for phrase in self.phrases
            for start in range(max(known - len(phrase), 0), len(words) - len(phrase) + 1)
            if [stem(word) for word in words[start : start + len(phrase)]] == phrase and start + len(phrase) > known
        ]
        if not ends:
            return None
        _, start = min(ends)
        token = self._first_token(given, ids, max(start, known))
        word = words[len(self._words([*given, *ids[: token + 1]], complete=True)) - 1]
        return Occurrence(token, tuple(sorted({ids[token], *self._beginnings(word)})))

    def pending(self, given: list[int], ids: list[int]) -> int:
        """Return how many of the last ids may belong to a phrase that is not complete yet."""
        safe = len(self._words([*given, *ids], complete=True)) - max(map(len, self.phrases))
        count = 0
        while count < len(ids) and len(self._words([*given, *ids[: len(ids) - count]], complete=True)) > safe:
            count += 1
        return count

    def _first_token(self, given: list[int], ids: list[int], word: int) -> int:
        """Return the index of the first of the ids with which the text has this word, or a part of it."""
        return next(n for n in range(len(ids)) if len(self._words([*given, *ids[: n + 1]], complete=True)) > word)

    def _words(self, ids: list[int], complete: bool) -> list[str]:
        """Return the words of the title, if any, and the plot; an empty word separates them."""
        end, tokenizer = self.tokenizer.end_of_title, self.tokenizer.tokenizer
        at = ids.index(end) if end in ids else None
        parts = [ids] if at is None else [ids[:at], ids[at + 1 :]]
        texts = [tokenizer.decode(part, skip_special_tokens=True) for part in parts]
        words = [split_words(text) for text in texts]
        if not complete and texts[-1][-1:].isalnum():
            words[-1].pop()
        return words[0] if at is None else [*words[0], "", *words[1]]

    def _beginnings(self, word: str) -> list[int]:
        """Return the first token of a word in its usual spellings."""
        spellings = [space + form for space in ("", " ") for form in (word, word.capitalize(), word.upper())]
        return [self.tokenizer.encode(spelling)[0] for spelling in spellings]
