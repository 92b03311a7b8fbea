"""What `evaluate` returns and writes as `metrics.json`.

A measure is an `Estimate`: its `value`, its 95 % interval from `low` to `high`, and `of`, the number of samples behind
it; None where it could not be measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from movieplots.classification.info import BaselineScores, LabelScores, Scores
from movieplots.intervals import Estimate
from movieplots.runs.folder import Logged


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The measures of a group of samples; `samples` is their number.

    Shares in [0, 1]: from `copied_more_than_20` to `secondary_exact`. Means over the samples: from `genre_probability`
    to `novel_8grams`. Medians, in words: `words` and `longest_verbatim_span`. Of the group as a whole, counted over as
    many words or samples as in the groups that stand beside it: from `distinct_1` to `mauve`.
    """

    samples: int
    copied_more_than_20: Estimate
    exact_copy: Estimate
    repetition_rate: Estimate
    truncated: Estimate
    empty: Estimate
    genre_accuracy: Estimate | None
    titled: Estimate
    well_formed: Estimate | None
    of_series: Estimate | None
    known_series: Estimate | None
    primary_exact: Estimate | None
    secondary_exact: Estimate | None
    genre_probability: Estimate | None
    plot_jaccard: Estimate | None
    plot_cosine: Estimate | None
    primary_jaccard: Estimate | None
    primary_cosine: Estimate | None
    secondary_jaccard: Estimate | None
    secondary_cosine: Estimate | None
    novel_1grams: Estimate | None
    novel_2grams: Estimate | None
    novel_3grams: Estimate | None
    novel_4grams: Estimate | None
    novel_5grams: Estimate | None
    novel_6grams: Estimate | None
    novel_7grams: Estimate | None
    novel_8grams: Estimate | None
    words: Estimate
    longest_verbatim_span: Estimate
    distinct_1: Estimate
    distinct_2: Estimate
    distinct_3: Estimate
    self_bleu: Estimate | None
    unique_primary: Estimate | None
    unique_title: Estimate | None
    unique_plot: Estimate | None
    mauve: Estimate | None

    def measure(self, name: str) -> Estimate | None:
        """A measure by its name."""
        return getattr(self, name)


@dataclass(frozen=True, kw_only=True)
class AtTemperature(Summary):
    """The samples drawn at one `temperature`."""

    temperature: float


@dataclass(frozen=True, kw_only=True)
class AtTopP(Summary):
    """The samples drawn with one `top_p`; 0 is off."""

    top_p: float


@dataclass(frozen=True, kw_only=True)
class Cell(AtTemperature, AtTopP):
    """The samples of one sampling setting."""


@dataclass(frozen=True, kw_only=True)
class OfGenre(Summary):
    """The samples prompted with one `genre`."""

    genre: str


@dataclass(frozen=True)
class ControlMeans:
    """What the classifier found in the samples of each genre in `prompted` (rows) for each of its `labels` (columns).

    It does not know the `unknown_genres`. `mean_probability` is the mean of the label's probability, `confusion`
    the share of samples for which the label is the likeliest. `chance` is the share on genre when samples are held
    against other prompts (None with one prompt).
    """

    chance: float | None
    unknown_genres: list[str]
    prompted: list[str]
    labels: list[str]
    mean_probability: list[list[float]]
    confusion: list[list[float]]


@dataclass(frozen=True)
class GenreSimilarity:
    """Between the samples of each genre in `prompted` (rows) and the plots of each in `training` the `mean_cosine`."""

    prompted: list[str]
    training: list[str]
    mean_cosine: list[list[float]]


@dataclass(frozen=True)
class Learning:
    """The loss of a generator before and after its training, and how long that was.

    `loss_before` and `loss_after` are cross-entropies on the `split`, in nats per token, `perplexity_before` and
    `perplexity_after` their exponentials. It took `steps` optimizer steps over `train_tokens` tokens. `guidance_scale`
    is that which it was taught, None where it was not.
    """

    split: str
    loss_before: float
    loss_after: float
    perplexity_before: float
    perplexity_after: float
    train_tokens: int
    steps: int
    guidance_scale: float | None


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The measures of a generator's samples or of a reference.

    They are those of all `samples`, and of groups of them from `by_cell` to `by_top_p`. `genre_control` and
    `genre_similarity` say how far they keep to their genres. A reference has no sampling setting: it stands whole
    in each grouping, counted as little as the groups of that.
    """

    samples: Summary
    by_cell: Sequence[Summary]
    by_temperature: Sequence[Summary]
    by_top_p: Sequence[Summary]
    genre_control: ControlMeans | None
    genre_similarity: GenreSimilarity

    def grouping(self, name: str) -> Sequence[Summary]:
        """The groups of one kind, such as `by_cell`; none where there are no such groups."""
        return getattr(self, name, ())


@dataclass(frozen=True, kw_only=True)
class About:
    """What a dump holds, and what is known of its generator's training.

    It has samples of the `prompts` at `temperatures` with `top_ps`. Whether they are truncated was judged by their
    text for `judged_by_text` of them. `unread` has a sentence for each file that cannot be read, `unparsed` counts
    by reason the lines that are no samples. `base_model`, `titles` and `learning` are None where dump.json does not
    say. Of the `training_plots` of the generator, `training_plots_elsewhere` are not among the training plots
    given; `held_out_learned` of those held out here were among its own, and `trained_on_this_data` says whether it
    learned from these alone. `history` is what was logged in training.
    """

    base_model: str | None
    titles: bool | None
    temperatures: list[float]
    top_ps: list[float]
    judged_by_text: int
    unread: list[str]
    prompts: list[str]
    unparsed: dict[str, int]
    trained_on_this_data: bool | None
    training_plots: int
    training_plots_elsewhere: int
    held_out_learned: int
    learning: Learning | None
    history: list[Logged]


@dataclass(frozen=True, kw_only=True)
class Model(About, Texts):
    """A dump: what is known of it, and the measures of its samples, whole and in groups, also `by_genre`."""

    by_cell: list[Cell]
    by_temperature: list[AtTemperature]
    by_top_p: list[AtTopP]
    by_genre: list[OfGenre]


@dataclass(frozen=True)
class Evaluated:
    """What was compared, by which `embedder`, and which dumps were `left_out`, with the reason.

    Samples were compared with so many `training_plots`, and for MAUVE with so many held-out ones (`compared_with`), of
    the data with that `data_fingerprint`.
    """

    training_plots: int
    compared_with: int
    data_fingerprint: str
    embedder: str
    left_out: dict[str, str]


@dataclass(frozen=True)
class JudgeScores(Scores):
    """The scores of the classifier, and those of each genre, `per_label`."""

    per_label: dict[str, LabelScores]


@dataclass(frozen=True)
class JudgeQuality:
    """How good the `classifier` that judges is, on so many `test_plots`, beside its `baselines`.

    `intervals` are those of its scores, by name, such as `micro_f1`.
    """

    test_plots: int
    classifier: JudgeScores
    baselines: dict[str, BaselineScores]
    intervals: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class NotMeasured:
    """Why the quality of the classifier is not stated, in words: `skipped`."""

    skipped: str


@dataclass(frozen=True)
class Metrics:
    """All numbers of a report: the `models`, that is the dumps, by name, and the `references` beside them.

    `evaluated` says what was compared. The references are real plots, the ceiling, and shuffled words, the floor;
    there are none without held-out plots. `classifier` is the quality of the one that judged the genres, None where
    none was given.
    """

    evaluated: Evaluated
    models: dict[str, Model]
    references: dict[str, Texts]
    classifier: JudgeQuality | NotMeasured | None

    @property
    def texts(self) -> dict[str, Texts]:
        """The models and the references."""
        return {**self.models, **self.references}

    @property
    def judge(self) -> JudgeQuality | None:
        """The quality of the classifier, if it was measured."""
        return self.classifier if isinstance(self.classifier, JudgeQuality) else None
