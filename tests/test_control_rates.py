"""How often a generator does what keywords and lengths ask for."""

from movieplots.evaluation.control_rates import control_rates
from movieplots.generation.sampling import PlotGenerator, Sample
from movieplots.plots import load_plots


class Follows(PlotGenerator):
    """Writes the keyword, and the length, of every second prompt that has one."""

    def __init__(self):
        self.asked = []

    def write(self, requests):
        for i, each in enumerate(requests):
            self.asked.append(each)
            follows = i % 2 == 0
            words = {"short": 5, "medium": 30, "long": 80}[each.length if each.length and follows else "medium"]
            plot = " ".join([*(each.keywords if follows else ()), *["word"] * words])
            yield i, Sample(each.genre, "", plot, 0.8, 0.9, 0, False, each.keywords, each.length), words


def test_rates_compare_with_prompts_without_controls(corpus):
    generator, plots = Follows(), load_plots(corpus, "test")
    rates = control_rates(generator, plots, n=30)
    assert rates.keyword.controlled.value == 0.5 and rates.keyword.controlled.of == 30
    assert rates.keyword.uncontrolled.value < 0.1
    assert set(rates.by_length) == {"short", "medium", "long"}
    assert rates.by_length["short"].controlled.value == 0.5 and rates.by_length["short"].uncontrolled.value == 0
    assert rates.by_length["medium"].uncontrolled.value == 1
    plain, keyword, length = (generator.asked[at : at + 30] for at in (0, 30, 60))
    assert [each.genre for each in plain] == [each.genre for each in keyword] == [each.genre for each in length]
    assert [each.random_stream for each in plain] == [each.random_stream for each in keyword]
    assert not any(each.keywords or each.length for each in plain)
    assert all(len(each.keywords) == 1 and each.length is None for each in keyword)
