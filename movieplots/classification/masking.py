"""Token ids of a text in which some words are masked: one mask token replaces all tokens of a word.

Masking works on token ids rather than on the text, so that a literal `[MASK]` in a text stays text.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from movieplots.errors import BadInput

Span = tuple[int, int]  # start and end of a word, in characters
MASK = "[MASK]"
NO_OFFSETS = "The tokenizer of this classifier does not report the offsets of its tokens, so words cannot be masked."


def masked_ids(
    encode: Callable[[str], Any], texts: Sequence[str], spans: Sequence[Sequence[Span]], mask: int | None, most: int
) -> list[list[int]]:
    """Return the token ids of each text with the words at its `spans` masked, truncated to `most` tokens.

    `encode` returns the whole text as an `Encoding` of the `tokenizers` library; equal texts are encoded once. If
    `mask` is None, the words are removed without a replacement.
    """
    encoded = {text: _Tokens(text, encode(text)) for text in dict.fromkeys(texts)}
    return [encoded[text].masked(own, mask, most) for text, own in zip(texts, spans, strict=True)]


def masked_lengths(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[int]:
    """Return the lengths of the masked texts in characters, by which batches are made."""
    return [
        len(text) - sum(end - start - len(MASK) for start, end in own) for text, own in zip(texts, spans, strict=True)
    ]


class _Tokens:
    """The tokens of a text and their offsets, and the special tokens `before` and `after` them."""

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

    def masked(self, spans: Sequence[Span], mask: int | None, most: int) -> list[int]:
        """Return the ids with one mask for all tokens that overlap a word, truncated to `most` tokens."""
        ids: list[int] = []
        at = 0
        for start, end in sorted(spans):
            first, last = max(at, bisect_right(self.ends, start)), bisect_left(self.starts, end)
            while at < first < last and not self.text[self.starts[first - 1] : self.ends[first - 1]].strip():
                first -= 1  # the space before the word, if it is a token of its own
            if first < last:  # else these characters have no token, or share one with the previous word
                ids += self.ids[at:first]
                ids += [] if mask is None else [mask]
                at = last
        ids += self.ids[at:]
        return [*self.before, *ids[: most - len(self.before) - len(self.after)], *self.after]
