"""Writing plots: prompts, options, seeds, streams; on tiny checkpoints."""

import pytest

from movieplots.errors import BadInput
from movieplots.generation.sampling import PlotGenerator


def test_samples_are_what_was_asked_for(trained):
    generator = PlotGenerator.from_pretrained(trained[0])
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


def test_a_stream_grows_into_a_sample(untitled):
    generator = PlotGenerator.from_pretrained(untitled)
    steps = list(generator.stream(["horror"], opening="The sea", max_tokens=12, seed=3))
    assert 1 <= len(steps) <= 12
    assert all(step.plot.startswith("The sea") for step in steps)
    assert len(steps[-1].plot) >= len(steps[0].plot)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"genres": ["horrror"]}, "Unknown genre 'horrror'"),
        ({"n": 0}, "at least 1"),
        ({"temperature": 0}, "temperature"),
        ({"top_p": 1.5}, "Top-p"),
        ({"title": "Salt (2009)"}, "without titles"),
        ({"opening": "word " * 700}, "too long for this model"),
    ],
)
def test_bad_requests_say_what_to_change(untitled, arguments, message):
    with pytest.raises(BadInput, match=message):
        PlotGenerator.from_pretrained(untitled).generate(**arguments)
