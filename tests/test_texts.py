"""Texts as callers hand them over: any sequence by position, and a clear error for everything else."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from movieplots import BadInput, GenreClassifier, PlotGenerator, load_plots, prepare, sample_dump
from movieplots.classification.assessment import predictions
from movieplots.classification.baseline import fit_baselines
from movieplots.classification.explanation import deletion, explain, occlusion
from movieplots.classification.training import train_classifier
from movieplots.evaluation.genre_control import genre_control
from movieplots.evaluation.references import mauve_reference
from movieplots.genres import check_genres, coarsen, map_tags
from movieplots.measures.embedding import load_embedder
from movieplots.measures.novelty_index import NoveltyIndex, load_comparison
from movieplots.measures.sentence_encoder import SentenceEncoder
from movieplots.measures.title_quality import title_parts
from movieplots.preparation.language import detect_languages
from movieplots.pretrained import shipped
from movieplots.pretrained.batches import in_batches
from movieplots.reporting.classification import words_marked
from movieplots.sources.fetching import fetch_missing
from movieplots.texts import as_names, as_text, as_texts, opening
from movieplots.words import number_words

TEXTS = [
    "A ghost haunts the old mill at night and kills the miller.",
    "A stand-up comedian riffs on dating and marriage.",
    "Two lovers meet in Rome and fall in love again, which is a long story, told slowly.",
]


def column(texts):
    import datasets

    return datasets.Dataset.from_dict({"plot": texts})["plot"]


# Ways to hand over the same texts; each gives a new object from a list.
KINDS = {
    "list": list,
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "dict's values": lambda texts: dict(enumerate(texts)).values(),
    "shuffled Series": lambda texts: pd.Series(texts, index=[2, 0, 1]),
    "filtered Series": lambda texts: pd.Series(["gone", *texts])[1:],
    "Series of objects": lambda texts: pd.Series(texts, index=list("abc"), dtype=object),
    "Series with a label of its own": lambda texts: pd.Series(texts, index=["columns", "x", "y"]),
    "array": np.array,
    "array of objects": lambda texts: np.array(texts, object),
    "Arrow array": pa.array,
    "Arrow chunks": lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
    "Arrow scalars": lambda texts: list(pa.array(texts)),
    "column of datasets": column,
}

# Invalid arguments, each with a part of the message.
BAD = {
    "string": (lambda: TEXTS[0], "are a single string: pass a list"),
    "bytes": (lambda: b"A ghost.", "are a single string of bytes: pass a list"),
    "set": (lambda: set(TEXTS), "are a set, which has no order"),
    "dict": (lambda: dict(enumerate(TEXTS)), "type dict, which is not a list"),
    "DataFrame": (lambda: pd.DataFrame({"plot": TEXTS}), "type DataFrame.*one of its columns"),
    "Arrow table": (lambda: pa.table({"plot": TEXTS}), "type Table.*one of its columns"),
    "nothing": (lambda: None, "type NoneType, which is not a list"),
    "number": (lambda: 3, "type int, which is not a list"),
    "no dimension": (lambda: np.array(TEXTS[0]), "type ndarray, which is not a list"),
    "a number among them": (lambda: [*TEXTS[:2], 3], " 3 is not a text but has the type int"),
    "bytes among them": (lambda: [*TEXTS[:2], b"A ghost."], " 3 is not a text.*bytes: decode them first"),
    "a list among them": (lambda: [*TEXTS[:2], TEXTS], " 3 is not a text but has the type list"),
    "rows": (lambda: np.array([TEXTS]), " 1 is not a text but has the type ndarray"),
    "half a character": (
        lambda: [*TEXTS[:2], "A gh\ud83dost."],
        r" 3 contains half of a surrogate pair, '\\ud83d' at position 5",
    ),
}
MISSING = {
    "None": lambda: [*TEXTS[:2], None],
    "NaN": lambda: [*TEXTS[:2], float("nan")],
    "NaN of 32 bits": lambda: [*TEXTS[:2], np.float32("nan")],
    "NA": lambda: [*TEXTS[:2], pd.NA],
    "NaT": lambda: [*TEXTS[:2], pd.NaT],
    "Series": lambda: pd.Series([*TEXTS[:2], None], index=[2, 0, 1]),
    "Arrow": lambda: pa.array([*TEXTS[:2], None]),
    "Arrow scalars": lambda: list(pa.array([*TEXTS[:2], None])),
}


@pytest.fixture(scope="module")
def shipped_classifier():
    return GenreClassifier.from_pretrained(shipped.CLASSIFIER)


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder()


@pytest.fixture(scope="module")
def comparison():
    return load_comparison(shipped.NOVELTY)


@pytest.fixture(scope="module")
def index():
    return NoveltyIndex.build(["The Mill", "Stand-up", "Rome"], TEXTS, lengths)


def lengths(texts):
    """An embedding of two dimensions, of length 1."""
    angles = np.array([len(text) for text in texts]) / 100
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


# The public functions that take texts, as functions of texts and of what the fixtures hold.
FUNCTIONS = {
    "as_texts": lambda texts, _: as_texts(texts),
    "predict": lambda texts, use: use("shipped_classifier").predict(texts),
    "predict_proba": lambda texts, use: use("shipped_classifier").predict_proba(texts),
    "truncated": lambda texts, use: use("shipped_classifier").truncated(texts),
    "deletion": lambda texts, use: deletion(use("shipped_classifier"), texts, occlusion),
    "predictions": lambda texts, use: predictions(use("shipped_classifier"), texts).to_numpy(),
    "words_marked": lambda texts, use: words_marked(use("shipped_classifier"), texts).data,
    "SentenceEncoder": lambda texts, use: use("encoder").encode(texts),
    "load_embedder": lambda texts, _: load_embedder().embed(texts),
    "NoveltyIndex.build": lambda texts, _: NoveltyIndex.build(["a", "b", "c"], texts, lengths).vectors,
    "NoveltyIndex.compare": lambda texts, use: use("index").compare(texts, lengths),
    "load_comparison": lambda texts, use: use("comparison")(texts),
    "detect_languages": lambda texts, _: detect_languages(texts),
    "number_words": lambda texts, _: number_words(texts, {}).codes,
    "title_parts": lambda texts, _: title_parts(texts).to_csv(),
    "genre_control": lambda texts, _: genre_control(texts, np.eye(3), np.full(3, 0.5), list("abc")).unknown,
}  # fmt: skip


# With those that compute for long, a few kinds must do.
LONG = {"deletion", "words_marked", "SentenceEncoder", "load_embedder", "load_comparison"}
FEW = ("generator", "shuffled Series", "Arrow chunks")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_texts_are_taken_by_position(function, request):
    ask = FUNCTIONS[function]
    expected = ask(TEXTS, request.getfixturevalue)
    for kind in FEW if function in LONG else KINDS:
        make = KINDS[kind]
        found = ask(make(TEXTS), request.getfixturevalue)
        assert np.array_equal(np.asarray(found, object), np.asarray(expected, object)), kind


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_list_of_texts_is_refused(function, bad, request):
    make, words = BAD[bad]
    with pytest.raises(BadInput, match=words):
        FUNCTIONS[function](make(), request.getfixturevalue)


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_text_is_named_by_its_position(missing, shipped_classifier):
    with pytest.raises(BadInput, match=r"^Plot 3 is missing .*: pass a text, or leave it out\.$"):
        shipped_classifier.predict(MISSING[missing]())
    assert as_texts(MISSING[missing](), missing="") == [*TEXTS[:2], ""]
    with pytest.raises(BadInput, match=r"^Plot 2 is empty"):
        shipped_classifier.predict(["A ghost.", " \n"])


def test_baselines_take_texts_by_position():
    targets = np.tile(np.eye(3), (8, 1))
    fitted = [
        fit_baselines({"train": train, "validation": TEXTS * 8}, dict.fromkeys(("train", "validation"), targets), "abc")
        for train in (TEXTS * 8, pd.Series(TEXTS * 8, index=range(24, 0, -1)))
    ]
    for name, baseline in fitted[0].items():
        assert baseline.proba["validation"] == pytest.approx(fitted[1][name].proba["validation"], abs=1e-3)
    with pytest.raises(BadInput, match="Plot 2 is missing"):
        fit_baselines({"train": ["A ghost.", None], "validation": TEXTS}, {}, [])


def test_no_texts_are_a_list_too(shipped_classifier):
    assert shipped_classifier.predict([]) == shipped_classifier.predict(pd.Series([], dtype=str)) == []
    assert SentenceEncoder().encode([]).shape == (0, 384)
    assert detect_languages([]) == []


def test_titles_belong_to_the_plots_at_their_place(classifier):
    trained = GenreClassifier.from_pretrained(classifier[0])
    titles = ["The Mill (1999)", "", "Rome (2001)"]
    expected = trained.predict_proba(TEXTS, titles)
    for make in KINDS.values():
        assert np.array_equal(trained.predict_proba(make(TEXTS), make(titles)), expected)
    for none in (None, float("nan"), pd.NA):
        assert np.array_equal(trained.predict_proba(TEXTS, [titles[0], none, titles[2]]), expected)
    with pytest.raises(BadInput, match="The titles are a single string"):
        trained.predict(TEXTS, "Rome")
    with pytest.raises(BadInput, match="Title 2 is not a text"):
        trained.predict(TEXTS, ["", 2001, ""])
    with pytest.raises(BadInput, match="There are 1 titles for 3 plots"):
        trained.predict(TEXTS, ["Rome"])


def test_an_index_has_a_title_for_each_plot():
    built = NoveltyIndex.build(pd.Series(["A", None, "C"], index=[2, 0, 1]), TEXTS, lengths)
    assert built.titles == ["A", "", "C"]
    with pytest.raises(BadInput, match="There are 1 titles for 3 plots"):
        NoveltyIndex.build(["A"], TEXTS, lengths)


def test_batches_go_by_position():
    rows = in_batches(lambda batch: np.array([[len(text)] for text in batch]), pd.Series(TEXTS, index=[2, 0, 1]),
                      longest=100, most=60)  # fmt: skip
    assert rows.ravel().tolist() == [len(text) for text in TEXTS]


def test_one_text(shipped_classifier):
    for bad, words in ((None, "is missing"), (3, "has the type int"), ([TEXTS[0]], "has the type list"),
                       (b"A ghost.", "decode them first"), ("half \ud83d", "half of a surrogate pair")):  # fmt: skip
        for ask in (as_text, lambda text: explain(shipped_classifier, text)):
            with pytest.raises(BadInput, match=f"^The plot .*{words}"):
                ask(bad)
    assert type(as_text(np.array(TEXTS)[0])) is str
    with pytest.raises(BadInput, match="is empty"):
        explain(shipped_classifier, " ", ["horror"])
    with pytest.raises(BadInput, match="Unknown genre 'opera'"):
        explain(shipped_classifier, TEXTS[0], ["opera"])


# Functions of a list of names, each with one name.
NAMES = {
    "as_names": (as_names, "horror"),
    "check_genres": (check_genres, "horror"),
    "coarsen": (coarsen, "horror"),
    "map_tags": (lambda names: map_tags("imdb", names), "horror"),
    "fetch_missing": (fetch_missing, "imdb"),
    "mauve_reference": (lambda names: mauve_reference(pd.DataFrame({"split": ["validation"], "genres": [["horror"]],
                                                               "plot": ["A"]}), names), "horror"),
    "languages": (lambda names: prepare("sample", "/nowhere", languages=names), "en"),
    "genres of a dump": (lambda names: sample_dump("/nowhere", "/tmp", genres=names), "horror"),
    "temperatures": (lambda names: sample_dump("/nowhere", "/tmp", temperatures=names), "0.7"),
    "teachers": (lambda names: train_classifier("/nowhere", "minilm-l6", "/tmp/no", teachers=names), "runs/a"),
    "genres to explain": (lambda names: explain(GenreClassifier.from_pretrained(shipped.CLASSIFIER), "A ghost.", names),
                          "horror"),
}  # fmt: skip


@pytest.mark.parametrize("function", NAMES)
def test_one_name_is_no_list_of_names(function):
    ask, name = NAMES[function]
    with pytest.raises(BadInput, match="are a single string: pass a list"):
        ask(name)


def test_names_of_a_set_come_in_order():
    assert check_genres({"Western", "horror", "drama"}) == ["western", "drama", "horror"]
    assert as_names(frozenset("cab")) == ["a", "b", "c"]
    assert coarsen(pd.Series(["horror"], index=[7])) == ["horror"]


def test_a_generator_takes_texts(trained):
    generator = PlotGenerator.from_pretrained(trained[0], "transformers")
    for asked, words in (
        ({"genres": "horror"}, "The genres are a single string"),
        ({"genres": ["horror", None]}, "Genre 2 is missing"),
        ({"genres": ["horror", 3]}, "Genre 2 is not a text"),
        ({"title": 2001}, "The title is not a text but has the type int"),
        ({"title": "Sa\udcc3"}, "The title contains half of a surrogate pair"),
        ({"opening": ["The sea"]}, "The opening is not a text but has the type list"),
        ({"opening": "The se\ud83d"}, "The opening contains half of a surrogate pair"),
    ):
        for ask in (generator.generate, generator.check, lambda **asked: next(generator.stream(**asked))):
            with pytest.raises(BadInput, match=words):
                ask(**asked)
    (sample,) = generator.generate(pd.Series(["horror"], index=[3]), opening=np.array(["The sea"])[0], max_tokens=2)
    assert sample.genre == "horror" and sample.plot.startswith("The sea")


def test_texts_are_handed_on_without_a_copy():
    texts = ["A ghost haunts the mill.", "Ein Geist sucht die Mühle heim."]
    assert all(given is text for given, text in zip(as_texts(texts), texts, strict=True))


def test_the_helper_needs_no_library():
    import subprocess
    import sys

    code = "import sys, movieplots.texts; print({'numpy', 'pandas', 'pyarrow', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_table_gives_its_texts_by_position(corpus, shipped_classifier):
    """What is left after sorting and filtering a table of plots: rows keep their old labels."""
    plots = load_plots(corpus).head(12).sort_values("plot")
    assert shipped_classifier.predict(plots["plot"]) == shipped_classifier.predict(plots["plot"].tolist())
    some = plots[plots["plot"].str.len() > plots["plot"].str.len().median()]["plot"]
    assert len(shipped_classifier.predict(some)) == len(some)


@pytest.mark.parametrize(
    ("plot", "shown"),
    [
        (" ".join(map(str, range(20))), "0 1 2 3 4 5 6 7 …"),
        ("A cop hunts his own brother in Rome.", "A cop hunts his …"),
        ("A musical sketch comedy show.", "A musical …"),
        ("A  thief\nrepents.", "A thief …"),
        ("Unbelievable!", "Unbeli …"),
        ("村" * 30, "村" * 15 + " …"),
        ("村" * 500, "村" * 68 + " …"),
        ("村" * 500 + " 村", "村" * 68 + " …"),
        ("!", "…"),
        ("", ""),
    ],
)
def test_of_a_plot_at_most_half_is_shown(plot, shown):
    assert opening(plot) == shown
