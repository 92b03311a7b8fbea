"""Figures and tables of preparation show the right numbers, or a sentence if there are none."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from movieplots import load_plots, prepare
from movieplots.preparation.card import REASONS, dataset_card
from movieplots.preparation.cleaning import count_words
from movieplots.preparation.pipeline import DROPPED_FILE
from movieplots.reporting import preparation as figures
from movieplots.sources import get_source
from movieplots.sources.sample import DIRTY_FILE, FILE


def prepared(folder, *arguments, **options):
    report = prepare(*arguments, **options)
    return report, load_plots(folder), pd.read_parquet(folder / DROPPED_FILE)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    return prepared(folder, "sample", folder)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dirty")
    return prepared(folder, "sample", folder, DIRTY_FILE, min_length=28, max_length=100)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    return prepared(folder, ["sample", "imdb"], folder, {"sample": DIRTY_FILE, "imdb": FILE})


def all_figures(report, plots):
    return {
        "sources": figures.sources(report),
        "dropped_rows": figures.dropped_rows(report),
        "languages": figures.languages(report),
        "genre_frequencies": figures.genre_frequencies(report),
        "genres_per_plot": figures.genres_per_plot(plots),
        "genre_cooccurrence": figures.genre_cooccurrence(plots),
        "plot_lengths": figures.plot_lengths(plots, report),
        "plots_per_year": figures.plots_per_year(plots),
        "split_shares": figures.split_shares(report),
    }


def some_plots(*genres):
    return pd.DataFrame({"genres": list(genres)})


def words(figure):
    """The sentence of a figure without data."""
    (axes,) = figure.axes
    assert not axes.axison and not axes.patches
    return axes.texts[0].get_text()


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("corpus", ["sample", "dirty", "several"])
def test_no_text_is_clipped_or_overlaps(corpus, request):
    report, plots, _ = request.getfixturevalue(corpus)
    for name, figure in all_figures(report, plots).items():
        FigureCanvasAgg(figure).draw()
        boxes = [text.get_window_extent() for text in figure.texts]
        axes = figure.axes[0]
        boxes += [text.get_window_extent() for text in axes.texts]
        if axes.axison:
            low, high = (np.sort(limits) for limits in (axes.get_xlim(), axes.get_ylim()))
            ticks = axis_ticks(axes.xaxis, low), axis_ticks(axes.yaxis, high)
            for side in ticks:
                for first, second in pairwise(side):
                    assert not first.overlaps(second), f"{name}: two labels of an axis overlap"
            boxes += [box for side in ticks for box in side]
            boxes += [text.get_window_extent() for text in (axes.xaxis.label, axes.yaxis.label)]
            if axes.get_legend():
                boxes.append(axes.get_legend().get_window_extent())
        for box in boxes:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
            assert box.width == 0 or inside, f"{name}: a text reaches over the edge"


def axis_ticks(axis, limits):
    """The boxes of the labels that are drawn."""
    shown = [tick for tick in axis.get_major_ticks() if limits[0] <= tick.get_loc() <= limits[1]]
    return [tick.label1.get_window_extent() for tick in shown if tick.label1.get_text()]


# Counts


def test_sources_show_what_was_kept_and_dropped(several):
    report, _, _ = several
    figure = figures.sources(report)
    axes = figure.axes[0]
    kept, dropped = (np.array([bar.get_width() for bar in bars]) for bars in axes.containers)
    assert labels(axes.yaxis) == ["sample", "imdb"]
    assert kept.tolist() == [counts.kept for counts in report.by_source.values()]
    assert (kept + dropped).tolist() == [57, 420]
    assert texts(figure)[0] == f"{kept[0]:.0f} of 57"
    assert title(figure).startswith(f"Rows by source: {report.kept} of 477 kept")


def test_dropped_rows_have_readable_reasons_the_most_frequent_first(dirty):
    report, _, _ = dirty
    axes = figures.dropped_rows(report).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(report.dropped.values(), reverse=True)
    assert dict(zip(labels(axes.yaxis), widths, strict=True)) == {REASONS[key]: n for key, n in report.dropped.items()}
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first bar is at the top


def test_languages_other_than_english_are_drawn(dirty):
    report, _, _ = dirty
    figure = figures.languages(report)
    others = {code: n for code, n in report.languages.items() if code != "en"}
    axes = figure.axes[0]
    assert dict(zip(labels(axes.yaxis), [bar.get_width() for bar in axes.patches], strict=True)) == others
    total = sum(report.languages.values())
    assert f" of {total} plots are in English)" in title(figure)


def test_genre_frequencies(sample):
    figure = figures.genre_frequencies(sample[0])
    assert [bar.get_width() for bar in figure.axes[0].patches] == list(sample[0].genres.values())
    assert texts(figure)[:2] == ["86", "67"]
    assert title(figure).startswith("Plots per genre: 27 genres, from comedy (20\xa0% of the plots) to ")


def test_genres_per_plot_has_a_place_for_numbers_that_do_not_occur():
    figure = figures.genres_per_plot(some_plots(["crime"], ["crime"], ["crime", "drama", "war"], ["crime"]))
    assert [bar.get_height() for bar in figure.axes[0].patches] == [3, 0, 1]
    assert texts(figure) == ["3\n75\xa0%", "0\n0\xa0%", "1\n25\xa0%"]
    assert title(figure) == "Genres per plot: 1.5 on average; 25\xa0% of the plots have more than one"


# Genres that go together


def test_shared_genres_are_shares_of_the_row():
    plots = some_plots(["action", "war"], ["action"], ["action"], ["action", "comedy"], ["comedy"])
    shares = figures.shared_genres(plots)
    assert list(shares.index) == list(shares.columns) == ["action", "comedy", "war"]
    assert shares.to_numpy().tolist() == [[1, 0.25, 0.25], [0.5, 1, 0], [1, 0, 1]]


def test_cooccurrence_shows_larger_shares_and_omits_the_diagonal():
    plots = some_plots(["action", "war"], ["action"], ["action"], ["action", "comedy"], ["comedy"])
    figure = figures.genre_cooccurrence(plots)
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells == {(1, 0): "25", (2, 0): "25", (0, 1): "50", (0, 2): "100"}  # (column, row)
    assert title(figure) == "Co-occurrence of genres (maximum: 100\xa0% of the plots with war also have action)"


@pytest.mark.parametrize("genres", [(["war"], ["war"]), (["war"], ["crime"])])
def test_cooccurrence_of_single_genres_is_a_sentence(genres):
    assert words(figures.genre_cooccurrence(some_plots(*genres))).startswith("No plot has more than one genre")


# Lengths and years


def test_the_bars_of_the_lengths_hold_every_plot(sample):
    report, plots, _ = sample
    axes = figures.plot_lengths(plots, report).axes[0]
    assert sum(bar.get_width() * bar.get_height() for bar in axes.patches) == pytest.approx(420)
    lengths = plots["plot"].map(count_words)
    assert axes.patches[0].get_x() == lengths.min() - 0.5
    last = axes.patches[-1]
    assert last.get_x() <= lengths.max() < last.get_x() + last.get_width()


def test_length_limits_are_drawn_with_the_number_of_plots_outside(dirty):
    report, plots, _ = dirty
    figure = figures.plot_lengths(plots, report)
    median = plots["plot"].map(count_words).median()
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [median, 28, 100]
    assert report.dropped["too_short"] > 0 and report.truncated > 0
    assert texts(figure) == [
        f"median: {median:.0f} words",
        f"minimum: 28 words ({report.dropped['too_short']} plots dropped)",
        f"maximum: 100 words ({report.truncated} truncated, {report.dropped.get('too_long', 0)} dropped)",
    ]


def test_length_limits_in_tokens_are_in_the_title(sample):
    report, plots, _ = sample
    figure = figures.plot_lengths(plots, replace(report, settings=replace(report.settings, length_in="tokens of gpt2")))
    assert len(figure.axes[0].lines) == 1
    assert title(figure).endswith("; limits: 3 to 1,000 tokens of gpt2")


def test_years_are_stacked_by_kind():
    plots = pd.DataFrame({"year": [2001, 2001, 2003, np.nan], "kind": ["movie", "series", "movie", "movie"]})
    figure = figures.plots_per_year(plots)
    movies, series = figure.axes[0].containers
    assert [(bar.get_height(), bar.get_y()) for bar in movies] == [(1, 0), (0, 0), (1, 0)]
    assert [(bar.get_height(), bar.get_y()) for bar in series] == [(1, 1), (0, 0), (0, 1)]
    assert title(figure) == "Plots by year, 2001 to 2003: median 2001, maximum in 2001 (2); 1 plot without a year"


def test_every_kind_of_a_plot_has_a_color(several):
    _, plots, _ = several
    assert set(plots["kind"]) <= set(figures.KINDS)


def test_without_years_there_is_a_sentence():
    plots = pd.DataFrame({"year": [np.nan], "kind": ["movie"]})
    assert words(figures.plots_per_year(plots)) == "No title has a year."


# Splits


def test_split_shares_are_drawn_with_the_target(sample):
    report, _, _ = sample
    axes = figures.split_shares(report).axes[0]
    validation, test = (points.get_offsets()[:, 0] for points in axes.collections[1:])
    counts = report.genres_by_split["comedy"]
    assert labels(axes.yaxis)[0] == "comedy (86)"
    assert validation[0] == pytest.approx(100 * counts["validation"] / 86)
    assert test[0] == pytest.approx(100 * counts["test"] / 86)
    assert axes.lines[0].get_xdata() == [10, 10]


def test_titles_that_kept_an_earlier_split_are_mentioned(sample):
    assert "earlier" not in title(figures.split_shares(sample[0]))
    assert title(figures.split_shares(replace(sample[0], kept_splits=12))).endswith(
        "; 12 titles kept the split of an earlier preparation"
    )


def test_split_table(sample):
    table = figures.split_table(sample[0])
    assert table["plots"].sum() == 420
    assert table["share"].tolist() == [f"{n / 4.2:.0f}\xa0%" for n in sample[0].splits.values()]


# Nothing to show


def test_figures_and_tables_of_a_clean_corpus_are_sentences(sample):
    report, plots, dropped = sample
    assert words(figures.dropped_rows(report)) == "No rows were dropped: all 420 were kept."
    assert words(figures.languages(report)) == "All 420 plots are in English."
    for table, sentence in (
        (figures.duplicate_table(plots, dropped), "No duplicates were found."),
        (figures.near_duplicate_table(plots, dropped), "No near-duplicates were found."),
        (figures.repair_table(report), "No plots were repaired."),
    ):
        assert table.to_numpy().tolist() == [[sentence]]
        assert sentence in figures.shown(table).to_html()


# Tables


def test_tables_of_sources_and_repairs(dirty):
    report, _, _ = dirty
    (row,) = figures.source_table(report).to_dict("records")
    assert (row["source"], row["rows read"], row["plots kept"]) == ("sample", 57, report.kept)
    repairs = figures.repair_table(report)
    assert repairs["plots"].tolist() == list(report.repaired.values())
    assert "HTML" in repairs["removed or repaired"].tolist()


def test_names_that_only_a_source_uses_are_shown_unchanged(sample):
    report, plots, _ = sample
    own = replace(report, repaired={"footnote": 3}, dropped={"a_reason": 2})
    card = dataset_card(own, [get_source("sample")])
    assert "| footnote | 3 |" in card and "| a_reason | 2 |" in card
    assert figures.repair_table(own).to_numpy().tolist() == [["footnote", 3]]
    assert [text.get_text() for text in figures.dropped_rows(own).axes[0].get_yticklabels()] == ["a_reason"]
    kinds = figures.plots_per_year(plots.assign(kind="short")).axes[0].get_legend_handles_labels()[1]
    assert kinds == [f"short ({plots['year'].notna().sum():,})"]


def test_titles_show_every_form_the_most_frequent_first(sample):
    table = figures.title_table(sample[1], each=1)
    sizes = table["plots with this form"].tolist()
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == 420
    episode = table[table["season"] != ""].iloc[0]
    assert episode["title as published"] == episode["IMDb format"]
    assert episode["title as published"].startswith(f'"{episode["primary title"]}" ({episode["year"]})')
    assert f"(#{episode['season']}.{episode['episode']})" in episode["title as published"]


def test_duplicates_are_shown_with_the_plot_kept():
    text = "one two three four five six seven eight nine ten"
    plots = pd.DataFrame({"id": ["a"], "title": ["A (2001)"], "plot": [text + " eleven"]})
    dropped = pd.DataFrame(
        {
            "id": ["b", "c", "d"], "title": ["B", "C", "D"], "plot": [text, text.upper(), "x"],
            "reason": ["near_duplicate", "duplicate", "too_short"], "detail": ["a", "b", ""],
        }
    )  # fmt: skip
    # B, which was kept instead of C, is a near-duplicate of A, so A is shown for both.
    (row,) = figures.duplicate_table(plots, dropped).to_numpy().tolist()
    assert row == [
        "A (2001)",
        "one two three four five six …",
        "C",
        "ONE TWO THREE FOUR FIVE …",
    ]
    near = figures.near_duplicate_table(plots, dropped)
    assert near[["similarity", "title kept", "title dropped"]].to_numpy().tolist() == [
        ["0.89", "A (2001)", "B"]
    ]  # 8 of 9


def test_near_duplicates_are_sorted_by_similarity(several):
    report, plots, dropped = several
    table = figures.near_duplicate_table(plots, dropped, examples=2)
    similarity = table["similarity"].astype(float)
    assert len(table) == 2 and similarity.is_monotonic_increasing
    assert similarity.between(report.settings.dedup_threshold, 1).all()


def table_ids(page):
    return set(re.findall(r'id="(T_\w+)"', page))


def test_tables_are_reproducible_and_align_numbers_right():
    table = pd.DataFrame({"split": ["train"], "plots": [17531]})
    page = figures.shown(table).to_html()
    assert page == figures.shown(table).to_html()
    assert "17,531" in page
    assert table_ids(page).isdisjoint(
        table_ids(figures.shown(table[["split"]]).to_html())
    )  # otherwise they would share styles
    assert "td.col1 {\n  text-align: right" in page and "col0 {" not in page
