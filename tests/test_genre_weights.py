"""Genre-weighted sampling of training plots, and the genre probabilities behind it."""

from collections import Counter

import numpy as np
import pytest

from movieplots.errors import BadInput
from movieplots.generation import genre_weights
from movieplots.generation.genre_weights import MAX_TIMES, genre_evidence, genre_weighted_times
from movieplots.generation.packing import PackedPlots
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.training import train_generator
from movieplots.plots import load_plots
from movieplots.pretrained.base_models import load_causal_lm


def test_typical_plots_and_rare_genres_are_shown_more_often(corpus, tiny_llama):
    tokenizer = PromptTokenizer(load_causal_lm(tiny_llama)[1], False)
    plots = load_plots(corpus, "train")
    times = genre_weighted_times(plots)
    assert [set(own) for own in times] == [set(genres) for genres in plots["genres"]]
    assert all(0 < expected <= MAX_TIMES for own in times for expected in own.values())
    sizes = plots["genres"].explode().value_counts()
    shown = {genre: sum(own.get(genre, 0) for own in times) for genre in sizes.index}
    assert sum(shown.values()) == pytest.approx(len(plots))  # if no plot reaches the maximum
    small, large = sizes.index[-1], sizes.index[0]
    assert shown[small] / sizes[small] > shown[large] / sizes[large]
    alone = [["western"], *[["drama"]] * (len(plots) - 1)]
    assert genre_weighted_times(plots.assign(genres=alone))[0] == {"western": MAX_TIMES}
    blocks = PackedPlots(plots, tokenizer, 256, seed=1, times=times)
    assert list(blocks.examples(2)) == list(PackedPlots(plots, tokenizer, 256, 1, times).examples(2))
    end = tokenizer.special_tokens["<|endofgenre|>"]
    counted: Counter[str] = Counter()
    for number in range(8):
        for example in blocks.examples(number):
            names = tokenizer.tokenizer.decode(example.input_ids[2 : example.input_ids.index(end)]).split(", ")
            if len(names) == 1:  # a quarter of the prompts of plots with several genres name several
                counted.update(names)
    assert counted[large] / 8 == pytest.approx(shown[large], rel=0.35)
    assert counted[large] > counted[small]


def test_genre_probabilities_are_cross_validated(corpus):
    plots = load_plots(corpus, "train")
    labels = sorted(plots["genres"].explode().unique())
    evidence = genre_evidence(plots, labels)
    assert evidence.shape == (len(plots), len(labels)) and (evidence >= 0).all() and (evidence <= 1).all()
    has = np.array([[label in genres for label in labels] for genres in plots["genres"]])
    assert evidence[has].mean() > 1.3 * evidence[~has].mean()  # predicted without training on the plot
    few = plots.head(40)
    assert np.array_equal(genre_evidence(few, labels), genre_evidence(few, labels))
    group = plots["group"].iloc[0]
    together = plots.assign(group=group)  # nothing is left to train on
    assert not genre_evidence(together, labels).any()


def test_probabilities_of_the_same_plots_are_cached(small_corpus, monkeypatch):
    """For a restart with a smaller batch, or a second training in a notebook."""
    asked = []

    def evidence(plots, labels):
        asked.append(plots)
        return np.zeros((len(plots), len(labels)))

    monkeypatch.setattr(genre_weights, "_cache", {})
    monkeypatch.setattr(genre_weights, "genre_evidence", evidence)
    plots = load_plots(small_corpus, "train")
    times = genre_weighted_times(plots)
    assert genre_weighted_times(plots) == times and len(asked) == 1
    others = (
        {"group": range(len(plots))},
        {"plot": plots["plot"].to_numpy()[::-1]},
        {"genres": [["war"], ["drama"]] * (len(plots) // 2)},
    )
    for number, other in enumerate(others, 2):
        genre_weighted_times(plots.assign(**other))
        assert len(asked) == number


def test_random_crops_cannot_be_genre_weighted(corpus, tmp_path):
    with pytest.raises(BadInput, match="--sampler genre-weighted needs --packing packed"):
        train_generator(corpus, "gpt2", tmp_path / "out", packing="random-crops", sampler="genre-weighted")
    with pytest.raises(BadInput, match="--sampler must be uniform or genre-weighted, not 'even'"):
        train_generator(corpus, "gpt2", tmp_path / "out", sampler="even")
