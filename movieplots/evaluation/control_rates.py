"""How often a generator does what keywords and lengths in its prompts ask for, compared with prompts without them."""

import random
from dataclasses import dataclass

import numpy as np
import pandas as pd

from movieplots.generation.controls import LENGTHS, length_class
from movieplots.generation.keywords import contains, content_words
from movieplots.generation.sampling import PlotGenerator, Sample, SampleRequest
from movieplots.generation.sampling_settings import Sampling
from movieplots.intervals import Estimate, share_of

FILE_NAME = "control_rates.json"  # in the folder of a report


@dataclass(frozen=True)
class Rate:
    """A share of samples, and the share of samples from the same prompts without the control.

    Attributes
    ----------
    controlled : Estimate
        Share of the samples that have what the prompt asks for, 0 to 1.
    uncontrolled : Estimate
        The same share of samples from prompts that do not ask for it.
    """

    controlled: Estimate
    uncontrolled: Estimate


@dataclass(frozen=True)
class ControlRates:
    """Rates of a generator.

    Attributes
    ----------
    keyword : Rate
        Samples that contain the keyword of the prompt in any inflection.
    length : Rate
        Samples in the length class of the prompt. Each class has a third of the prompts.
    by_length : dict of str to Rate
        The same for each length class.
    """

    keyword: Rate
    length: Rate
    by_length: dict[str, Rate]


def control_rates(generator: PlotGenerator, plots: pd.DataFrame, n: int = 500, seed: int = 0) -> ControlRates:
    """Measure how often single samples at the default sampling options contain a keyword and have a length.

    Parameters
    ----------
    generator : PlotGenerator
        A generator that was trained with keywords and length.
    plots : pandas.DataFrame
        Plots that the generator was not trained on. A prompt has one genre and one content word of one of them.
    n : int, default 500
        Number of prompts for keywords, and for lengths, of which each class gets a third.
    seed : int, default 0
        Random seed.

    Returns
    -------
    ControlRates
        The rates with 95 % intervals.
    """
    rng = random.Random(seed)
    order = plots.sample(frac=1, random_state=seed)
    words = content_words(order["plot"].tolist())
    with_words = [(list(genres), found) for genres, found in zip(order["genres"], words, strict=True) if found][:n]
    prompts = [(rng.choice(genres), rng.choice(found)) for genres, found in with_words]
    lengths = [list(LENGTHS)[i % len(LENGTHS)] for i in range(len(prompts))]

    def request(i: int, **control: object) -> SampleRequest:
        return SampleRequest(prompts[i][0], Sampling(), f"{seed}-{i}", seed, **control)  # type: ignore[arg-type]

    requests = [
        *(request(i) for i in range(len(prompts))),
        *(request(i, keywords=(keyword,)) for i, (_, keyword) in enumerate(prompts)),
        *(request(i, length=length) for i, length in enumerate(lengths)),
    ]
    samples: dict[int, Sample] = {i: sample for i, sample, _ in generator.write(requests)}
    plain, with_keyword, with_length = (
        [samples[part * len(prompts) + i] for i in range(len(prompts))] for part in range(3)
    )
    keywords = [keyword for _, keyword in prompts]
    has_word, had_word = (
        np.array([contains(sample.plot, keyword) for sample, keyword in zip(group, keywords, strict=True)])
        for group in (with_keyword, plain)
    )
    has_length, had_length = (
        np.array([length_class(sample.plot) == length for sample, length in zip(group, lengths, strict=True)])
        for group in (with_length, plain)
    )
    by_length = {
        name: Rate(_share(has_length[of_class]), _share(had_length[of_class]))
        for name in LENGTHS
        if (of_class := np.array([length == name for length in lengths])).any()
    }
    return ControlRates(
        keyword=Rate(_share(has_word), _share(had_word)),
        length=Rate(_share(has_length), _share(had_length)),
        by_length=by_length,
    )


def _share(values: np.ndarray) -> Estimate:
    return share_of(int(values.sum()), len(values))
