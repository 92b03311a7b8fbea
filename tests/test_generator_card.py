"""The card of a generator: what `tools/generator_card.py` writes from `movieplots.json` and a report."""

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from movieplots.errors import BadInput
from movieplots.evaluation.control_rates import FILE_NAME as RATES
from movieplots.evaluation.references import REAL, SHUFFLED
from movieplots.files import fingerprint
from movieplots.generation.info import GeneratorInfo
from movieplots.pretrained.shipped import GENERATOR
from movieplots.runs.folder import read_info, to_json
from tools import generator_card

COLUMNS = ["model", "grouping", "temperature", "top_p", "genre", "measure", "value", "low", "high", "of"]
ROWS = [
    *(("dump", "all", None, None, None, name, 0.01, 0.001, 0.02, 1716)
      for name in ("truncated", "repetition_rate", "copied_more_than_20", "exact_copy")),
    ("dump", "by_cell", 0.7, 0, None, "genre_accuracy", 0.5, 0.4, 0.6, 286),
    ("dump", "by_cell", 0.7, 0, None, "mauve", 0.8, 0.7, 0.9, 286),
    ("dump", "by_cell", 1.3, 0.9, None, "genre_accuracy", 0.25, 0.2, 0.3, 286),
    ("dump", "by_cell", 1.3, 0.9, None, "mauve", 0.6, 0.5, 0.7, 286),
    ("dump", "by_genre", None, None, "war", "genre_accuracy", 0.1, 0, 0.2, 66),
    ("dump", "by_genre", None, None, "drama", "genre_accuracy", 0.9, 0.8, 1, 66),
    (REAL, "all", None, None, None, "genre_accuracy", 0.51, 0.5, 0.52, 2171),
    (REAL, "by_cell", None, None, None, "mauve", 0.97, 0.9, 1, 286),
    (SHUFFLED, "by_cell", None, None, None, "mauve", 0.3, 0.2, 0.4, 286),
]  # fmt: skip
CARD = "# Movie-plot generator\n\n## Training\n\nSo.\n\n## Limits\n\nSome.\n\n## Biases\n\nOthers.\n"


@pytest.fixture
def folders(tmp_path):
    """A generator with its card, a dump of it, and the report on that."""
    found = [tmp_path / name for name in ("model", "dump", "report")]
    for folder in found:
        folder.mkdir()
    model, dump, report = found
    info = to_json(replace(read_info(GENERATOR, GeneratorInfo), genre_counts={"drama": 7000, "war": 40}))
    (model / "movieplots.json").write_text(json.dumps(info))
    (model / "README.md").write_text(CARD)
    settings = {"model": fingerprint(info), "min_p": 0.05}
    (dump / "dump.json").write_text(json.dumps({"settings": settings}))
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(report / "measures.csv", index=False)
    samples = [
        ("drama", 0.7, 0, 1),
        ("drama", 0.7, 0, 1),
        ("war", 0.7, 0, 0),
        ("drama", 1.3, 0.9, 1),
        ("drama", 1.3, 0.9, 0),
    ]
    samples = pd.DataFrame(samples, columns=["genre", "temperature", "top_p", "genre_accuracy"])
    samples.to_csv(report / "samples.csv", index=False)
    phrases = [{"phrase": "a young woman", "samples": 60, "share": 0.035, "training_share": 0.004}]
    models = {name: {"stock_phrases": phrases} for name in ("dump", "NA")}
    (report / "metrics.json").write_text(json.dumps({"models": models}))
    rate = [{"value": value, "low": value - 0.05, "high": value + 0.05, "of": 500} for value in (0.7, 0.1)]
    rate = dict(zip(("controlled", "uncontrolled"), rate, strict=True))
    (report / RATES).write_text(json.dumps({"keyword": rate, "length": rate, "by_length": {"short": rate}}))
    return found


def test_a_card_has_the_results_of_a_report(folders):
    generator_card.main(*folders)
    card = (folders[0] / "README.md").read_text()
    assert "Measured on 1,716 samples over a grid of genres, temperatures and top-p values, with min-p 0.05" in card
    assert "| repetition rate | 1.0\xa0% (0.1\xa0% to 2.0\xa0%) |" in card
    assert "| 0.7 | off | 50\xa0% (40\xa0% to 60\xa0%) | 100\xa0% | 0.80 (0.70 to 0.90) |" in card
    assert "| 1.3 | 0.9 | 25\xa0% (20\xa0% to 30\xa0%) | 50\xa0% | 0.60 (0.50 to 0.70) |" in card
    assert "genre accuracy | genre accuracy, 1 frequent genre |" in card and "at least 100 training plots" in card
    assert "averaged over the genres, is 51\xa0% (50\xa0% to 52\xa0%)" in card
    assert "real plots reach 0.97 (0.90 to 1.00)" in card
    assert "|---|---|---|\n| drama | 90\xa0% | 7,000 |\n| war | 10\xa0% | 40 |\n\n### Keywords" in card
    row = "70\xa0% (65\xa0% to 75\xa0%) | 10\xa0% (5.0\xa0% to 15\xa0%) |"
    assert f"| the keyword | {row}\n| the length | {row}\n| - short | {row}\n" in card
    assert "| a young woman | 60 | 3.5\xa0% | 0.4\xa0% |\n\n### Test loss" in card
    assert "| after this training | 3.19 | 24 |" in card  # nats/token and perplexity
    headings = re.findall("^##+ .*", card, re.MULTILINE)
    assert headings == [
        "## Results", "### Samples", "### Keywords and length", "### Stock phrases", "### Test loss", "## Training",
        "## Data", "## Limits", "## Biases",
    ]  # fmt: skip
    assert card.endswith("## Limits\n\nSome.\n\n## Biases\n\nOthers.\n")
    for given in (folders, folders[:1]):
        generator_card.main(*given)
        assert (folders[0] / "README.md").read_text() == card


@pytest.mark.parametrize("name", ["generator", "generator-without-titles"])
def test_the_cards_of_the_pretrained_generators_are_reproducible(name, tmp_path):
    for file in ("movieplots.json", "README.md"):
        (tmp_path / file).write_bytes((GENERATOR.with_name(name) / file).read_bytes())
    generator_card.main(tmp_path)
    assert (tmp_path / "README.md").read_text() == (GENERATOR.with_name(name) / "README.md").read_text()


def test_rates_and_phrases_are_left_out_where_there_are_none(folders):
    (folders[2] / RATES).unlink()
    (folders[2] / "metrics.json").write_text(json.dumps({"models": {"dump": {"stock_phrases": []}}}))
    generator_card.main(*folders)
    card = (folders[0] / "README.md").read_text()
    assert "### Keywords" not in card and "### Stock" not in card


def test_a_generator_without_a_card_gets_one(folders):
    (folders[0] / "README.md").unlink()
    generator_card.main(*folders)
    assert "## Limits\n\nThe generator invents stories" in (folders[0] / "README.md").read_text()


def test_a_dump_may_be_called_as_pandas_calls_what_is_missing(folders):
    model, dump, report = folders
    rows = [("NA", *row[1:]) if row[0] == "dump" else row for row in ROWS]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(report / "measures.csv", index=False)
    generator_card.main(model, dump.rename(dump.with_name("NA")), report)
    assert "Measured on 1,716 samples" in (model / "README.md").read_text()


def test_what_does_not_belong_together_is_a_sentence(folders):
    model, dump, report = folders
    with pytest.raises(BadInput, match=r"measures.csv does not exist: name a folder that `movieplots evaluate` wrote"):
        generator_card.main(model, dump, model)
    other = [("other", *row[1:]) for row in ROWS if row[0] == "dump"]
    without = [row for row in ROWS if row[5] != "genre_accuracy"]
    for rows in (ROWS + other, other, without):
        pd.DataFrame(rows, columns=COLUMNS).to_csv(report / "measures.csv", index=False)
        with pytest.raises(BadInput, match="must be a report on dump only, with a classifier"):
            generator_card.main(model, dump, report)
    (dump / "dump.json").write_text(json.dumps({"settings": {"model": "another"}}))
    with pytest.raises(BadInput, match="is a dump of another generator"):
        generator_card.main(model, dump, report)
    assert (model / "README.md").read_text() == CARD
