"""Plots packed into blocks of equal length, for training without padding waste and without attention across plots.

Position ids restart with each plot; transformers derives the block-diagonal attention mask from that. Plots are not cut
in two: a first-fit over a few open blocks leaves a few per cent of padding, which carries no loss.
"""

import random
from collections.abc import Callable, Iterable, Iterator

import pandas as pd
import torch
from torch.utils.data import IterableDataset

from movieplots.generation.markup import Example, MarkupTokenizer
from movieplots.plots import markup_title

_OPEN_BLOCKS = 8
Block = dict[str, list[int]]


def plot_examples(
    plots: pd.DataFrame, tokenizer: MarkupTokenizer, max_tokens: int
) -> list[Callable[[random.Random], Example]]:
    """One function a plot, which draws one of its genres and gives the example's tokens."""

    def maker(genres: list[str], title: str, plot: str) -> Callable[[random.Random], Example]:
        return lambda draw: tokenizer.example(draw.choice(genres), title, plot, max_tokens)

    titles = plots.apply(markup_title, axis=1)
    return [maker(*row) for row in zip(plots["genres"], titles, plots["plot"], strict=True)]


def pack(examples: Iterable[Example], size: int, padding: int) -> Iterator[Block]:
    """First-fit packing into blocks of `size` tokens: dicts of `input_ids`, `labels`, `position_ids`, each (size,)."""
    open_blocks: list[list[Example]] = []

    def length(block: list[Example]) -> int:
        return sum(len(example.input_ids) for example in block)

    for example in examples:
        fitting = [block for block in open_blocks if length(block) + len(example.input_ids) <= size]
        if fitting:
            fitting[0].append(example)
            continue
        if len(open_blocks) == _OPEN_BLOCKS:
            fullest = max(range(_OPEN_BLOCKS), key=lambda i: length(open_blocks[i]))
            yield _join(open_blocks.pop(fullest), size, padding)
        open_blocks.append([example])
    for block in open_blocks:
        yield _join(block, size, padding)


def _join(examples: list[Example], size: int, padding: int) -> Block:
    block: Block = {"input_ids": [], "labels": [], "position_ids": []}
    for example in examples:
        block["input_ids"] += example.input_ids
        block["labels"] += example.labels
        block["position_ids"] += range(len(example.input_ids))
    missing = size - len(block["input_ids"])
    block["input_ids"] += [padding] * missing
    block["labels"] += [-100] * missing
    block["position_ids"] += range(missing)
    return block


class TrainingBlocks(IterableDataset):
    """An endless stream of blocks: pass after pass over the plots, each pass shuffled and with genres drawn anew.

    The stream depends on the seed alone, so a resumed run skips to where it stopped and sees the same blocks.
    """

    def __init__(self, plots: pd.DataFrame, tokenizer: MarkupTokenizer, size: int, seed: int) -> None:
        self.makers = plot_examples(plots, tokenizer, size)
        self.size, self.seed, self.padding = size, seed, tokenizer.end

    def __iter__(self) -> Iterator[Block]:
        number = 0
        while True:
            yield from self.one_pass(number)
            number += 1

    def one_pass(self, number: int) -> Iterator[Block]:
        """The blocks of one pass over the plots."""
        return pack(self.examples(number), self.size, self.padding)

    def examples(self, number: int) -> Iterator[Example]:
        """The examples of one pass, in its order and under the genres drawn for it."""
        draw = random.Random(f"{self.seed}-{number}")
        for make in draw.sample(self.makers, len(self.makers)):
            yield make(draw)


def held_out_blocks(plots: pd.DataFrame, tokenizer: MarkupTokenizer, size: int, seed: int, at_most: int) -> list[Block]:
    """Blocks of held-out plots, each plot once under one of its genres; of more than `at_most`, a seeded choice."""
    chosen = plots.sample(n=min(at_most, len(plots)), random_state=seed)
    draw = random.Random(seed)
    return list(pack((make(draw) for make in plot_examples(chosen, tokenizer, size)), size, tokenizer.end))


def collate(blocks: list[Block]) -> dict[str, torch.Tensor]:
    """Stack blocks into tensors of shape (blocks, size)."""
    return {name: torch.tensor([block[name] for block in blocks]) for name in blocks[0]}
