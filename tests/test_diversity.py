"""Do samples vary: distinct n-grams, self-BLEU, repeats, and the intervals that measured numbers get."""

import numpy as np
import pytest
import sacrebleu

from movieplots.evaluation import diversity
from movieplots.evaluation.diversity import repeats, unique_share
from movieplots.intervals import average, jackknife, median, share
from movieplots.words import number_words


def distinct(texts, n, budget=None):
    return diversity.distinct(number_words(texts, {}), n, budget)


def self_bleu(texts):
    return diversity.self_bleu(number_words(texts, {}))


def test_distinct_counts_ngrams_per_word():
    texts = ["a b a b", "a c"]
    assert distinct(texts, 1) == pytest.approx(3 / 6)
    assert distinct(texts, 2) == pytest.approx(3 / 6)  # ab, ba, ac: no pair crosses from one text into the next
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


def test_a_loop_is_four_words_three_times():
    assert repeats("and then the dog. " * 3)
    assert not repeats("and then the dog. " * 2)
    assert not repeats("the dog " * 2)
    assert not repeats("")


def test_intervals_are_seeded_and_never_claim_certainty():
    values = np.array([1.0] * 12 + [0.0] * 28)
    found = share(values)
    assert found == share(values) and found.value == 0.3 and found.of == 40
    assert 0.1 < found.low < 0.3 < found.high < 0.5
    none = share(np.zeros(100))
    assert none.low == 0 and none.high == pytest.approx(0.03, abs=0.001)
    assert share(np.array([np.nan])) is average(np.array([])) is median(np.array([np.nan])) is None


def test_intervals_of_means_and_medians_hold_the_truth_nearly_always():
    rng = np.random.default_rng(5)
    held = {average: 0, median: 0}
    for _ in range(100):
        values = rng.normal(7, 2, size=80)
        for sum_up in held:
            found = sum_up(values)
            held[sum_up] += found.low <= 7 <= found.high
    assert min(held.values()) >= 88
    values[::2] = np.nan
    assert average(values).of == 40
