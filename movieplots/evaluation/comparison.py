"""Comparison of generators: size, test cross-entropy, throughput, diversity and repetition."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from movieplots.generation.sampling import PlotGenerator
from movieplots.measures.diversity import distinct, is_repetitive, shuffled
from movieplots.progress import track
from movieplots.words import number_words

SAMPLES = 64


def compare_generators(folders: Mapping[str, str | Path], samples: int = SAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return the size, test loss, throughput, diversity and repetition rate of each generator.

    Each generator writes the same number of plots. Their genres are sampled with the frequencies of its training plots.

    Parameters
    ----------
    folders : mapping of str to str or Path
        Folder of each generator, by the name to use for it.
    samples : int, default 64
        Number of plots that each generator writes.
    seed : int, default 0
        Random seed of the plots.

    Returns
    -------
    pandas.DataFrame of shape (n_generators, 5)
        One row per generator, with its name as the index and these columns:

        - `parameters`: number of parameters
        - `test_loss`: cross-entropy on the test split in nats/token, as measured in training
        - `tokens_per_second`: throughput on this machine, without loading
        - `repetition_rate`: share of plots, 0 to 1, in which a 4-gram of words occurs three times or more
        - `distinct_2`: distinct bigrams per word, 0 to 1, counted over the same number of words for every generator

    Raises
    ------
    BadInput
        If a folder does not contain a generator.

    Notes
    -----
    Distinct-n is that of `Li et al. (2016) <https://arxiv.org/abs/1510.03055>`_.

    Examples
    --------
    >>> from movieplots.evaluation.comparison import compare_generators
    >>> from movieplots.pretrained import shipped
    >>> table = compare_generators({"pretrained": shipped.GENERATOR}, samples=1)
    >>> table.index.tolist(), table.columns.tolist()
    (['pretrained'], ['parameters', 'test_loss', 'tokens_per_second', 'repetition_rate', 'distinct_2'])
    """
    rows, texts = [], []
    for name, folder in track(list(folders.items()), "Comparing generators"):
        generator = PlotGenerator.from_pretrained(folder)
        generator.generate(n=2, seed=seed, min_p=0.0)  # warm up: setup on first use is not counted
        start = time.perf_counter()
        written = generator.generate(n=samples, seed=seed, min_p=0.0)
        seconds = time.perf_counter() - start
        tokens = sum(len(generator.tokenizer.encode(text)) for s in written for text in (s.title, s.plot))
        texts.append([sample.plot for sample in written])
        rows.append(
            {
                "model": name,
                "parameters": generator.info.metrics.parameters,
                "test_loss": generator.info.metrics.test_loss_after,
                "tokens_per_second": tokens / seconds,
                "repetition_rate": sum(map(is_repetitive, texts[-1])) / samples,
            }
        )
    numbered = [number_words(group, {}).select(shuffled(np.arange(samples), seed)) for group in texts]
    budget = min(len(group.codes) for group in numbered)
    for row, group in zip(rows, numbered, strict=True):
        row["distinct_2"] = distinct(group, 2, budget)
    return pd.DataFrame(rows).set_index("model")
