"""The test scores of the genre classifier and of its baselines, as measured when it was trained."""

from collections.abc import Collection, Mapping

from movieplots.classification.info import BaselineScores, ClassifierInfo, LabelScores
from movieplots.evaluation.metrics import JudgeQuality, JudgeScores, NotMeasured
from movieplots.intervals import Estimate, mean_of, share_of
from movieplots.runs.lineage import PlotIds


def classifier_quality(info: ClassifierInfo, known: PlotIds | None, table: PlotIds) -> JudgeQuality | NotMeasured:
    """Return a classifier's scores on the test split of the table, if it was trained on the table's training split.

    `info` is the classifier's `movieplots.json`; `known` are the plots that it was trained on. A classifier trained on
    other data was not tested on the table's test split, so its scores are not reported.
    """
    if known is None:
        return NotMeasured(
            "It is not recorded which plots the classifier was trained on. They may include test plots of the "
            "evaluation data, so its scores are not reported."
        )
    if not known.same_data(table):
        return NotMeasured(
            "The classifier was trained on data other than the evaluation data. Its training plots may include test "
            "plots of the evaluation data, so its scores are not reported."
        )
    if not info.metrics.test_plots:
        return NotMeasured("The classifier was trained without test plots, so its scores are unknown.")
    test = info.metrics.test
    own = JudgeScores(**vars(test.scores), per_label=test.per_label)
    return JudgeQuality(info.metrics.test_plots, own, test.baselines, test.intervals)


def mean_recall(per_label: Mapping[str, LabelScores], genres: Collection[str]) -> Estimate | None:
    """Return the classifier's recall on test plots, averaged over the genres; None without test plots.

    It is the expected genre accuracy of real plots if every genre is prompted equally often.
    """
    rows = [per_label[genre] for genre in sorted(genres) if genre in per_label and per_label[genre].support]
    if not rows:
        return None
    return mean_of([share_of(round(row.recall * row.support), row.support) for row in rows])


def best_baseline(quality: JudgeQuality) -> tuple[str, BaselineScores] | None:
    """Return the name and scores of the baseline with the highest micro-F1, or None if none is stored."""
    return max(quality.baselines.items(), key=lambda item: item[1].micro_f1, default=None)
