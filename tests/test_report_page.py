"""The report in a real browser: figures, and filters, search, order and pages of the samples."""

import json

import pytest
from made_up import LABELS, FakeClassifier, WordEmbedder, write_data, write_dump

from movieplots.evaluation import pipeline
from movieplots.reporting.report import evaluate

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report of two generators, with 112 and 30 samples."""
    folder = tmp_path_factory.mktemp("report")
    data = write_data(folder / "data")
    dump = write_dump(folder / "dump", data)
    lines = [f"<|startoftext|>western<|endofgenre|>a western {'on ' * i}rides<|endoftext|>\n" for i in range(30)]
    (folder / "other").mkdir()
    (folder / "other" / "temp_1_topp_0.txt").write_text("".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_embedder", lambda name: WordEmbedder())
        judge = FakeClassifier(folder / "judge", data)
        patch.setattr(pipeline, "_load_classifier", lambda path: judge)
        evaluate([dump, folder / "other"], data, folder / "out", classifier=judge.folder)
    return folder / "out"


@pytest.fixture
def page(browser, report):
    """The report in a new window; errors, messages and requests fail the test."""
    page = browser.new_page(viewport=DESKTOP)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", lambda dialog: complaints.append("a sample's script ran"))
    page.on("request", lambda request: complaints.append(request.url) if "://" in request.url else None)
    page.goto((report / "report.html").as_uri())
    yield page
    page.close()
    assert complaints == [(report / "report.html").as_uri()]


def column(page, label):
    """The texts of one column of the samples that are shown."""
    return page.locator(f'#rows td[data-label="{label}"]').all_inner_texts()


def choose(page, key, value):
    page.locator(f'select[data-key="{key}"]').select_option(value)


def count(page):
    return page.locator("#count").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_have_the_color_scheme_of_the_page(page, report, scheme):
    page.emulate_media(color_scheme=scheme)
    wanted = "image.parentElement.querySelector('source').srcset" if scheme == "dark" else "image.src"
    page.wait_for_function(f"[...document.images].every(image => image.complete && image.currentSrc === {wanted})")
    shown = page.evaluate("[...document.images].map(image => [image.naturalWidth > 100, image.currentSrc])")
    assert len(shown) == len(list((report / "figures").glob("*.svg"))) and all(wide for wide, _ in shown)
    background = page.evaluate(
        """async source => {
            const image = new Image(); image.src = source; await image.decode();
            const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return [...context.getImageData(1, 1, 1, 1).data].slice(0, 3);
        }""",
        shown[0][1],
    )
    assert background == ([255, 255, 255] if scheme == "light" else [0x1B, 0x1F, 0x25])


def test_samples_are_filtered_and_searched(page):
    assert count(page) == "1 to 25 of 142" and len(column(page, "Prompted genre")) == 25
    choose(page, "genre", "horror")
    assert set(column(page, "Prompted genre")) == {"horror"} and count(page) == "1 to 25 of 28"
    choose(page, "temperature", "0.7")
    assert set(column(page, "Temperature")) == {"0.7"} and count(page) == "1 to 14 of 14"
    choose(page, "genre", "")
    choose(page, "temperature", "1")
    choose(page, "top_p", "off")  # a setting of the other generator only
    assert set(column(page, "Prompted genre")) == {"western"} and count(page) == "1 to 25 of 30"
    choose(page, "model", "dump")
    assert count(page) == "No samples match." and not column(page, "Prompted genre")
    for key in ("temperature", "top_p", "model"):
        choose(page, key, "")
    page.locator("#search").fill("round circles")
    assert count(page) == "No samples match."
    page.locator("#search").fill("ROUND  new 7")  # all words, some in the plot and some in the title
    assert count(page) == "1 to 2 of 2" and "round and round we" in page.locator("#rows").inner_text()


def test_samples_are_sorted(page, report):
    rows = json.loads(page.locator("#samples").text_content())
    assert len(rows) == 142
    for order, label, kind in (
        ("span", "Longest verbatim span", int),
        ("jaccard", "Nearest plot, Jaccard", float),
        ("cosine", "Nearest plot, cosine", float),
    ):
        page.locator("#order").select_option(order)
        shown = [kind(text.split()[0]) for text in column(page, label)]
        best = sorted((row[order][0] if kind is float else row[order] for row in rows if row[order]), reverse=True)
        assert shown == best[:25] and shown[0] > shown[-1], order
    page.locator("#order").select_option("-cosine")
    shown = [text.split()[0] for text in column(page, "Nearest plot, cosine")]
    assert shown[:2] == ["–", "–"]  # the two empty plots have no nearest plot
    assert [float(value) for value in shown[2:]] == sorted(float(value) for value in shown[2:])
    page.locator("#order").select_option("words")
    choose(page, "model", "other")
    assert page.locator("#rows tr").first.inner_text().count(" on") == 29
    page.locator("#order").select_option("")
    assert page.locator("#rows tr").first.inner_text().count(" on") == 0


def test_paging(page):
    previous, following = page.locator("#previous"), page.locator("#next")
    assert previous.is_disabled() and following.is_enabled()
    for first in range(26, 142, 25):
        following.click()
        assert count(page) == f"{first} to {min(first + 24, 142)} of 142"
    assert following.is_disabled() and len(column(page, "Prompted genre")) == 17
    previous.click()
    assert count(page) == "101 to 125 of 142" and following.is_enabled()
    choose(page, "genre", "opera")  # a filter shows the first page
    assert count(page) == "1 to 25 of 28"


def test_samples_are_not_interpreted_as_html(page):
    assert "<i>Odd</i>" in page.locator("#rows").inner_text()
    assert page.locator("#rows i, #rows script").count() == 0
    assert page.locator("#rows mark").count() >= 1  # the copied plot


def test_it_fits_a_phone(page):
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    first = page.locator("#rows tr").first
    assert first.bounding_box()["width"] <= PHONE["width"] and LABELS[1] in first.inner_text()
    labels = first.locator("td").evaluate_all("cells => cells.map(cell => getComputedStyle(cell, '::before').content)")
    assert labels[:4] == ['"Prompted genre: "', '"Temperature: "', '"Top-p: "', "none"]  # the plot has no label
