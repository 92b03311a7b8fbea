"""How often training has seen each token of the corpus: in passes over packed blocks, and in random windows.

Passes are even: after two and a half, half of the tokens have been seen twice and the others three times. Windows are
left to chance: after as many tokens some have never been seen, and others five times.
"""

import math

import numpy as np
import pandas as pd

from movieplots.generation.blocks import TrainingWindows


def seen_in_passes(passes: float) -> pd.Series:
    """The share of the tokens by the times they are seen in so many passes over shuffled blocks.

    It counts what blocks hold; of a plot that is longer than a block, the end is never seen.
    """
    whole = math.floor(passes)
    shares = pd.Series({whole: 1 - (passes - whole), whole + 1: passes - whole})
    return _from_zero(shares[shares > 0])


def seen_in_windows(stream: TrainingWindows, windows: int) -> pd.Series:
    """The share of the tokens by the times they stand in the first so many windows of the stream: counted."""
    counts = np.bincount(stream.times_seen(windows))
    return _from_zero(pd.Series(counts / counts.sum()))


def coverage(stream: TrainingWindows, window_passes: float, block_passes: float) -> pd.DataFrame:
    """Both ways side by side: a row for each number of times, from 0, and a column for each way.

    `window_passes` are the windows as a multiple of the corpus: at 1 they hold as many tokens as it has.
    """
    windows = seen_in_windows(stream, round(window_passes * len(stream.text) / stream.size))
    return pd.DataFrame({"random windows": windows, "shuffled blocks": seen_in_passes(block_passes)}).fillna(0.0)


def _from_zero(shares: pd.Series) -> pd.Series:
    """With a row for every number of times from 0 to the most."""
    return shares.reindex(range(max(shares.index) + 1), fill_value=0.0).rename_axis("times seen")
