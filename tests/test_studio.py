"""The studio in a real browser, with a tiny generator and a tiny classifier."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from movieplots.generation.dumps import sample_dump
from movieplots.measures.embedding import load_embedder
from movieplots.measures.novelty_index import NoveltyIndex
from movieplots.plots import load_plots
from movieplots.reporting.report import evaluate
from movieplots.serving.studio import explore_page
from tests.served import running

SECONDS = 60_000


@pytest.fixture(scope="module")
def studio(trained, untitled, classifier, quantized, small_corpus, tmp_path_factory):
    """The address of a running studio with models of every kind and an evaluation."""
    folder = tmp_path_factory.mktemp("studio")
    plots = load_plots(small_corpus, "train").head(60)
    novelty = folder / "novelty.npz"
    NoveltyIndex.build(plots["title"].tolist(), plots["plot"].tolist(), load_embedder().embed).save(novelty)
    sample_dump(
        trained[0], folder / "dump", genres=["horror", "comedy"], temperatures=[0.7, 1.0], top_ps=[0.0, 0.9],
        samples_per_genre=4,
    )  # fmt: skip
    evaluate(folder / "dump", small_corpus, folder / "report", classifier=classifier[0])
    samples = pd.read_csv(folder / "report" / "samples.csv")
    samples.loc[0, ["title", "plot_cosine_title"]] = "W" * 60  # wider than a phone, without a place to break the line
    samples.to_csv(folder / "report" / "samples.csv", index=False)
    models = ["--generator", trained[0], "--generator", untitled, "--classifier", quantized[0], "--novelty", novelty]
    others = ["--report", folder / "report", "--history", folder / "history.sqlite"]
    with running(folder, "studio", *models, *others, ready="/_stcore/health") as (address, _):
        yield address


@pytest.fixture
def page(browser, studio):
    context = browser.new_context(viewport={"width": 1360, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    page.goto(studio)
    page.get_by_role("button", name="Write three ideas").wait_for()
    yield page
    context.close()


def test_texts_that_pandas_reads_as_missing_values_are_kept(tmp_path):
    title = ["None", "NA", "null", "nan", "1917", None]
    rows = {"genre": "horror", "title": title, "plot": ["N/A", *"bcdef"], "plot_cosine_title": "1917"}
    numbers = {"temperature": 1.0, "top_p": 0.9, "plot_cosine": [0.5, *[None] * 5], "longest_verbatim_span": 0}
    pd.DataFrame(rows | numbers | {"truncated": False}).to_csv(tmp_path / "samples.csv", index=False)
    table = explore_page._read(str(tmp_path / "samples.csv"), 0.0)
    assert table["title"].tolist() == [*title[:5], ""]
    assert table["plot"].tolist() == ["N/A", *"bcdef"]
    assert "most similar training plot “1917” (similarity 0.50)" in explore_page._sample(table.to_dict("records")[0])


def plots_of(page):
    return [
        text.strip()
        for text in page.locator(".st-key-card-0, .st-key-card-1, .st-key-card-2")
        .locator(".idea-plot")
        .all_inner_texts()
    ]


FINISHED = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
COMPLETE = """() => {
    const plots = document.querySelectorAll('[class*="st-key-card-"] .idea-plot');
    const buttons = [...document.querySelectorAll('button')];  // Streamlit also has hidden copies
    const complete = buttons.filter(b => b.offsetParent && b.innerText.includes('Continue'));
    const state = document.querySelector('[data-testid=stApp]').dataset.testScriptState;
    return state === 'notRunning' && plots.length === 3 && complete.length === 3 && !document.querySelector('.caret');
}"""


def write(page):
    """Press the button, wait until three ideas are complete, and return their plots."""
    page.get_by_role("button", name="Write three ideas").click()
    page.wait_for_function(COMPLETE)
    return plots_of(page)


@pytest.mark.slow
def test_ideas_can_be_replaced_continued_edited_and_downloaded(page):
    page.get_by_role("button", name="horror", exact=True).click()
    page.get_by_label("First words (optional)", exact=True).fill("The sea gives back")
    page.get_by_label("First words (optional)", exact=True).blur()
    first = write(page)
    assert len(first) == 3 and len(set(first)) > 1
    assert all(plot.startswith("The sea gives back") for plot in first)

    card = page.locator(".st-key-card-1")
    card.get_by_role("button", name="Try again").click()
    page.get_by_text("Your ideas (4)").wait_for()
    page.wait_for_function(COMPLETE)
    second = plots_of(page)
    assert (second[0], second[2]) == (first[0], first[2]) and second[1] != first[1]

    card.get_by_role("button", name="Continue").click()
    page.get_by_text("Your ideas (5)").wait_for()
    page.wait_for_function(COMPLETE)
    longer = plots_of(page)[1]
    assert longer.removesuffix(" …").startswith(second[1].removesuffix(" …")) and len(longer) > len(second[1])

    card.get_by_role("button", name="Edit").click()
    card.get_by_label("Title").fill("The Tide (2024)")
    card.get_by_label("Plot").fill("A diver finds a door under the sea & opens it.")
    card.get_by_role("button", name="Save").click()
    card.get_by_text("A diver finds a door under the sea & opens it.").wait_for()
    assert card.locator(".idea-title").inner_text() == "The Tide (2024)"

    page.reload()
    page.get_by_text(re.compile(r"Your ideas \(5\)")).click()
    page.get_by_text("A diver finds a door under the sea & opens it.").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Markdown").click()
    text = (
        Path(download.value.path()).read_text().replace("\0", "")
    )  # a tiny model may write it, and no browser shows it
    assert (
        "## The Tide (2024)\n\nA diver finds a door under the sea & opens it.\n" in text
        and first[0].removesuffix(" …") in text
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    ideas = json.loads(Path(download.value.path()).read_text())
    assert len(ideas) == 5 and any(idea["edited"] for idea in ideas)


@pytest.mark.slow
def test_new_text_is_not_overwritten(page):
    """Leaving the field of the title must not reset the field of the plot."""
    write(page)
    card = page.locator(".st-key-card-0")
    card.get_by_role("button", name="Edit").click()
    for words in ("A diver", "A diver finds a door", "A diver finds a door under the sea."):
        card.get_by_label("Title").fill(words[:-1])
        card.get_by_label("Plot").fill(words)
        page.wait_for_timeout(700)
        assert card.get_by_label("Plot").input_value() == words
    card.get_by_role("button", name="Cancel").click()
    card.locator(".idea-plot").wait_for()
    assert "A diver" not in card.inner_text()


@pytest.mark.slow
def test_the_form_is_kept_while_another_page_is_visited(page):
    page.get_by_role("button", name="horror", exact=True).click()
    page.get_by_label("Title (optional)", exact=True).fill("Salt (2009)")
    page.get_by_label("Title (optional)", exact=True).blur()
    page.get_by_role("link", name="Genres").click()
    page.get_by_role("button", name="Random plot").wait_for()
    assert not page.locator(".st-key-page-write").is_visible()  # it does not show below the other page
    page.wait_for_function(FINISHED)
    page.get_by_label("Plot to analyze").fill("A diver finds a door.")
    page.get_by_label("Plot to analyze").blur()
    page.get_by_role("link", name="Write").click()
    page.get_by_role("button", name="Write three ideas").wait_for()
    assert page.get_by_label("Title (optional)", exact=True).input_value() == "Salt (2009)"
    page.get_by_role("link", name="Genres").click()
    page.get_by_role("button", name="Random plot").wait_for()
    assert page.get_by_label("Plot to analyze").input_value() == "A diver finds a door."


@pytest.mark.slow
def test_genres_of_a_plot(page):
    page.get_by_role("link", name="Genres").click()
    page.get_by_role("button", name="Random plot").click()
    page.locator(".bar-row").first.wait_for()
    assert page.get_by_label("Plot to analyze").input_value()
    assert page.locator(".words").inner_text().split() == page.get_by_label("Plot to analyze").input_value().split()


@pytest.mark.slow
def test_a_poster_of_an_idea(page):
    page.get_by_label("Title (optional)", exact=True).fill("Salt (2009)")
    page.get_by_label("Title (optional)", exact=True).blur()
    write(page)
    assert page.locator(".st-key-card-0 .idea-title").inner_text() == "Salt (2009)"
    page.locator(".st-key-card-0").get_by_role("button", name="Poster").click()
    page.get_by_alt_text(re.compile("^Poster of")).wait_for()
    assert page.get_by_label("Title", exact=True).input_value() == "Salt (2009)"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_samples_of_an_evaluation(page):
    page.get_by_role("link", name="Explore").click()
    page.get_by_text("32 plots").wait_for()
    page.get_by_label("Genre", exact=True).click()
    page.get_by_role("option", name="horror").click()
    page.get_by_text("16 plots").wait_for()
    page.get_by_label("Top-p", exact=True).click()
    page.get_by_role("option", name="off").click()
    page.get_by_text("8 plots").wait_for()
    page.wait_for_function("document.querySelectorAll('.idea-faint').length === 8")
    facts = page.locator(".idea-faint").all_inner_texts()
    assert all("asked for horror" in fact and "top-p off" in fact for fact in facts)
    assert any("most similar training plot" in fact for fact in facts)
    page.get_by_role("tab", name="Figures").click()
    report = page.frame_locator("iframe")
    report.get_by_role("heading").first.wait_for()
    assert report.locator("img").count() >= 3


@pytest.mark.slow
def test_the_keyboard_is_enough(page):
    page.get_by_label("First words (optional)", exact=True).focus()
    page.keyboard.type("A letter arrives")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("document.querySelectorAll('.idea-plot').length >= 3")


@pytest.mark.parametrize(
    ("name", "scheme"), [("", "light"), ("genres", "dark"), ("explore", "light"), ("poster", "dark")]
)
@pytest.mark.slow
def test_a_phone_shows_every_page_without_scrolling_sideways(browser, studio, scheme, name):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    page.goto(f"{studio}/{name}")
    page.locator("[data-testid=stMainBlockContainer]").wait_for()
    page.wait_for_function(FINISHED)
    wide = page.locator("[data-testid=stMain]").evaluate("main => [main.scrollWidth, main.clientWidth]")
    assert wide[0] <= wide[1] <= 390
    assert not page.locator("[data-testid=stException]").count()
    context.close()
