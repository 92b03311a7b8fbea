"""The dataset of training plots: shuffled, batched by length, with some tokens masked and some titles added."""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
from torch.utils.data import IterableDataset

from movieplots.classification.prediction import with_title

MASKED = 0.15  # share of the tokens that are masked: regularizes like dropout, at no cost
TITLED = 0.5  # share of the plots with their title, if titles are used, so that the model learns both kinds of input
BUCKET = 50  # batches within which plots are sorted by length


class Row(TypedDict):
    """A tokenized plot with its targets, of shape (labels,)."""

    input_ids: list[int]
    attention_mask: list[int]
    labels: np.ndarray


def tokenized(tokenizer: Any, texts: list[str], targets: np.ndarray) -> list[Row]:
    """Return `input_ids`, `attention_mask` and `labels` per text; texts are truncated to the tokenizer's maximum."""
    encoded = tokenizer(texts, truncation=True)
    rows = zip(encoded["input_ids"], encoded["attention_mask"], targets, strict=True)
    return [{"input_ids": ids, "attention_mask": mask, "labels": target} for ids, mask, target in rows]


class TrainingPlots(IterableDataset):
    """An endless stream of tokenized plots, epoch after epoch, in which the plots of a batch have similar lengths.

    Each epoch is shuffled. Within buckets of 50 batches, plots are sorted by length and the batches shuffled. The
    stream depends only on the seed, so a resumed run skips to where it stopped and sees the same batches.
    """

    def __init__(
        self,
        tokenizer: Any,
        texts: list[str],
        targets: np.ndarray,
        batch_size: int,
        seed: int,
        titles: list[str] | None = None,
    ) -> None:
        self.plots = tokenized(tokenizer, texts, targets)
        both = map(with_title, titles, texts) if titles else ()
        self.titled = tokenized(tokenizer, list(both), targets) if titles else None
        self.batch_size, self.seed = batch_size, seed
        self.mask, self.kept = tokenizer.mask_token_id, set(tokenizer.all_special_ids)
        self.steps_per_epoch = math.ceil(len(texts) / batch_size)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows of one epoch after the other, without end."""
        for number in itertools.count():
            yield from self.one_epoch(number)

    def one_epoch(self, number: int) -> Iterator[Row]:
        """Yield all plots of epoch `number` once, and some again to fill the last batch."""
        draw = random.Random(f"{self.seed}-{number}")
        order = draw.sample(range(len(self.plots)), len(self.plots))
        bucket = BUCKET * self.batch_size
        for start in range(0, len(order), bucket):
            rows = sorted(order[start : start + bucket], key=lambda i: len(self.plots[i]["input_ids"]))
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
