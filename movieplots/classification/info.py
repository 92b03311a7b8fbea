"""The dataclasses behind the `movieplots.json` of a trained classifier or masked language model."""

from dataclasses import dataclass
from typing import ClassVar

from movieplots.intervals import Estimate
from movieplots.runs.folder import Logged, Recipe


@dataclass(frozen=True)
class Scores:
    """Test scores of a classifier, each from 0 to 1 (higher is better).

    Attributes
    ----------
    micro_f1 : float
        F1 over all pairs of plot and genre: frequent genres dominate.
    macro_f1 : float
        Mean of the F1 of each genre: rare genres count as much as frequent ones.
    map : float
        Mean average precision (mAP): mean over genres of the area under the precision-recall curve, independent of
        thresholds.
    lrap : float
        Label-ranking average precision (LRAP): how high the true genres rank among all genres of a plot.

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.pretrained import shipped
    >>> scores = GenreClassifier.from_pretrained(shipped.CLASSIFIER).info.metrics.test.scores
    >>> round(scores.micro_f1, 2), round(scores.macro_f1, 2)
    (0.62, 0.47)
    """

    micro_f1: float
    macro_f1: float
    map: float
    lrap: float


@dataclass(frozen=True)
class LabelScores:
    """Test scores of one genre.

    Attributes
    ----------
    precision : float
        Precision at the genre's threshold, from 0 to 1.
    recall : float
        Recall at the genre's threshold, from 0 to 1.
    f1 : float
        F1 at the genre's threshold, from 0 to 1.
    average_precision : float or None
        Area under the precision-recall curve, from 0 to 1; None if no test plot has the genre.
    support : int
        Number of test plots that have the genre.
    """

    precision: float
    recall: float
    f1: float
    average_precision: float | None
    support: int


@dataclass(frozen=True)
class BaselineScores(Scores):
    """Test scores of a TF-IDF baseline.

    Attributes
    ----------
    micro_f1 : float
        As in `Scores`.
    macro_f1 : float
        As in `Scores`.
    map : float
        As in `Scores`.
    lrap : float
        As in `Scores`.
    settings : str
        The regularization and class weights that were best on the validation split, such as `C = 3, balanced weights`.
    """

    settings: str


@dataclass(frozen=True)
class Measured:
    """Test results for one kind of input: plots alone, or plots with titles.

    Attributes
    ----------
    scores : Scores
        The scores over all genres.
    intervals : dict of str to Estimate
        Each score with its 95 % bootstrap interval, by the names of the attributes of `Scores`.
    per_label : dict of str to LabelScores
        The scores of each genre.
    baselines : dict of str to BaselineScores
        The same scores for each TF-IDF baseline, by name.
    """

    scores: Scores
    intervals: dict[str, Estimate]
    per_label: dict[str, LabelScores]
    baselines: dict[str, BaselineScores]


@dataclass(frozen=True)
class Calibration:
    """The calibration fitted on the validation split: logits become ``(logit - shift) / temperature``.

    Attributes
    ----------
    shift : list of float
        Value subtracted from the logits of each genre: it undoes part of the bias from the loss weights.
    temperature : float
        Value by which the shifted logits are divided, from 0.2 to 5.
    error_before : float
        Expected calibration error (ECE) on the test split before calibration, from 0 to 1.
    error_after : float
        The same after calibration.
    """

    shift: list[float]
    temperature: float
    error_before: float
    error_after: float


@dataclass(frozen=True)
class ClassifierMetrics:
    """Test metrics of a classifier, and the size of its training.

    Attributes
    ----------
    test : Measured
        Results on the test split from the plots alone.
    test_titled : Measured or None
        Results with titles; None for a classifier that was trained without them.
    calibration : Calibration
        The calibration and its effect.
    train_plots : int
        Number of training plots.
    validation_plots : int
        Number of validation plots.
    test_plots : int
        Number of test plots.
    steps : int
        Number of optimizer steps.
    before_quantization : Scores or None, default None
        Scores of the original model, for a quantized one.
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
    """The content of a classifier folder's `movieplots.json`.

    Attributes
    ----------
    base_model : str
        The base model that was fine-tuned.
    labels : list of str
        The genres that the classifier can assign.
    thresholds : list of float
        The probability from which each genre is assigned, from 0 to 1, in the order of `labels`.
    not_learned : dict of str to int
        Genres of the data with too few training plots to be labels, and their number of training plots.
    max_tokens : int
        Maximum input length in tokens.
    titles : bool
        Whether titles can be passed along with plots.
    sources : list of str
        Corpora of the plots.
    data_fingerprint : str
        Hash of the plots that the model was trained and tested on.
    recipe : Recipe
        Command, settings and data of the training.
    metrics : ClassifierMetrics
        Test metrics.
    history : list of dict
        Logged losses: `step` with `loss` (training) or `eval_loss` (validation).
    quantized : str, default ""
        How the weights are stored; empty for float32.

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.pretrained import shipped
    >>> info = GenreClassifier.from_pretrained(shipped.CLASSIFIER).info
    >>> info.base_model, len(info.labels), info.quantized
    ('minilm-l6', 26, '8-bit weights, ONNX')
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

    def __str__(self) -> str:
        """Return the base model, the numbers of genres and plots, and the main scores; `repr` has all fields."""
        metrics = self.metrics
        return (
            f"Classifier from {self.base_model} for {len(self.labels)} genres, trained on {metrics.train_plots:,} "
            f"plots; test micro-F1 {metrics.test.scores.micro_f1:.2f}, macro-F1 {metrics.test.scores.macro_f1:.2f}"
        )


@dataclass(frozen=True)
class MlmMetrics:
    """Cross-entropy of a masked language model before and after training, and the size of the training.

    Attributes
    ----------
    test_loss_before : float
        Cross-entropy in nats/token over the masked tokens of the test split, before training. Its exponential is the
        perplexity.
    test_loss_after : float
        The same after training.
    test_tokens : int
        Number of masked test tokens that the cross-entropy was measured on.
    train_plots : int
        Number of training plots.
    train_tokens : int
        Number of tokens that training processed.
    steps : int
        Number of optimizer steps.
    """

    test_loss_before: float
    test_loss_after: float
    test_tokens: int
    train_plots: int
    train_tokens: int
    steps: int


@dataclass(frozen=True)
class MlmInfo:
    """The content of a masked language model folder's `movieplots.json`.

    Attributes
    ----------
    base_model : str
        The encoder that was trained further.
    sources : list of str
        Corpora of the plots.
    data_fingerprint : str
        Hash of the plots that the model was trained and tested on.
    recipe : Recipe
        Command, settings and data of the training.
    metrics : MlmMetrics
        Cross-entropy before and after training.
    history : list of dict
        Logged losses: `step` with `loss` (training) or `eval_loss` (validation).
    """

    TASK: ClassVar[str] = "mlm"

    base_model: str
    sources: list[str]
    data_fingerprint: str
    recipe: Recipe
    metrics: MlmMetrics
    history: list[Logged]
