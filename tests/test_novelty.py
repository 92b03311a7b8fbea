"""Verbatim spans, novel n-grams and the most similar training plot: exact results on texts with known answers."""

import numpy as np
import pytest
from made_up import made_up

from movieplots.measures.copying import exact_copies, longest_spans, novel_ngrams, verbatim_spans
from movieplots.measures.similarity import nearest_by_embedding, nearest_by_words
from movieplots.words import number_words


def numbered(samples, training):
    vocabulary = {}
    return number_words(samples, vocabulary), number_words(training, vocabulary)


def naive_span(sample, start, training):
    """Return the length of the longest span of the sample from `start` that one training text contains."""
    best = 0
    for j in range(len(training)):
        n = 0
        while start + n < len(sample) and j + n < len(training) and sample[start + n] == training[j + n]:
            n += 1
        best = max(best, n)
    return best


@pytest.fixture
def few_words():
    """Texts over a vocabulary of twelve words, with long random spans, repetition and ties; some texts are empty."""
    rng = np.random.default_rng(0)
    samples = [made_up(rng, int(rng.integers(0, 40)), 12) for _ in range(15)] + [[]]
    training = [made_up(rng, int(rng.integers(1, 40)), 12) for _ in range(20)] + [[]]
    return samples, training, numbered([" ".join(text) for text in samples], [" ".join(text) for text in training])


@pytest.mark.parametrize("length", [5, 20, 60])
def test_a_planted_copy_is_found_at_its_exact_length(length):
    rng = np.random.default_rng(length)
    training = [made_up(rng, 80) for _ in range(50)]
    sample = ["before", "it", *training[31][7 : 7 + length], "after", "it"]
    samples, texts = numbered([", ".join(sample).upper()], [" ".join(text) for text in training])
    longest, at, row = longest_spans(samples, verbatim_spans(samples, texts))
    assert (longest[0], at[0], row[0]) == (length, 2, 31)
    assert not exact_copies(samples, texts)[0]


def test_a_span_does_not_cross_two_training_plots():
    samples, training = numbered(["a b c d"], ["x a b", "c d y"])
    assert verbatim_spans(samples, training).length.tolist() == [2, 1, 2, 1]


def test_spans_equal_a_naive_double_loop(few_words, monkeypatch):
    monkeypatch.setattr("movieplots.measures.copying._CHUNK", 7)  # several chunks
    samples, training, (sample_words, training_words) = few_words
    spans = verbatim_spans(sample_words, training_words)
    longest, at, rows = longest_spans(sample_words, spans)
    for i, sample in enumerate(samples):
        lengths = [max(naive_span(sample, start, text) for text in training) for start in range(len(sample))]
        assert spans.length[sample_words.starts[i] : sample_words.starts[i + 1]].tolist() == lengths
        assert longest[i] == max(lengths, default=0)
        if longest[i]:
            copied = " ".join(sample[at[i] : at[i] + longest[i]])
            assert f" {copied} " in f" {' '.join(training[rows[i]])} "


@pytest.mark.parametrize("n", range(1, 9))
def test_novel_ngrams_equal_sets(few_words, n, monkeypatch):
    monkeypatch.setattr("movieplots.measures.copying._CHUNK", 7)
    samples, training, (sample_words, training_words) = few_words
    seen = {tuple(text[i : i + n]) for text in training for i in range(len(text) - n + 1)}
    shares = novel_ngrams(sample_words, verbatim_spans(sample_words, training_words), n)
    for sample, share in zip(samples, shares, strict=True):
        ngrams = [tuple(sample[i : i + n]) for i in range(len(sample) - n + 1)]
        if ngrams:
            assert share == pytest.approx(sum(ngram not in seen for ngram in ngrams) / len(ngrams))
        else:
            assert np.isnan(share)


def test_exact_copies_ignore_case_and_punctuation():
    samples, training = numbered(["The sea, gives BACK!", "The sea gives", ""], ["The sea gives back", ""])
    assert exact_copies(samples, training).tolist() == [True, False, False]
    assert longest_spans(samples, verbatim_spans(samples, training))[0].tolist() == [4, 3, 0]


@pytest.mark.parametrize("common", [0.0, 0.4, 1.0])  # all words through the dense product, some, none
def test_the_nearest_by_words_equals_a_naive_double_loop(few_words, common, monkeypatch):
    monkeypatch.setattr("movieplots.measures.similarity._CHUNK", 6)
    monkeypatch.setattr("movieplots.measures.similarity._COMMON", common)
    samples, training, words = few_words
    nearest = nearest_by_words(*words)
    for i, sample in enumerate(samples):
        jaccard = [len({*sample} & {*text}) / (len({*sample} | {*text}) or 1) for text in training]
        if not sample:
            assert np.isnan(nearest.similarity[i])
        else:
            assert nearest.similarity[i] == pytest.approx(max(jaccard))
        assert nearest.row[i] == (int(np.argmax(jaccard)) if max(jaccard) else -1)


def test_the_nearest_by_words_of_texts_without_words():
    nothing = nearest_by_words(*numbered(["a b", ""], ["", ""]))
    assert np.isnan(nothing.similarity).all() and nothing.row.tolist() == [-1, -1]
    assert len(nearest_by_words(*numbered([], ["a"])).row) == 0
    assert nearest_by_words(*numbered(["x"], ["a", "b"])).similarity.tolist() == [0]


def test_the_nearest_by_embedding_equals_a_naive_double_loop(monkeypatch):
    monkeypatch.setattr("movieplots.measures.similarity._CHUNK", 7)
    rng = np.random.default_rng(1)
    samples, training = rng.normal(size=(9, 5)), rng.normal(size=(40, 5))
    samples, training = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (samples, training))
    samples[3] = training[21]
    samples[5], training[8] = np.nan, np.nan  # missing texts
    nearest = nearest_by_embedding(samples, training)
    for i in (0, 1, 2, 3, 4, 6, 7, 8):
        cosines = [sum(a * b for a, b in zip(samples[i], text, strict=True)) for text in training]
        cosines[8] = -2
        assert nearest.similarity[i] == pytest.approx(max(cosines), abs=1e-6)
        assert nearest.row[i] == int(np.argmax(cosines))
    assert nearest.similarity[3] == pytest.approx(1) and nearest.row[3] == 21
    assert np.isnan(nearest.similarity[5]) and nearest.row[5] == -1
    assert nearest_by_embedding(np.full((2, 1), np.nan), training).row.tolist() == [-1, -1]
    assert nearest_by_embedding(samples, np.empty((0, 5))).row.tolist() == [-1] * 9
