"""Boilerplate: which sentences are removed, from which plots, and what is reported of it."""

import json

import pandas as pd
import pytest

from movieplots import load_plots, prepare
from movieplots.preparation.boilerplate import MIN_SHARE, MIN_TITLES, remove_boilerplate

NOTICE = "Visit our website for the weekly schedule."
PLACES = [
    "mill",
    "harbour",
    "lighthouse",
    "station",
    "orchard",
    "quarry",
    "bakery",
    "chapel",
    "ferry",
    "castle",
    "mine",
]


def story(number, place=None):
    """A short plot that no other number has."""
    return (
        f"Keeper number {number} finds letter {7 * number} behind the {place or PLACES[number % 11]} of town {number}."
    )


def titles(n):
    return [f"Title {number}" for number in range(n)]


def test_a_sentence_under_ten_titles_is_removed_wherever_it_stands():
    plots = [f"{story(0)} {NOTICE}", f"{NOTICE} {story(1)}", f"{story(2)} {NOTICE} {story(3)}"]
    plots += [f"{story(number)} {NOTICE.upper().replace('.', '!')}" for number in range(4, 11)]
    shorter, removed = remove_boilerplate(titles(10), plots)
    assert shorter == {0: story(0), 1: story(1), 2: f"{story(2)} {story(3)}"} | {
        number: story(number + 1) for number in range(3, 10)
    }
    assert removed == {NOTICE: 10}


@pytest.mark.parametrize(
    "plots",
    [
        [f"{story(number)} {NOTICE}" for number in range(MIN_TITLES - 1)],
        [f"{story(number)} Nobody comes back." for number in range(20)],
        [f"{story(number)} {NOTICE[:-1]} in town {number}." for number in range(20)],
        [story(number) for number in range(20)],
        [],
    ],
    ids=["nine titles", "three words", "other words", "no sentence twice", "no plots"],
)
def test_other_sentences_stay(plots):
    assert remove_boilerplate(titles(len(plots)), plots) == ({}, {})


def test_plots_of_one_title_count_once():
    plots = [f"{story(number)} {NOTICE}" for number in range(20)]
    assert remove_boilerplate(["Title"] * 20, plots) == ({}, {})
    assert len(remove_boilerplate([f"Title {number % 10}" for number in range(20)], plots)[0]) == 20


def test_in_a_large_corpus_more_titles_are_needed():
    n = 20 * round(1 / MIN_SHARE)  # so 20 titles are needed
    plots = [story(number) for number in range(n)]
    for least, expected in ((19, {}), (20, {NOTICE: 20})):
        shared = [f"{plot} {NOTICE}" if number < least else plot for number, plot in enumerate(plots)]
        assert remove_boilerplate(titles(n), shared)[1] == expected


def test_a_plot_of_which_too_little_would_be_left_stays_whole():
    plots = [f"{story(number)} {NOTICE}" for number in range(10)] + [NOTICE, f"Yoga. {NOTICE}"]
    shorter, removed = remove_boilerplate(titles(12), plots, min_length=3)
    assert sorted(shorter) == list(range(10))
    assert removed == {NOTICE: 10}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Sixty plots, a third of them with a notice; two have nothing but that, and one title comes in twelve editions."""
    folder = tmp_path_factory.mktemp("boilerplate")
    rows = [
        {"title": f"Salt {PLACES[number % 10]} {number}", "plot": story(number), "genres": "Drama"}
        for number in range(60)
    ]
    for row in rows[::3]:
        row["plot"] += f" {NOTICE}"
    rows += [{"title": f"Notice {number}", "plot": NOTICE, "genres": "Drama"} for number in range(2)]
    languages = ["Hindi", "Tamil", "Malayalam", "Telugu", "Kannada", "Bengali", "English", "French", "Spanish", "Thai"]
    for number, language in enumerate(languages):
        plot = f"A deaf cellist is found in the villa on the hill. Her sister searches room {number}."
        rows.append({"title": f"Silence ({language})", "plot": plot, "genres": "Drama"})
    pd.DataFrame(rows).to_csv(folder / "plots.csv", index=False)
    return prepare("table", folder / "out", folder / "plots.csv", dedup_threshold=1), folder / "out"


def test_boilerplate_is_removed_counted_and_listed(prepared):
    result, out = prepared
    plots = load_plots(out)
    assert result.boilerplate == {NOTICE: 20}
    assert result.repaired == {"boilerplate": 20}
    assert json.loads((out / "report.json").read_text())["boilerplate"] == {NOTICE: 20}
    assert f"| {NOTICE} | 20 |" in (out / "README.md").read_text()
    assert (plots["plot"] == story(3)).sum() == 1
    assert plots.loc[plots["plot"].str.contains(NOTICE), "title"].tolist() == ["Notice 0"]  # the second is a duplicate


def test_editions_of_one_title_are_one_title(prepared):
    plots = load_plots(prepared[1])
    assert plots["plot"].str.startswith("A deaf cellist is found in the villa on the hill.").sum() == 10


def test_placeholders_are_no_plots_even_where_each_stands_several_times(tmp_path):
    texts = ["Add a Plot", "No overview found.", "No overview yet.", "Plot kept under wraps.", "No plot available."]
    texts += ["To be announced.", "No synopsis information has been added to this title."]
    plots = [story(number) for number in range(60)] + 2 * texts + [f"No overview found. {NOTICE}"]
    plots[:10] = [f"{plot} {NOTICE}" for plot in plots[:10]]
    rows = [{"title": f"Salt {i}", "plot": plot, "genres": "Drama"} for i, plot in enumerate(plots)]
    pd.DataFrame(rows).to_csv(tmp_path / "plots.csv", index=False)
    result = prepare("table", tmp_path / "out", tmp_path / "plots.csv", dedup_threshold=1)
    assert (result.kept, result.dropped) == (60, {"no_plot": 15})
    dropped = pd.read_parquet(tmp_path / "out" / "dropped.parquet")
    assert dropped["plot"].tolist() == [*texts, *texts, "No overview found."]
