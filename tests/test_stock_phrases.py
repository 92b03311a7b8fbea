"""Phrases that a generator writes far more often than its training plots have them."""

import pandas as pd

from movieplots.evaluation.stock_phrases import stock_phrases

TRAINING = pd.DataFrame(
    [(["war"], f"The soldiers of unit {i} march into a town called {i}.") for i in range(60)]
    + [(["drama"], f"Family {i} tries to keep house {i} together.") for i in range(60)],
    columns=["genres", "plot"],
)


def samples(*texts: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(texts, columns=["genre", "plot"])


def test_a_phrase_counts_against_training_plots_of_the_same_genres():
    written = [("war", f"The soldiers of unit {i} march. A young woman arrives in {i}.") for i in range(30)]
    found = stock_phrases(samples(*written), TRAINING)
    assert [each.phrase for each in found] == ["a young woman arrives in"]  # without its parts, and without war's own
    (each,) = found
    assert (each.samples, each.share, each.training_share) == (30, 1.0, 0.0)
    # A phrase of all training plots about war is far more frequent where no war was asked for.
    stray = stock_phrases(samples(*[("drama", text) for _, text in written]), TRAINING)
    assert "the soldiers of unit" in {each.phrase for each in stray}


def test_frequent_shares_are_weighted_by_the_prompts():
    plots = TRAINING.assign(plot=["In a small town" if i % 2 else "Elsewhere" for i in range(len(TRAINING))])
    (each,) = stock_phrases(
        samples(*[("war", "They find a body at last")] * 8, *[("war, drama", "In a small town")] * 8), plots
    )
    assert (each.phrase, each.samples) == ("they find a body at last", 8)


def test_few_samples_and_other_genres():
    few = samples(*[("war", "A young woman arrives.")] * 4)
    assert stock_phrases(few, TRAINING) == []
    assert stock_phrases(samples(), TRAINING) == []
    many = stock_phrases(samples(*[("western", f"A young woman arrives at gate {i}.") for i in range(9)]), TRAINING)
    assert [each.phrase for each in many] == ["a young woman arrives at gate"]
    texts = [("war", f"{a} {b} {a}") for a in "abcd" for b in "uv"] * 10
    assert len(stock_phrases(samples(*texts), TRAINING, most=3)) == 3
