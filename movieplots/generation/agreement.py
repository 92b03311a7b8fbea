"""Agreement of two backends under greedy decoding: how often they choose the same next token.

Two texts that differ in one token have different continuations, so comparing free-running texts counts everything after
the first difference as wrong. Therefore the second backend is also restarted from the first one's text after each
difference, so that each token is compared after the same prefix (teacher forcing).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from movieplots.generation.backends.base import Backend, Request


@dataclass(frozen=True)
class Agreement:
    """Shares of the reference's tokens on which both backends agree.

    `same_text` compares tokens after the same prefix, `free` compares free-running texts position by position.
    """

    tokens: int
    same_text: float
    free: float


def agreement(reference: Backend, other: Backend, requests: Sequence[Request]) -> Agreement:
    """Compare greedy decoding of the requests; their temperatures are ignored."""
    requests = [replace(request, temperature=0.0) for request in requests]
    texts = dict(reference.decode(requests))
    total = sum(map(len, texts.values()))
    freely = sum(a == b for i, ids in other.decode(requests) for a, b in zip(ids, texts[i], strict=False))
    differences, compared = 0, dict.fromkeys(texts, 0)  # tokens of each text that have been compared
    while compared:
        numbers = list(compared)
        answers = other.decode([_continuation(requests[i], texts[i], compared[i]) for i in numbers])
        following = {}
        for place, ids in answers:
            i = numbers[place]
            rest = texts[i][compared[i] :]
            first = next((k for k, (a, b) in enumerate(zip_longest(rest, ids)) if a != b), None)
            if first is not None:
                differences += 1
                if first + 1 < len(rest):
                    following[i] = compared[i] + first + 1
        compared = following
    return Agreement(total, 1 - differences / total, freely / total)


def _continuation(request: Request, text: list[int], start: int) -> Request:
    """Return the request that continues after the first `start` tokens of its text."""
    return replace(request, prompt=request.prompt + text[:start], max_new_tokens=len(text) - start)
