"""A text with words hidden, as token ids: the tokens of each hidden word make place for one mask token.

Done on ids and not in the text, so that `[MASK]` in a text stays text.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from movieplots.errors import BadInput

Span = tuple[int, int]  # start and end of a word, in characters
MASK = "[MASK]"
NO_OFFSETS = "The tokenizer of this classifier does not say where its tokens stand, so that no word can be hidden."


def ids_without(
    encode: Callable[[str], Any], texts: Sequence[str], hidden: Sequence[Sequence[Span]], mask: int | None, most: int
) -> list[list[int]]:
    """The ids of each text without the words at its `hidden` spans, cut to `most` tokens.

    `encode` gives the whole text as an `Encoding` of the library tokenizers; equal texts are encoded once. Where `mask`
    is None nothing takes the place of a word.
    """
    encoded = {text: _Tokens(text, encode(text)) for text in dict.fromkeys(texts)}
    return [encoded[text].without(spans, mask, most) for text, spans in zip(texts, hidden, strict=True)]


def lengths_without(texts: Sequence[str], hidden: Sequence[Sequence[Span]]) -> list[int]:
    """The lengths of the same in characters, a mask counted as `MASK` has, by which batches are made."""
    return [
        len(text) - sum(end - start - len(MASK) for start, end in spans)
        for text, spans in zip(texts, hidden, strict=True)
    ]


class _Tokens:
    """A text's tokens and where each stands; `before` and `after` are those that the tokenizer puts around it."""

    def __init__(self, text: str, encoding: Any) -> None:
        if encoding is None:
            raise BadInput(NO_OFFSETS)
        own = [not special for special in encoding.special_tokens_mask]
        first = own.index(True) if any(own) else len(own)
        last = len(own) - own[::-1].index(True) if any(own) else first
        self.text, ids = text, encoding.ids
        self.before, self.ids, self.after = ids[:first], ids[first:last], ids[last:]
        offsets = encoding.offsets[first:last]
        self.starts, self.ends = [start for start, _ in offsets], [end for _, end in offsets]

    def without(self, spans: Sequence[Span], mask: int | None, most: int) -> list[int]:
        """The ids with one mask for all tokens that have a character of a word, cut to `most`."""
        ids: list[int] = []
        at = 0
        for start, end in sorted(spans):
            first, last = max(at, bisect_right(self.ends, start)), bisect_left(self.starts, end)
            while at < first < last and not self.text[self.starts[first - 1] : self.ends[first - 1]].strip():
                first -= 1  # the blank before a word, where that is a token of its own
            if first < last:  # else the tokenizer leaves these characters out, or the word before took their token
                ids += self.ids[at:first]
                ids += [] if mask is None else [mask]
                at = last
        ids += self.ids[at:]
        return [*self.before, *ids[: most - len(self.before) - len(self.after)], *self.after]
