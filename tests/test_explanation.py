"""Which words pushed a genre: on a classifier whose reasons are known, and on a trained one."""

import numpy as np
import pytest
from scipy.special import expit

from movieplots import GenreClassifier
from movieplots.classification.explanation import (
    at_random,
    deletion,
    explain,
    integrated_gradients,
    occlusion,
    word_spans,
)

TEXT = "A haunted house, the sheriff's house: haunted no more."


class KnownEngine:
    """The log-odds of horror are 2 for each `haunted` less 3; those of western 4 for `sheriff's` less 3."""

    max_tokens = 512

    def logits(self, texts):
        return np.array([[2.0 * text.count("haunted") - 3, 4.0 * text.count("sheriff's") - 3] for text in texts])

    def logits_without(self, texts, hidden):
        return self.logits([hide(text, spans) for text, spans in zip(texts, hidden, strict=True)])


def hide(text, spans, mask="[MASK]"):
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + mask + text[end:]
    return text


@pytest.fixture
def known():
    return GenreClassifier(KnownEngine(), {"labels": ["horror", "western"], "thresholds": [0.5, 0.5]})


def test_words_keep_their_apostrophes_and_lose_their_commas():
    assert [TEXT[start:end] for start, end in word_spans(TEXT)] == [
        "A", "haunted", "house", "the", "sheriff's", "house", "haunted", "no", "more",
    ]  # fmt: skip


def test_occlusion_finds_the_reasons(known):
    explanation = explain(known, TEXT)
    assert list(explanation.effects) == ["horror", "western"]
    assert explanation.strongest("horror") == [("haunted", 2.0)]
    assert explanation.strongest("western") == [("sheriff's", 4.0)]
    assert explain(known, TEXT, ["horror"]).effects["horror"].tolist() == [0, 2, 0, 0, 0, 0, 2, 0, 0]


def test_hiding_the_reasons_lowers_the_probability_more_than_hiding_others(known):
    texts = [TEXT, "The sheriff's horse is tired of him and of the town."]
    drop = deletion(known, texts, occlusion)
    assert drop == pytest.approx([expit(1) - expit(-3)] * 2)
    assert deletion(known, texts, lambda *arguments: -occlusion(*arguments)).tolist() == [0, 0]


def test_integrated_gradients_add_up_to_what_hiding_all_words_takes_away(classifier):
    """Completeness (Sundararajan et al. 2017): the effects of all tokens sum to the difference of the two ends."""
    loaded = GenreClassifier.from_pretrained(classifier[0])
    text = "A sheriff rides into a town that has forgotten its name"
    effects = integrated_gradients(loaded, text, [0, 1])
    assert effects.shape == (11, 2)
    encoding = loaded.engine.tokenizer(text).encodings[0]
    tokens = [(start, end) for start, end in encoding.offsets if start < end]
    ends = loaded.engine.logits_without([text, text], [[], tokens])[:, [0, 1]]
    assert effects.sum(axis=0) == pytest.approx(ends[0] - ends[1], abs=0.05 * np.abs(ends[0] - ends[1]).max() + 1e-3)


def test_a_plot_without_a_genre_is_explained_by_its_likeliest(classifier):
    loaded = GenreClassifier.from_pretrained(classifier[0])
    loaded.thresholds = np.ones(len(loaded.labels))
    explanation = explain(loaded, "A sheriff rides into town.")
    assert len(explanation.effects) == 1 and len(explanation.words) == 5
    assert at_random(loaded, "A sheriff.", [0]).shape == (2, 1)
