"""What the measures give for human writing and for noise: the ceiling and the floor beside every generator.

Three samples of held-out plots, none of them seen in training. Test plots stand for samples of a perfect generator,
each under one of its genres (the ceiling); the same texts with all their words
dealt out anew are the floor; validation plots are what both, and the generators, are compared with as a distribution.
"""

import numpy as np
import pandas as pd

from movieplots.plots import markup_title

REAL, SHUFFLED = "real plots, held out", "shuffled words"
MOST = 500  # plots of each: enough for shares within four hundredths, and measured in seconds


def real_samples(plots: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Up to `MOST` plots of the test split as samples: `genre`, `title`, `plot`, `finished`."""
    test = plots[plots["split"] == "test"]
    test = test.sample(min(len(test), MOST), random_state=seed)
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "genre": [str(rng.choice(genres)) if genres else "" for genres in test["genres"]],
            "title": [markup_title(row) for _, row in test.iterrows()],
            "plot": test["plot"].tolist(),
            "finished": True,
        }
    )


def shuffled_words(samples: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The samples with the words of all their plots, and of all their titles, dealt out anew; lengths stay."""
    rng = np.random.default_rng(seed)
    return samples.assign(**{name: _dealt_out(samples[name].tolist(), rng) for name in ("title", "plot")})


def _dealt_out(texts: list[str], rng: np.random.Generator) -> list[str]:
    words = [text.split() for text in texts]
    dealt = rng.permutation(np.array([word for text in words for word in text], object))
    ends = np.cumsum([len(text) for text in words])
    return [" ".join(dealt[end - len(text) : end]) for text, end in zip(words, ends, strict=True)]


def compared_with(plots: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Up to `MOST` plots of the validation split: `plot` and `genres`."""
    validation = plots[plots["split"] == "validation"]
    return validation.sample(min(len(validation), MOST), random_state=seed)[["plot", "genres"]].reset_index(drop=True)
