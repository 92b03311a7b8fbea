"""The baseline every classifier is shown beside: TF-IDF over words and word pairs, logistic regression per label."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline


def fit_baseline(texts: Sequence[str], targets: np.ndarray) -> Pipeline:
    """Fit on texts (n,) and 0/1 targets (n, labels); `.predict_proba(texts)` then gives (n, labels)."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        OneVsRestClassifier(LogisticRegression(class_weight="balanced", max_iter=1000, solver="liblinear")),
    )
    return model.fit(texts, targets)
