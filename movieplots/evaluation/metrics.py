"""The results of `evaluate`, as written to `metrics.json`.

A measure is an `Estimate`: its value, the bounds of its 95 % confidence interval and the number of samples behind it;
None if it could not be measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from movieplots.classification.info import BaselineScores, LabelScores, Scores
from movieplots.evaluation.stock_phrases import StockPhrase
from movieplots.intervals import Estimate
from movieplots.runs.folder import Logged


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Measures of a group of samples.

    Each measure has a 95 % confidence interval. None means that no sample of the group has what is measured.

    Attributes
    ----------
    samples : int
        Number of samples.
    copied_more_than_20 : Estimate
        Share of samples that share a verbatim span of more than 20 words with a training plot, 0 to 1.
    exact_copy : Estimate
        Share of samples with the same words in the same order as a whole training plot, 0 to 1.
    repetition_rate : Estimate
        Share of samples in which a 4-gram of words occurs three times or more, 0 to 1.
    truncated : Estimate
        Share of samples without an end-of-sequence token, or without a final punctuation mark, 0 to 1.
    empty : Estimate
        Share of samples without words, 0 to 1.
    genre_accuracy : Estimate or None
        Share of samples for which the classifier predicts all prompted genres, 0 to 1. For real test plots it is the
        classifier's recall, averaged over the prompted genres. None without a classifier.
    titled : Estimate
        Share of samples with a title, 0 to 1.
    well_formed : Estimate or None
        Share of titles that follow the grammar of IMDb titles, 0 to 1.
    of_series : Estimate or None
        Share of titles that name a series or an episode, 0 to 1.
    known_series : Estimate or None
        Share of these for which training plots of a series of that name exist, 0 to 1.
    primary_exact : Estimate or None
        Share of primary titles that are also the primary title of a training plot, 0 to 1.
    secondary_exact : Estimate or None
        Share of secondary titles that are also the secondary title of a training plot, 0 to 1.
    genre_probability : Estimate or None
        Mean probability that the classifier assigns to the prompted genres, 0 to 1.
    plot_jaccard : Estimate or None
        Mean Jaccard similarity of the words of a sample and of the training plot with the most similar words, 0 to 1.
    plot_cosine : Estimate or None
        Mean cosine similarity of the embeddings of a sample and of the most similar training plot, -1 to 1.
    primary_jaccard : Estimate or None
        As `plot_jaccard`, for primary titles.
    primary_cosine : Estimate or None
        As `plot_cosine`, for primary titles.
    secondary_jaccard : Estimate or None
        As `plot_jaccard`, for secondary titles.
    secondary_cosine : Estimate or None
        As `plot_cosine`, for secondary titles.
    novel_1grams : Estimate or None
        Mean share of the words of a sample that occur in no training plot, 0 to 1.
    novel_2grams : Estimate or None
        Mean share of the 2-grams of words in a sample that occur in no training plot, 0 to 1.
    novel_3grams : Estimate or None
        Mean share of the 3-grams of words in a sample that occur in no training plot, 0 to 1.
    novel_4grams : Estimate or None
        Mean share of the 4-grams of words in a sample that occur in no training plot, 0 to 1.
    novel_5grams : Estimate or None
        Mean share of the 5-grams of words in a sample that occur in no training plot, 0 to 1.
    novel_6grams : Estimate or None
        Mean share of the 6-grams of words in a sample that occur in no training plot, 0 to 1.
    novel_7grams : Estimate or None
        Mean share of the 7-grams of words in a sample that occur in no training plot, 0 to 1.
    novel_8grams : Estimate or None
        Mean share of the 8-grams of words in a sample that occur in no training plot, 0 to 1.
    words : Estimate
        Median length in words.
    longest_verbatim_span : Estimate
        Median length in words of the longest span that a sample shares with a training plot.
    distinct_1 : Estimate
        Distinct words per word of the group, 0 to 1.
    distinct_2 : Estimate
        Distinct bigrams per word of the group, 0 to 1.
    distinct_3 : Estimate
        Distinct trigrams per word of the group, 0 to 1.
    self_bleu : Estimate or None
        Mean BLEU-4 of each sample with all other samples as references, 0 to 1; higher is less diverse.
    unique_primary : Estimate or None
        Number of distinct primary titles per title, 0 to 1.
    unique_title : Estimate or None
        Number of distinct titles per title, 0 to 1.
    unique_plot : Estimate or None
        Number of distinct plots per plot, 0 to 1.
    mauve : Estimate or None
        MAUVE of the samples and validation plots of the prompted genres, 0 to 1; None with fewer than 50 of either.

    Notes
    -----
    The measures from `distinct_1` to `mauve` depend on the size of the group. To make groups comparable, they are
    computed on subsets of the same number of words or samples in all groups of a grouping.

    Verbatim spans and novel n-grams are those of `McCoy et al. (2023) <https://arxiv.org/abs/2111.09509>`_, distinct-n
    of `Li et al. (2016) <https://arxiv.org/abs/1510.03055>`_, self-BLEU of
    `Zhu et al. (2018) <https://arxiv.org/abs/1802.01886>`_ and MAUVE of
    `Pillutla et al. (2021) <https://arxiv.org/abs/2102.01454>`_. Repeated n-grams mark degenerate text
    (`Holtzman et al. 2020 <https://arxiv.org/abs/1904.09751>`_). Similarities are those of
    `Jaccard (1912) <https://doi.org/10.1111/j.1469-8137.1912.tb02611.x>`_ and the cosine of sentence embeddings
    (`Reimers and Gurevych 2019 <https://arxiv.org/abs/1908.10084>`_).

    The intervals of shares are `Wilson's (1927) <https://doi.org/10.1080/01621459.1927.10502953>`_, those of means and
    medians are percentile bootstrap intervals (`Efron 1979 <https://doi.org/10.1214/aos/1176344552>`_).
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
        """Return a measure by its name."""
        return getattr(self, name)


@dataclass(frozen=True, kw_only=True)
class AtTemperature(Summary):
    """Measures of the samples generated at one temperature.

    Attributes
    ----------
    temperature : float
        Sampling temperature. The other attributes are those of `Summary`.
    """

    temperature: float


@dataclass(frozen=True, kw_only=True)
class AtTopP(Summary):
    """Measures of the samples generated with one top-p.

    Attributes
    ----------
    top_p : float
        Top-p, 0 to 1; 0 is off. The other attributes are those of `Summary`.
    """

    top_p: float


@dataclass(frozen=True, kw_only=True)
class Cell(AtTemperature, AtTopP):
    """Measures of the samples of one sampling setting, a cell of the grid of temperature and top-p.

    Attributes
    ----------
    temperature : float
        Sampling temperature.
    top_p : float
        Top-p, 0 to 1; 0 is off. The other attributes are those of `Summary`.
    """


@dataclass(frozen=True, kw_only=True)
class OfGenre(Summary):
    """Measures of the samples prompted with one genre; a sample prompted with two genres counts for both.

    Attributes
    ----------
    genre : str
        Prompted genre. The other attributes are those of `Summary`.
    """

    genre: str


@dataclass(frozen=True)
class ControlMeans:
    """Predictions of the classifier for the samples of each prompted genre.

    Attributes
    ----------
    chance : float or None
        Genre accuracy, 0 to 1, if each prompt is compared with the samples of other prompts; None with one prompt.
    unknown_genres : list of str
        Prompted genres that are not labels of the classifier; they are not counted.
    prompted : list of str
        Prompted genres, the rows of the matrices.
    labels : list of str
        Genres of the classifier, the columns of the matrices.
    mean_probability : list of list of float
        Mean probability of the label over the samples of the prompted genre, 0 to 1.
    confusion : list of list of float
        Share of the samples of the prompted genre for which the label is the most probable, 0 to 1.
    """

    chance: float | None
    unknown_genres: list[str]
    prompted: list[str]
    labels: list[str]
    mean_probability: list[list[float]]
    confusion: list[list[float]]


@dataclass(frozen=True)
class GenreSimilarity:
    """Similarity of the samples of each prompted genre to the training plots of each genre.

    Attributes
    ----------
    prompted : list of str
        Prompted genres, the rows of the matrix.
    training : list of str
        Genres of the training plots, the columns of the matrix.
    mean_cosine : list of list of float
        Mean cosine similarity of the embeddings over all pairs of a sample and a training plot, -1 to 1.
    """

    prompted: list[str]
    training: list[str]
    mean_cosine: list[list[float]]


@dataclass(frozen=True)
class Learning:
    """Cross-entropy and perplexity of a generator before and after its training.

    Attributes
    ----------
    split : str
        Split of the generator's own data on which both were measured, `"test"`.
    loss_before : float
        Cross-entropy before training in nats/token.
    loss_after : float
        Cross-entropy after training in nats/token.
    perplexity_before : float
        Perplexity before training, the exponential of `loss_before`.
    perplexity_after : float
        Perplexity after training, the exponential of `loss_after`.
    train_tokens : int
        Number of tokens that the generator was trained on.
    steps : int
        Number of optimizer steps.
    guidance_scale : float or None
        Guidance scale that the generator was trained with, greater than 1; None if it was trained without guidance.
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
    """Measures of a generator's samples, or of a reference.

    Attributes
    ----------
    samples : Summary
        Measures of all samples.
    by_cell : sequence of Summary
        Measures by sampling setting (temperature and top-p).
    by_temperature : sequence of Summary
        Measures by temperature.
    by_top_p : sequence of Summary
        Measures by top-p.
    genre_control : ControlMeans or None
        Predictions of the classifier for the samples of each prompted genre; None without a classifier.
    genre_similarity : GenreSimilarity
        Similarity of the samples of each prompted genre to the training plots of each genre.

    Notes
    -----
    A reference has no sampling setting, so each grouping contains one `Summary` of all its texts. It is computed on
    subsets of the same size as for the groups.
    """

    samples: Summary
    by_cell: Sequence[Summary]
    by_temperature: Sequence[Summary]
    by_top_p: Sequence[Summary]
    genre_control: ControlMeans | None
    genre_similarity: GenreSimilarity

    def grouping(self, name: str) -> Sequence[Summary]:
        """Return the groups of a grouping such as `by_cell`; an empty tuple if there is no such grouping."""
        return getattr(self, name, ())


@dataclass(frozen=True, kw_only=True)
class About:
    """Contents of a dump, and the known facts about the training of its generator.

    Attributes
    ----------
    base_model : str or None
        Name of the base model; None if the dump has no `dump.json`.
    titles : bool or None
        Whether the generator writes titles; None if the dump has no `dump.json`.
    temperatures : list of float
        Sampling temperatures of the dump.
    top_ps : list of float
        Values of top-p of the dump; 0 is off.
    judged_by_text : int
        Number of samples for which truncation was inferred from the final punctuation mark.
    unread : list of str
        One sentence per file of the dump that could not be read.
    prompts : list of str
        Genre prompts of the samples.
    unparsed : dict of str to int
        Number of lines that could not be parsed as samples, by reason.
    trained_on_this_data : bool or None
        Whether at least 95 % of the generator's training plots are training plots of the evaluation data, and none is a
        validation or test plot of it; None if they are not recorded.
    training_plots : int
        Number of plots that the generator, or a model that it started from, was trained on; 0 if not recorded.
    training_plots_not_in_data : int
        Number of these that are not training plots of the evaluation data.
    leaked_plots : int
        Number of validation and test plots of the evaluation data that the generator was trained on.
    learning : Learning or None
        Cross-entropy and perplexity before and after training; None if the dump has no `dump.json`.
    history : list of Logged
        Metrics logged during training.
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
    training_plots_not_in_data: int
    leaked_plots: int
    learning: Learning | None
    history: list[Logged]


@dataclass(frozen=True, kw_only=True)
class Model(About, Texts):
    """A generator's dump: its contents, the training of the generator, and the measures of the samples.

    Attributes
    ----------
    by_cell : list of Cell
        Measures by sampling setting (temperature and top-p).
    by_temperature : list of AtTemperature
        Measures by temperature.
    by_top_p : list of AtTopP
        Measures by top-p.
    by_genre : list of OfGenre
        Measures by prompted genre.
    stock_phrases : list of StockPhrase
        Phrases that are far more frequent in the samples than in the training plots. The other attributes are those of
        `About` and `Texts`.
    """

    by_cell: list[Cell]
    by_temperature: list[AtTemperature]
    by_top_p: list[AtTopP]
    by_genre: list[OfGenre]
    stock_phrases: list[StockPhrase]


@dataclass(frozen=True)
class Evaluated:
    """Data and models that the samples were compared with.

    Attributes
    ----------
    training_plots : int
        Number of training plots of the evaluation data.
    validation_plots : int
        Number of validation plots that MAUVE compares with, up to 500.
    data_fingerprint : str
        Hash of the evaluation data.
    embedder : str
        Name of the sentence embedder.
    left_out : dict of str to str
        Reason why a dump could not be read, by the name of the dump.
    """

    training_plots: int
    validation_plots: int
    data_fingerprint: str
    embedder: str
    left_out: dict[str, str]


@dataclass(frozen=True)
class JudgeScores(Scores):
    """Test scores of the genre classifier.

    Attributes
    ----------
    per_label : dict of str to LabelScores
        Scores of each genre. The other attributes are those of `Scores`.
    """

    per_label: dict[str, LabelScores]


@dataclass(frozen=True)
class JudgeQuality:
    """Test scores of the genre classifier that measured the genre accuracy, and of its baselines.

    Attributes
    ----------
    test_plots : int
        Number of test plots.
    classifier : JudgeScores
        Scores of the classifier.
    baselines : dict of str to BaselineScores
        Scores of each baseline, by name.
    intervals : dict of str to Estimate
        The classifier's scores with 95 % confidence intervals, by name, such as `micro_f1`.
    """

    test_plots: int
    classifier: JudgeScores
    baselines: dict[str, BaselineScores]
    intervals: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class NotMeasured:
    """The reason why the scores of the genre classifier are not reported.

    Attributes
    ----------
    skipped : str
        The reason, in a sentence or two.
    """

    skipped: str


@dataclass(frozen=True)
class Metrics:
    """All results of an evaluation.

    Attributes
    ----------
    evaluated : Evaluated
        Data and models that the samples were compared with.
    models : dict of str to Model
        Results of each dump, by name.
    references : dict of str to Texts
        Measures of real test plots (upper bound) and of the same plots with shuffled words (lower bound); empty if the
        data has no test plots.
    classifier : JudgeQuality or NotMeasured or None
        Test scores of the genre classifier, or the reason why they are not reported; None without a classifier.
    """

    evaluated: Evaluated
    models: dict[str, Model]
    references: dict[str, Texts]
    classifier: JudgeQuality | NotMeasured | None

    @property
    def texts(self) -> dict[str, Texts]:
        """Results of the models and of the references, by name."""
        return {**self.models, **self.references}

    @property
    def judge(self) -> JudgeQuality | None:
        """Test scores of the genre classifier, or None if they are not reported."""
        return self.classifier if isinstance(self.classifier, JudgeQuality) else None
