"""Figures, tables and lists about the training of a generator show the right numbers."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from movieplots.generation.info import GenreLoss, Written, WrittenAt
from movieplots.generation.packing import RandomCrops, coverage, seen_in_crops, seen_in_epochs
from movieplots.reporting import generation as figures
from movieplots.runs.find_lr import LrSearch, smooth

HISTORY = [
    {"step": 0, "eval_loss": 4.5}, {"step": 1, "loss": 4.4}, {"step": 2, "loss": 4.0}, {"step": 3, "loss": 3.6},
    {"step": 3, "eval_loss": 3.7}, {"step": 3, "samples": []},
]  # fmt: skip
SEARCH = LrSearch([1e-5, 1e-4, 1e-3, 1e-2], [5.0, 4.8, 3.9, 9.0], smooth([5.0, 4.8, 3.9, 9.0]), 4.2e-4)
BY_GENRE = {
    "war": GenreLoss(4.2, 4.3, 2),
    "drama": GenreLoss(4.5, 3.4, 140),
    "horror": GenreLoss(4.6, 3.3, 31),
}


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def texts(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.texts]


def all_figures():
    return {
        "token_lengths": figures.token_lengths([20, 45, 60, 61, 80, 600], 512),
        "learning_rates": figures.learning_rates(SEARCH, 1e-3),
        "training_curves": figures.training_curves(HISTORY),
        "two training_curves": figures.training_curves({"random crops": HISTORY, "packed plots": HISTORY}),
        "times_seen": figures.times_seen(pd.DataFrame({"random crops": [0.4, 0.6], "packed plots": [0.0, 1.0]})),
        "loss_by_genre": figures.loss_by_genre(BY_GENRE),
    }


@pytest.mark.parametrize("name", all_figures())
def test_no_text_leaves_the_figure(name):
    figure = all_figures()[name]
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    box = figure.get_tightbbox(renderer)  # in inches
    width, height = figure.get_size_inches()
    assert box.x0 > -0.01 and box.y0 > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01


# Texts of the figures


def test_token_lengths_show_the_share_that_fits_into_the_block_size():
    figure = figures.token_lengths([20, 45, 60, 61, 80, 600], 512)
    assert title(figure).startswith("Lengths of the 6 training plots: 83\xa0% fit into 512 tokens (quartiles")
    assert texts(figure) == ["median: 60 tokens", "block size: 512 tokens (1 plot truncated)"]
    assert "(0 plots truncated)" in texts(figures.token_lengths([20, 45, 512], 512))[1]
    nearly_all = figures.token_lengths([30] * 99_999 + [600], 512)
    assert "99.99\xa0% fit" in title(nearly_all)  # never rounded to 100 %


def test_learning_rates_show_the_steepest_descent_and_the_rate_used():
    figure = figures.learning_rates(SEARCH, 1e-3)
    left, right = figure.axes[0].texts
    assert [text.get_text() for text in (left, right)] == ["steepest descent: 4.2e-4", "used in training: 1e-3"]
    assert (left.get_ha(), right.get_ha()) == ("right", "left")  # on the side away from the other line
    assert figure.axes[0].get_ylim()[1] < 9  # the diverging loss does not flatten the rest


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (0, "Training loss (the validation loss has not been computed yet)"),
        (1, "Validation loss before training: 4.50 (perplexity 90)"),
        (5, "Validation loss: 4.50 → 3.70 after 3 steps (perplexity 90 → 40.4)"),
    ],
)
def test_the_title_of_the_curves_shows_the_current_validation_loss(steps, said):
    figure = figures.training_curves(HISTORY[:steps])
    assert title(figure) == said
    assert len(figure.axes[0].lines) == {0: 0, 1: 1, 5: 3}[steps]  # raw and smoothed training loss, validation loss


def test_a_loss_of_one_step_weighs_less_than_a_mean_of_ten():
    history = [{"step": step, "loss": 4.0} for step in range(10, 110, 10)] + [{"step": 101, "loss": 9.0}]
    (smoothed,) = [line for line in figures.training_curves(history).axes[0].lines if line.get_label()[0] != "_"]
    assert smoothed.get_ydata() == pytest.approx([4.0] * 10 + [4.0 + 5 * (1 - 0.8**0.1) / (1 - 0.8**10.1)])


def test_a_label_near_the_edge_is_on_the_other_side():
    search = LrSearch(list(np.geomspace(1e-6, 1, 5)), [5.0, 4.0, 4.0, 4.0, 9.0], [5.0, 4.0, 4.0, 4.0, 9.0], 2e-6)
    label, other = figures.learning_rates(search, 1e-3).axes[0].texts
    assert (label.get_text(), label.get_ha()) == ("steepest descent: 2e-6", "left")
    assert (
        label.xyann[1] == other.xyann[1] and label.xy[1] > other.xy[1]
    )  # in different rows, in case the two lines are close


def test_each_of_several_runs_has_a_color():
    figure = figures.training_curves({"random crops": HISTORY, "packed plots": HISTORY})
    said = "Validation loss after 3 steps: random crops 3.70 (perplexity 40.4), packed plots 3.70 (perplexity 40.4)"
    assert title(figure) == said
    assert "perplexity" not in title(figures.training_curves(HISTORY, "weighted BCE"))
    colors = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert list(colors) == [f"{run}: {which} loss" for run in ("random crops", "packed plots")
                             for which in ("training", "validation")]  # fmt: skip
    assert len(set(colors.values())) == 2


def test_losses_by_genre_are_sorted_and_increases_are_counted():
    figure = figures.loss_by_genre(BY_GENRE)
    assert title(figure).endswith("(lower after training in 2 of 3 genres)")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["horror (31)", "drama (140)", "war (2)"]


def test_tokens_seen_many_times_share_the_last_bars():
    shares = pd.DataFrame({"random crops": [0.1] * 10, "packed plots": [0.0] * 9 + [1.0]})
    figure = figures.times_seen(shares)
    assert (
        title(figure)
        == "How often training has seen each token (never seen: random crops 10\xa0%, packed plots 0\xa0%)"
    )
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()][-1] == "6 or more"
    crops, packed = figure.axes[0].containers[:2]
    assert [round(bar.get_height()) for bar in crops] == [10] * 6 + [40]
    assert [round(bar.get_height()) for bar in packed] == [0] * 6 + [100]


# Tables and lists


def test_tables_of_one_run_and_of_several(trained):
    _, info = trained
    table = figures.training_table(info)
    assert list(table) == ["", "value"]
    assert dict(table.to_numpy())["test loss after training, nats/token"] == f"{info.metrics.test_loss_after:.2f}"
    assert list(figures.training_table({"a": info, "b": info})) == ["", "a", "b"]


def test_dump_table_has_a_row_per_setting():
    dump = pd.DataFrame(
        {
            "genre": "drama", "title": "", "plot": ["a b c", "a", "a b", ""], "temperature": [0.7, 0.7, 1.0, 1.0],
            "top_p": [0.0, 0.0, 0.9, 0.9], "truncated": [False, True, False, False],
        }
    )  # fmt: skip
    table = figures.dump_table(dump)
    assert table["top-p"].tolist() == ["off", "0.9"]
    assert table["truncated"].tolist() == ["50\xa0%", "0\xa0%"]
    assert table["length, words (median)"].tolist() == ["2", "1"]


def test_samples_are_escaped_and_shown_in_full():
    sample = {"genre": "drama", "title": '"A_B" (2009)', "plot": "He *wins* $5 <b> & loses $7.", "temperature": 0.7}
    (line,) = figures.plots_in_full(pd.DataFrame([sample | {"truncated": True}])).data.splitlines()
    assert line == '- *drama* **"A\\_B" (2009)** He \\*wins\\* \\$5 &lt;b&gt; &amp; loses \\$7. […]'
    rows = [sample | {"plot": ""}, sample | {"plot": "", "title": ""}, sample | {"plot": 150 * "x", "temperature": 1.0}]
    first, second, third = figures.plots_in_full(pd.DataFrame(rows)).data.splitlines()
    assert first == '- *drama, 0.7* "A\\_B" (2009) (truncated title)'
    assert second == "- *drama, 0.7* (empty)"
    assert third.startswith("- *drama, 1*") and max(map(len, third.split("\u200b"))) < 100


def test_samples_of_the_first_the_middle_and_the_last_step():
    samples = [WrittenAt(step, [Written("drama", "", f"P{step}")]) for step in range(9)]
    shown = figures.samples_in_training(samples).data
    assert [step for step in range(9) if f"**Step {step}**" in shown and f"P{step}" in shown] == [0, 4, 8]
    assert figures.samples_in_training(samples[:1]).data.count("Step") == 1


# How often tokens were seen


@pytest.fixture
def crops(small_corpus, tiny_gpt2):
    from movieplots.generation.prompt_format import PromptTokenizer
    from movieplots.plots import load_plots
    from movieplots.pretrained.base_models import load_tokenizer

    tokenizer = PromptTokenizer(load_tokenizer(tiny_gpt2), True)
    return RandomCrops(load_plots(small_corpus, "train"), tokenizer, 64, seed=0)


@pytest.mark.parametrize(
    ("epochs", "shares"), [(0, [1]), (0.25, [0.75, 0.25]), (1, [0, 1]), (2.5, [0, 0, 0.5, 0.5]), (3, [0, 0, 0, 1])]
)
def test_epochs_see_every_token_equally_often(epochs, shares):
    assert seen_in_epochs(epochs).tolist() == pytest.approx(shares)


def test_random_crops_leave_it_to_chance(crops):
    counted = np.zeros(len(crops.text))
    for start in itertools.islice(crops.starts(), 50):
        counted[start : start + 64] += 1
    shares = seen_in_crops(crops, 50)
    assert shares.sum() == pytest.approx(1)
    assert all(shares[times] == pytest.approx((counted == times).mean()) for times in shares.index)


def test_after_three_epochs_of_random_crops_one_token_in_twenty_is_unseen():
    stream = SimpleNamespace(text=range(1_000_000), size=512)
    stream.times_seen = lambda n: RandomCrops.times_seen(stream, n)
    stream.seed, stream.starts = 0, lambda: RandomCrops.starts(stream)
    shares = coverage(stream, 3, 3)
    assert shares.loc[0, "random crops"] == pytest.approx(np.exp(-3), abs=0.01)
    assert shares["packed plots"].tolist()[:4] == [0, 0, 0, 1]
    assert shares.sum().tolist() == pytest.approx([1, 1])
