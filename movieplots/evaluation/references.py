"""What the measures give for human writing and for noise: the ceiling and the floor beside every generator.

Three samples of held-out plots, none of them seen in training, in the genres that were prompted, as far as there are
plots: a generator that obeys prompts of 26 genres alike writes fewer dramas than a catalogue holds, and must not be
less like real plots for that. Test plots stand for samples of a perfect generator, each under the prompt it was drawn
for (the ceiling); the same texts with all their words dealt out anew are the floor; validation plots are what both, and
the generators, are compared with as a distribution.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from movieplots.evaluation.genre_control import split_prompt
from movieplots.plots import imdb_title
from movieplots.texts import as_texts

REAL, SHUFFLED = "real plots, held out", "shuffled words"
MOST = 500  # plots of each: enough for shares within four hundredths, and measured in seconds


def real_samples(plots: pd.DataFrame, prompts: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Up to `MOST` plots of the test split as samples for such prompts: `genre`, `title`, `plot`, `truncated`."""
    test = _drawn(plots[plots["split"] == "test"], prompts, seed)
    return pd.DataFrame(
        {
            "genre": test["prompt"].tolist(),
            "title": [imdb_title(row) for _, row in test.iterrows()],
            "plot": test["plot"].tolist(),
            "truncated": False,
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


def compared_with(plots: pd.DataFrame, prompts: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Up to `MOST` plots of the validation split for such prompts: `plot` and `genres`. Without prompts, any plots."""
    return _drawn(plots[plots["split"] == "validation"], prompts, seed)[["plot", "genres"]]


def _drawn(held_out: pd.DataFrame, prompts: Sequence[str], seed: int) -> pd.DataFrame:
    """`MOST` of the plots, or all, each once, with the `prompt` that it was drawn for, all genres of which it carries.

    Prompts have the shares that they have in `prompts`, as far as there are plots. The rest are any plots, each under
    one of its genres; so are all for prompts that no plot fits. The order is random: some measures take the first ones.
    """
    rng = np.random.default_rng(seed)
    carried = [frozenset(genres) for genres in held_out["genres"]]
    times = Counter(as_texts(prompts, "prompt"))
    asked = {prompt: frozenset(split_prompt(prompt)) for prompt in times}
    fitting = {
        prompt: [i for i, own in enumerate(carried) if wanted and wanted <= own] for prompt, wanted in asked.items()
    }
    drawn: dict[int, str] = {}
    for prompt in sorted(fitting, key=lambda prompt: (len(fitting[prompt]), prompt)):  # the rest can do without these
        free = [i for i in fitting[prompt] if i not in drawn]
        drawn |= dict.fromkeys(rng.permutation(free)[: MOST * times[prompt] // times.total()].tolist(), prompt)
    others = [i for i in range(len(held_out)) if i not in drawn]
    for i in rng.permutation(others)[: MOST - len(drawn)].tolist():
        drawn[i] = str(rng.choice(sorted(carried[i]))) if carried[i] else ""
    places = sorted(drawn)
    found = held_out.iloc[places].assign(prompt=[drawn[i] for i in places])
    return found.sample(frac=1, random_state=seed, ignore_index=True)
