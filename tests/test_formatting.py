"""Numbers, lists, tables and heatmaps as a reader sees them."""

import numpy as np
import pytest

from movieplots.formatting import bounds, interval, listed, markdown_table, number, percent, plural, top_p_words
from movieplots.intervals import Estimate
from movieplots.reporting.figures import heatmap


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"), (1, "100"), (0.62, "62"), (0.1, "10"), (0.0996, "10"), (0.0994, "9.9"), (0.042, "4.2"), (0.01, "1.0"),
        (0.0005, "0.1"), (0.0004, "0.04"), (1e-9, "0.01"), (0.994, "99"), (0.996, "99.6"), (0.9996, "99.96"),
        (1 - 1e-9, "99.99"), (1 + 1e-9, "100"), (np.float32(0.25), "25"),
    ],
)  # fmt: skip
def test_a_share_is_all_or_nothing_only_where_that_is_exact(share, text):
    assert percent(share) == f"{text}\xa0%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (12345, "12,345"), (np.int64(1200), "1,200"), (3.14159, "3.14"), (0.0123456, "0.0123"),
        (100.6, "101"), (999.6, "1,000"), (1234567.8, "1,234,568"), (3e-5, "3e-05"), (None, "–"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits_that_count_and_whole_ones_all(value, text):
    assert number(value) == text


def test_what_was_not_measured_is_a_dash():
    assert percent(None) == percent(float("nan")) == number(None) == "–"


def test_an_interval_has_one_form():
    value = Estimate(0.623, 0.5512, 0.69, 40)
    assert interval(value) == "0.62 (0.55 to 0.69)"
    assert interval(value, percent) == "62\xa0% (55\xa0% to 69\xa0%)"
    assert bounds(value) == "95\xa0% CI 0.55 to 0.69"


def test_words_for_counts_and_lists():
    assert [plural(count, "row") for count in (0, 1, 2, 1200, 2.5)] == [
        "0 rows", "1 row", "2 rows", "1,200 rows", "2.5 rows"
    ]  # fmt: skip
    assert [listed("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert (top_p_words(0), top_p_words(0.9)) == ("off", "0.9")


def test_a_text_cannot_break_its_table():
    table = markdown_table(("genre", "plots"), [("war", 1200), ("a|b\nc", 0.25)])
    assert table == "| genre | plots |\n|---|---|\n| war | 1,200 |\n| a\\|b c | 0.25 |"


def test_a_heatmap_writes_its_larger_and_its_framed_cells():
    values, framed = np.array([[0.5, 0.02, np.nan], [-0.001, 0.05, 0]]), np.array([[0, 0, 0], [1, 0, 0]], bool)
    axes, scale = heatmap(values, ["a", "b"], ["a", "b", "c"], ("rows", "columns"), "share, %", framed=framed).axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "50", (1, 1): "5", (0, 1): "0"}  # (column, row); never "-0"
    assert [patch.get_xy() for patch in axes.patches] == [(-0.5, 0.5)]
    assert (axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()) == ("columns", "rows", "share, %")
