"""Diversity of samples: distinct n-grams, self-BLEU, repetition, and the intervals of all measures."""

from dataclasses import astuple

import numpy as np
import pytest
import sacrebleu
from scipy.stats import binom
from scipy.stats import t as student

from movieplots.intervals import around, average, jackknife, mean_of, median, share
from movieplots.measures import diversity
from movieplots.measures.diversity import is_repetitive, unique_share
from movieplots.words import number_words


def distinct(texts, n, budget=None):
    return diversity.distinct(number_words(texts, {}), n, budget)


def self_bleu(texts):
    return diversity.self_bleu(number_words(texts, {}))


def test_distinct_counts_ngrams_per_word():
    texts = ["a b a b", "a c"]
    assert distinct(texts, 1) == pytest.approx(3 / 6)
    assert distinct(texts, 2) == pytest.approx(3 / 6)  # ab, ba, ac: no bigram crosses two texts
    assert distinct(texts, 1, budget=4) == pytest.approx(2 / 4)
    assert distinct([], 2) == distinct([""], 2) == 0.0


def test_the_interval_of_distinct_leaves_out_one_text_at_a_time():
    rng = np.random.default_rng(2)
    texts = [" ".join(f"w{n}" for n in rng.integers(60, size=25)) for _ in range(30)]
    found = diversity.distinct_estimate(number_words(texts, {}), 2)
    without = np.array([distinct(texts[:i] + texts[i + 1 :], 2) for i in range(30)])
    assert found == pytest.approx(jackknife(distinct(texts, 2), without))
    assert 0 < found.low < found.value < found.high < 1


def test_unique_share():
    assert unique_share(["a", "b", "a", "a"]).value == pytest.approx(2 / 4)
    assert unique_share([]) is None


def naive_self_bleu(texts):
    metric = sacrebleu.BLEU(effective_order=True, tokenize="none", smooth_method="exp")
    return [
        metric.sentence_score(text, texts[:i] + texts[i + 1 :]).score / 100 if text else np.nan
        for i, text in enumerate(texts)
    ]


def test_self_bleu_equals_sacrebleu_against_all_others():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.integers(9, size=size)) for size in rng.integers(1, 25, size=30)]
    texts += ["", "new words only", texts[3], "w1 w2", "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a"]
    scores = self_bleu(texts)
    naive = naive_self_bleu(texts)
    assert scores == pytest.approx(naive, nan_ok=True)
    assert scores[3] == pytest.approx(1)
    assert np.isnan(self_bleu(["alone here"])).all() and not len(self_bleu([]))


def test_the_interval_of_self_bleu_leaves_out_one_text_at_a_time(monkeypatch):
    monkeypatch.setattr(diversity, "_AT_ONCE", 7)
    rng = np.random.default_rng(3)
    texts = [" ".join(f"w{n}" for n in rng.integers(9, size=size)) for size in rng.integers(1, 12, size=20)]
    texts += ["", "new words only", texts[3], "a b", "w1 w1 w1 w1", "w1 w1"]
    found = diversity.self_bleu_estimate(number_words(texts, {}))
    scores = np.array([score for score in self_bleu(texts) if not np.isnan(score)])
    without = [np.nanmean(self_bleu(texts[:i] + texts[i + 1 :])) for i, text in enumerate(texts) if text]
    expected = around(scores.mean(), (scores.var() / 25 + 24 * np.var(without)) / 2, 25)
    assert astuple(found) == pytest.approx(astuple(expected))
    assert diversity.self_bleu_estimate(number_words(["alone here"], {})) is None
    two = diversity.self_bleu_estimate(number_words(["a b", "a b"], {}))
    assert astuple(two) == (pytest.approx(1), 0, 1, 1)


def test_the_interval_of_self_bleu_has_the_right_width():
    """Texts from some templates are similar to each other; if treated as independent, the ratio would be 0.7."""
    rng, n = np.random.default_rng(4), 30

    def texts():
        return [
            " ".join(f"t{template}w{i}" if rng.random() < 0.7 else f"v{rng.integers(400)}" for i in range(12))
            for template in rng.integers(30, size=n)
        ]

    found = [diversity.self_bleu_estimate(number_words(texts(), {})) for _ in range(100)]
    claimed = np.mean([(each.high - each.low) / 2 / student.ppf(0.975, n - 1) for each in found])
    assert 0.85 < claimed / np.std([each.value for each in found]) < 1.15


@pytest.mark.parametrize(("kinds", "n"), [(30, 66), (300, 66), (3_000, 20)])
def test_the_interval_of_a_unique_share_covers_the_true_value(kinds, n):
    rng = np.random.default_rng(4)
    found = [unique_share(rng.integers(kinds, size=n).tolist()) for _ in range(300)]
    true = kinds * (1 - (1 - 1 / kinds) ** n) / n
    assert np.mean([each.low <= true <= each.high for each in found]) > 0.91


def test_if_all_are_different_the_interval_is_not_empty():
    assert unique_share(list(range(66))) == share(np.ones(66))
    assert unique_share(["a"] * 66).low < 1 / 66 < unique_share(["a"] * 66).high


def test_with_a_budget_the_length_of_a_text_does_not_matter():
    """Longer texts of equal diversity leave fewer words of the budget, but have as many distinct ones per word."""
    texts = number_words([" ".join(f"w{i}_{n}" for n in range(4 + 9 * (i % 2))) for i in range(40)], {})
    found = diversity.distinct_estimate(texts, 1, len(texts.codes))
    assert found.low == pytest.approx(found.high)


def test_a_text_is_repetitive_if_a_4_gram_occurs_three_times():
    assert is_repetitive("and then the dog. " * 3)
    assert not is_repetitive("and then the dog. " * 2)
    assert not is_repetitive("the dog " * 2)
    assert not is_repetitive("")


def test_intervals_are_seeded_and_never_empty():
    values = np.array([1.0] * 12 + [0.0] * 28)
    found = share(values)
    assert found == share(values) and found.value == 0.3 and found.of == 40
    assert 0.1 < found.low < 0.3 < found.high < 0.5
    none = share(np.zeros(100))
    assert none.low == 0 and none.high == pytest.approx(0.037, abs=0.001)
    assert share(np.array([np.nan])) is average(np.array([])) is median(np.array([np.nan])) is None


@pytest.mark.parametrize("true", [0.02, 0.05, 0.1, 0.3, 0.98])
@pytest.mark.parametrize("n", [20, 66])
def test_intervals_of_shares_have_their_nominal_coverage(n, true):
    found = [share(np.arange(n) < count) for count in range(n + 1)]
    covered = np.array([each.low <= true <= each.high for each in found])
    assert binom.pmf(np.arange(n + 1), n, true) @ covered > 0.92


def test_the_interval_of_a_mean_of_shares_is_not_empty_if_all_are_one():
    mean = mean_of([share(np.ones(10)), share(np.ones(30))])
    assert (mean.value, mean.high, mean.of) == (1, 1, 40) and 0.8 < mean.low < 0.9
    half = mean_of([share(np.arange(400) < 200)] * 4)
    assert half.high - half.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(1600), rel=0.01)


def test_intervals_of_means_and_medians_have_about_their_nominal_coverage():
    rng = np.random.default_rng(5)
    covered = {average: 0, median: 0}
    for _ in range(100):
        values = rng.normal(7, 2, size=80)
        for aggregate in covered:
            found = aggregate(values)
            covered[aggregate] += found.low <= 7 <= found.high
    assert min(covered.values()) >= 88
    values[::2] = np.nan
    assert average(values).of == 40
