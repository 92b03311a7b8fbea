"""Detecting genres with a trained classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from movieplots.classification.info import ClassifierInfo
from movieplots.errors import BadInput
from movieplots.runs.folder import read_info
from movieplots.texts import as_texts


def with_title(title: str, plot: str) -> str:
    """Return the model's input for a plot, preceded by its title if that is known."""
    return f"{title}: {plot}" if title else plot


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the sigmoid of the logits: probabilities from 0 to 1 of the same shape."""
    return np.exp(-np.logaddexp(0.0, -logits))


def check_titled(info: ClassifierInfo) -> None:
    """Raise BadInput if the classifier was trained without titles."""
    if not info.titles:
        raise BadInput(
            "This classifier was trained without titles: leave the titles out, or train a classifier with --titles."
        )


class GenreClassifier:
    """A multilabel classifier that detects the genres of movie plots. Load one with `from_pretrained`.

    Attributes
    ----------
    labels : list of str
        The genres that the classifier can assign, in the order of the columns of `predict_proba`.
    thresholds : numpy.ndarray of shape (n_labels,)
        The probability from which each genre is assigned.
    info : ClassifierInfo
        The content of the model folder's `movieplots.json`: base model, recipe, test metrics. The class is in
        `movieplots.classification.info`.
    engine : object
        Runs the model: with ONNX Runtime for a quantized model, otherwise with PyTorch. You do not need it.
    max_tokens : int
        The maximum input length in tokens.

    Notes
    -----
    Each genre has a probability and a threshold of its own, so a plot can have several genres, or none. Probabilities
    are calibrated on the validation split by temperature scaling
    (`Guo et al. 2017 <https://arxiv.org/abs/1706.04599>`_).

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> classifier.predict(["Two strangers fall in love on a night train to Vienna."])
    [['drama', 'romance']]
    """

    def __init__(self, engine: Any, info: ClassifierInfo) -> None:
        self.engine = engine
        self.info = info
        self.labels = info.labels
        self.thresholds = np.array(info.thresholds)

    def __repr__(self) -> str:
        """Return the base model, the number of genres, and whether titles can be passed."""
        info = self.info
        return f"GenreClassifier(base_model={info.base_model!r}, genres={len(self.labels)}, titles={info.titles})"

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "GenreClassifier":
        """Load a classifier from a folder, onto a GPU if there is one.

        Parameters
        ----------
        path : str or path
            Local folder that `train_classifier`, `train_with_fastai` or `quantize` wrote. Base models and names
            of the Hugging Face Hub are not accepted.

        Returns
        -------
        GenreClassifier
            The classifier. A quantized one runs on the CPU with ONNX Runtime and does not need torch.

        Raises
        ------
        BadInput
            If the folder does not hold a complete classifier.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
        >>> len(classifier.labels)
        26
        """
        info = read_info(path, ClassifierInfo)
        if info.quantized:
            from movieplots.classification.onnx_engine import OnnxEngine

            return cls(OnnxEngine(path, len(info.labels)), info)
        import torch

        from movieplots.classification.model import load_model
        from movieplots.classification.torch_engine import TorchEngine

        model, tokenizer = load_model(path, info.labels)
        return cls(TorchEngine(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer), info)

    @property
    def max_tokens(self) -> int:
        """Maximum input length in tokens, special tokens included. Longer texts are truncated.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> GenreClassifier.from_pretrained(shipped.CLASSIFIER).max_tokens
        510
        """
        return self.engine.max_tokens

    def predict_proba(self, texts: Sequence[str], titles: Sequence[str] | None = None) -> np.ndarray:
        """Return the probability of each genre for each plot.

        Parameters
        ----------
        texts : sequence of str
            Plots to classify. They are taken by position, so row i belongs to the i-th plot, whatever the index of a
            pandas Series. Plots longer than `max_tokens` tokens are truncated; `truncated` finds them.
        titles : sequence of str or None, default None
            One title per plot, for a classifier that was trained with titles. Titles work best with a year, and series
            in quotes: `Salt (2009)` for a movie, `"Salt" (2009)` for a series. An empty or missing title (None, NaN)
            counts as unknown.

        Returns
        -------
        numpy.ndarray of shape (n_plots, n_labels)
            Calibrated probabilities from 0 to 1, columns in the order of `labels`. Rows need not sum to 1.

        Raises
        ------
        BadInput
            If `texts` is a single string, if a plot is empty, missing or not a string, if titles are passed to a
            classifier that was trained without them, or if the numbers of titles and plots differ.

        Notes
        -----
        Probabilities of a quantized model, such as the pretrained one, vary slightly with the other plots of a call.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
        >>> plots = ["Two strangers fall in love on a night train to Vienna.", "A ghost haunts an old hotel."]
        >>> proba = classifier.predict_proba(plots, titles=["Before Sunrise (1995)", ""])
        >>> proba.shape
        (2, 26)
        >>> [classifier.labels[column] for column in proba.argmax(axis=1)]
        ['romance', 'horror']
        """
        texts = as_texts(texts)
        for number, text in enumerate(texts, 1):
            if not text or text.isspace():
                raise BadInput(f"Plot {number} is empty: pass at least one word, or leave the plot out.")
        if titles is not None:
            check_titled(self.info)
            titles = as_texts(titles, "title", missing="")
            if len(titles) != len(texts):
                raise BadInput(f"There are {len(titles)} titles for {len(texts)} plots: pass one title per plot.")
            texts = [with_title(title, text) for title, text in zip(titles, texts, strict=True)]
        return probabilities(self.engine.logits(texts))

    def predict(self, texts: Sequence[str], titles: Sequence[str] | None = None) -> list[list[str]]:
        """Return the genres of each plot, most probable first.

        Parameters
        ----------
        texts : sequence of str
            Plots to classify, as for `predict_proba`.
        titles : sequence of str or None, default None
            One title per plot, as for `predict_proba`.

        Returns
        -------
        list of list of str
            Per plot the genres whose probability reaches their threshold; an empty list if none does. For a matrix of
            0 and 1, use scikit-learn's `MultiLabelBinarizer(classes=classifier.labels).fit_transform(genres)`.

        Raises
        ------
        BadInput
            In the same cases as `predict_proba`.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
        >>> classifier.predict(["Two strangers fall in love on a night train to Vienna."])
        [['drama', 'romance']]
        """
        return [self.labels_from_proba(row) for row in self.predict_proba(texts, titles)]

    def labels_from_proba(self, proba: np.ndarray) -> list[str]:
        """Return the genres whose probability reaches their threshold, most probable first.

        Parameters
        ----------
        proba : numpy.ndarray of shape (n_labels,)
            One row of the result of `predict_proba`.

        Returns
        -------
        list of str
            Genres in descending order of probability; empty if none reaches its threshold.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
        >>> proba = classifier.predict_proba(["Two strangers fall in love on a night train to Vienna."])
        >>> classifier.labels_from_proba(proba[0])
        ['drama', 'romance']
        """
        order = np.argsort(-proba, kind="stable")
        return [self.labels[i] for i in order if proba[i] >= self.thresholds[i]]

    def truncated(self, texts: Sequence[str]) -> dict[int, int]:
        """Return the plots that are longer than the model's input, with their lengths.

        Parameters
        ----------
        texts : sequence of str
            Plots to check.

        Returns
        -------
        dict of int to int
            Position of each plot with more than `max_tokens` tokens, from 0, and its number of tokens.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.pretrained import shipped
        >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
        >>> classifier.truncated(["A short plot.", "word " * 600])
        {1: 602}
        """
        lengths = self.engine.lengths(as_texts(texts))
        return {i: length for i, length in enumerate(lengths) if length > self.max_tokens}
