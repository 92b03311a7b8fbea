"""Which words pushed a genre: by hiding each word in turn, or by integrated gradients.

Both give an effect on the genre's log-odds a word; a positive one speaks for the genre. Whether to believe them is a
matter of measurement: where the words that are named first are hidden, the probability must fall (`deletion`).
`benchmarks/classification.py` compares the two; `explain` uses occlusion, which came out as the more faithful.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from movieplots.classification.prediction import GenreClassifier, probabilities
from movieplots.errors import BadInput
from movieplots.genres import check_genres
from movieplots.texts import as_text, as_texts

STEPS = 16  # on the way from hidden words to the plot, for integrated gradients
_WORD = re.compile(r"\w+(?:['’-]\w+)*")

Method = Callable[[GenreClassifier, str, Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class Explanation:
    """The `words` of a plot in order, where they stand (`spans`, in characters), and their `effects` by genre.

    `effects[genre]` has one number a word: by how much the genre's log-odds fall where the word is hidden.
    """

    words: list[str]
    spans: list[tuple[int, int]]
    effects: dict[str, np.ndarray]

    def strongest(self, genre: str, most: int = 5) -> list[tuple[str, float]]:
        """The words that speak most for the genre, each once, the strongest first; only those that do."""
        best: dict[str, float] = {}
        for word, effect in zip(self.words, self.effects[genre], strict=True):
            best[word.lower()] = max(best.get(word.lower(), 0.0), float(effect))
        ranked = sorted(best.items(), key=lambda item: -item[1])
        return [(word, effect) for word, effect in ranked[:most] if effect > 0]


def explain(classifier: GenreClassifier, text: str, genres: Sequence[str] | None = None) -> Explanation:
    """Why a plot gets these genres; by default those at or above their thresholds, or else the likeliest.

    Takes one prediction a word. Raises BadInput for an empty text and for a genre that the classifier does not know.
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
    """Where each word stands: (start, end) in characters. Hyphens and apostrophes inside a word belong to it."""
    return [match.span() for match in _WORD.finditer(text)]


def occlusion(classifier: GenreClassifier, text: str, labels: Sequence[int]) -> np.ndarray:
    """Effects (words, labels): the fall of the log-odds where a word is hidden (Zeiler and Fergus 2014).

    A hidden word's tokens make place for the mask token: no surprise to the model, which was trained with some of its
    tokens masked. Where the model has no mask token, they are left out.
    """
    text = as_text(text)
    if not text.strip():
        raise BadInput("The plot is empty: give it some words.")
    hidden = [[], *([span] for span in word_spans(text))]
    logits = classifier.engine.logits_without([text] * len(hidden), hidden)[:, list(labels)]
    return logits[0] - logits[1:]


def integrated_gradients(classifier: GenreClassifier, text: str, labels: Sequence[int]) -> np.ndarray:
    """Effects (words, labels): gradients along the way from all words hidden to the plot (Sundararajan et al. 2017)."""
    import torch  # only here: the rest works without it, for compressed models

    text = as_text(text)
    if not hasattr(classifier.engine, "model"):
        raise BadInput("A compressed classifier has no gradients: use occlusion, or the classifier before compression.")
    model, tokenizer = classifier.engine.model, classifier.engine.tokenizer
    if tokenizer.mask_token_id is None:
        raise BadInput("This classifier has no mask token, from which the gradients start: use occlusion.")
    encoded = tokenizer(
        text, truncation=True, max_length=model.max_tokens, return_offsets_mapping=True, return_tensors="pt"
    )
    device = next(model.parameters()).device
    ids, mask = encoded["input_ids"].to(device), encoded["attention_mask"].to(device)
    special = torch.tensor([[token in tokenizer.all_special_ids for token in ids[0].tolist()]], device=device)
    hidden = torch.where(special, ids, tokenizer.mask_token_id)
    embed = model.encoder.get_input_embeddings()
    start, end = embed(hidden).detach(), embed(ids).detach()
    points = (torch.arange(STEPS, device=device) + 0.5) / STEPS
    path = (start + points[:, None, None] * (end - start)).requires_grad_(True)
    logits = model(None, mask.expand(STEPS, -1), inputs_embeds=path)["logits"]
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
    """By how much the likeliest genre's probability falls where the `share` of words named first is hidden, (n,).

    The deletion test of Petsiuk et al. 2018 at one share. Compare it with words drawn at random (`at_random`).
    """
    texts = as_texts(texts)
    before = classifier.predict_proba(texts)
    top = before.argmax(axis=1)
    hidden = []
    for text, label in zip(texts, top, strict=True):
        spans = word_spans(text)
        order = np.argsort(-method(classifier, text, [int(label)])[:, 0], kind="stable")
        hidden.append([spans[i] for i in order[: max(1, round(share * len(spans)))]])
    after = probabilities(classifier.engine.logits_without(texts, hidden))
    rows = np.arange(len(top))
    return before[rows, top] - after[rows, top]


def at_random(classifier: GenreClassifier, text: str, labels: Sequence[int]) -> np.ndarray:
    """Effects that mean nothing, the same for the same text: what a method must beat."""
    return np.random.default_rng(len(text)).random((len(word_spans(text)), len(labels)))
