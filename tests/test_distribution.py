"""MAUVE: nothing between equal sets and everything between sets that do not meet."""

import numpy as np
import pytest

from movieplots.measures.mauve import MIN_TEXTS, area, bucket_counts, mauve


def sets(n=300, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 12)) + shift
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_area_by_hand():
    p = np.array([0.5, 0.5])
    assert area(p, p) == pytest.approx(1)
    # Two histograms that do not meet: the divergences from a mixture with share w are -log(1 - w) and -log w, the
    # curve is ((1 - w)^5, w^5), and the area under it the integral of 5 w^5 (1 - w)^4, which is 5 B(6, 5).
    assert area(np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(5 / 1260, rel=0.03)
    many = area(np.array([p, [1.0, 0]]), np.array([p, [0, 1.0]]))
    assert many == pytest.approx([1, area(np.array([1.0, 0]), np.array([0, 1.0]))])


def test_equal_distributions_score_high_and_different_ones_low():
    same, near, far = (mauve(sets(seed=1), sets(seed=2, shift=shift)) for shift in (0, 0.5, 3))
    assert same.value > 0.9 > near.value > 0.1 > far.value
    for found in (same, near, far):
        assert 0 <= found.low <= found.value <= found.high <= 1 and found.of == 300
    assert mauve(sets(seed=1), sets(seed=2)) == same


def test_few_texts_say_nothing():
    vectors = sets(MIN_TEXTS)
    assert mauve(vectors[1:], vectors) is mauve(vectors, vectors[:10]) is None
    assert mauve(vectors, vectors).of == MIN_TEXTS


def test_samples_without_words_are_as_unlike_real_plots_as_can_be():
    samples, real = sets(200, seed=1), sets(seed=2)
    values = []
    for missing in (0, 50, 150, 200):
        samples[:missing] = np.nan
        values.append(mauve(samples, real).value)
    assert values[0] > 0.9 and values == sorted(values, reverse=True) and values[-1] < 0.01
    assert mauve(np.full((60, 1), np.nan), real).value == pytest.approx(values[-1])


def test_every_embedding_lies_in_one_bucket():
    samples = sets(60)
    samples[:9] = np.nan
    p, q = bucket_counts(samples, sets(90, seed=4), 7)
    assert p.sum() == 60 and q.sum() == 90 and len(p) == len(q) == 8
    assert p[-1] == 9 and q[-1] == 0
