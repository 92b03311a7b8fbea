"""How often training has seen each token of the corpus: in epochs of packed plots, and in random crops.

Epochs are even: after two and a half, half of the tokens have been seen twice and the others three times. Random crops
are left to chance: after as many tokens some have never been seen, and others five times.
"""

import math

import numpy as np
import pandas as pd

from movieplots.generation.packing import RandomCrops


def seen_in_epochs(epochs: float) -> pd.Series:
    """The share of the tokens by the times they are seen in so many epochs of packed plots.

    It counts what sequences hold; of a plot that is longer than one, the end is never seen.
    """
    whole = math.floor(epochs)
    shares = pd.Series({whole: 1 - (epochs - whole), whole + 1: epochs - whole})
    return _from_zero(shares[shares > 0])


def seen_in_crops(stream: RandomCrops, crops: int) -> pd.Series:
    """The share of the tokens by the times they stand in the first so many crops of the stream: counted."""
    counts = np.bincount(stream.times_seen(crops))
    return _from_zero(pd.Series(counts / counts.sum()))


def coverage(stream: RandomCrops, crop_epochs: float, packed_epochs: float) -> pd.DataFrame:
    """Both ways side by side: a row for each number of times, from 0, and a column for each way.

    `crop_epochs` are the crops as a multiple of the corpus: at 1 they hold as many tokens as it has.
    """
    crops = seen_in_crops(stream, round(crop_epochs * len(stream.text) / stream.size))
    return pd.DataFrame({"random crops": crops, "packed plots": seen_in_epochs(packed_epochs)}).fillna(0.0)


def _from_zero(shares: pd.Series) -> pd.Series:
    """With a row for every number of times from 0 to the most."""
    return shares.reindex(range(max(shares.index) + 1), fill_value=0.0).rename_axis("times seen")
