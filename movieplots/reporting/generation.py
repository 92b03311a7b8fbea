"""Figures, tables and lists about the training of a generator, for notebooks.

Only texts that a model wrote are shown in full. Losses are cross-entropies in nats/token; lower is better.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from movieplots.formatting import number, percent, perplexity, plural, top_p_words
from movieplots.generation.info import GeneratorInfo, GeneratorMetrics, GenreLoss, WrittenAt
from movieplots.reporting.figures import LIGHT, STEPS, escaped, legend, length_histogram, mark, titled
from movieplots.reporting.figures import shown as shown
from movieplots.reporting.training import LOSS
from movieplots.reporting.training import learning_rates as learning_rates
from movieplots.reporting.training import training_curves as training_curves

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT, GRID = LIGHT.text, LIGHT.grid
_ROW = 0.27  # inches per row of a figure with one row per genre
_MOST_TIMES = 6  # tokens seen more often share the last bars
_LEAST = 0.0005  # smallest share that is drawn


def token_lengths(lengths: Sequence[int], block_size: int) -> Figure:
    """Plot a histogram of the lengths of training plots in tokens, with the block size and the median.

    Parameters
    ----------
    lengths : sequence of int
        Length of each plot in tokens, including its prompt and, if any, its title.
    block_size : int
        Length of a packed sequence in tokens; longer plots are truncated.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from movieplots.reporting.generation import token_lengths
    >>> type(token_lengths([20, 45, 60, 61, 80, 600], block_size=512)).__name__
    'Figure'
    """
    tokens = np.asarray(lengths)
    fit = (tokens <= block_size).mean()
    middle = np.quantile(tokens, [0.25, 0.5, 0.75])
    title = (
        f"Lengths of the {len(tokens):,} training plots: {percent(fit)} fit into {block_size:,} tokens "
        f"(quartiles {middle[0]:.0f} and {middle[2]:.0f}, maximum {tokens.max():,})"
    )
    what = "tokens per plot, including the prompt and, if any, the title"
    figure, axes = length_histogram(title, tokens, [block_size], what)
    mark(axes, float(middle[1]), 1, TEXT, ":", f"median: {middle[1]:.0f} tokens")
    longer = int((tokens > block_size).sum())
    mark(axes, block_size, 0, RED, "--", f"block size: {block_size:,} tokens ({plural(longer, 'plot')} truncated)")
    return figure


def times_seen(shares: pd.DataFrame) -> Figure:
    """Plot how often training has seen each token, for each way of packing.

    Parameters
    ----------
    shares : pandas.DataFrame of shape (n_times, n_packings)
        Share of all tokens, from 0 to 1, that were seen 0, 1, 2, … times (the index), with one column per way of
        packing, as `movieplots.generation.packing.coverage` returns.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.generation import times_seen
    >>> figure = times_seen(pd.DataFrame({"random crops": [0.4, 0.6], "packed plots": [0.0, 1.0]}))
    >>> type(figure).__name__
    'Figure'
    """
    last = max((times for times in shares.index if shares.loc[times].max() >= _LEAST), default=0)
    shares = shares.reindex(range(max(last, 1) + 1), fill_value=0.0)
    labels = [f"{times}" for times in shares.index]
    if len(shares) > _MOST_TIMES + 1:
        more = shares.iloc[_MOST_TIMES:].sum()
        shares = shares.iloc[: _MOST_TIMES + 1].copy()
        shares.iloc[_MOST_TIMES] = more
        labels = [*labels[:_MOST_TIMES], f"{_MOST_TIMES} or more"]
    never = ", ".join(f"{name} {percent(share)}" for name, share in shares.iloc[0].items())
    figure, axes = titled(f"How often training has seen each token (never seen: {never})", 3.4)
    width = 0.8 / len(shares.columns)
    for place, (name, color) in enumerate(zip(shares, (ORANGE, BLUE, GREEN), strict=False)):
        at = np.arange(len(shares)) + (place - (len(shares.columns) - 1) / 2) * width
        bars = axes.bar(at, 100 * shares[name], width * 0.94, color=color, label=name)
        axes.bar_label(bars, [percent(share) for share in shares[name]], padding=2, color=TEXT, fontsize=9)
    axes.set_xticks(range(len(shares)), labels)
    axes.set_ylim(0, 112 * shares.to_numpy().max())
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("number of times a token was seen")
    axes.set_ylabel("share of all tokens, %")
    legend(axes)
    return figure


def loss_by_genre(losses: Mapping[str, GenreLoss]) -> Figure:
    """Plot the test loss of each genre before and after training, sorted by the loss after training.

    Parameters
    ----------
    losses : mapping of str to GenreLoss
        Losses by genre, such as `test_loss_by_genre` of the info of a generator.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from movieplots.generation.info import GenreLoss
    >>> from movieplots.reporting.generation import loss_by_genre
    >>> figure = loss_by_genre({"drama": GenreLoss(before=4.5, after=3.4, plots=140)})
    >>> figure.get_suptitle()
    'Test loss by genre before and after training (lower after training in 1 of 1 genre)'
    """
    table = pd.DataFrame({genre: vars(loss) for genre, loss in losses.items()}).T.sort_values(["after", "before"])
    better = int((table["after"] < table["before"]).sum())
    title = (
        "Test loss by genre before and after training "
        f"(lower after training in {better} of {plural(len(table), 'genre')})"
    )
    figure, axes = titled(title, 1.5 + _ROW * len(table))
    rows = np.arange(len(table))
    axes.hlines(rows, table["after"], table["before"], color=GRID, linewidth=3)
    for name, color, marker in (("before", ORANGE, "o"), ("after", BLUE, "D")):
        axes.scatter(table[name], rows, color=color, marker=marker, s=38, label=f"{name} training", zorder=3)
    axes.set_yticks(rows, [f"{genre} ({plots:.0f})" for genre, plots in table["plots"].items()])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=STEPS))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(LOSS)
    axes.set_ylabel("genre (test plots)")
    legend(axes)
    return figure


def training_table(runs: GeneratorInfo | Mapping[str, GeneratorInfo]) -> pd.DataFrame:
    """Return the metrics of one or several training runs as a table.

    Parameters
    ----------
    runs : GeneratorInfo, or mapping of str to GeneratorInfo
        The info of one generator, or of several by name.

    Returns
    -------
    pandas.DataFrame
        One row per metric. The first column names it, the next ones hold its values as text: `value`, or one column
        per name.

    Examples
    --------
    >>> from movieplots import PlotGenerator
    >>> from movieplots.reporting.generation import training_table
    >>> from movieplots.pretrained import shipped
    >>> generator = PlotGenerator.from_pretrained(shipped.GENERATOR)
    >>> training_table(generator.info).columns.tolist()
    ['', 'value']
    """
    named = runs if isinstance(runs, Mapping) else {"value": runs}

    def column(metrics: GeneratorMetrics) -> dict[str, str]:
        before, after = metrics.test_loss_before, metrics.test_loss_after
        return {
            "test loss before training, nats/token": f"{before:.2f}",
            "test loss after training, nats/token": f"{after:.2f}",
            "test perplexity before training": number(perplexity(before)),
            "test perplexity after training": number(perplexity(after)),
            "training steps": number(metrics.steps), "tokens trained on": number(metrics.train_tokens),
            "epochs": number(metrics.epochs), "padding": percent(metrics.padding_share),
            "parameters": number(metrics.parameters), "trained parameters": number(metrics.trained_parameters),
        }  # fmt: skip

    columns = {name: column(info.metrics) for name, info in named.items()}
    return pd.DataFrame(columns).rename_axis("").reset_index()


def comparison_table(models: pd.DataFrame) -> pd.DataFrame:
    """Return the result of `compare_generators` with column names for readers.

    Parameters
    ----------
    models : pandas.DataFrame
        Result of `movieplots.generation.comparison.compare_generators`.

    Returns
    -------
    pandas.DataFrame
        One row per generator: its name, parameters, test loss and perplexity, tokens per second, distinct-2, and
        repetition rate.

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.generation import comparison_table
    >>> columns = ["parameters", "test_loss", "tokens_per_second", "distinct_2", "repetition_rate"]
    >>> models = pd.DataFrame([[1000, 3.5, 114.0, 0.8, 0.02]], index=["small"], columns=columns)
    >>> comparison_table(models)["test perplexity"].tolist()
    ['33.1']
    """
    names = {
        "parameters": "parameters", "test_loss": "test loss, nats/token", "perplexity": "test perplexity",
        "tokens_per_second": "tokens/s", "distinct_2": "distinct-2", "repetition_rate": "repetition rate",
    }  # fmt: skip
    table = models.assign(
        perplexity=[number(perplexity(loss)) for loss in models["test_loss"]],
        repetition_rate=models["repetition_rate"].map(percent),
    ).rename(columns=names)
    return table[list(names.values())].rename_axis("model").reset_index()


def dump_table(dump: pd.DataFrame) -> pd.DataFrame:
    """Return the number, length and truncation of the samples of a dump by sampling setting.

    Parameters
    ----------
    dump : pandas.DataFrame
        Samples of a dump, as `movieplots.sample_dump` and `movieplots.read_dump` return.

    Returns
    -------
    pandas.DataFrame
        One row per pair of temperature and top-p: the number of samples, the share of those that reached the length
        limit (`truncated`), and the median length in words.

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.generation import dump_table
    >>> sample = {"plot": "A ghost rides.", "temperature": 0.7, "top_p": 0.9, "truncated": False}
    >>> dump_table(pd.DataFrame([sample])).columns.tolist()
    ['temperature', 'top-p', 'samples', 'truncated', 'length, words (median)']
    """
    words = dump["plot"].str.split().str.len()  # type: ignore[misc]  # the stubs give lists no length
    cells = dump.assign(words=words).groupby(["temperature", "top_p"], sort=True)
    table = cells.agg(
        samples=("plot", "size"), truncated=("truncated", "mean"), words=("words", "median")
    ).reset_index()
    return pd.DataFrame(
        {
            "temperature": [f"{value:g}" for value in table["temperature"]],
            "top-p": [top_p_words(value) for value in table["top_p"]],
            "samples": table["samples"],
            "truncated": [percent(share) for share in table["truncated"]],
            "length, words (median)": [f"{words:.0f}" for words in table["words"]],
        }
    )


def samples_in_training(samples: Sequence[WrittenAt]) -> Markdown:
    """Return the samples written at the start, in the middle and at the end of training as a list.

    Parameters
    ----------
    samples : sequence of WrittenAt
        Samples written during training, such as `samples` of the info of a generator.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from movieplots.generation.info import Written, WrittenAt
    >>> from movieplots.reporting.generation import samples_in_training
    >>> print(samples_in_training([WrittenAt(100, [Written("horror", "", "A ghost rides.")])]).data)
    **Step 100**
    <BLANKLINE>
    - *horror* A ghost rides.
    """
    places = sorted({0, len(samples) // 2, len(samples) - 1})
    lists = {samples[i].step: _list([vars(sample) for sample in samples[i].samples]) for i in places}
    return Markdown("\n\n".join(f"**Step {step:,}**\n\n{plots}" for step, plots in lists.items()))


def plots_in_full(dump: pd.DataFrame) -> Markdown:
    """Return the samples of a dump as a list, in full.

    Parameters
    ----------
    dump : pandas.DataFrame
        Samples of a dump, as `movieplots.sample_dump` and `movieplots.read_dump` return.

    Returns
    -------
    IPython.display.Markdown
        One item per sample: its genre (with its temperature, if there are several), title and plot. Truncated plots
        end with `[…]`.

    Notes
    -----
    Use it only for texts that a model wrote, because most corpora do not allow you to publish their plots.

    Examples
    --------
    >>> import pandas as pd
    >>> from movieplots.reporting.generation import plots_in_full
    >>> sample = {"genre": "horror", "title": "", "plot": "A ghost rides.", "temperature": 0.7, "truncated": False}
    >>> plots_in_full(pd.DataFrame([sample])).data
    '- *horror* A ghost rides.'
    """
    samples = dump.to_dict("records")
    if dump["temperature"].nunique() > 1:
        samples = [sample | {"genre": f"{sample['genre']}, {sample['temperature']:g}"} for sample in samples]
    return Markdown(_list(samples))


def _list(samples: Sequence[Mapping[Any, object]]) -> str:
    lines = []
    for sample in samples:
        title, plot = escaped(str(sample["title"])), escaped(str(sample["plot"]))
        if plot:
            text = f"**{title}** {plot}" if title else plot
        else:
            text = f"{title} (truncated title)" if title else "(empty)"
        lines.append(f"- *{sample['genre']}* {text}{' […]' if sample.get('truncated') else ''}")
    return "\n".join(lines)
