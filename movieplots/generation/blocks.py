"""How plots are fed to a language model in training: packed blocks, or random windows of one long text.

Packed blocks waste no padding and let no plot see another: position ids restart with each plot, and transformers
derives the block-diagonal attention mask from that. Plots are not cut in two: a first-fit over a few open blocks leaves
a few per cent of padding, which carries no loss. Windows are the way of gpt-2-simple (Woolf 2019): simpler, but they
cut plots anywhere, and chance decides how often each is seen.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch.utils.data import IterableDataset

from movieplots.errors import BadInput
from movieplots.generation.markup import Example, MarkupTokenizer
from movieplots.plots import markup_title

SEVERAL_GENRES_SHARE = 0.25  # of the draws of a plot with several genres: prompts such as `horror, comedy`
_OPEN_BLOCKS = 8
Block = dict[str, list[int]]
Maker = Callable[..., Example]  # (draw, genre=None)


def plot_examples(
    plots: pd.DataFrame,
    tokenizer: MarkupTokenizer,
    max_tokens: int,
    several: float = SEVERAL_GENRES_SHARE,
    twins: bool = False,
) -> list[Maker]:
    """One function a plot, which draws its genre, or in a share `several` of the draws two or more of its genres.

    Drawn genres stand in a random order, since a writer names them in any. A function that is given one of the plot's
    genres puts it in the place of one where the draw has missed it. With `twins` the examples have one, of a genre that
    the plot does not carry (unless it carries all), drawn as often as it stands in the corpus.
    """
    counts = dict(plots["genres"].explode().value_counts()) if twins else {}

    def maker(genres: list[str], title: str, plot: str) -> Maker:
        others = [label for label in counts if label not in genres] or genres

        def make(draw: random.Random, genre: str | None = None) -> Example:
            n = draw.randint(2, len(genres)) if len(genres) > 1 and draw.random() < several else 1
            chosen = draw.sample(genres, n)
            if genre is not None and genre not in chosen:
                chosen[draw.randrange(n)] = genre
            if not twins:
                return tokenizer.example(", ".join(chosen), title, plot, max_tokens)
            other = draw.choices(others, [counts[label] for label in others])[0]
            return twinned(*(tokenizer.example(name, title, plot, max_tokens) for name in (", ".join(chosen), other)))

        return make

    titles = plots.apply(markup_title, axis=1)
    return [maker(*row) for row in zip(plots["genres"], titles, plots["plot"], strict=True)]


def twinned(example: Example, twin: Example) -> Example:
    """The example with this twin, both cut to as much text as the shorter one has."""

    def text(one: Example) -> int:
        return sum(label != -100 for label in one.labels)

    def cut(one: Example) -> Example:
        length = len(one.input_ids) - text(one) + min(text(example), text(twin))
        return Example(one.input_ids[:length], one.labels[:length])

    return replace(cut(example), twin=cut(twin))


def pack(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """First-fit packing: the examples of one block after another, at most `size` tokens each."""
    open_blocks: list[list[Example]] = []

    def length(block: list[Example]) -> int:
        return sum(map(len, block))

    for example in examples:
        fitting = [block for block in open_blocks if length(block) + len(example) <= size]
        if fitting:
            fitting[0].append(example)
            continue
        if len(open_blocks) == _OPEN_BLOCKS:
            fullest = max(range(_OPEN_BLOCKS), key=lambda i: length(open_blocks[i]))
            yield open_blocks.pop(fullest)
        open_blocks.append([example])
    yield from open_blocks


def join(examples: list[Example], size: int, padding: int) -> Block:
    """The examples as one block: `input_ids`, `labels` and `position_ids`, each (size,).

    Their twins are a second block, under the same names with `twin_` before them: the same labels in the same order.
    """
    block: Block = {"input_ids": [], "labels": [], "position_ids": []}
    for example in examples:
        block["input_ids"] += example.input_ids
        block["labels"] += example.labels
        block["position_ids"] += range(len(example.input_ids))
    missing = size - len(block["input_ids"])
    block["input_ids"] += [padding] * missing
    block["labels"] += [-100] * missing
    block["position_ids"] += range(missing)
    twins = [example.twin for example in examples if example.twin is not None]
    return block | ({f"twin_{name}": ids for name, ids in join(twins, size, padding).items()} if twins else {})


class TrainingBlocks(IterableDataset):
    """An endless stream of blocks: pass after pass over the plots, each pass shuffled and with genres drawn anew.

    The stream depends on the seed alone, so a resumed run skips to where it stopped and sees the same blocks. `times`
    says how often a pass shows each plot under each of its genres, on average (default: once, under any of them), and
    `twins` whether each example has one (see `plot_examples`).
    """

    def __init__(
        self,
        plots: pd.DataFrame,
        tokenizer: MarkupTokenizer,
        size: int,
        seed: int,
        times: list[dict[str, float]] | None = None,
        twins: bool = False,
    ) -> None:
        self.makers = plot_examples(plots, tokenizer, size, twins=twins)
        self.times = times
        self.size, self.seed, self.padding = size, seed, tokenizer.end

    def __iter__(self) -> Iterator[Block]:
        for number in itertools.count():
            yield from self.one_pass(number)

    def one_pass(self, number: int) -> Iterator[Block]:
        """The blocks of one pass over the plots."""
        return (join(examples, self.size, self.padding) for examples in pack(self.examples(number), self.size))

    def examples(self, number: int) -> Iterator[Example]:
        """The examples of one pass, in its order and under the genres drawn for it."""
        draw = random.Random(f"{self.seed}-{number}")
        if self.times is None:
            for make in draw.sample(self.makers, len(self.makers)):
                yield make(draw)
            return
        shown = [
            (make, genre)
            for make, times in zip(self.makers, self.times, strict=True)
            for genre, expected in times.items()
            for _ in range(int(expected) + (draw.random() < expected % 1))
        ]
        for make, genre in draw.sample(shown, len(shown)):
            yield make(draw, genre)


class TrainingWindows(IterableDataset):
    """An endless stream of windows on one long text, at random places, drawn with replacement.

    The text is every plot once, in the order of the table and under one of its genres. A window is learned whole,
    prompts included, and starts and ends anywhere in a plot. The stream depends on the seed alone.
    """

    def __init__(self, plots: pd.DataFrame, tokenizer: MarkupTokenizer, size: int, seed: int) -> None:
        draw = random.Random(seed)
        self.examples = [make(draw) for make in plot_examples(plots, tokenizer, size)]
        self.text = [token for example in self.examples for token in example.input_ids]
        self.size, self.seed = size, seed
        if len(self.text) < size:
            raise BadInput(
                f"The training plots have {len(self.text)} tokens, fewer than one window of {size}: "
                "choose a smaller --block-size, or prepare a larger corpus."
            )

    def __iter__(self) -> Iterator[Block]:
        for start in self.starts():
            ids = self.text[start : start + self.size]
            yield {"input_ids": ids, "labels": ids, "position_ids": list(range(self.size))}

    def starts(self) -> Iterator[int]:
        """Where the windows begin in the text, one after another."""
        draw = random.Random(f"{self.seed}-windows")
        while True:
            yield draw.randint(0, len(self.text) - self.size)

    def times_seen(self, windows: int) -> np.ndarray:
        """How often each token of the text has stood in one of the first so many windows, shape (tokens,)."""
        change = np.zeros(len(self.text) + 1, np.int64)
        for start in itertools.islice(self.starts(), windows):
            change[start] += 1
            change[start + self.size] -= 1
        return np.cumsum(change)[:-1]


@dataclass(frozen=True)
class HeldOutBlock:
    """A packed block of held-out plots: `spans` says where each plot stands, as (genre, first token, end)."""

    block: Block
    spans: list[tuple[str, int, int]]


def held_out_blocks(
    plots: pd.DataFrame, tokenizer: MarkupTokenizer, size: int, seed: int, at_most: int
) -> list[HeldOutBlock]:
    """Blocks of held-out plots, each plot once under one of its genres; of more than `at_most`, a seeded choice."""
    chosen = plots.sample(n=min(at_most, len(plots)), random_state=seed)
    draw = random.Random(seed)
    prompts = [draw.choice(genres) for genres in chosen["genres"]]
    makers = plot_examples(chosen.assign(genres=[[genre] for genre in prompts]), tokenizer, size)
    examples = [make(draw) for make in makers]
    genre_of = {id(example): genre for example, genre in zip(examples, prompts, strict=True)}
    result = []
    for group in pack(examples, size):
        ends = list(itertools.accumulate(len(example.input_ids) for example in group))
        spans = [(genre_of[id(e)], end - len(e.input_ids), end) for e, end in zip(group, ends, strict=True)]
        result.append(HeldOutBlock(join(group, size, tokenizer.end), spans))
    return result


def collate(blocks: list[Block]) -> dict[str, torch.Tensor]:
    """Stack blocks into tensors of shape (blocks, size)."""
    return {name: torch.tensor([block[name] for block in blocks]) for name in blocks[0]}
