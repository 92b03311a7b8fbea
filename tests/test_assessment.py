"""Error analysis of a classifier on its own data, as tables and figures."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from movieplots import GenreClassifier, load_plots
from movieplots.classification import assessment
from movieplots.classification.calibration import calibration_error
from movieplots.classification.info import BaselineScores, LabelScores, Measured, Scores
from movieplots.classification.metrics import NAMES
from movieplots.errors import BadInput
from movieplots.intervals import Estimate
from movieplots.plots import FILE_NAME, save_plots
from movieplots.reporting import classification as figures
from movieplots.runs.lineage import FILE_NAME as PLOT_IDS
from movieplots.sources.sample import LOGLINES
from tests.made_up import classifier_info


@pytest.fixture(scope="module")
def found(classifier, small_corpus):
    return assessment.assess(classifier[0], small_corpus)


def test_no_classifier_is_called_the_best_if_intervals_overlap():
    def info(low, value, high, baseline):
        metrics = classifier_info().metrics
        scores = Scores(value, value, value, value)
        test = replace(
            metrics.test,
            scores=scores,
            intervals=dict.fromkeys(NAMES, Estimate(value, low, high, 60)),
            baselines={"words": BaselineScores(baseline, baseline, baseline, baseline, settings={})},
        )
        return replace(classifier_info(), metrics=replace(metrics, test=test))

    apart = {"bce": info(0.6, 0.7, 0.8, 0.5), "focal": info(0.4, 0.5, 0.59, 0.5)}
    title = " ".join(figures.compared(apart, NAMES).get_suptitle().split())
    assert title.endswith("(highest mean average precision: bce, 0.700)")
    alike = {"bce": info(0.5, 0.6, 0.7, 0.45), "focal": info(0.55, 0.65, 0.75, 0.5)}
    title = " ".join(figures.compared(alike, NAMES).get_suptitle().split())
    assert title == "Test metrics with 95 % CIs (no clear difference in mean average precision: focal and bce)"
    within = {"bce": info(0.5, 0.6, 0.7, 0.55)}
    assert "no clear difference in mean average precision: bce and words" in " ".join(
        figures.compared(within, NAMES).get_suptitle().split()
    )


class Known:
    """A classifier of three labels whose predictions are given."""

    labels = ("crime", "drama", "war")
    thresholds = np.array([0.5, 0.5, 0.5])

    def __init__(self):
        row = LabelScores(0.5, 0.5, 0.5, 0.5, 30)
        measured = Measured(Scores(0.5, 0.5, 0.5, 0.5), {}, dict.fromkeys(self.labels, row), {})
        self.info = classifier_info(metrics=replace(classifier_info().metrics, test=measured))

    def labels_from_proba(self, proba):
        return [label for label, p in zip(self.labels, proba, strict=True) if p >= 0.5]


@pytest.fixture
def known():
    truth = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    proba = np.array([[0.9, 0.8, 0.1], [0.9, 0.2, 0.1], [0.9, 0.9, 0.1], [0.6, 0.9, 0.1]])
    texts = {"test": ["word " * 30, "b", "c", "d"]}
    return assessment.Assessment(Known(), {"test": truth}, {"test": proba}, texts, {"test": ["A", "B", "C", "D"]})


def test_false_positives_by_genre(known):
    table = assessment.invented(known)
    assert table.loc["crime", "drama"] == 0.5  # of two crime plots without drama one is given it
    assert table.loc["drama", "crime"] == 1.0
    assert table.loc["crime", "war"] == 0.0
    assert table.loc["war"].isna().all() and np.isnan(table.loc["crime", "crime"])
    title = " ".join(figures.confusions(known).get_suptitle().split())
    assert "crime is predicted for 100 % of the plots with drama but without crime" in title


def test_the_hardest_plots_come_first_with_their_opening_only(known):
    table = figures.hardest(known, 2)
    assert table["title"].tolist() == ["A", "D"]
    assert table["genres"].tolist() == ["crime", "drama"] and table["predicted"].tolist() == ["crime, drama"] * 2
    assert table["plot"].tolist() == ["word word word word word word word word …", "…"]


def test_one_threshold_for_all(found):
    table = assessment.f1_by_threshold(found)
    assert table["threshold"].is_monotonic_increasing
    zero = found.proba["validation"] >= table["threshold"][0]
    truth = found.truth["validation"]
    assert table["validation micro"][0] == pytest.approx(2 * (zero * truth).sum() / (zero.sum() + truth.sum()))


def test_tables_say_what_was_measured(found):
    info = found.classifier.info
    table = figures.headline_table({"tiny": info})
    assert table[""].tolist() == [
        "tiny", "TF-IDF + logistic regression", "TF-IDF + linear SVM", "tiny, with titles",
        "TF-IDF + logistic regression, with titles", "TF-IDF + linear SVM, with titles",
    ]  # fmt: skip
    assert table["mean average precision"][0].startswith(f"{info.metrics.test.scores.map:.3f} (")
    genres = figures.genre_table(found)
    assert set(genres["genre"]) == set(found.labels) and genres["F1"].is_monotonic_decreasing
    errors = figures.calibration_table(found)["expected calibration error"]
    assert errors.iloc[0] == info.metrics.calibration.error_before
    assert errors.iloc[-1] == pytest.approx(calibration_error(found.truth["test"], found.proba["test"]))
    before = calibration_error(found.truth["test"], assessment.calibration_before(found))
    assert errors.iloc[0] == pytest.approx(before, abs=1e-4)
    shown = figures.prediction_table(found.classifier, "A sheriff rides into town.")
    assert shown["probability"].is_monotonic_decreasing and len(shown) == 5


def test_figures_have_titles_labels_and_nothing_outside(found, small_corpus):
    plots = load_plots(small_corpus, "train")
    info = found.classifier.info
    scores = replace(info.metrics.test.scores, macro_f1=0.9)
    intervals = info.metrics.test.intervals | {"macro_f1": Estimate(0.9, 0.89, 0.91, 60)}
    test = replace(info.metrics.test, scores=scores, intervals=intervals)
    better = replace(info, metrics=replace(info.metrics, test=test))
    drawn = {
        "counts": figures.genre_counts(plots),
        "thresholds": figures.thresholds(found),
        "by_genre": figures.by_genre(found),
        "calibration": figures.calibration(found),
        "confusions": figures.confusions(found),
        "loglines": figures.loglines(found.classifier, LOGLINES),
        "compared": figures.compared({"tiny": found.classifier.info}, NAMES),
        "losses": figures.compared({"bce": found.classifier.info, "focal": better}, NAMES, by="macro_f1"),
    }
    for name, figure in drawn.items():
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        for text in [*figure.texts, *(t for axes in figure.axes for t in axes.texts)]:
            box = text.get_window_extent()
            assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, (name, text)
    assert drawn["losses"].get_suptitle() == "Test metrics with 95\xa0% CIs (highest macro-F1: focal, 0.900)"


def test_words_are_highlighted_and_html_is_escaped(found):
    page = figures.words_marked(found.classifier, ["A <script>sheriff</script> & a ghost."]).data
    assert "<script>" not in page and "&amp;" in page
    plain = re.sub(r"<[^>]+>", "", page.partition("</p>")[0])
    assert plain.endswith("A &lt;script&gt;sheriff&lt;/script&gt; &amp; a ghost.")


def test_other_data_are_rejected_with_the_labels_that_differ(classifier, corpus, small_corpus, turned_corpus, tmp_path):
    loaded = GenreClassifier.from_pretrained(classifier[0])
    with pytest.raises(BadInput, match=r"trained on other plots .*Genres it does not know: .*thriller") as error:
        assessment.assess(classifier[0], corpus)
    named = re.findall(r"[\w-]+", str(error.value).partition("not know:")[2])
    assert named and not set(named) & set(loaded.labels)
    with pytest.raises(BadInput, match=r"pass the data that it was trained on\."):
        assessment.check_same_plots(classifier[0], loaded.info, turned_corpus)
    shutil.copytree(classifier[0], tmp_path / "old", ignore=shutil.ignore_patterns(PLOT_IDS))
    older = replace(loaded.info, data_fingerprint="842a26e46cf751b6")
    with pytest.raises(BadInput, match="did not record its training plots: train it again"):
        assessment.check_same_plots(tmp_path / "old", older, small_corpus)
    save_plots(load_plots(small_corpus).tail(119), tmp_path / FILE_NAME)  # as after better cleaning
    assert len(assessment.check_same_plots(classifier[0], loaded.info, tmp_path).texts["train"]) == 89
