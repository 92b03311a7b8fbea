"""What `docs/biases.py` counts in a generator's dump, on samples whose answer is known."""

import importlib.util
import json
from pathlib import Path

import pytest

PLOTS = ["His brother is French.", "He is alone.", "A woman waits.", "A boy meets a girl.", ""]


@pytest.fixture
def script():
    """docs/biases.py as a module."""
    file = Path(__file__).parents[1] / "docs" / "biases.py"
    spec = importlib.util.spec_from_file_location("biases", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_samples_are_counted_beside_the_training_plots(script, small_corpus, tmp_path, capsys):
    for temperature in (1, 1.3):
        common = {"genre": "horror", "title": "Salt", "temperature": temperature, "top_p": 0.0, "seed": 0}
        plots = PLOTS if temperature == 1 else ["Women, and women only."] * 9  # too hot to count
        rows = [json.dumps(common | {"plot": plot, "finished": True}) + "\n" for plot in plots]
        (tmp_path / f"temp_{temperature}_topp_0.jsonl".replace("1.3", "1_3")).write_text("".join(rows))
    script.of_generator(str(small_corpus), str(tmp_path))
    shares, peoples, *of_training = capsys.readouterr().out.splitlines()
    assert shares == "samples, of men among those of one gender: 67% (horror 67%)"
    assert "French 25.00%" in peoples and "Turkish 0.00%" in peoples
    assert [line.split(",")[0] for line in of_training] == ["training plots"] * 2
