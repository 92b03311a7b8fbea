"""The references of an evaluation: real test plots, the same plots with shuffled words, and validation plots for MAUVE.

Test plots are the upper bound, as samples of a perfect generator; shuffled words are the lower bound. MAUVE compares
both, and the generators, with validation plots. All plots are sampled with the genres of the prompts, if there are
enough plots: a generator prompted equally for 26 genres writes fewer dramas than a catalogue contains, which must not
lower its MAUVE.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from movieplots.evaluation.genre_control import split_prompt
from movieplots.plots import imdb_title
from movieplots.texts import as_texts

REAL, SHUFFLED = "real test plots", "shuffled words"
MOST = 500  # plots of each: the 95 % CI of a share is then at most ±0.04 wide


def real_samples(plots: pd.DataFrame, prompts: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Return up to `MOST` test plots for the prompts, with columns `genre`, `title`, `plot` and `truncated`."""
    test = _sampled(plots[plots["split"] == "test"], prompts, seed)
    return pd.DataFrame(
        {
            "genre": test["prompt"].tolist(),
            "title": [imdb_title(row) for _, row in test.iterrows()],
            "plot": test["plot"].tolist(),
            "truncated": False,
        }
    )


def shuffled_words(samples: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return the samples with the words of all plots shuffled, and those of all titles; each text keeps its length."""
    rng = np.random.default_rng(seed)
    return samples.assign(**{name: _shuffled(samples[name].tolist(), rng) for name in ("title", "plot")})


def _shuffled(texts: list[str], rng: np.random.Generator) -> list[str]:
    words = [text.split() for text in texts]
    mixed = rng.permutation(np.array([word for text in words for word in text], object))
    ends = np.cumsum([len(text) for text in words])
    return [" ".join(mixed[end - len(text) : end]) for text, end in zip(words, ends, strict=True)]


def mauve_reference(plots: pd.DataFrame, prompts: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Return up to `MOST` validation plots for the prompts, with columns `plot` and `genres`; without prompts, any."""
    return _sampled(plots[plots["split"] == "validation"], prompts, seed)[["plot", "genres"]]


def _sampled(plots: pd.DataFrame, prompts: Sequence[str], seed: int) -> pd.DataFrame:
    """Return up to `MOST` different plots in random order, each with a `prompt` and all genres of it.

    The prompts have the same shares as in `prompts`, if there are enough plots. The remaining plots are any plots, each
    with one of its genres as the prompt.
    """
    rng = np.random.default_rng(seed)
    genres = [frozenset(names) for names in plots["genres"]]
    times = Counter(as_texts(prompts, "prompt"))
    asked = {prompt: frozenset(split_prompt(prompt)) for prompt in times}
    fitting = {
        prompt: [i for i, own in enumerate(genres) if wanted and wanted <= own] for prompt, wanted in asked.items()
    }
    chosen: dict[int, str] = {}
    # Rare prompts come first, before their plots are used for others.
    for prompt in sorted(fitting, key=lambda prompt: (len(fitting[prompt]), prompt)):
        free = [i for i in fitting[prompt] if i not in chosen]
        chosen |= dict.fromkeys(rng.permutation(free)[: MOST * times[prompt] // times.total()].tolist(), prompt)
    others = [i for i in range(len(plots)) if i not in chosen]
    for i in rng.permutation(others)[: MOST - len(chosen)].tolist():
        chosen[i] = str(rng.choice(sorted(genres[i]))) if genres[i] else ""
    places = sorted(chosen)
    found = plots.iloc[places].assign(prompt=[chosen[i] for i in places])
    return found.sample(frac=1, random_state=seed, ignore_index=True)
