"""Options are declared once: signature, docstring, checks, command line and API follow from the declaration."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pytest
from transformers import BertConfig, DistilBertConfig, RobertaConfig

import movieplots
from movieplots.classification.training_settings import (
    ClassifierLrSettings,
    ClassifierSettings,
    FastaiSettings,
    MlmSettings,
    QuantizeSettings,
    usual_learning_rate,
)
from movieplots.cli import app
from movieplots.cli.options import with_options
from movieplots.errors import BadInput
from movieplots.evaluation.settings import EvaluateSettings
from movieplots.generation.sampling_settings import DumpSettings, ExportSettings, GenerateSettings, Sampling
from movieplots.generation.training_settings import DistillationSettings, GeneratorLrSettings, GeneratorSettings
from movieplots.preparation.settings import PrepareSettings
from movieplots.pretrained.shipped import CLASSIFIER
from movieplots.serving.schemas import MAX_PLOTS, PlotsRequest
from movieplots.settings import (
    Data,
    Option,
    OutputDir,
    Overwrite,
    Seed,
    Settings,
    declared,
    help_of,
    item_kind,
    option_of,
    takes,
)

ALL = (
    ClassifierLrSettings, ClassifierSettings, DistillationSettings, DumpSettings, EvaluateSettings, ExportSettings,
    FastaiSettings, GenerateSettings, GeneratorLrSettings, GeneratorSettings, MlmSettings, PrepareSettings,
    QuantizeSettings,
)  # fmt: skip


@dataclass(frozen=True)
class Toy(Settings):
    command_name: ClassVar[str] = "toy"

    data: Data
    output_dir: OutputDir
    _: KW_ONLY
    seed: Seed = 0
    overwrite: Overwrite = False
    epochs: Annotated[int, Option("How often.", ge=1, lt=10)] = 3
    rate: Annotated[float | None, Option("How fast.", gt=0, default="0.1 or 0.2")] = None
    size: Annotated[int, Option("How much.", ge=2, le=8, off=0)] = 0
    kind: Annotated[str, Option("Which.", choices=("small", "large"))] = "small"
    titled: Annotated[bool, Option("With titles.")] = True
    teachers: Annotated[Sequence[str] | None, Option("Whose.", decides=False)] = None

    def usual(self):
        return {"rate": 0.2 if self.kind == "large" else 0.1}


@takes(Toy)
def toy(settings: Toy) -> Toy:
    """Return the settings.

    Returns
    -------
    Toy
        The settings.
    """
    return settings


def test_a_function_takes_the_declared_options():
    made = toy("d", "o", epochs=4)
    assert made == Toy("d", "o", epochs=4) == toy.of(made) == toy.settings("d", "o", epochs=4)
    assert list(inspect.signature(toy).parameters)[-2:] == ["seed", "overwrite"]
    doc = toy.__doc__
    for said in (
        "data : str or Path\n    Folder written", "epochs : int, default 3\n    How often. At least 1 and below 10.",
        "rate : float, optional\n    How fast. Above 0. Default: 0.1 or 0.2.\n",
        "size : int, default 0\n    How much. From 2 to 8, or 0 (off).",
        "kind : {'small', 'large'}, default 'small'\n    Which.\n",
        "teachers : sequence of str, optional\n    Whose.\n",
    ):  # fmt: skip
        assert said in doc
    assert doc.index("Parameters\n-") < doc.index("Returns\n-")
    for call in (toy, toy.settings):
        with pytest.raises(TypeError, match=r"toy\(\) got an unexpected keyword argument 'epoch'"):
            call("d", "o", epoch=4)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("epochs", 0, "--epochs must be at least 1 and below 10, not 0."),
        ("epochs", 10, "--epochs must be at least 1 and below 10, not 10."),
        ("epochs", True, "--epochs must be an integer, not True."),
        ("epochs", 1.5, "--epochs must be an integer, not 1.5."),
        ("epochs", None, "--epochs must be an integer, not None."),
        ("rate", math.nan, "--rate must be above 0, not nan."),
        ("rate", math.inf, "--rate must be above 0, not inf."),
        ("size", 1, "--size must be from 2 to 8, or 0 (off), not 1."),
        ("kind", "huge", "--kind must be small or large, not 'huge'."),
        ("titled", "yes", "--titled must be true or false, not 'yes'."),
        ("seed", 2**32, "--seed must be from 0 to 4294967295, not 4294967296."),
    ],
)
def test_a_value_out_of_range_gives_one_sentence(option, value, says):
    with pytest.raises(BadInput) as error:
        toy("d", "o", **{option: value})
    assert str(error.value) == says


def test_numbers_of_numpy_and_paths_are_taken():
    made = toy(Path("d"), Path("o"), epochs=np.int64(2), rate=np.float32(0.5), size=8)
    assert type(made.epochs) is int and type(made.rate) is float and made.size == 8


def test_a_recipe_gives_the_command_again():
    made = toy("d", "o", epochs=4, kind="large", titled=False, seed=1, teachers=["a", "b c"]).resolved()
    assert made.rate == 0.2
    recipe = made.recipe()
    assert recipe == {"seed": 1, "epochs": 4, "rate": 0.2, "size": 0, "kind": "large", "titled": False}
    told = "movieplots toy --data DATA --output-dir THIS_FOLDER --seed 1 --epochs 4 --kind large --no-titled"
    assert Toy.of_recipe(recipe).command() == told
    assert made.command() == told.replace("DATA", "d").replace("THIS_FOLDER", "o") + " --teacher a --teacher 'b c'"


@pytest.mark.parametrize("kind", ALL)
def test_every_option_has_help_and_a_place_on_the_command_line(kind):
    for name, _, option in declared(kind):
        assert option.help.endswith("."), name

    @with_options(kind)
    def command(settings):
        return settings

    made = inspect.signature(command).parameters
    assert set(made) == {each.name for each in fields(kind)}
    for each in fields(kind):
        required = each.default is MISSING and each.default_factory is MISSING
        assert (made[each.name].default is inspect.Parameter.empty) == required


def test_public_functions_take_the_options_of_their_commands():
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"prepare", "dump", "generate", "evaluate", "distill", "quantize", "export"} <= commands
    assert set(groups) == {"train", "find-lr"}
    for function, kind in (
        (movieplots.prepare, PrepareSettings), (movieplots.train_generator, GeneratorSettings),
        (movieplots.train_classifier, ClassifierSettings), (movieplots.sample_dump, DumpSettings),
        (movieplots.evaluate, EvaluateSettings),
    ):  # fmt: skip
        assert set(inspect.signature(function).parameters) == {each.name for each in fields(kind)}


def test_the_api_has_the_bounds_of_the_options():
    schema = PlotsRequest.model_json_schema()["properties"]
    temperature, option = schema["temperature"], option_of(Sampling, "temperature")
    assert (temperature["exclusiveMinimum"], temperature["maximum"]) == (option.gt, option.le)
    assert temperature["default"] == Sampling.temperature and temperature["description"] == help_of(option)
    assert schema["top_p"]["maximum"] == option_of(Sampling, "top_p").le
    assert (schema["n"]["minimum"], schema["n"]["maximum"]) == (option_of(GenerateSettings, "n").ge, MAX_PLOTS)


def test_dump_and_generate_share_their_sampling_defaults():
    shared = ("min_p", "repetition_penalty", "no_repeat_ngram_size")
    assert all(getattr(DumpSettings, name) == getattr(GenerateSettings, name) for name in shared)
    assert all(option_of(DumpSettings, name) == option_of(GenerateSettings, name) for name in shared)


def test_the_defaults_of_a_generator():
    usual = GeneratorSettings("d", "gpt2", "o").resolved()
    assert (usual.sampler, usual.packing, usual.titles, usual.learning_rate) == ("genre-weighted", "packed", True, 1e-3)
    assert GeneratorSettings("d", "gpt2", "o", packing="random-crops").resolved().sampler == "uniform"


def test_the_learning_rate_of_a_generator_depends_only_on_the_method():
    for base in ("smollm2-135m", "gpt2", "distilbert/distilgpt2"):
        for method, rate in (("lora", 1e-3), ("full", 1e-4)):
            assert GeneratorSettings("d", base, "o", method=method).resolved().recipe()["learning_rate"] == rate
    student = DistillationSettings("t", "d", "o", layers=6).resolved()
    assert student.learning_rate == 3e-4 and "--learning-rate" not in student.command()


ENCODERS = (ClassifierSettings, FastaiSettings, MlmSettings)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize(
    ("base", "rate"),
    [
        ("minilm-l6", 3e-4), ("roberta-base", 5e-5), ("bert-base-uncased", 5e-5), ("google-bert/bert-base-cased", 5e-5),
        ("distilbert-base-uncased", 5e-5), ("distilbert/distilroberta-base", 5e-5), ("someone/some-encoder", 5e-5),
    ],
)  # fmt: skip
def test_the_learning_rate_of_an_encoder_follows_from_its_name(kind, base, rate):
    usual = kind("d", base, "o").resolved()
    assert usual.recipe()["learning_rate"] == rate
    assert usual.command() == kind("d", base, "o").command() and "--learning-rate" not in usual.command()
    assert kind("d", base, "o", learning_rate=1e-5).resolved().learning_rate == 1e-5
    assert f"{rate:.0e}".replace("e-0", "e-") in option_of(kind, "learning_rate").default


@pytest.mark.parametrize(
    ("config", "full", "lora"),
    [
        (BertConfig(hidden_size=384, num_hidden_layers=12), 3e-4, 2e-3),  # MiniLM-L12
        (BertConfig(), 5e-5, 5e-4),
        (RobertaConfig(num_hidden_layers=6), 5e-5, 5e-4),  # DistilRoBERTa
        (DistilBertConfig(), 5e-5, 5e-4),
    ],
)
def test_the_learning_rate_of_a_folder_follows_from_its_config(config, full, lora, tmp_path):
    config.save_pretrained(tmp_path)
    assert usual_learning_rate(str(tmp_path), "full") == full
    assert usual_learning_rate(str(tmp_path), "lora") == lora
    assert ClassifierSettings("d", str(tmp_path), "o", method="lora").resolved().learning_rate == lora


def test_a_damaged_config_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size":')
    with pytest.raises(BadInput, match=r"config\.json is damaged: choose another base model\.$"):
        usual_learning_rate(str(tmp_path))


def test_lists_are_lists_and_unions_of_them_are_not():
    kinds = {name: item_kind(kind) for name, kind, _ in declared(PrepareSettings)}
    assert (kinds["sources"], kinds["languages"], kinds["path"], kinds["seed"]) == (str, str, None, None)
    assert item_kind({name: kind for name, kind, _ in declared(EvaluateSettings)}["dumps"]) is None


def test_a_type_checker_sees_the_options(tmp_path):
    from mypy import api

    file = tmp_path / "use.py"
    file.write_text(
        "from movieplots.generation.sampling_settings import GenerateSettings\n"
        "from movieplots.preparation.pipeline import prepare\n"
        "prepare('sample', 'o', seed='x')\n"
        "prepare('sample', 'o', sed=1)\n"
        "prepare(['sample'], 'o', languages=['en'], seed=1).kept\n"
    )
    config = Path(movieplots.__file__).parents[1] / "pyproject.toml"
    said, _, _ = api.run(["--config-file", str(config), str(file)])
    errors = [line for line in said.splitlines() if "error:" in line]
    assert len(errors) == 2 and '"seed"' in errors[0] and 'keyword argument "sed"' in errors[1], said


def test_pretrained_is_the_included_classifier_unless_there_is_such_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = EvaluateSettings("dump", "plots", "report", classifier="pretrained")
    assert named.classifier_folder == CLASSIFIER
    (tmp_path / "pretrained").mkdir()
    assert named.classifier_folder == "pretrained"
    assert EvaluateSettings("dump", "plots", "report").classifier_folder is None
