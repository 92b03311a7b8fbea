"""Generators side by side: size, held-out loss, speed, and whether they repeat themselves."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from movieplots.generation.sampling import PlotGenerator
from movieplots.measures.diversity import distinct, repeats, shuffled
from movieplots.progress import track
from movieplots.words import number_words

SAMPLES = 64


def compare_generators(folders: Mapping[str, str | Path], samples: int = SAMPLES, seed: int = 0) -> pd.DataFrame:
    """One row a generator, by name; each writes the same number of plots, in genres drawn as in its training plots.

    Columns: `parameters`; `test_loss` (nats per token, from its training); `tokens_per_second`, writing those plots
    here and now, loading not counted; `distinct_2`, the share of different word pairs over as many words for each;
    `repetition_rate`, the share of plots in which four words in a row come three times.
    """
    rows, texts = [], []
    for name, folder in track(list(folders.items()), "Comparing generators"):
        generator = PlotGenerator.from_pretrained(folder)
        generator.generate(n=2, seed=seed, min_p=0.0)  # what is made on first use, for batches, is not counted
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
                "repetition_rate": sum(map(repeats, texts[-1])) / samples,
            }
        )
    numbered = [number_words(group, {}).select(shuffled(np.arange(samples), seed)) for group in texts]
    budget = min(len(group.codes) for group in numbered)
    for row, group in zip(rows, numbered, strict=True):
        row["distinct_2"] = distinct(group, 2, budget)
    return pd.DataFrame(rows).set_index("model")
