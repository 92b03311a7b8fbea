"""How far two backends of one model agree: do they choose the same next token after the same text?

Greedy decoding run freely is a harsh measure of that: after the first token in which two backends differ, they go on
with different texts, and all that follows counts as wrong. So the second backend is also put back on the first one's
text after each difference: then each token is compared after the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from movieplots.generation.backends.base import Backend, Request


@dataclass(frozen=True)
class Agreement:
    """Shares of the reference's tokens: `same_text` after the same text, `free` at the same place run freely."""

    tokens: int
    same_text: float
    free: float


def agreement(reference: Backend, other: Backend, requests: Sequence[Request]) -> Agreement:
    """Compare greedy decoding of the requests, whatever their temperature."""
    requests = [replace(request, temperature=0.0) for request in requests]
    texts = dict(reference.decode(requests))
    total = sum(map(len, texts.values()))
    freely = sum(a == b for i, ids in other.decode(requests) for a, b in zip(ids, texts[i], strict=False))
    differences, begun = 0, dict.fromkeys(texts, 0)  # up to where each text has been compared
    while begun:
        numbers = list(begun)
        answers = other.decode([_from(requests[i], texts[i], begun[i]) for i in numbers])
        following = {}
        for place, ids in answers:
            i = numbers[place]
            rest = texts[i][begun[i] :]
            first = next((k for k, (a, b) in enumerate(zip_longest(rest, ids)) if a != b), None)
            if first is not None:
                differences += 1
                if first + 1 < len(rest):
                    following[i] = begun[i] + first + 1
        begun = following
    return Agreement(total, 1 - differences / total, freely / total)


def _from(request: Request, text: list[int], begun: int) -> Request:
    """The request after so many tokens of its text."""
    return replace(request, prompt=request.prompt + text[:begun], max_new_tokens=len(text) - begun)
