"""How good the judge is: the genre classifier on held-out plots, beside its baseline, as its training measured both."""

from collections.abc import Collection, Mapping

from movieplots.classification.info import BaselineScores, ClassifierInfo, LabelScores
from movieplots.evaluation.metrics import JudgeQuality, JudgeScores, NotMeasured
from movieplots.intervals import Estimate, mean_of, share_of
from movieplots.runs.lineage import PlotIds


def classifier_quality(info: ClassifierInfo, known: PlotIds | None, table: PlotIds) -> JudgeQuality | NotMeasured:
    """What a classifier reached on the test split of the table, if it was trained on its training split.

    `info` is its `movieplots.json`, `known` the plots that it has read. Where the classifier was trained on other data
    its test plots are not the table's, so its quality is not stated.
    """
    if known is None:
        return NotMeasured(
            "It is not recorded which plots the classifier was trained on; some of the test plots may be among them. "
            "Its quality is therefore not stated."
        )
    if not known.same_data(table):
        return NotMeasured(
            "The classifier was trained on other data than the plots given here, so some of the test plots may have "
            "been among its training plots. Its quality is therefore not stated."
        )
    if not info.metrics.test_plots:
        return NotMeasured("The classifier's training measured it on no test plots, so its quality is not known.")
    test = info.metrics.test
    own = JudgeScores(**vars(test.scores), per_label=test.per_label)
    return JudgeQuality(info.metrics.test_plots, own, test.baselines, test.intervals)


def mean_recall(per_label: Mapping[str, LabelScores], genres: Collection[str]) -> Estimate | None:
    """How often the classifier sees a genre in test plots that carry it, the mean over the genres; None without plots.

    This is what samples that are as good as real plots would get when each of the genres is prompted as often.
    """
    rows = [per_label[genre] for genre in sorted(genres) if genre in per_label and per_label[genre].support]
    if not rows:
        return None
    return mean_of([share_of(round(row.recall * row.support), row.support) for row in rows])


def best_baseline(quality: JudgeQuality) -> tuple[str, BaselineScores] | None:
    """Name and scores of the baseline with the highest micro-F1, or None where none is stored."""
    return max(quality.baselines.items(), key=lambda item: item[1].micro_f1, default=None)
