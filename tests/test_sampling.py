"""Writing plots: prompts, options, seeds, streams; on tiny checkpoints."""

import copy
import functools
import re

import pytest
import torch

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import PromptTokenizer, SavedTokenizer
from movieplots.generation.samples_in_training import write_samples
from movieplots.generation.sampling import MIN_NEW_TOKENS, PlotGenerator
from movieplots.pretrained import shipped
from movieplots.runs.folder import read_info

BACKENDS = ["transformers", "llama.cpp"]


@functools.lru_cache
def load(folder, backend="llama.cpp"):
    return PlotGenerator.from_pretrained(folder, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_match_the_request(trained, backend):
    generator = load(trained[0], backend)
    assert generator.backend.name == backend
    samples = generator.generate(["horror"], n=3, max_tokens=30, seed=5)
    assert samples == generator.generate(["horror"], n=3, max_tokens=30, seed=5)
    assert samples != generator.generate(["horror"], n=3, max_tokens=30, seed=6)
    assert {sample.genre for sample in samples} == {"horror"}
    (titled,) = generator.generate(
        ["horror", "comedy"], title="Salt (2009)", opening="The sea gives back", max_tokens=20
    )
    assert (titled.genre, titled.title) == ("horror, comedy", "Salt (2009)")
    assert titled.plot.startswith("The sea gives back")
    (opened,) = generator.generate(["war"], opening="The sea gives back", max_tokens=20)
    assert opened.plot.startswith("The sea gives back")
    drawn = generator.generate(n=40, max_tokens=2, seed=0)
    assert len({sample.genre for sample in drawn}) > 5


def test_a_sample_depends_only_on_seed_and_index(trained):
    generator = load(trained[0])
    many = generator.generate(["horror"], n=20, max_tokens=20, seed=5)
    assert generator.generate(["horror"], n=4, max_tokens=20, seed=5) == many[:4]
    assert len({(sample.title, sample.plot) for sample in many}) == 20
    first, second = (generator.generate(["horror"], n=2, max_tokens=20) for _ in range(2))
    assert first[0].seed == first[1].seed != second[0].seed
    assert generator.generate(["horror"], n=2, max_tokens=20, seed=first[0].seed) == first


class RepeatsEndOfTitle:
    """A backend that yields an end-of-title token at every second position unless it is suppressed."""

    name, context = "made up", 512

    def __init__(self, generator):
        self.end_of_title = generator.tokenizer.end_of_title
        self.words = generator.tokenizer.encode("The sea gives back what it took.")

    def stream(self, request):
        for position in range(len(request.prompt), len(request.prompt) + request.max_new_tokens):
            ends = position % 2 and self.end_of_title not in request.suppressed
            yield self.end_of_title if ends else self.words[position % len(self.words)]
            if ends and request.stop == self.end_of_title:
                return

    def decode(self, requests):
        yield from ((i, list(self.stream(request))) for i, request in enumerate(requests))


@pytest.mark.parametrize("title", [None, "Salt (2009)"])
@pytest.mark.parametrize("opening", ["", "Night Train (1955)"])
@pytest.mark.parametrize("continue_opening", [False, True])
def test_a_sample_has_one_end_of_title(trained, title, opening, continue_opening):
    generator = load(trained[0])
    generator = PlotGenerator(RepeatsEndOfTitle(generator), generator.tokenizer, generator.info)
    read, wrong = generator.tokenizer.read, []

    def watched(ids, has_title):
        wrong.append(ids.count(generator.tokenizer.end_of_title) > (not has_title))
        return read(ids, has_title)

    generator.tokenizer = copy.copy(generator.tokenizer)
    generator.tokenizer.read = watched
    arguments = {"genres": ["horror"], "title": title, "opening": opening, "max_tokens": 30, "seed": 0}
    (sample,) = generator.generate(**arguments)
    *_, streamed = generator.stream(**arguments, continue_opening=continue_opening)
    assert streamed == sample
    assert wrong and not any(wrong)
    assert len(generator.tokenizer.encode(sample.plot)) > 25


def test_samples_during_training_have_one_end_of_title(trained):
    tokenizer = copy.copy(load(trained[0]).tokenizer)
    found = []
    tokenizer.read = lambda ids, has_title: found.append(ids) or ("", "", False)

    class PrefersEndOfTitle(torch.nn.Module):
        device = torch.device("cpu")

        def generate(self, input_ids, logits_processor=(), **_):
            for _ in range(5):
                scores = torch.zeros(len(input_ids), 2000)
                scores[:, tokenizer.end_of_title] = 1
                for processor in logits_processor:
                    scores = processor(input_ids, scores)
                input_ids = torch.cat([input_ids, scores.argmax(1, keepdim=True)], 1)
            return input_ids

    write_samples(PrefersEndOfTitle(), tokenizer, ["horror", "war"], 0)
    assert [ids.count(tokenizer.end_of_title) for ids in found] == [1, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_plots_contain_no_special_tokens(trained, backend):
    generator = load(trained[0], backend)
    forbidden = set(generator.tokenizer.suppressed_in_plot)
    found = []
    watched = PlotGenerator(generator.backend, copy.copy(generator.tokenizer), generator.info)
    watched.tokenizer.read = lambda ids, has_title: found.append((has_title, set(ids))) or ("", "", False)
    options = {"genres": ["horror"], "temperature": 5.0, "top_p": 0, "min_p": 0, "max_tokens": 60, "seed": 0}
    for words in ({"opening": "Salt (2009)"}, {"title": "Salt (2009)"}):
        watched.generate(n=30, **options, **words)
    assert sum(has_title for has_title, _ in found) == 60
    assert not any(ids & forbidden for has_title, ids in found if has_title)


@pytest.mark.parametrize("backend", BACKENDS)
def test_options_change_the_samples(untitled, backend):
    generator = load(untitled, backend)

    def plot(**options):
        (sample,) = generator.generate(["horror"], max_tokens=80, temperature=0.1, top_p=0, seed=1, **options)
        return sample.plot

    usual = plot()
    for options in ({"min_p": 0.9}, {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 2}):
        assert plot(**options) != usual


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_ends_with_the_sample(untitled, backend):
    generator = load(untitled, backend)
    steps = list(generator.stream(["horror"], opening="The sea", max_tokens=12, seed=3))
    assert 1 <= len(steps) <= 12
    assert all(step.plot.startswith("The sea") for step in steps)
    assert len(steps[-1].plot) >= len(steps[0].plot)
    assert [steps[-1]] == generator.generate(["horror"], opening="The sea", max_tokens=12, seed=3)


def test_streamed_incomplete_characters_become_text(untitled):
    """Streamed tokens of one character give the same text as together."""
    generator = load(untitled)
    for seed in range(3):
        options = {"genres": ["horror"], "temperature": 3.0, "top_p": 0, "max_tokens": 60, "seed": seed}
        assert [list(generator.stream(**options))[-1]] == generator.generate(**options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"genres": ["horrror"]}, "Unknown genre 'horrror'"),
        ({"n": 0}, "at least 1"),
        ({"temperature": 0}, "--temperature must be above 0 and at most 5"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 1.5}, "--top-p must be from 0 to 1"),
        ({"min_p": 1}, "--min-p must be at least 0 and below 1"),
        ({"repetition_penalty": 0}, "--repetition-penalty must be"),
        ({"no_repeat_ngram_size": 1}, "--no-repeat-ngram-size must be"),
        ({"max_tokens": 0}, "--max-tokens must be at least 1"),
        ({"title": "Salt (2009)"}, "without titles"),
        ({"opening": "word " * 700}, r"opening has [\d,]+ tokens \(700 words\)"),
    ],
)
def test_errors_of_invalid_requests(untitled, arguments, message):
    with pytest.raises(BadInput, match=message):
        load(untitled).generate(**arguments)
    if "n" not in arguments:
        with pytest.raises(BadInput, match=message):
            list(load(untitled).stream(**arguments))


class LongWinded:
    """A backend that uses all tokens of the limit and needs at least ten."""

    name, context = "long-winded", 200

    def __init__(self, word):
        self.word = word

    def decode(self, requests):
        yield from ((number, list(self.stream(request))) for number, request in enumerate(requests))

    def stream(self, request):
        assert len(request.prompt) + request.max_new_tokens <= self.context and request.max_new_tokens >= 10
        yield from [*[self.word] * (request.max_new_tokens - 1), request.stop]


@pytest.fixture(scope="module")
def long_winded():
    """A `PlotGenerator` with the prompts of the pretrained generator and a context of 200 tokens."""
    info = read_info(shipped.GENERATOR, GeneratorInfo)
    tokenizer = PromptTokenizer.of(SavedTokenizer(shipped.GENERATOR), info)
    return PlotGenerator(LongWinded(tokenizer.encode(" sea")[0]), tokenizer, info)


@pytest.mark.parametrize("title", ["Salt (2009)", None])
def test_the_longest_opening_is_that_of_the_message(long_winded, title):
    """A longer one is rejected before any generation, with or without a given title."""
    with pytest.raises(BadInput) as refused:
        long_winded.check(["horror"], title, "the " * 300)
    tokens, words, room, about = map(int, re.findall(r"\d+", str(refused.value)))
    assert tokens == words == 300 and room == about and str(refused.value).endswith("words): shorten the opening.")
    for write in (long_winded.generate, lambda *asked: list(long_winded.stream(*asked, continue_opening=True))):
        longest = write(["horror"], title, "the " * room)[-1]
        assert longest.plot.count("the") == room and len(longest.plot.split()) >= room + MIN_NEW_TOKENS - 1
        with pytest.raises(BadInput, match=f"has {room + 1} tokens .* room for {room} "):
            write(["horror"], title, "the " * (room + 1))


def test_a_title_that_is_too_long_is_rejected(long_winded):
    with pytest.raises(BadInput, match=r"The title has 300 tokens \(300 words\).*: shorten the title"):
        long_winded.check(["horror"], "the " * 300, "The sea gives back")
