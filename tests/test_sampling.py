"""Writing plots: prompts, options, seeds, streams; on tiny checkpoints."""

import functools

import pytest

from movieplots.errors import BadInput
from movieplots.generation.sampling import PlotGenerator

BACKENDS = ["transformers", "llama.cpp"]


@functools.lru_cache
def load(folder, backend="llama.cpp"):
    return PlotGenerator.from_pretrained(folder, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_are_what_was_asked_for(trained, backend):
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
    drawn = generator.generate(n=40, max_tokens=2)
    assert len({sample.genre for sample in drawn}) > 5


def test_a_sample_depends_on_its_seed_and_number_alone(trained):
    generator = load(trained[0])
    many = generator.generate(["horror"], n=20, max_tokens=20, seed=5)
    assert generator.generate(["horror"], n=4, max_tokens=20, seed=5) == many[:4]
    assert len({(sample.title, sample.plot) for sample in many}) == 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_options_change_what_is_written(untitled, backend):
    generator = load(untitled, backend)

    def plot(**options):
        (sample,) = generator.generate(["horror"], max_tokens=80, temperature=0.1, top_p=0, seed=1, **options)
        return sample.plot

    usual = plot()
    for options in ({"min_p": 0.9}, {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 2}):
        assert plot(**options) != usual


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_grows_into_a_sample(untitled, backend):
    generator = load(untitled, backend)
    steps = list(generator.stream(["horror"], opening="The sea", max_tokens=12, seed=3))
    assert 1 <= len(steps) <= 12
    assert all(step.plot.startswith("The sea") for step in steps)
    assert len(steps[-1].plot) >= len(steps[0].plot)
    assert [steps[-1]] == generator.generate(["horror"], opening="The sea", max_tokens=12, seed=3)


def test_what_is_drawn_at_random_reads_back_as_text(untitled):
    """Bytes that are no text on their own: streamed one by one they give what they give together."""
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
        ({"opening": "word " * 700}, "too long for this model"),
    ],
)
def test_bad_requests_say_what_to_change(untitled, arguments, message):
    with pytest.raises(BadInput, match=message):
        load(untitled).generate(**arguments)
    if "n" not in arguments:
        with pytest.raises(BadInput, match=message):
            list(load(untitled).stream(**arguments))
