"""What a generator's training was and did, as figures, tables and lists for a notebook.

Texts are shown in full only where a model wrote them. Losses are nats per token, lower is better.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from movieplots.formatting import number, percent, top_p_words
from movieplots.generation.info import GeneratorInfo, GeneratorMetrics, GenreLoss, WrittenAt
from movieplots.reporting.figures import LIGHT, STEPS, escaped, legend, length_histogram, mark, titled
from movieplots.reporting.figures import shown as shown
from movieplots.reporting.training import LOSS
from movieplots.reporting.training import learning_rates as learning_rates
from movieplots.reporting.training import training_curves as training_curves

BLUE, ORANGE, GREEN, PINK, RED = LIGHT.series
TEXT, GRID = LIGHT.text, LIGHT.grid
_ROW = 0.27  # inches for each row of a figure with one row a genre
_MOST_TIMES = 6  # tokens seen more often than that share the last bars
_LEAST = 0.0005  # a share that is still drawn
_ENOUGH = 10  # held-out plots of a genre whose loss is worth naming


def token_lengths(lengths: Sequence[int], block_size: int) -> Figure:
    """Histogram of the plots' lengths in tokens, prompt and title included, with the block size and the median."""
    tokens = np.asarray(lengths)
    fit = (tokens <= block_size).mean()
    middle = np.quantile(tokens, [0.25, 0.5, 0.75])
    title = (
        f"{percent(fit)} of the {len(tokens):,} training plots fit into a block of {block_size:,} tokens; half have "
        f"{middle[0]:.0f} to {middle[2]:.0f} tokens, the longest {tokens.max():,}"
    )
    what = "tokens in a plot, with its genre and, if any, its title"
    figure, axes = length_histogram(title, tokens, [block_size], what)
    mark(axes, float(middle[1]), 1, TEXT, ":", f"median: {middle[1]:.0f} tokens")
    longer = int((tokens > block_size).sum())
    note = f"{longer:,} longer {'plot is' if longer == 1 else 'plots are'} cut" if longer else "no plot is cut"
    mark(axes, block_size, 0, RED, "--", f"block: {block_size:,} tokens, {note}")
    return figure


def times_seen(shares: pd.DataFrame) -> Figure:
    """Bars: the share of the tokens that training has seen 0, 1, 2, … times, by the way of feeding (a column each)."""
    last = max((times for times in shares.index if shares.loc[times].max() >= _LEAST), default=0)
    shares = shares.reindex(range(max(last, 1) + 1), fill_value=0.0)
    labels = [f"{times}" for times in shares.index]
    if len(shares) > _MOST_TIMES + 1:
        more = shares.iloc[_MOST_TIMES:].sum()
        shares = shares.iloc[: _MOST_TIMES + 1].copy()
        shares.iloc[_MOST_TIMES] = more
        labels = [*labels[:_MOST_TIMES], f"{_MOST_TIMES} or more"]
    never = ", ".join(f"{name} {percent(share)}" for name, share in shares.iloc[0].items())
    figure, axes = titled(f"Tokens never seen: {never}", 3.4)
    width = 0.8 / len(shares.columns)
    for place, (name, colour) in enumerate(zip(shares, (ORANGE, BLUE, GREEN), strict=False)):
        at = np.arange(len(shares)) + (place - (len(shares.columns) - 1) / 2) * width
        bars = axes.bar(at, 100 * shares[name], width * 0.94, color=colour, label=name)
        axes.bar_label(bars, [percent(share) for share in shares[name]], padding=2, color=TEXT, fontsize=9)
    axes.set_xticks(range(len(shares)), labels)
    axes.set_ylim(0, 112 * shares.to_numpy().max())
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("times a token was seen")
    axes.set_ylabel("share of all tokens, %")
    legend(axes)
    return figure


def loss_by_genre(losses: Mapping[str, GenreLoss]) -> Figure:
    """Held-out loss of each genre before and after training, the lowest after it on top."""
    table = pd.DataFrame({genre: vars(loss) for genre, loss in losses.items()}).T.sort_values(["after", "before"])
    better = int((table["after"] < table["before"]).sum())
    which = f"all {better}" if better == len(table) else f"{better} of {len(table)}"
    title = f"The held-out loss fell in {which} genres"
    drop = (table["before"] - table["after"])[table["plots"] >= _ENOUGH]
    if len(drop) > 1:
        title += f"; in those with {_ENOUGH} plots or more by {drop.min():.2f} to {drop.max():.2f} nats"
    figure, axes = titled(title, 1.5 + _ROW * len(table))
    rows = np.arange(len(table))
    axes.hlines(rows, table["after"], table["before"], color=GRID, linewidth=3)
    for name, colour, marker in (("before", ORANGE, "o"), ("after", BLUE, "D")):
        axes.scatter(table[name], rows, color=colour, marker=marker, s=38, label=f"{name} training", zorder=3)
    axes.set_yticks(rows, [f"{genre} ({plots:.0f})" for genre, plots in table["plots"].items()])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=STEPS))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(LOSS)
    axes.set_ylabel("genre (held-out plots)")
    legend(axes)
    return figure


def training_table(runs: GeneratorInfo | Mapping[str, GeneratorInfo]) -> pd.DataFrame:
    """What a training run took and gave: the info of one run, or the infos of several by name, a column each."""
    named = runs if isinstance(runs, Mapping) else {"value": runs}
    rows = {
        "held-out loss before, nats per token": "test_loss_before", "held-out loss after": "test_loss_after",
        "training steps": "steps", "tokens trained on": "train_tokens", "epochs over the training plots": "epochs",
        "share of padding": "padding_share", "parameters": "parameters", "parameters trained": "trained_parameters",
    }  # fmt: skip

    def column(metrics: GeneratorMetrics) -> list[str]:
        values = {key: getattr(metrics, key) for key in rows.values()}
        return [percent(value) if key == "padding_share" else number(value) for key, value in values.items()]

    columns = {name: column(info.metrics) for name, info in named.items()}
    return pd.DataFrame({"": list(rows)} | columns)


def comparison_table(models: pd.DataFrame) -> pd.DataFrame:
    """What `compare_generators` gives, with headings for readers."""
    names = {
        "parameters": "parameters", "test_loss": "test loss, nats per token",
        "tokens_per_second": "tokens per second", "distinct_2": "different word pairs",
        "repetition_rate": "plots that repeat themselves",
    }  # fmt: skip
    table = models.assign(repetition_rate=models["repetition_rate"].map(percent)).rename(columns=names)
    return table[list(names.values())].rename_axis("model").reset_index()


def dump_table(dump: pd.DataFrame) -> pd.DataFrame:
    """Each cell of a dump's grid: how many samples it has, how many ended by themselves, and their length in words."""
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
            "ended by themselves": [percent(share) for share in 1 - table["truncated"]],
            "words (median)": [f"{words:.0f}" for words in table["words"]],
        }
    )


def samples_in_training(samples: Sequence[WrittenAt]) -> Markdown:
    """What the model wrote at the start, in the middle and at the end of its training."""
    places = sorted({0, len(samples) // 2, len(samples) - 1})
    lists = {samples[i].step: _list([vars(sample) for sample in samples[i].samples]) for i in places}
    return Markdown("\n\n".join(f"**Step {step:,}**\n\n{plots}" for step, plots in lists.items()))


def plots_in_full(dump: pd.DataFrame) -> Markdown:
    """The samples of a dump as a list, in full: only for texts that a model wrote."""
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
            text = f"{title} (a title without an end)" if title else "(nothing)"
        lines.append(f"- *{sample['genre']}* {text}{' […]' if sample.get('truncated') else ''}")
    return "\n".join(lines)
