"""Training sequences of a language model: packed plots, or random crops of one long text.

Packed sequences need little padding, and plots in one sequence do not attend to each other: position ids restart with
each plot, and transformers derives the block-diagonal attention mask from them. Plots are not split. First-fit packing
over a few open sequences leaves a few per cent of padding, which carries no loss.

Random crops are the method of gpt-2-simple (Woolf 2019). They are simpler, but split plots anywhere, and how often a
token is seen depends on chance. In 2.5 epochs of packed sequences half of the tokens are seen twice and the others
three times. In random crops with the same number of tokens, some tokens are never seen and others five times.
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
from movieplots.generation.controls import TrainingControls
from movieplots.generation.prompt_format import Example, PromptTokenizer
from movieplots.plots import imdb_title

SEVERAL_GENRES_SHARE = 0.25  # of the prompts of plots with several genres name several, such as `horror, comedy`
_OPEN_SEQUENCES = 8
Sequence = dict[str, list[int]]
ExampleMaker = Callable[..., Example]  # (rng, genre=None)


def plot_examples(
    plots: pd.DataFrame,
    tokenizer: PromptTokenizer,
    max_tokens: int,
    several: float = SEVERAL_GENRES_SHARE,
    controls: list[TrainingControls] | None = None,
    contrasts: bool = False,
) -> list[ExampleMaker]:
    """Return one function per plot that makes a training example with randomly chosen genres of the plot.

    The prompt names one genre, or with the probability `several` two or more, in random order. If the function is given
    one of the plot's genres, the prompt includes it. With `controls`, one for each plot, some prompts also name
    keywords or a length class (see `movieplots.generation.controls`). With `contrasts` each example has a contrast: the
    same text and controls with a genre that the plot does not have (unless it has all), chosen with a probability
    proportional to its frequency.
    """
    counts = dict(plots["genres"].explode().value_counts()) if contrasts else {}

    def maker(genres: list[str], title: str, plot: str, control: TrainingControls | None) -> ExampleMaker:
        others = [label for label in counts if label not in genres] or genres

        def make(rng: random.Random, genre: str | None = None) -> Example:
            n = rng.randint(2, len(genres)) if len(genres) > 1 and rng.random() < several else 1
            chosen = rng.sample(genres, n)
            if genre is not None and genre not in chosen:
                chosen[rng.randrange(n)] = genre
            suffix = "" if control is None else control.sample(rng)
            if not contrasts:
                return tokenizer.example(", ".join(chosen) + suffix, title, plot, max_tokens)
            other = rng.choices(others, [counts[label] for label in others])[0]
            prompts = (", ".join(chosen) + suffix, other + suffix)
            return contrasted(*(tokenizer.example(prompt, title, plot, max_tokens) for prompt in prompts))

        return make

    titles = plots.apply(imdb_title, axis=1)
    controlled = [None] * len(plots) if controls is None else controls
    return [maker(*row) for row in zip(plots["genres"], titles, plots["plot"], controlled, strict=True)]


def contrasted(example: Example, contrast: Example) -> Example:
    """Return the example with this contrast, both truncated to the text length of the shorter one."""

    def text(one: Example) -> int:
        return sum(label != -100 for label in one.labels)

    def cut(one: Example) -> Example:
        length = len(one.input_ids) - text(one) + min(text(example), text(contrast))
        return Example(one.input_ids[:length], one.labels[:length])

    return replace(cut(example), contrast=cut(contrast))


def pack(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Yield the examples of each sequence, at most `size` tokens, by first-fit packing."""
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
    """Join examples to one sequence: `input_ids`, `labels` and `position_ids`, each of length `size`.

    Their contrasts form a second sequence, with the prefix `contrast_` and the same labels in the same order.
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
    """Infinite stream of packed sequences: each epoch is shuffled and samples the genres of the prompts again.

    The stream depends only on the seed, so a resumed run skips to its last step and continues with the same sequences.
    `times` is the expected number of times that an epoch shows each plot with each of its genres (default: once, with
    any of them). For `controls` and `contrasts` see `plot_examples`.
    """

    def __init__(
        self,
        plots: pd.DataFrame,
        tokenizer: PromptTokenizer,
        size: int,
        seed: int,
        times: list[dict[str, float]] | None = None,
        controls: list[TrainingControls] | None = None,
        contrasts: bool = False,
    ) -> None:
        self.makers = plot_examples(plots, tokenizer, size, controls=controls, contrasts=contrasts)
        self.times = times
        self.size, self.seed, self.padding = size, seed, tokenizer.end

    def __iter__(self) -> Iterator[Sequence]:
        """Yield the sequences of all epochs."""
        for number in itertools.count():
            yield from self.one_epoch(number)

    def one_epoch(self, number: int) -> Iterator[Sequence]:
        """Return the sequences of one epoch."""
        return (join(examples, self.size, self.padding) for examples in pack(self.examples(number), self.size))

    def examples(self, number: int) -> Iterator[Example]:
        """Yield the examples of one epoch in its order."""
        rng = random.Random(f"{self.seed}-{number}")
        if self.times is None:
            for make in rng.sample(self.makers, len(self.makers)):
                yield make(rng)
            return
        shown = [
            (make, genre)
            for make, times in zip(self.makers, self.times, strict=True)
            for genre, expected in times.items()
            for _ in range(int(expected) + (rng.random() < expected % 1))
        ]
        for make, genre in rng.sample(shown, len(shown)):
            yield make(rng, genre)


class RandomCrops(IterableDataset):
    """Infinite stream of crops of one long text at random positions, sampled with replacement.

    The text contains each plot once, in the order of the table, with one of its genres (for `controls` see
    `plot_examples`). All tokens of a crop carry loss, prompts included, and a crop can start and stop within a plot.
    The stream depends only on the seed.
    """

    def __init__(
        self,
        plots: pd.DataFrame,
        tokenizer: PromptTokenizer,
        size: int,
        seed: int,
        controls: list[TrainingControls] | None = None,
    ) -> None:
        rng = random.Random(seed)
        self.examples = [make(rng) for make in plot_examples(plots, tokenizer, size, controls=controls)]
        self.text = [token for example in self.examples for token in example.input_ids]
        self.size, self.seed = size, seed
        if len(self.text) < size:
            raise BadInput(
                f"The training plots have {len(self.text)} tokens, fewer than one crop of {size}: "
                "choose a smaller --block-size, or prepare a larger corpus."
            )

    def __iter__(self) -> Iterator[Sequence]:
        """Yield the crops."""
        for start in self.starts():
            ids = self.text[start : start + self.size]
            yield {"input_ids": ids, "labels": ids, "position_ids": list(range(self.size))}

    def starts(self) -> Iterator[int]:
        """Yield the start positions of the crops in the text."""
        rng = random.Random(f"{self.seed}-windows")
        while True:
            yield rng.randint(0, len(self.text) - self.size)

    def times_seen(self, crops: int) -> np.ndarray:
        """Count how often each token of the text occurs in the first `crops` crops, shape (n_tokens,)."""
        change = np.zeros(len(self.text) + 1, np.int64)
        for start in itertools.islice(self.starts(), crops):
            change[start] += 1
            change[start + self.size] -= 1
        return np.cumsum(change)[:-1]


@dataclass(frozen=True)
class EvaluationSequence:
    """Packed sequence of validation or test plots; `spans` has (genre, first token, end) for each plot."""

    sequence: Sequence
    spans: list[tuple[str, int, int]]


def evaluation_sequences(
    plots: pd.DataFrame, tokenizer: PromptTokenizer, size: int, seed: int, at_most: int
) -> list[EvaluationSequence]:
    """Pack validation or test plots, each once with one of its genres; more than `at_most` plots are subsampled."""
    chosen = plots.sample(n=min(at_most, len(plots)), random_state=seed)
    rng = random.Random(seed)
    prompts = [rng.choice(genres) for genres in chosen["genres"]]
    alone = chosen.assign(genres=[[genre] for genre in prompts])  # type: ignore[misc]  # the stubs know no lists in cells
    makers = plot_examples(alone, tokenizer, size)
    examples = [make(rng) for make in makers]
    genre_of = {id(example): genre for example, genre in zip(examples, prompts, strict=True)}
    result = []
    for group in pack(examples, size):
        ends = list(itertools.accumulate(len(example.input_ids) for example in group))
        spans = [(genre_of[id(e)], end - len(e.input_ids), end) for e, end in zip(group, ends, strict=True)]
        result.append(EvaluationSequence(join(group, size, tokenizer.end), spans))
    return result


def collate(sequences: list[Sequence]) -> dict[str, torch.Tensor]:
    """Stack sequences into tensors of shape (sequences, size)."""
    return {name: torch.tensor([sequence[name] for sequence in sequences]) for name in sequences[0]}


def seen_in_epochs(epochs: float) -> pd.Series:
    """Return the share of tokens by the number of times they are seen in `epochs` epochs of packed plots.

    The part of a plot that is truncated does not count.
    """
    whole = math.floor(epochs)
    shares = pd.Series({whole: 1 - (epochs - whole), whole + 1: epochs - whole})
    return _from_zero(shares[shares > 0])


def seen_in_crops(stream: RandomCrops, crops: int) -> pd.Series:
    """Count the share of tokens by the number of times they occur in the first `crops` crops of the stream."""
    counts = np.bincount(stream.times_seen(crops))
    return _from_zero(pd.Series(counts / counts.sum()))


def coverage(stream: RandomCrops, crop_epochs: float, packed_epochs: float) -> pd.DataFrame:
    """Compare how often tokens are seen in random crops and in packed plots.

    Parameters
    ----------
    stream : RandomCrops
        Stream of crops, such as `corpus_of(..., packing="random-crops").stream`.
    crop_epochs : float
        Number of tokens in the crops as a multiple of the corpus.
    packed_epochs : float
        Number of epochs of packed plots.

    Returns
    -------
    pandas.DataFrame
        Share of tokens, from 0 to 1: one row per number of times seen, from 0, and the columns `random crops` and
        `packed plots`.

    Examples
    --------
    >>> from movieplots import load_plots, prepare
    >>> from movieplots.generation.packing import RandomCrops, coverage
    >>> from movieplots.generation.prompt_format import PromptTokenizer, SavedTokenizer
    >>> from movieplots.pretrained import shipped
    >>> _ = prepare("sample", "runs/plots")
    >>> tokenizer = PromptTokenizer(SavedTokenizer(shipped.GENERATOR), titles=True)
    >>> stream = RandomCrops(load_plots("runs/plots", "train"), tokenizer, 128, seed=0)
    >>> coverage(stream, crop_epochs=2.5, packed_epochs=2.5)["packed plots"].tolist()
    [0.0, 0.0, 0.5, 0.5, ...]
    """
    crops = seen_in_crops(stream, round(crop_epochs * len(stream.text) / stream.size))
    return pd.DataFrame({"random crops": crops, "packed plots": seen_in_epochs(packed_epochs)}).fillna(0.0)


def _from_zero(shares: pd.Series) -> pd.Series:
    """Return the shares with one row per number of times seen, from 0 to the maximum."""
    return shares.reindex(range(max(shares.index) + 1), fill_value=0.0).rename_axis("times seen")
