"""How plots are fed to a language model in training: packed sequences, or random crops of one long text.

Packed sequences waste no padding and let no plot see another: position ids restart with each plot, and transformers
derives the block-diagonal attention mask from that. Plots are not cut in two: a first-fit over a few open sequences
leaves a few per cent of padding, which carries no loss. Random crops are the way of gpt-2-simple (Woolf 2019): simpler,
but they cut plots anywhere, and chance decides how often each is seen. In two and a half epochs of packed sequences
half of the tokens are seen twice and the others three times; in random crops of as many tokens some are never seen,
others five times.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch.utils.data import IterableDataset

from movieplots.errors import BadInput
from movieplots.generation.prompt_format import Example, PromptTokenizer
from movieplots.plots import imdb_title

SEVERAL_GENRES_SHARE = 0.25  # of the draws of a plot with several genres: prompts such as `horror, comedy`
_OPEN_SEQUENCES = 8
Sequence = dict[str, list[int]]
Maker = Callable[..., Example]  # (draw, genre=None)


def plot_examples(
    plots: pd.DataFrame,
    tokenizer: PromptTokenizer,
    max_tokens: int,
    several: float = SEVERAL_GENRES_SHARE,
    contrasts: bool = False,
) -> list[Maker]:
    """One function a plot, which draws its genre, or in a share `several` of the draws two or more of its genres.

    Drawn genres stand in a random order, since a writer names them in any. A function that is given one of the plot's
    genres puts it in the place of one where the draw has missed it. With `contrasts` the examples have one, of a genre
    that the plot does not carry (unless it carries all), drawn as often as it stands in the corpus.
    """
    counts = dict(plots["genres"].explode().value_counts()) if contrasts else {}

    def maker(genres: list[str], title: str, plot: str) -> Maker:
        others = [label for label in counts if label not in genres] or genres

        def make(draw: random.Random, genre: str | None = None) -> Example:
            n = draw.randint(2, len(genres)) if len(genres) > 1 and draw.random() < several else 1
            chosen = draw.sample(genres, n)
            if genre is not None and genre not in chosen:
                chosen[draw.randrange(n)] = genre
            if not contrasts:
                return tokenizer.example(", ".join(chosen), title, plot, max_tokens)
            other = draw.choices(others, [counts[label] for label in others])[0]
            prompts = (", ".join(chosen), other)
            return contrasted(*(tokenizer.example(prompt, title, plot, max_tokens) for prompt in prompts))

        return make

    titles = plots.apply(imdb_title, axis=1)
    return [maker(*row) for row in zip(plots["genres"], titles, plots["plot"], strict=True)]


def contrasted(example: Example, contrast: Example) -> Example:
    """The example with this contrast, both cut to as much text as the shorter one has."""

    def text(one: Example) -> int:
        return sum(label != -100 for label in one.labels)

    def cut(one: Example) -> Example:
        length = len(one.input_ids) - text(one) + min(text(example), text(contrast))
        return Example(one.input_ids[:length], one.labels[:length])

    return replace(cut(example), contrast=cut(contrast))


def pack(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """First-fit packing: the examples of one sequence after another, at most `size` tokens each."""
    open_sequences: list[list[Example]] = []

    def length(sequence: list[Example]) -> int:
        return sum(map(len, sequence))

    for example in examples:
        fitting = [sequence for sequence in open_sequences if length(sequence) + len(example) <= size]
        if fitting:
            fitting[0].append(example)
            continue
        if len(open_sequences) == _OPEN_SEQUENCES:
            fullest = max(range(_OPEN_SEQUENCES), key=lambda i: length(open_sequences[i]))
            yield open_sequences.pop(fullest)
        open_sequences.append([example])
    yield from open_sequences


def join(examples: list[Example], size: int, padding: int) -> Sequence:
    """The examples as one sequence: `input_ids`, `labels` and `position_ids`, each (size,).

    Their contrasts are a second sequence, under the same names with `contrast_` before them: the same labels in the
    same order.
    """
    sequence: Sequence = {"input_ids": [], "labels": [], "position_ids": []}
    for example in examples:
        sequence["input_ids"] += example.input_ids
        sequence["labels"] += example.labels
        sequence["position_ids"] += range(len(example.input_ids))
    missing = size - len(sequence["input_ids"])
    sequence["input_ids"] += [padding] * missing
    sequence["labels"] += [-100] * missing
    sequence["position_ids"] += range(missing)
    contrasts = [example.contrast for example in examples if example.contrast is not None]
    return sequence | (
        {f"contrast_{name}": ids for name, ids in join(contrasts, size, padding).items()} if contrasts else {}
    )


class PackedPlots(IterableDataset):
    """An endless stream of sequences: epoch after epoch, each shuffled and with genres drawn anew.

    The stream depends on the seed alone, so a resumed run skips to where it stopped and sees the same sequences.
    `times` says how often an epoch shows each plot under each of its genres, on average (default: once, under any of
    them), and `contrasts` whether each example has one (see `plot_examples`).
    """

    def __init__(
        self,
        plots: pd.DataFrame,
        tokenizer: PromptTokenizer,
        size: int,
        seed: int,
        times: list[dict[str, float]] | None = None,
        contrasts: bool = False,
    ) -> None:
        self.makers = plot_examples(plots, tokenizer, size, contrasts=contrasts)
        self.times = times
        self.size, self.seed, self.padding = size, seed, tokenizer.end

    def __iter__(self) -> Iterator[Sequence]:
        for number in itertools.count():
            yield from self.one_epoch(number)

    def one_epoch(self, number: int) -> Iterator[Sequence]:
        """The sequences of one epoch."""
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


class RandomCrops(IterableDataset):
    """An endless stream of windows on one long text, at random places, drawn with replacement.

    The text is every plot once, in the order of the table and under one of its genres. A window is learned whole,
    prompts included, and starts and ends anywhere in a plot. The stream depends on the seed alone.
    """

    def __init__(self, plots: pd.DataFrame, tokenizer: PromptTokenizer, size: int, seed: int) -> None:
        draw = random.Random(seed)
        self.examples = [make(draw) for make in plot_examples(plots, tokenizer, size)]
        self.text = [token for example in self.examples for token in example.input_ids]
        self.size, self.seed = size, seed
        if len(self.text) < size:
            raise BadInput(
                f"The training plots have {len(self.text)} tokens, fewer than one window of {size}: "
                "choose a smaller --block-size, or prepare a larger corpus."
            )

    def __iter__(self) -> Iterator[Sequence]:
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
class HeldOutSequence:
    """A packed sequence of held-out plots: `spans` says where each plot stands, as (genre, first token, end)."""

    sequence: Sequence
    spans: list[tuple[str, int, int]]


def held_out_sequences(
    plots: pd.DataFrame, tokenizer: PromptTokenizer, size: int, seed: int, at_most: int
) -> list[HeldOutSequence]:
    """Blocks of held-out plots, each plot once under one of its genres; of more than `at_most`, a seeded choice."""
    chosen = plots.sample(n=min(at_most, len(plots)), random_state=seed)
    draw = random.Random(seed)
    prompts = [draw.choice(genres) for genres in chosen["genres"]]
    alone = chosen.assign(genres=[[genre] for genre in prompts])  # type: ignore[misc]  # the stubs know no lists in cells
    makers = plot_examples(alone, tokenizer, size)
    examples = [make(draw) for make in makers]
    genre_of = {id(example): genre for example, genre in zip(examples, prompts, strict=True)}
    result = []
    for group in pack(examples, size):
        ends = list(itertools.accumulate(len(example.input_ids) for example in group))
        spans = [(genre_of[id(e)], end - len(e.input_ids), end) for e, end in zip(group, ends, strict=True)]
        result.append(HeldOutSequence(join(group, size, tokenizer.end), spans))
    return result


def collate(sequences: list[Sequence]) -> dict[str, torch.Tensor]:
    """Stack sequences into tensors of shape (sequences, size)."""
    return {name: torch.tensor([sequence[name] for sequence in sequences]) for name in sequences[0]}


def seen_in_epochs(epochs: float) -> pd.Series:
    """The share of the tokens by the times they are seen in so many epochs of packed plots.

    It counts what sequences hold; of a plot that is longer than one, the end is never seen.
    """
    whole = math.floor(epochs)
    shares = pd.Series({whole: 1 - (epochs - whole), whole + 1: epochs - whole})
    return _from_zero(shares[shares > 0])


def seen_in_crops(stream: RandomCrops, crops: int) -> pd.Series:
    """The share of the tokens by the times they stand in the first so many crops of the stream: counted."""
    counts = np.bincount(stream.times_seen(crops))
    return _from_zero(pd.Series(counts / counts.sum()))


def coverage(stream: RandomCrops, crop_epochs: float, packed_epochs: float) -> pd.DataFrame:
    """Both ways side by side: a row for each number of times, from 0, and a column for each way.

    `crop_epochs` are the crops as a multiple of the corpus: at 1 they hold as many tokens as it has.
    """
    crops = seen_in_crops(stream, round(crop_epochs * len(stream.text) / stream.size))
    return pd.DataFrame({"random crops": crops, "packed plots": seen_in_epochs(packed_epochs)}).fillna(0.0)


def _from_zero(shares: pd.Series) -> pd.Series:
    """With a row for every number of times from 0 to the most."""
    return shares.reindex(range(max(shares.index) + 1), fill_value=0.0).rename_axis("times seen")
