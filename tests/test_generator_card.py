"""The results in a generator's card: what `docs/generator_card.py` writes from the measures of a report."""

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from movieplots.errors import BadInput
from movieplots.evaluation.references import REAL, SHUFFLED

COLUMNS = ["model", "grouping", "temperature", "top_p", "genre", "measure", "value", "low", "high", "of"]
ROWS = [
    *(("dump", "all", None, None, None, name, 0.01, 0.001, 0.02, 1716)
      for name in ("unfinished", "looping", "copied_more_than_20", "exact_copy")),
    ("dump", "by_cell", 0.7, 0, None, "genre_hit", 0.5, 0.4, 0.6, 286),
    ("dump", "by_cell", 0.7, 0, None, "mauve", 0.8, 0.7, 0.9, 286),
    ("dump", "by_cell", 1.3, 0.9, None, "genre_hit", 0.25, 0.2, 0.3, 286),
    ("dump", "by_cell", 1.3, 0.9, None, "mauve", 0.6, 0.5, 0.7, 286),
    ("dump", "by_genre", None, None, "war", "genre_hit", 0.1, 0, 0.2, 66),
    ("dump", "by_genre", None, None, "drama", "genre_hit", 0.9, 0.8, 1, 66),
    (REAL, "all", None, None, None, "genre_hit", 0.51, 0.5, 0.52, 2171),
    (REAL, "by_cell", None, None, None, "mauve", 0.97, 0.9, 1, 286),
    (SHUFFLED, "by_cell", None, None, None, "mauve", 0.3, 0.2, 0.4, 286),
]  # fmt: skip
CARD = "# Movie-plot generator\n\n## Training\n\nSo.\n\n## Limits\n\nSome.\n"


@pytest.fixture
def script():
    """docs/generator_card.py as a module."""
    file = Path(__file__).parents[1] / "docs" / "generator_card.py"
    spec = importlib.util.spec_from_file_location("generator_card", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_come_into_the_card_once(script, tmp_path):
    model, report = tmp_path / "model", tmp_path / "report"
    model.mkdir()
    report.mkdir()
    info = {"task": "generation", "genre_counts": {"drama": 7000, "war": 40}}
    (model / "movieplots.json").write_text(json.dumps(info))
    (model / "README.md").write_text(CARD)
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(report / "measures.csv", index=False)
    script.main(model, report)
    card = (model / "README.md").read_text()
    assert "Of 1,716 samples" in card
    assert "| going round in circles | 1.00% (0.10% to 2.00%) |" in card
    assert "| 0.7 | off | 50% (40% to 60%) | 0.80 (0.70 to 0.90) |" in card
    assert "| 1.3 | 0.9 | 25% (20% to 30%) | 0.60 (0.50 to 0.70) |" in card
    assert "it finds 51% (50% to 52%)" in card and "for other real plots is 0.97 (0.90 to 1.00)" in card
    assert "all temperatures together: drama 90%, war 10%." in card and "fewer than 100 training plots: war." in card
    assert card.index("## Training") < card.index("## Results") < card.index("## Limits")
    script.main(model, report)
    assert (model / "README.md").read_text() == card


def test_a_folder_without_a_report_is_named(script, tmp_path):
    (tmp_path / "movieplots.json").write_text(json.dumps({"task": "generation", "genre_counts": {}}))
    with pytest.raises(BadInput, match=r"There is no .*measures.csv: name the folder that `movieplots evaluate` wrote"):
        script.main(tmp_path, tmp_path)
