"""Which plots an epoch shows under which genre, where those that show their genre clearly are to come more often.

Shown each plot once, a generator learns mostly from the large genres, and from many plots that no reader would give the
genre they are prompted with: it obeys the prompt as loosely as catalogues tag. Here a plot comes the more often under a
genre, the more its words speak for it, and small genres come more often than they stand in the corpus. How much words
speak is judged by a linear model that has not seen the plot; it is not the classifier that later judges the samples.
That is done once a process for the same plots, and takes a minute for 17,531 plots.
"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from movieplots.files import fingerprint
from movieplots.progress import track

SHARPNESS = 3  # the weight of a plot within its genre is its rank, from 0 to 1, to this power
BALANCE = 0.5  # a genre's share of a pass grows with its plots to this power: 1 as in the corpus, 0 all alike
MOST_TIMES = 4.0  # a plot comes at most so often in a pass under one genre
_FOLDS = 5
_judged: dict[str, np.ndarray] = {}  # evidence of the plots that were asked for last


def genre_weighted_times(plots: pd.DataFrame) -> list[dict[str, float]]:
    """For each of the plots how often a pass shows it under each of its genres, on average.

    A pass has about as many examples as there are plots. Deterministic.
    """
    labels = sorted(plots["genres"].explode().unique())
    key = fingerprint(plots[["group", "plot"]].values.tolist(), [list(genres) for genres in plots["genres"]])
    if key not in _judged:  # kept for a start with less memory, and for a notebook's next training
        evidence = genre_evidence(plots, labels)
        _judged.clear()
        _judged[key] = evidence
    evidence = _judged[key]
    sizes = {label: sum(label in genres for genres in plots["genres"]) for label in labels}
    whole = sum(size**BALANCE for size in sizes.values())
    times: list[dict[str, float]] = [{} for _ in range(len(plots))]
    for column, label in enumerate(labels):
        own = np.flatnonzero([label in genres for genres in plots["genres"]])
        weights = (rankdata(evidence[own, column]) / len(own)) ** SHARPNESS
        share = len(plots) * sizes[label] ** BALANCE / whole
        for place, expected in zip(own, np.minimum(share * weights / weights.sum(), MOST_TIMES), strict=True):
            times[place][label] = float(expected)
    return times


def genre_evidence(plots: pd.DataFrame, labels: list[str]) -> np.ndarray:
    """Probabilities of shape (plots, labels) by TF-IDF and logistic regression, each plot judged by a model without it.

    What must not be split, such as the episodes of a series, is held out together.
    """
    has = np.array([[label in genres for label in labels] for genres in plots["genres"]])
    folds = min(_FOLDS, plots["group"].nunique())
    result = np.zeros(has.shape)
    if folds < 2:
        return result
    splits = list(GroupKFold(folds).split(plots, groups=plots["group"]))
    for known, judged in track(splits, "Judging how clearly plots show their genres"):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        words = vectorizer.fit_transform(plots["plot"].iloc[known])
        unseen = vectorizer.transform(plots["plot"].iloc[judged])
        for column in range(len(labels)):
            target = has[known, column]
            if target.any() and not target.all():
                model = LogisticRegression(C=3.0, class_weight="balanced", solver="liblinear").fit(words, target)
                result[judged, column] = model.predict_proba(unseen)[:, 1]
    return result
