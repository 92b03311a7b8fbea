"""MAUVE: nothing between equal sets and everything between sets that do not meet."""

import numpy as np
import pytest

from movieplots.evaluation.distribution import MIN_TEXTS, area, bucket_counts, mauve


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
    assert same["value"] > 0.9 > near["value"] > 0.1 > far["value"]
    for found in (same, near, far):
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1 and found["of"] == 300
    assert mauve(sets(seed=1), sets(seed=2)) == same


def test_missing_texts_are_left_out_and_few_texts_say_nothing():
    vectors = sets(MIN_TEXTS + 5)
    assert mauve(vectors[:-6], vectors) is mauve(vectors, vectors[:10]) is None
    vectors[:4] = np.nan
    assert mauve(vectors, sets())["of"] == MIN_TEXTS + 1
    vectors[:6] = np.nan
    assert mauve(vectors, sets()) is None


def test_every_embedding_lies_in_one_bucket():
    p, q = bucket_counts(sets(60), sets(90, seed=4), 7)
    assert p.sum() == 60 and q.sum() == 90 and len(p) == len(q) == 7
