"""What `movieplots.json` of a trained classifier holds."""

from dataclasses import dataclass
from typing import ClassVar

from movieplots.intervals import Estimate
from movieplots.runs.folder import Logged, Recipe


@dataclass(frozen=True)
class Scores:
    """`micro_f1`, `macro_f1`, mean average precision `map` and label-ranking average precision `lrap`, in [0, 1]."""

    micro_f1: float
    macro_f1: float
    map: float
    lrap: float


@dataclass(frozen=True)
class LabelScores:
    """How well one genre is detected, on so many plots that have it (`support`).

    `precision`, `recall` and `f1` are those at its threshold; the `average_precision` is None where no plot has it.
    """

    precision: float
    recall: float
    f1: float
    average_precision: float | None
    support: int


@dataclass(frozen=True)
class BaselineScores(Scores):
    """Those of a baseline, and the `settings` that the validation split chose, in words."""

    settings: str


@dataclass(frozen=True)
class Measured:
    """The test metrics of one form of the input: the four `scores`, their 95 % `intervals`, each genre's `per_label`,
    and the same four of the `baselines`, by name."""

    scores: Scores
    intervals: dict[str, Estimate]
    per_label: dict[str, LabelScores]
    baselines: dict[str, BaselineScores]


@dataclass(frozen=True)
class Calibration:
    """The calibration from the validation split: log-odds are moved by `shift`, one a label, and divided by the
    `temperature`. `error_before` and `error_after` are expected calibration errors on the test split."""

    shift: list[float]
    temperature: float
    error_before: float
    error_after: float


@dataclass(frozen=True)
class ClassifierMetrics:
    """What the training measured: on the plots alone (`test`) and, of a model with titles, with these (`test_titled`).

    `calibration` was fitted on the validation split. `before_quantization` are the scores of the model that an 8-bit
    one was made from. It had `train_plots`, `validation_plots` and `test_plots`, and took `steps` optimizer steps.
    """

    test: Measured
    test_titled: Measured | None
    calibration: Calibration
    train_plots: int
    validation_plots: int
    test_plots: int
    steps: int
    before_quantization: Scores | None = None


@dataclass(frozen=True)
class ClassifierInfo:
    """What a trained classifier is.

    It was made from `base_model` and knows `labels`, each given from its threshold of `thresholds` on. `not_learned`
    are the genres of the data that had too few training plots, with these. `max_tokens` of a text are read; with
    `titles` it may be given one. `sources` and `data_fingerprint` name the plots; `recipe`, `metrics` and `history`
    tell of its training. `quantized` says in words how its weights are stored, empty for float32.
    """

    TASK: ClassVar[str] = "classification"

    base_model: str
    labels: list[str]
    thresholds: list[float]
    not_learned: dict[str, int]
    max_tokens: int
    titles: bool
    sources: list[str]
    data_fingerprint: str
    recipe: Recipe
    metrics: ClassifierMetrics
    history: list[Logged]
    quantized: str = ""


@dataclass(frozen=True)
class MlmMetrics:
    """The cross-entropy in nats per hidden token of the test split, before and after, and what it was measured on."""

    test_loss_before: float
    test_loss_after: float
    test_tokens: int
    train_plots: int
    train_tokens: int
    steps: int


@dataclass(frozen=True)
class MlmInfo:
    """What an encoder is that was trained further on plots as a masked language model."""

    TASK: ClassVar[str] = "mlm"

    base_model: str
    sources: list[str]
    data_fingerprint: str
    recipe: Recipe
    metrics: MlmMetrics
    history: list[Logged]
