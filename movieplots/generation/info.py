"""Content of the `movieplots.json` of a trained generator."""

from dataclasses import dataclass, field
from typing import ClassVar

from movieplots.runs.folder import Logged, Recipe


@dataclass(frozen=True)
class GeneratorMetrics:
    """Measurements of a generator's training.

    Attributes
    ----------
    test_loss_before : float
        Cross-entropy before training, in nats/token of title, plot and end-of-sequence token, on test plots. Its
        exponential is the perplexity.
    test_loss_after : float
        The same after training.
    test_tokens : int
        Number of tokens behind both test losses.
    steps : int
        Number of optimizer steps.
    train_plots : int
        Number of plots in the training split.
    train_tokens : int
        Number of tokens trained on, padding excluded; a token counts again in each epoch.
    epochs : float
        Number of epochs.
    padding_share : float
        Fraction of padding in packed sequences, from 0 to 1.
    truncated_plots : int
        Number of training plots that are longer than a sequence and were truncated.
    parameters : int
        Number of the model's parameters.
    trained_parameters : int
        Number of parameters that were trained.
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
    """Test loss on the plots of one genre.

    Attributes
    ----------
    before : float
        Cross-entropy before training, in nats/token.
    after : float
        Cross-entropy after training, in nats/token.
    plots : int
        Number of test plots of the genre.
    """

    before: float
    after: float
    plots: int


@dataclass(frozen=True)
class Written:
    """A plot sampled during training.

    Attributes
    ----------
    genre : str
        The prompted genre.
    title : str
        The title, empty for a generator without titles.
    plot : str
        The plot.
    """

    genre: str
    title: str
    plot: str


@dataclass(frozen=True)
class WrittenAt:
    """Plots sampled at one evaluation during training.

    Attributes
    ----------
    step : int
        Optimizer step of the evaluation.
    samples : list of Written
        One plot for each of the three most frequent genres.
    """

    step: int
    samples: list[Written]


@dataclass(frozen=True)
class GeneratorInfo:
    """Description of a trained generator: the content of its `movieplots.json`.

    Attributes
    ----------
    base_model : str
        Name or folder of the base model.
    titles : bool
        Whether the generator writes titles.
    anchored : bool
        Whether each training example starts with an end-of-sequence token. False only for old models.
    max_tokens : int
        Default length limit of a plot in tokens; 99.5 % of the training plots are shorter.
    genre_counts : dict of str to int
        Number of training plots of each genre, the most frequent genre first.
    sources : list of str
        Names of the data sources.
    data_fingerprint : str
        Fingerprint of the table of plots.
    ancestors_recorded : bool
        Whether the training plots of all models that this one started from are known.
    recipe : Recipe
        Command and settings of the training.
    metrics : GeneratorMetrics
        Measurements of the training.
    test_loss_by_genre : dict of str to GenreLoss
        Test loss of each genre.
    history : list of dict
        Training loss of each step and validation loss of each evaluation, in nats/token.
    samples : list of WrittenAt
        Plots sampled at each evaluation.
    controls : list of str
        What prompts can contain besides genres, title and opening: `keywords` and `length`. Empty for old models.

    Examples
    --------
    >>> from movieplots import PlotGenerator
    >>> from movieplots.pretrained import shipped
    >>> info = PlotGenerator.from_pretrained(shipped.GENERATOR).info
    >>> info.base_model, info.titles, info.metrics.train_plots
    ('smollm2-135m', True, 17531)
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
    controls: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the base model, the number of training plots, and the test losses; `repr` has all fields."""
        metrics = self.metrics
        return (
            f"Generator from {self.base_model}, trained on {metrics.train_plots:,} plots; test loss "
            f"{metrics.test_loss_before:.2f} -> {metrics.test_loss_after:.2f} nats/token"
        )
