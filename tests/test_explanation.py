"""Word attributions, on a classifier with known reasons and on a trained one."""

import numpy as np
import pytest
from scipy.special import expit

from movieplots import BadInput, GenreClassifier
from movieplots.classification.explanation import (
    at_random,
    deletion,
    explain,
    integrated_gradients,
    occlusion,
    word_spans,
)
from movieplots.classification.masking import masked_ids
from movieplots.classification.mlm import packed
from movieplots.classification.training_plots import tokenized
from movieplots.pretrained import shipped
from movieplots.pretrained.base_models import load_tokenizer
from tests.made_up import classifier_info

TEXT = "A haunted house, the sheriff's house: haunted no more."


class KnownEngine:
    """The log-odds of horror are 2 for each `haunted` less 3; those of western 4 for `sheriff's` less 3."""

    max_tokens = 512

    def logits(self, texts):
        return np.array([[2.0 * text.count("haunted") - 3, 4.0 * text.count("sheriff's") - 3] for text in texts])

    def masked_logits(self, texts, spans):
        return self.logits([mask_words(text, own) for text, own in zip(texts, spans, strict=True)])


def mask_words(text, spans, token="[MASK]"):
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + token + text[end:]
    return text


@pytest.fixture
def known():
    return GenreClassifier(KnownEngine(), classifier_info(labels=["horror", "western"], thresholds=[0.5, 0.5]))


def test_words_keep_their_apostrophes_and_lose_their_commas():
    assert [TEXT[start:end] for start, end in word_spans(TEXT)] == [
        "A", "haunted", "house", "the", "sheriff's", "house", "haunted", "no", "more",
    ]  # fmt: skip


def test_occlusion_finds_the_reasons(known):
    explanation = explain(known, TEXT)
    assert list(explanation.effects) == ["horror", "western"]
    assert explanation.strongest("horror") == [("haunted", 2.0)]
    assert explanation.strongest("western") == [("sheriff's", 4.0)]
    assert explain(known, TEXT, ["horror"]).effects["horror"].tolist() == [0, 2, 0, 0, 0, 0, 2, 0, 0]


def test_masking_the_reasons_lowers_the_probability_more_than_masking_other_words(known):
    texts = [TEXT, "The sheriff's horse is tired of him and of the town."]
    drop = deletion(known, texts, occlusion)
    assert drop == pytest.approx([expit(1) - expit(-3)] * 2)
    assert deletion(known, texts, lambda *arguments: -occlusion(*arguments)).tolist() == [0, 0]


def test_integrated_gradients_sum_to_the_effect_of_masking_all_words(classifier):
    """Completeness (Sundararajan et al. 2017): the effects of all tokens sum to the difference of the logits."""
    loaded = GenreClassifier.from_pretrained(classifier[0])
    text = "A sheriff rides into a town that has forgotten its name"
    effects = integrated_gradients(loaded, text, [0, 1])
    assert effects.shape == (11, 2)
    encoding = loaded.engine.tokenizer(text).encodings[0]
    tokens = [(start, end) for start, end in encoding.offsets if start < end]
    ends = loaded.engine.masked_logits([text, text], [[], tokens])[:, [0, 1]]
    assert effects.sum(axis=0) == pytest.approx(ends[0] - ends[1], abs=0.05 * np.abs(ends[0] - ends[1]).max() + 1e-3)


def test_a_plot_without_a_genre_is_explained_by_the_most_probable_one(classifier):
    loaded = GenreClassifier.from_pretrained(classifier[0])
    loaded.thresholds = np.ones(len(loaded.labels))
    explanation = explain(loaded, "A sheriff rides into town.")
    assert len(explanation.effects) == 1 and len(explanation.words) == 5
    assert at_random(loaded, "A sheriff.", [0]).shape == (2, 1)


MARKS = "A ghost [SEP] haunts [MASK] the mill [PAD] and </s> the <mask> sea <pad><|endoftext|>."


@pytest.mark.parametrize("engine", ["shipped", "classifier", "quantized"])
def test_special_tokens_in_a_text_are_text(engine, request):
    """A text with the name of a special token is tokenized differently from one with the token itself."""
    folder = shipped.CLASSIFIER if engine == "shipped" else request.getfixturevalue(engine)[0]
    loaded = GenreClassifier.from_pretrained(folder)
    tokenizer = getattr(loaded.engine, "tokenizer", None)
    tokenizer = loaded.engine._counting if tokenizer is None else tokenizer.backend_tokenizer
    loaded.engine.lengths([MARKS])
    encoding = tokenizer.encode(MARKS)
    own = [i for i, special in zip(encoding.ids, encoding.special_tokens_mask, strict=True) if not special]
    marks = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    unknown = tokenizer.token_to_id("[UNK]")
    assert not set(own) & (marks - {unknown})
    assert loaded.engine.lengths([MARKS]) == [len(encoding.ids)]
    (as_mask,) = loaded.engine.masked_logits(["A [MASK] <mask>"], [[(2, 8), (9, 15)]])
    assert not np.allclose(loaded.engine.logits(["A [MASK] <mask>"])[0], as_mask, atol=1e-6)


def test_special_tokens_in_training_plots_are_text(tiny_roberta):
    tokenizer = load_tokenizer(tiny_roberta)
    (row,) = tokenized(tokenizer, [MARKS], np.zeros((1, 1)))
    assert not set(row["input_ids"]) & set(tokenizer.all_special_ids)
    assert not {token for block in packed(tokenizer, [MARKS], 8) for token in block} & set(tokenizer.all_special_ids)
    assert tokenizer.decode(row["input_ids"]) == MARKS


@pytest.mark.parametrize("base", ["minilm-l6", "tiny_roberta"])
def test_a_masked_word_becomes_one_mask_token(base, request):
    """Masking ids equals tokenizing a text in which `[MASK]` replaces the word and counts as the mask token."""
    tokenizer = load_tokenizer(request.getfixturevalue(base) if base == "tiny_roberta" else base)
    mask = tokenizer.mask_token_id
    text = "A haunted stand-up comedian's house: [MASK] the sheriff, who’s here, is haunted."
    spans = word_spans(text)

    def ids(spans, most=300, mask=mask):
        (found,) = masked_ids(lambda text: tokenizer(text).encodings[0], [text], [spans], mask, most)
        return found

    whole = tokenizer(text)["input_ids"]
    assert ids([]) == whole and mask not in whole
    assert ids([(0, 0)]) == whole
    for span in spans:
        assert ids([span]).count(mask) == 1
        assert len(ids([span])) - 1 == len(ids([span], mask=None)) < len(whole)
    assert ids(spans).count(mask) == len(spans)
    assert len(ids(spans, most=10)) == 10
    if base == "minilm-l6":
        tokenizer.split_special_tokens = False
        text = text.replace("[MASK]", "a mask of")
        for span in word_spans(text):
            tokenizer.split_special_tokens = False
            expected = tokenizer(mask_words(text, [span]))["input_ids"]
            tokenizer.split_special_tokens = True
            assert ids([span]) == expected


def test_a_text_is_encoded_once():
    calls = []

    def encode(text):
        calls.append(text)
        return load_tokenizer("minilm-l6")(text).encodings[0]

    masked_ids(encode, ["A ghost."] * 3, [[], [(0, 1)], [(2, 7)]], 103, 512)
    assert calls == ["A ghost."]


def test_classifiers_that_cannot_be_explained_are_rejected():
    with pytest.raises(BadInput, match="does not report the offsets of its tokens"):
        masked_ids(lambda text: None, ["A ghost."], [[]], 1, 8)
    with pytest.raises(BadInput, match="has no gradients"):
        integrated_gradients(GenreClassifier.from_pretrained(shipped.CLASSIFIER), "A ghost.", [0])
