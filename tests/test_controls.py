"""Keywords and length in prompts, keywords in texts, phrases that are kept out of texts."""

import random
import re
from collections import Counter

import pytest

from movieplots.errors import BadInput
from movieplots.generation.avoidance import MAX_REWINDS, Avoidance
from movieplots.generation.controls import (
    CONTROL_SHARE,
    TrainingControls,
    check_keywords,
    check_phrases,
    controls_text,
    length_class,
    training_controls,
)
from movieplots.generation.keyword_bias import KeywordBias
from movieplots.generation.keywords import contains, content_words, missing
from movieplots.generation.packing import PackedPlots
from movieplots.generation.prompt_format import END_OF_GENRE, END_OF_TITLE
from movieplots.generation.sampling import PlotGenerator
from movieplots.plots import load_plots
from movieplots.settings import Settings
from movieplots.words import split_words

PLOT = "A keeper of a lighthouse meets Anna on the coast. The keeper vanished with the brother of Anna."


def test_the_length_class_goes_by_words():
    words = {1: "short", 25: "short", 26: "medium", 60: "medium", 61: "long", 300: "long"}
    assert {n: length_class(" ".join(["word"] * n)) for n in words} == words


def test_content_words_are_words_of_the_plot_in_their_usual_case():
    (words,) = content_words([PLOT])
    assert {"lighthouse", "keeper", "Anna"} <= set(words)
    assert not {"the", "and", "with", "a"} & set(words)
    assert all(word in PLOT for word in words)
    first, second = content_words(["A summer of Storms and rain.", "A boat is lost in storms."])
    assert "storms" in first and "storms" in second  # only names keep their capital
    assert content_words(["", "It was."]) == [[], []]


def test_of_a_large_corpus_some_plots_get_keywords(monkeypatch):
    monkeypatch.setattr("movieplots.generation.controls.KEYWORD_PLOTS", 3)
    found = training_controls([f"A lighthouse keeper finds boat {i}." for i in range(8)])
    assert sum(bool(each.words) for each in found) == 3 and {each.length for each in found} == {"short"}
    assert "dragon" not in content_words(["word " * 300 + "dragon"])[0]


def test_a_keyword_counts_in_any_inflection():
    assert contains("Two lighthouses.", "lighthouse") and contains("She is MURDERED!", "murder")
    assert contains("The serial-killers meet.", "serial killer")
    assert not contains("A lightweight house.", "lighthouse") and not contains("A killer of serials.", "serial killer")
    assert missing("The storm takes a ship.", ["storms", "ships", "keeper"]) == ["keeper"]


def test_half_of_the_training_prompts_have_keywords_and_half_their_length():
    rng, controls = random.Random(0), TrainingControls(["storm", "keeper", "coast", "brother"], "medium")
    texts = [controls.sample(rng) for _ in range(4000)]
    assert sum("; about " in text for text in texts) / 4000 == pytest.approx(CONTROL_SHARE, abs=0.03)
    assert sum("; medium" in text for text in texts) / 4000 == pytest.approx(CONTROL_SHARE, abs=0.03)
    assert sum(not text for text in texts) / 4000 == pytest.approx((1 - CONTROL_SHARE) ** 2, abs=0.03)
    named = Counter(len(text.partition("; about ")[2].split(", ")) for text in texts if "about" in text)
    assert set(named) == {1, 2, 3} and min(named.values()) > 500
    assert TrainingControls([], "short").sample(random.Random(1)) in ("", "; short")


def test_examples_name_words_of_their_own_plot(corpus, trained):
    plots = load_plots(corpus, "train").head(60)
    tokenizer = PlotGenerator.from_pretrained(trained[0]).tokenizer
    stream = PackedPlots(plots, tokenizer, 512, 0, controls=training_controls(plots["plot"].tolist()))
    texts = [tokenizer.tokenizer.decode(e.input_ids, skip_special_tokens=False) for e in stream.examples(0)]
    marked = [text.replace(END_OF_TITLE, END_OF_GENRE).split(END_OF_GENRE) for text in texts]
    controlled = 0
    for prompt, _, plot in marked:
        wanted = prompt.partition("; about ")[2]
        controlled += "; " in prompt
        assert not wanted or not missing(plot, wanted.split(", "))
        (length,) = [part for part in prompt.split("; ")[1:] if not part.startswith("about ")] or [None]
        assert length in (None, length_class(plot))
    assert 30 < controlled < 60


def test_the_loss_skips_the_whole_prompt(trained):
    tokenizer = PlotGenerator.from_pretrained(trained[0]).tokenizer
    plain, controlled = (
        tokenizer.example("horror" + text, "Salt", "The sea.", 64) for text in ("", controls_text(["sea"], "short"))
    )
    assert controls_text(["sea", "salt"], "short") == "; short; about sea, salt"
    assert len(controlled) > len(plain)
    assert [i for i in controlled.labels if i != -100] == [i for i in plain.labels if i != -100]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (["a", "b", "c", "d"], "4 keywords"),
        (["one two three four"], "4 words"),
        ([" ".join(["word"] * 200)], "200 words"),
        (["salt; sea"], "comma or semicolon"),
        (["…"], "no word"),
        (["\ud800"], "surrogate"),
    ],
)
def test_keywords_that_cannot_be_prompted(keywords, message):
    with pytest.raises(BadInput, match=message):
        check_keywords(keywords)


def test_keywords_and_phrases_are_tidied():
    assert check_keywords([" sea  salt ", "sea salt", "storm"]) == ["sea salt", "storm"]
    assert check_phrases(["serial  killer"]) == ["serial killer"]
    with pytest.raises(BadInput, match="21 avoided phrases"):
        check_phrases([f"word{i}" for i in range(21)])
    with pytest.raises(BadInput, match="pass a list"):
        check_keywords("storm")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keywords": ["serial killers"], "avoid": ["serial killer"]}, "keyword 'serial killers' contains"),
        ({"opening": "The sea", "avoid": ["sea"]}, "opening contains 'sea'"),
        ({"title": "The Sea (1999)", "avoid": ["sea"]}, "title contains 'sea'"),
        ({"opening": "word " * 26, "length": "short"}, "26 words, and a short plot at most 25"),
        ({"length": "tiny"}, "--length must be one of short, medium, long"),
    ],
)
def test_contradictions_end_in_a_sentence(trained, options, message):
    generator = PlotGenerator.from_pretrained(trained[0])
    for method in (generator.generate, generator.check, lambda *args, **given: list(generator.stream(*args, **given))):
        with pytest.raises(BadInput, match=message):
            method(["horror"], **options)


def test_a_model_without_controls_says_so(trained):
    from dataclasses import replace

    generator = PlotGenerator.from_pretrained(trained[0])
    assert generator.info.controls == ["keywords", "length"]
    old = PlotGenerator(generator.backend, generator.tokenizer, replace(generator.info, controls=[]))
    with pytest.raises(BadInput, match="trained without keywords"):
        old.generate(["horror"], keywords=["sea"])
    with pytest.raises(BadInput, match="trained without length"):
        old.check(["horror"], length="short")
    (sample,) = generator.generate(["horror"], keywords=["sea"], length="short", max_tokens=8, seed=1)
    assert (sample.genre, sample.keywords, sample.length) == ("horror", ("sea",), "short")
    assert sample.missing_keywords in ([], ["sea"])


class Recites:
    """A backend that says the words of a text, and another word in place of a suppressed token."""

    name, context = "made up", 512

    def __init__(self, generator, text):
        self.tokenizer, self.ids = generator.tokenizer, generator.tokenizer.encode(text)
        self.other = generator.tokenizer.encode(" no")[0]
        self.asked = []

    def stream(self, request):
        self.asked.append(request)
        start = len(request.prompt) - self.base
        for position in range(start, start + request.max_new_tokens):
            token = self.ids[position] if position < len(self.ids) else request.stop
            yield self.other if token in request.suppressed else token
            if token == request.stop:
                return

    def decode(self, requests):
        yield from ((i, list(self.stream(request))) for i, request in enumerate(requests))


def recite(trained, text, **options):
    """The plot that is written where the model wants to say the text, and the backend."""
    generator = PlotGenerator.from_pretrained(trained[0])
    backend = Recites(generator, text)
    opening = options.get("opening", "")
    prompt = "horror" + controls_text(length=options.get("length"))
    backend.base = len(generator.tokenizer.prompt(prompt, "Salt", opening))
    generator = PlotGenerator(backend, generator.tokenizer, generator.info)
    (sample,) = generator.generate(["horror"], title="Salt", seed=1, **options)
    *steps, streamed = generator.stream(["horror"], title="Salt", seed=1, **options)
    assert streamed == sample
    shown = [step.plot for step in steps]
    assert all(sample.plot.startswith(text) for text in shown)  # no text is shown that is replaced later
    return sample, backend


def test_an_avoided_phrase_is_replaced_and_the_rest_stays(trained):
    text = " The police hunt a serial killer. It rains."
    assert recite(trained, text)[0].plot == text.strip()
    sample, _ = recite(trained, text, avoid=["serial killer", "dragon"])
    assert "serial" not in sample.plot and sample.not_avoided == ()
    assert sample.plot.startswith("The police hunt a no") and sample.plot.endswith("It rains.")
    assert recite(trained, " The police hunt a serial. killers", avoid=["serial killer"])[0].not_avoided == ()
    assert recite(trained, " She is artistic.", avoid=["art"])[0].plot == "She is artistic."


@pytest.mark.parametrize(("length", "words"), [("short", 4), ("medium", 26), ("long", 61)])
def test_a_plot_does_not_stop_before_the_fewest_words_of_its_length(trained, length, words):
    sample, _ = recite(trained, " It rains in town.", length=length)
    assert len(sample.plot.split()) == words and sample.plot.startswith("It rains in town.")
    opened, _ = recite(trained, " It rains in town.", length=length, opening="The sea rises.")
    assert len(opened.plot.split()) == max(words, 7)
    assert not sample.truncated and length_class(sample.plot) == length


class Obliges(Recites):
    """Recites a text, but says a favored whole word at every third position."""

    def stream(self, request):
        start = len(request.prompt) - self.base
        said = [token for token, _ in request.logit_bias if token in self.whole]
        for n, token in enumerate(super().stream(request), start):
            yield said[0] if said and n % 3 == 2 and token != request.stop else token


def test_a_keyword_is_favored_in_the_plot_until_it_is_there(trained):
    generator = PlotGenerator.from_pretrained(trained[0])
    tokenizer = generator.tokenizer
    vocabulary = tokenizer.tokenizer.get_vocab()
    words = sorted(form[1:] for form in vocabulary if re.fullmatch("Ġ[a-z]{5,}", form))
    first, second = keywords = words[0], words[-1]

    def favored(*words):
        return sorted({tokenizer.encode(f" {form}")[0] for word in words for form in (word, word.capitalize())})

    def write(opening="", title="Salt", keywords=keywords):
        backend = Obliges(generator, " no one in the town" + " is it" * 6)
        backend.whole = [vocabulary[f"Ġ{word}"] for word in keywords]
        backend.base = len(tokenizer.prompt("horror" + controls_text(keywords), title, opening))
        if title is None:
            backend.ids = [*tokenizer.encode("In"), tokenizer.end_of_title, *backend.ids]
        obliging = PlotGenerator(backend, tokenizer, generator.info)
        options = {"title": title, "opening": opening, "keywords": keywords, "seed": 1}
        (sample,) = obliging.generate(["horror"], **options)
        requests, backend.asked = backend.asked, []
        *_, streamed = obliging.stream(["horror"], **options)
        assert streamed == sample and backend.asked == requests
        return sample, [sorted(token for token, _ in each.logit_bias) for each in requests]

    sample, biases = write()
    assert sample.missing_keywords == [] and not sample.truncated
    assert biases[0] == favored(first, second) and biases[-1] == [] and len(biases) == 3
    assert write(opening=f"The {first} and the {second}.")[1] == [[]]
    assert write(opening=f"The {first} ends.")[1][0] == favored(second)
    sample, biases = write(title=None)
    assert sample.title == "In" and sample.missing_keywords == []
    assert biases[0] == [] and biases[1] == favored(first, second)
    assert write(keywords=())[1] == [[]]


def test_a_keyword_that_is_begun_in_vain_is_not_favored_further(trained):
    tokenizer = PlotGenerator.from_pretrained(trained[0]).tokenizer
    bias = KeywordBias(["Murelzqx"], tokenizer)
    (begins,) = bias.first_tokens["Murelzqx"]
    other = tokenizer.encode(" it")
    assert bias.favored([*other, begins, *other]) == ["Murelzqx"]
    assert bias.favored([*other, begins, *other, begins]) == []
    assert bias.favored(tokenizer.encode("The Murelzqx")) == []


def test_a_phrase_that_begins_in_the_opening_is_avoided(trained):
    sample, _ = recite(trained, " killer. It rains.", opening="The police hunt a serial", avoid=["serial killer"])
    assert sample.plot.startswith("The police hunt a serial no") and sample.not_avoided == ()


def test_a_phrase_at_every_turn_is_banned_everywhere_and_kept_at_last(trained):
    text = " rain and" * 12 + " rain"
    sample, backend = recite(trained, text, avoid=["rain"])
    assert "rain" not in sample.plot and sample.not_avoided == ()
    assert len(backend.asked) <= 2 * (2 * MAX_REWINDS + 2)

    class Stubborn(Recites):
        def stream(self, request):
            from dataclasses import replace

            yield from super().stream(replace(request, suppressed=()))

    generator = PlotGenerator.from_pretrained(trained[0])
    backend = Stubborn(generator, text)
    backend.base = len(generator.tokenizer.prompt("horror", "Salt"))
    generator = PlotGenerator(backend, generator.tokenizer, generator.info)
    (sample,) = generator.generate(["horror"], title="Salt", seed=1, avoid=["rain"])
    assert sample.not_avoided == ("rain",) and sample.plot == text.strip()


@pytest.mark.parametrize("backend", ["transformers", "llama.cpp"])
def test_words_never_appear_with_real_backends(trained, backend):
    generator = PlotGenerator.from_pretrained(trained[0], backend)
    options = {"title": "Salt", "seed": 2, "max_tokens": 40, "temperature": 0.7}
    plain = generator.generate(["horror"], n=6, **options)
    avoid = [word for word, _ in Counter(split_words(" ".join(s.plot for s in plain))).most_common(3)]
    assert len(avoid) == 3 and all(any(contains(s.plot, word) for s in plain) for word in avoid)
    options["avoid"] = avoid
    samples = generator.generate(["horror"], n=6, **options)
    for sample in samples:
        kept = {word for word in avoid if contains(sample.plot, word) or contains(sample.title, word)}
        assert kept == set(sample.not_avoided)
    assert sum(bool(s.not_avoided) for s in samples) <= 1
    for number in (0, 3):
        *_, streamed = generator.stream(["horror"], number=number, **options)
        assert streamed == samples[number]


def test_title_and_plot_are_separate_texts(trained):
    tokenizer = PlotGenerator.from_pretrained(trained[0]).tokenizer
    ids = [*tokenizer.encode("The serial"), tokenizer.end_of_title, *tokenizer.encode("killer waits.")]
    assert Avoidance(["serial killer"], tokenizer).find([], ids, complete=True) is None
    found = Avoidance(["killer"], tokenizer).find([], ids, complete=True)
    assert ids[found.token] in found.banned and found.token >= ids.index(tokenizer.end_of_title)


def test_settings_are_checked_before_a_model_is_loaded():
    from movieplots.generation.sampling_settings import GenerateSettings

    assert issubclass(GenerateSettings, Settings)
    with pytest.raises(BadInput, match="which is to be avoided"):
        GenerateSettings(keywords=["sea"], avoid=["sea"])
