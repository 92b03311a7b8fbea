"""How training plots are read: shuffled, plots of like length together, some words masked, some titles shown."""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
from torch.utils.data import IterableDataset

from movieplots.classification.prediction import with_title

MASKED = 0.15  # share of the tokens hidden from the model: what dropout does for others, without its cost
TITLED = 0.5  # share of the plots shown with their title, where titles are used at all, so that both forms are learned
STRETCH = 50  # batches within which plots are sorted by length


class Row(TypedDict):
    """A tokenised plot with its targets, of shape (labels,)."""

    input_ids: list[int]
    attention_mask: list[int]
    labels: np.ndarray


def tokenised(tokenizer: Any, texts: list[str], targets: np.ndarray, max_tokens: int) -> list[Row]:
    """One dict a text: `input_ids`, `attention_mask` and `labels`; texts beyond `max_tokens` tokens are cut."""
    encoded = tokenizer(texts, truncation=True, max_length=max_tokens)
    rows = zip(encoded["input_ids"], encoded["attention_mask"], targets, strict=True)
    return [{"input_ids": ids, "attention_mask": mask, "labels": target} for ids, mask, target in rows]


class TrainingPlots(IterableDataset):
    """An endless stream of tokenised plots, epoch after epoch, in which the plots of a batch have about the same
    length.

    Each epoch is shuffled anew; within stretches of 50 batches plots are sorted by length and the batches shuffled. The
    stream depends on the seed alone, so a resumed run skips to where it stopped and sees the same batches.
    """

    def __init__(
        self,
        tokenizer: Any,
        texts: list[str],
        targets: np.ndarray,
        max_tokens: int,
        batch_size: int,
        seed: int,
        titles: list[str] | None = None,
    ) -> None:
        self.plots = tokenised(tokenizer, texts, targets, max_tokens)
        both = map(with_title, titles, texts) if titles else ()
        self.titled = tokenised(tokenizer, list(both), targets, max_tokens) if titles else None
        self.batch_size, self.seed = batch_size, seed
        self.mask, self.kept = tokenizer.mask_token_id, set(tokenizer.all_special_ids)
        self.steps_per_epoch = math.ceil(len(texts) / batch_size)

    def __iter__(self) -> Iterator[Row]:
        for number in itertools.count():
            yield from self.one_epoch(number)

    def one_epoch(self, number: int) -> Iterator[Row]:
        """All plots once, as epoch `number` shows them, and some again that fill the last batch."""
        draw = random.Random(f"{self.seed}-{number}")
        order = draw.sample(range(len(self.plots)), len(self.plots))
        stretch = STRETCH * self.batch_size
        for start in range(0, len(order), stretch):
            rows = sorted(order[start : start + stretch], key=lambda i: len(self.plots[i]["input_ids"]))
            batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
            batches[-1] += draw.choices(order, k=self.batch_size - len(batches[-1]))  # no batch spans two epochs
            for batch in draw.sample(batches, len(batches)):
                yield from (self._shown(i, draw) for i in batch)

    def _shown(self, i: int, draw: random.Random) -> Row:
        row = self.titled[i] if self.titled and draw.random() < TITLED else self.plots[i]
        if self.mask is None:
            return row
        ids = [self.mask if draw.random() < MASKED and token not in self.kept else token for token in row["input_ids"]]
        return row | {"input_ids": ids}
