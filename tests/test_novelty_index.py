"""The novelty index: what it finds, and that it contains no text."""

import numpy as np
import pytest

from movieplots import load_plots
from movieplots.errors import BadInput
from movieplots.measures.copying import longest_spans, verbatim_spans
from movieplots.measures.novelty_index import NGRAM, NearestPlot, NoveltyIndex, load_comparison
from movieplots.words import number_words, split_words


def embed(texts):
    """Return bags of letters of unit length."""
    counts = np.array([[text.lower().count(letter) + 0.1 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def plots(corpus):
    return load_plots(corpus, "train")


@pytest.fixture(scope="module")
def index(plots):
    return NoveltyIndex.build(plots["title"].tolist(), plots["plot"].tolist(), embed)


def test_a_training_plot_is_found(plots, index):
    some = plots.iloc[::20]
    found = index.compare(some["plot"].tolist(), embed)
    assert [nearest.span_title for nearest in found] == some["title"].tolist()
    assert all(nearest.similarity > 0.99 and nearest.copied for nearest in found)
    assert [nearest.longest_verbatim_span for nearest in found] == [len(split_words(plot)) for plot in some["plot"]]


def test_spans_equal_those_of_the_exact_search(plots, index, corpus):
    """Compare with the search of the evaluation, on test plots and on parts of a training plot."""
    words = plots["plot"].iloc[3].split()
    samples = [
        *load_plots(corpus, "test")["plot"].iloc[:40],
        *(" ".join(["zyzzyva", *words[4 : 4 + length], "quokka", *words[:3]]) for length in range(3, 26)),
    ]
    vocabulary: dict[str, int] = {}
    training = number_words(plots["plot"].tolist(), vocabulary)
    numbered = number_words(samples, vocabulary)
    exact = longest_spans(numbered, verbatim_spans(numbered, training))[0].tolist()
    found = [nearest.longest_verbatim_span for nearest in index.compare(samples, embed)]
    assert found == [length if length >= NGRAM else 0 for length in exact]


def test_it_is_the_same_after_saving_and_contains_no_text(plots, index, tmp_path):
    index.save(tmp_path / "novelty.npz")
    again = NoveltyIndex.load(tmp_path / "novelty.npz")
    some = plots["plot"].tolist()[:5]
    assert again.compare(some, embed) == index.compare(some, embed)
    with np.load(tmp_path / "novelty.npz", allow_pickle=False) as arrays:
        everything = b"".join(arrays[name].tobytes() for name in arrays)
    assert plots["title"].iloc[0].encode() in everything
    assert not any(plot[:30].encode() in everything for plot in some)


def test_short_and_empty_corpora():
    index = NoveltyIndex.build(["One"], ["A short plot."], embed)
    (nearest,) = index.compare(["A short plot."], embed)
    assert (nearest.title, nearest.longest_verbatim_span, nearest.span_title) == ("One", 0, "")
    assert not nearest.copied


@pytest.mark.filterwarnings("error")
def test_a_text_without_words_has_no_nearest_plot(tmp_path):
    """An embedder may return zeros, NaN, or a vector without meaning for it."""
    vectors = {"…": [np.nan, 0], "?": [0, 0], "!": [1, 0], "the sea": [1, 0], "the land": [-1, 0]}

    def some(texts):
        return np.array([vectors[text] for text in texts])

    wordless = ["…", "?", "!"]
    built = NoveltyIndex.build([*wordless, "Sea"], [*wordless, "the sea"], some)
    built.save(tmp_path / "novelty.npz")
    for index in (built, NoveltyIndex.load(tmp_path / "novelty.npz")):
        assert index.vectors.tolist() == [[0, 0]] * 3 + [[127, 0]] and np.isfinite(index.scales).all()
        assert [(found.title, found.similarity) for found in index.compare(wordless, some)] == [("", 0)] * 3
        assert index.compare(["the land"], some)[0] == NearestPlot("Sea", pytest.approx(-1), 0, "")
    found = NoveltyIndex.build(wordless, wordless, some).compare(["the sea", "?"], some)
    assert found == [NearestPlot("", 0, 0, "")] * 2


def test_an_index_of_another_embedder_is_rejected(plots, tmp_path):
    index = NoveltyIndex.build(["One"], ["A short plot."], embed, embedder="minilm-l6-9.9")
    index.save(tmp_path / "novelty.npz")
    with pytest.raises(BadInput, match=r"made with the sentence embedder minilm-l6-9\.9, not with minilm-l6-0"):
        load_comparison(tmp_path / "novelty.npz")


def test_another_file_is_rejected(tmp_path):
    (tmp_path / "other").write_text("nothing")
    for name in ("other", "missing"):
        with pytest.raises(BadInput, match="is not a novelty index: run `movieplots novelty` to make one"):
            NoveltyIndex.load(tmp_path / name)


def test_a_span_of_several_plots_has_the_title_of_the_one_with_most_of_it():
    words = [f"w{number}" for number in range(31)]
    plots = [" ".join(words[:16]), " ".join(words[9:31])]
    index = NoveltyIndex.build(["First", "Second"], plots, lambda texts: np.eye(2, dtype=np.float32)[: len(texts)])
    (found,) = index.compare([" ".join(words)], lambda texts: np.ones((len(texts), 2), dtype=np.float32))
    assert (found.longest_verbatim_span, found.span_title, found.copied) == (31, "Second", True)
