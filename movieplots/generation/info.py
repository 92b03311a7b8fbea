"""What `movieplots.json` of a trained generator holds."""

from dataclasses import dataclass
from typing import ClassVar

from movieplots.runs.folder import Logged, Recipe


@dataclass(frozen=True)
class GeneratorMetrics:
    """What the training measured.

    `test_loss_before` and `test_loss_after` are the cross-entropy in nats per token of title, plot and end-of-sequence
    token, over `test_tokens` tokens of the test split. A run of `steps` optimizer steps has read `train_tokens` tokens,
    `epochs` times the `train_plots`; `padding_share` of a packed sequence is padding, and `truncated_plots` were longer
    than one. `parameters` are all weights of the model, `trained_parameters` those that were trained.
    """

    test_loss_before: float
    test_loss_after: float
    test_tokens: int
    steps: int
    train_plots: int
    train_tokens: int
    epochs: float
    padding_share: float
    truncated_plots: int
    parameters: int
    trained_parameters: int


@dataclass(frozen=True)
class GenreLoss:
    """The test loss on the `plots` of one genre, so many, `before` and `after` training."""

    before: float
    after: float
    plots: int


@dataclass(frozen=True)
class Written:
    """A plot that was written during training: the prompted `genre`, the `title` and the `plot`."""

    genre: str
    title: str
    plot: str


@dataclass(frozen=True)
class WrittenAt:
    """The `samples` that were written at a `step` of training."""

    step: int
    samples: list[Written]


@dataclass(frozen=True)
class GeneratorInfo:
    """What a trained generator is.

    It was made from `base_model`; with `titles` it writes titles, too. `anchored` says whether a training example
    begins after an end-of-sequence token. `max_tokens` are what all but the longest training plots need. `genre_counts`
    are its training plots by genre, `sources` and `data_fingerprint` name them. `ancestors_recorded` says whether it is
    known which plots the models that it started from have read. `recipe`, `metrics`, `test_loss_by_genre`, `history`
    and `samples` tell of its training.
    """

    TASK: ClassVar[str] = "generation"

    base_model: str
    titles: bool
    anchored: bool
    max_tokens: int
    genre_counts: dict[str, int]
    sources: list[str]
    data_fingerprint: str
    ancestors_recorded: bool
    recipe: Recipe
    metrics: GeneratorMetrics
    test_loss_by_genre: dict[str, GenreLoss]
    history: list[Logged]
    samples: list[WrittenAt]
