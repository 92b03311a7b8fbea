"""Commands for training: generators, students, classifiers and what they start from, learning rates, quantization."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from movieplots.classification.training_settings import (
    ClassifierLrSettings,
    ClassifierSettings,
    FastaiSettings,
    MlmSettings,
    QuantizeSettings,
)
from movieplots.cli.options import App, AsJson, app, output, print_json, with_options
from movieplots.files import check_file
from movieplots.generation.training_settings import DistillationSettings, GeneratorLrSettings, GeneratorSettings
from movieplots.progress import working

if TYPE_CHECKING:
    from movieplots.classification.info import ClassifierInfo, MlmInfo, Scores
    from movieplots.generation.info import GeneratorInfo
    from movieplots.runs.find_lr import LrSearch

train_app = App(no_args_is_help=True, help="Train a generator, a classifier, or what a classifier starts from.")
app.add_typer(train_app, name="train")
lr_app = App(no_args_is_help=True, help="Search the learning rate for a generator or a classifier.")
app.add_typer(lr_app, name="find-lr")

Picture = Annotated[Path, typer.Option("--output", "-o", help="PNG file for the figure.")]


@train_app.command("generator")
@with_options(GeneratorSettings)
def train_generator(settings: GeneratorSettings, as_json: AsJson = False) -> None:
    """Fine-tune a causal language model to write plots. Killed, it continues when started again.

    Example: `movieplots train generator --data data/streaming --base-model smollm2-135m --time-limit 30
    -o runs/generator`

    To train a trained generator further: `movieplots train generator --data data/streaming --base-model runs/generator
    --max-steps 320 -o runs/generator-2`

    Example, on several GPUs: `accelerate launch -m movieplots train generator --data data/streaming --base-model gpt2
    --method full --batch-size 64 -o runs/gpt2`

    Curves: `tensorboard --logdir runs`
    """
    from movieplots.generation.training import train_generator as run

    _print_losses(settings.output_dir, run.of(settings), as_json)


@app.command()
@with_options(DistillationSettings)
def distill(settings: DistillationSettings, as_json: AsJson = False) -> None:
    """Train a smaller generator to write like a larger one, and compare them. Killed, it continues when started again.

    Example: `movieplots distill --teacher runs/generator --data data/streaming --layers 15 --time-limit 30
    -o runs/student`
    """
    from movieplots.evaluation.comparison import compare_generators
    from movieplots.generation.distillation import distill as run
    from movieplots.runs.fit import main_process

    run.of(settings)
    if not main_process():
        return
    compared = compare_generators({"teacher": settings.teacher, "student": settings.output_dir})
    if as_json:
        return print_json(compared.reset_index().to_dict("records"))
    table = Table("", *compared.columns)
    for name, row in compared.iterrows():
        table.add_row(str(name), *(f"{value:,.0f}" if value >= 10 else f"{value:.3f}" for value in row))
    output.print(table)


@train_app.command("classifier")
@with_options(ClassifierSettings)
def train_classifier(settings: ClassifierSettings, as_json: AsJson = False) -> None:
    """Fine-tune an encoder to detect genres, beside TF-IDF baselines. Killed, it continues when started again.

    Example: `movieplots train classifier --data data/streaming --base-model minilm-l6 -o runs/classifier`

    Example: `movieplots train classifier --data data/streaming --base-model minilm-l6 --titles --epochs 5
    -o runs/titles`

    A smaller and faster one: `movieplots train classifier --data data/streaming --base-model minilm-l6 --layers 2
    --teacher runs/titles -o runs/fast`
    """
    from movieplots.classification.training import train_classifier as run

    _print_classifier(settings.output_dir, run.of(settings), as_json)


@train_app.command("fastai")
@with_options(FastaiSettings)
def train_with_fastai(settings: FastaiSettings, as_json: AsJson = False) -> None:
    """Fine-tune an encoder with fastai: gradual unfreezing, one cycle a stage. Killed, it continues when started again.

    Example: `movieplots train fastai --data data/streaming --base-model roberta-base -o runs/roberta`
    """
    from movieplots.classification.fastai_training import train_with_fastai as run

    _print_classifier(settings.output_dir, run.of(settings), as_json)


@train_app.command("mlm")
@with_options(MlmSettings)
def train_mlm(settings: MlmSettings, as_json: AsJson = False) -> None:
    """Train an encoder further on the training plots first, guessing hidden words. Killed, it continues when restarted.

    Example: `movieplots train mlm --data data/streaming --base-model bert-base-uncased -o runs/bert-mlm`

    Then: `movieplots train classifier --data data/streaming --base-model runs/bert-mlm -o runs/bert`
    """
    from movieplots.classification.mlm import train_mlm as run

    _print_losses(settings.output_dir, run.of(settings), as_json)


@lr_app.command("generator")
@with_options(GeneratorLrSettings)
def find_generator_lr(settings: GeneratorLrSettings, file: Picture, as_json: AsJson = False) -> None:
    """Search the learning rate for `train generator`: the loss over growing rates, and where it falls fastest.

    Example: `movieplots find-lr generator --data data/streaming --base-model smollm2-135m -o runs/rate.png`
    """
    check_file(file, "rate.png")
    from movieplots.generation.training import find_lr
    from movieplots.generation.training_settings import usual_learning_rate
    from movieplots.reporting.training import LOSS

    _print_lr(file, find_lr.of(settings), usual_learning_rate(settings.base_model, settings.method), LOSS, as_json)


@lr_app.command("classifier")
@with_options(ClassifierLrSettings)
def find_classifier_lr(settings: ClassifierLrSettings, file: Picture, as_json: AsJson = False) -> None:
    """Search the learning rate for `train classifier`: the loss over growing rates, and where it falls fastest.

    Example: `movieplots find-lr classifier --data data/streaming --base-model minilm-l6 -o runs/rate.png`
    """
    check_file(file, "rate.png")
    from movieplots.classification.training import find_lr
    from movieplots.classification.training_settings import usual_learning_rate

    usual = usual_learning_rate(settings.base_model, settings.method)
    _print_lr(file, find_lr.of(settings), usual, "loss of a batch", as_json)


@app.command()
@with_options(QuantizeSettings)
def quantize(settings: QuantizeSettings, as_json: AsJson = False) -> None:
    """Store a classifier in a quarter of the space: 8-bit weights, for ONNX Runtime, without torch.

    Example: `movieplots quantize --model runs/classifier --data data/streaming -o runs/quantized`
    """
    from movieplots.classification.quantization import folder_size
    from movieplots.classification.quantization import quantize as run
    from movieplots.runs.folder import to_json

    with working("Quantizing …"):
        info = run.of(settings)
    size = folder_size(settings.output_dir)
    if as_json:
        return print_json(to_json(info) | {"bytes": round(size * 1e6)})
    output.print(f"{settings.output_dir}: {size:.1f} MB")
    before = info.metrics.before_quantization
    _print_scores("", ({"before": before} if before else {}) | {"quantized": info.metrics.test.scores})


def _print_losses(folder: str | Path, info: "GeneratorInfo | MlmInfo", as_json: bool) -> None:
    if _printed(info, as_json):
        return
    metrics = info.metrics
    output.print(
        f"{folder}: test loss {metrics.test_loss_before:.2f} → {metrics.test_loss_after:.2f} nats per token "
        f"after {metrics.steps} steps",
        highlight=False,
    )


def _print_classifier(folder: str | Path, info: "ClassifierInfo", as_json: bool) -> None:
    if _printed(info, as_json):
        return
    output.print(f"{folder}: {info.metrics.test_plots} test plots, {len(info.labels)} genres")
    forms = (("From the plot alone", info.metrics.test), ("With the title as well", info.metrics.test_titled))
    for what, measured in forms:
        if measured:
            _print_scores(what, {info.base_model: measured.scores} | measured.baselines)


def _printed(info: Any, as_json: bool) -> bool:
    """Whether there is nothing more to print: of several processes one speaks, and JSON says all."""
    from movieplots.runs.fit import main_process
    from movieplots.runs.folder import to_json

    if main_process() and as_json:
        print_json(to_json(info))
    return as_json or not main_process()


def _print_scores(title: str, rows: "Mapping[str, Scores]") -> None:
    table = Table(title, "micro-F1", "macro-F1", "mAP", "LRAP")
    for name, scores in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in (scores.micro_f1, scores.macro_f1, scores.map, scores.lrap)))
    output.print(table)


def _print_lr(file: Path, search: "LrSearch", usual: float, loss: str, as_json: bool) -> None:
    from movieplots.files import atomic_path
    from movieplots.reporting.training import learning_rates

    with atomic_path(file) as temporary:
        learning_rates(search, usual, loss).savefig(temporary, format="png", dpi=150)
    if as_json:
        return print_json(asdict(search))
    output.print(f"{file}: the loss falls fastest at a learning rate of {search.suggestion:.1e}")
