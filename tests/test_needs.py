"""What each notebook says that it needs: a table for all of them, which is the one that the benchmark works out."""

import importlib.util
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from movieplots.notebook.needs import NEEDS, sentence
from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("notebooks")
    spec = importlib.util.find_spec("movieplots.generation.samples_in_training")
    as_written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(as_written)
    monkeypatch.setattr(module, "MAX_NEW_TOKENS", as_written.MAX_NEW_TOKENS)  # which other tests have made smaller
    return module


def test_every_notebook_has_its_needs_and_nothing_else_has():
    paths = {path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks.notebooks(ROOT)}
    assert set(NEEDS) == paths


def test_the_table_is_what_the_benchmark_estimates(benchmark):
    estimated = {name: benchmark.rounded(needs) for name, needs in benchmark.all_needs().items()}
    assert {name: needs for name, needs in NEEDS.items() if not needs.measured} == {
        name: estimated[name] for name, needs in NEEDS.items() if not needs.measured
    }


def test_a_free_machine_has_what_is_needed():
    assert all(needs.gpu_memory <= 15 and needs.drive <= 15 and needs.disk <= 30 for needs in NEEDS.values())


@pytest.mark.parametrize("name", NEEDS)
def test_the_sentence_says_the_numbers_and_whether_they_are_estimated(name):
    needs, text = NEEDS[name], sentence(name)
    assert "\n" not in text and f"about {needs.minutes} minutes" in text
    assert ("estimated, not measured" in text) == (not needs.measured)
    assert (f"{needs.gpu_memory} GB of GPU memory" in text) == (needs.gpu_memory > 0)
    assert (f"{needs.drive:g} GB on Google Drive" in text) == (needs.drive > 0)
    numbers = re.findall(r"[\d.]*\d", text.partition(":**")[2].partition("(")[0])
    assert all(len(number.replace(".", "")) <= 2 for number in numbers)


def test_only_the_preparation_needs_no_gpu():
    assert [name for name, needs in NEEDS.items() if not needs.gpu_memory] == ["DataPreparation"]
    assert "without a GPU" in sentence("DataPreparation")


def test_an_evaluation_says_that_the_training_comes_first():
    for name in NEEDS:
        assert ("`Training.ipynb`" in sentence(name)) == name.endswith("Evaluation")


def test_a_measured_step_takes_the_place_of_its_estimate(benchmark):
    timed = {step: benchmark.Taken(10.0, 2e9) for step in benchmark.kinds(benchmark.CORPUS).values()}
    estimated, measured = benchmark.all_needs(), benchmark.all_needs(timed=timed)
    for name, needs in measured.items():
        assert needs.measured == name.endswith("Training")
        assert (needs.minutes > estimated[name].minutes) == needs.measured
    limited = "text_generation/with-titles/GPT-2/Training"
    assert measured[limited].minutes < estimated[limited].minutes + 40 + 50 * 10 / 60  # the search has no time limit


def test_the_models_have_the_weights_that_transformers_gives_them(benchmark):
    import torch

    with torch.device("meta"):
        for model in (benchmark.GPT2, benchmark.DISTILGPT2, benchmark.MINILM, benchmark.BERT, benchmark.ROBERTA):
            made = benchmark.new_model(model, guessed=0.0)
            weights = sum(p.numel() for p in made.parameters())
            weights -= (model.width + 1) * benchmark.LABELS if model.encoder else 0  # those of the output layer
            assert math.isclose(weights, model.weights, rel_tol=1e-4)


def test_memory_grows_with_what_is_trained_and_read(benchmark):
    step = benchmark.kinds(benchmark.CORPUS)["BERT, genres"]
    assert replace(step, longest=2 * step.longest).memory() > step.memory() > replace(step, adapter=True).memory()
