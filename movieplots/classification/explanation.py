"""Word attributions: by masking each word in turn (occlusion), or by integrated gradients.

Both return an effect of each word on a genre's log-odds; a positive effect supports the genre. `deletion` measures how
faithful they are: masking the words with the largest effects must lower the probability. `benchmarks/classification.py`
compares the two. `explain` uses occlusion, which is as faithful and also works for quantized models.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from movieplots.classification.prediction import GenreClassifier, probabilities
from movieplots.errors import BadInput
from movieplots.genres import check_genres
from movieplots.texts import as_text, as_texts

STEPS = 16  # of integrated gradients, from masked words to the plot
_WORD = re.compile(r"\w+(?:['’-]\w+)*")

Method = Callable[[GenreClassifier, str, Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class Explanation:
    """The words of a plot and their effects on genres.

    Attributes
    ----------
    words : list of str
        The words of the plot in order.
    spans : list of tuple of int
        Start and end of each word, in characters.
    effects : dict of str to numpy.ndarray of shape (n_words,)
        For each genre, by how much its log-odds fall if the word is masked.

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.classification.explanation import explain
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> explanation = explain(classifier, "A haunted house terrifies its new owners.", ["horror"])
    >>> explanation.words[:3], explanation.effects["horror"].shape
    (['A', 'haunted', 'house'], (7,))
    """

    words: list[str]
    spans: list[tuple[int, int]]
    effects: dict[str, np.ndarray]

    def strongest(self, genre: str, most: int = 5) -> list[tuple[str, float]]:
        """Return the words that support a genre most, each once, strongest first.

        Parameters
        ----------
        genre : str
            One of the genres of `effects`.
        most : int, default 5
            Maximum number of words.

        Returns
        -------
        list of tuple of (str, float)
            Words in lower case and their effects; only positive effects.

        Examples
        --------
        >>> from movieplots import GenreClassifier
        >>> from movieplots.classification.explanation import explain
        >>> from movieplots.pretrained import shipped
        >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
        >>> explanation = explain(classifier, "A haunted house terrifies its new owners.", ["horror"])
        >>> [word for word, effect in explanation.strongest("horror", most=1)]
        ['haunted']
        """
        best: dict[str, float] = {}
        for word, effect in zip(self.words, self.effects[genre], strict=True):
            best[word.lower()] = max(best.get(word.lower(), 0.0), float(effect))
        ranked = sorted(best.items(), key=lambda item: -item[1])
        return [(word, effect) for word, effect in ranked[:most] if effect > 0]


def explain(classifier: GenreClassifier, text: str, genres: Sequence[str] | None = None) -> Explanation:
    """Return the effect of each word of a plot on the log-odds of genres.

    Parameters
    ----------
    classifier : GenreClassifier
        The classifier to explain, quantized or not.
    text : str
        The plot.
    genres : sequence of str or None, default None
        Genres to explain. By default those at or above their thresholds, or the most probable one if there are none.

    Returns
    -------
    Explanation
        The words and their effects.

    Raises
    ------
    BadInput
        If the plot is empty, or if the classifier does not know a genre.

    Notes
    -----
    Occlusion (`Zeiler and Fergus 2014 <https://arxiv.org/abs/1311.2901>`_): each word in turn is replaced by the mask
    token, which takes one prediction per word. For words it is called representation erasure
    (`Li et al. 2016 <https://arxiv.org/abs/1612.08220>`_).

    Examples
    --------
    >>> from movieplots import GenreClassifier
    >>> from movieplots.classification.explanation import explain
    >>> from movieplots.pretrained import shipped
    >>> classifier = GenreClassifier.from_pretrained(shipped.CLASSIFIER)
    >>> explanation = explain(classifier, "A haunted house terrifies its new owners.", ["horror"])
    >>> explanation.strongest("horror", most=1)
    [('haunted', ...)]
    """
    if genres is None:
        proba = classifier.predict_proba([as_text(text)])[0]
        genres = classifier.labels_from_proba(proba) or [classifier.labels[int(proba.argmax())]]
    genres = check_genres(genres, classifier.labels)
    labels = [classifier.labels.index(genre) for genre in genres]
    effects = occlusion(classifier, text, labels)
    spans = word_spans(text)
    words = [text[start:end] for start, end in spans]
    return Explanation(words, spans, {genre: effects[:, i] for i, genre in enumerate(genres)})


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each word in characters. Hyphens and apostrophes inside a word belong to it."""
    return [match.span() for match in _WORD.finditer(text)]


def occlusion(classifier: GenreClassifier, text: str, labels: Sequence[int]) -> np.ndarray:
    """Compute by how much the log-odds fall when a word is masked.

    One mask token replaces the tokens of a word. The model was trained with masked tokens, so its input stays in
    distribution. Without a mask token the word is removed.

    Returns
    -------
    numpy.ndarray of shape (n_words, n_labels)
        Effects in log-odds.

    Raises
    ------
    BadInput
        If the text is empty.
    """
    text = as_text(text)
    if not text.strip():
        raise BadInput("The plot is empty: pass at least one word.")
    spans = [[], *([span] for span in word_spans(text))]
    logits = classifier.engine.masked_logits([text] * len(spans), spans)[:, list(labels)]
    return logits[0] - logits[1:]


def integrated_gradients(classifier: GenreClassifier, text: str, labels: Sequence[int]) -> np.ndarray:
    """Compute integrated gradients from the plot with all words masked to the plot.

    Returns
    -------
    numpy.ndarray of shape (n_words, n_labels)
        Effects in log-odds.

    Raises
    ------
    BadInput
        If the classifier is quantized or has no mask token.

    Notes
    -----
    Method: `Sundararajan et al. 2017 <https://arxiv.org/abs/1703.01365>`_.
    """
    import torch  # imported here since quantized models work without it

    text = as_text(text)
    if not hasattr(classifier.engine, "model"):
        raise BadInput("A quantized classifier has no gradients: use occlusion, or the classifier before quantization.")
    model, tokenizer = classifier.engine.model, classifier.engine.tokenizer
    if tokenizer.mask_token_id is None:
        raise BadInput("This classifier has no mask token, which integrated gradients start from: use occlusion.")
    encoded = tokenizer(text, truncation=True, return_offsets_mapping=True, return_tensors="pt")
    device = next(model.parameters()).device
    ids, mask = encoded["input_ids"].to(device), encoded["attention_mask"].to(device)
    special = torch.tensor([[token in tokenizer.all_special_ids for token in ids[0].tolist()]], device=device)
    masked = torch.where(special, ids, tokenizer.mask_token_id)
    embed = model.get_input_embeddings()
    start, end = embed(masked).detach(), embed(ids).detach()
    points = (torch.arange(STEPS, device=device) + 0.5) / STEPS
    path = (start + points[:, None, None] * (end - start)).requires_grad_(True)
    logits = model(inputs_embeds=path, attention_mask=mask.expand(STEPS, -1)).logits
    effects = np.zeros((len(spans := word_spans(text)), len(labels)))
    for column, label in enumerate(labels):
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), path, retain_graph=True)
        by_token = (gradient.mean(dim=0) * (end - start)[0]).sum(dim=-1).tolist()
        for effect, (first, last) in zip(by_token, encoded["offset_mapping"][0].tolist(), strict=True):
            for row, (word_start, word_end) in enumerate(spans):
                if first < last and first < word_end and last > word_start:
                    effects[row, column] += effect
    return effects


def deletion(classifier: GenreClassifier, texts: Sequence[str], method: Method, share: float = 0.2) -> np.ndarray:
    """Compute by how much the most probable genre's probability falls when the top `share` of words is masked.

    Returns
    -------
    numpy.ndarray of shape (n_texts,)
        Differences of probabilities. Compare them with those of random words (`at_random`).

    Notes
    -----
    The deletion metric of `Petsiuk et al. 2018 <https://arxiv.org/abs/1806.07421>`_ at one share.
    """
    texts = as_texts(texts)
    before = classifier.predict_proba(texts)
    top = before.argmax(axis=1)
    spans_of_all = []
    for text, label in zip(texts, top, strict=True):
        spans = word_spans(text)
        order = np.argsort(-method(classifier, text, [int(label)])[:, 0], kind="stable")
        spans_of_all.append([spans[i] for i in order[: max(1, round(share * len(spans)))]])
    after = probabilities(classifier.engine.masked_logits(texts, spans_of_all))
    rows = np.arange(len(top))
    return before[rows, top] - after[rows, top]


def at_random(classifier: GenreClassifier, text: str, labels: Sequence[int]) -> np.ndarray:
    """Return random effects, the same for the same text: the baseline for attribution methods."""
    return np.random.default_rng(len(text)).random((len(word_spans(text)), len(labels)))
