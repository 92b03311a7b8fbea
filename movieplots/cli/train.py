"""Commands that train: train, find-lr, distill, quantize."""

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
from movieplots.cli.options import TRAIN, App, AsJson, app, output, print_json, with_options
from movieplots.files import check_file
from movieplots.formatting import perplexity, plural
from movieplots.generation.training_settings import DistillationSettings, GeneratorLrSettings, GeneratorSettings
from movieplots.progress import working

if TYPE_CHECKING:
    from movieplots.classification.info import ClassifierInfo, MlmInfo, Scores
    from movieplots.generation.info import GeneratorInfo
    from movieplots.runs.find_lr import LrSearch

train_app = App(no_args_is_help=True, help="Train a generator or a classifier.")
app.add_typer(train_app, name="train", rich_help_panel=TRAIN)
lr_app = App(no_args_is_help=True, help="Find a learning rate for a generator or a classifier.")
app.add_typer(lr_app, name="find-lr", rich_help_panel=TRAIN)

Figure = Annotated[Path, typer.Option("--output", "-o", help="PNG file for the figure.", metavar="FILE")]


@train_app.command("generator")
@with_options(GeneratorSettings)
def train_generator(settings: GeneratorSettings, as_json: AsJson = False) -> None:
    """Fine-tune a causal language model to write plots.

    The test loss is measured before and after training, which takes minutes on a CPU. If interrupted, run the same
    command again to resume. To see the loss curves: `tensorboard --logdir runs`

    Example: `movieplots train generator --data runs/plots --base-model smollm2-135m --epochs 1 -o runs/generator`

    Train it further: `movieplots train generator --data runs/plots --base-model runs/generator --max-steps 10
    -o runs/generator-2`

    With several GPUs, and a model from the hub: `accelerate launch -m movieplots train generator --data runs/plots
    --base-model gpt2 --method full --batch-size 64 -o runs/gpt2`
    """
    from movieplots.generation.training import train_generator as run

    _print_losses(settings.output_dir, run.of(settings), as_json)


@app.command(rich_help_panel=TRAIN)
@with_options(DistillationSettings)
def distill(settings: DistillationSettings, as_json: AsJson = False) -> None:
    """Train a smaller generator to imitate a larger one, and compare the two.

    If interrupted, run the same command again to resume.

    Example: `movieplots distill --teacher runs/generator --data runs/plots --layers 15 --epochs 1 -o runs/student`
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
    """Fine-tune an encoder to detect genres, and train TF-IDF baselines for comparison.

    The result shows micro-F1, macro-F1, mAP (mean average precision) and LRAP (label-ranking average precision) on the
    test plots. If interrupted, run the same command again to resume.

    Example: `movieplots train classifier --data runs/plots --base-model minilm-l6 --epochs 1 -o runs/classifier`

    A faster one, taught by the first: `movieplots train classifier --data runs/plots --base-model minilm-l6 --layers 2
    --teacher runs/classifier -o runs/fast`
    """
    from movieplots.classification.training import train_classifier as run

    _print_classifier(settings.output_dir, run.of(settings), as_json)


@train_app.command("fastai")
@with_options(FastaiSettings)
def train_with_fastai(settings: FastaiSettings, as_json: AsJson = False) -> None:
    """Fine-tune an encoder with fastai: gradual unfreezing, with a one-cycle schedule per stage.

    It is an alternative to `train classifier`. The upper layers are trained first, then all (Howard and Ruder 2018). In
    each stage the learning rate rises, then falls (Smith 2018).

    If interrupted, run the same command again to resume.

    Example: `movieplots train fastai --data runs/plots --base-model minilm-l6 --epochs 1 -o runs/fastai`

    With a model from the hub: `movieplots train fastai --data runs/plots --base-model roberta-base -o runs/roberta`
    """
    from movieplots.classification.fastai_training import train_with_fastai as run

    _print_classifier(settings.output_dir, run.of(settings), as_json)


@train_app.command("mlm")
@with_options(MlmSettings)
def train_mlm(settings: MlmSettings, as_json: AsJson = False) -> None:
    """Continue the pretraining of an encoder on the training plots, with masked language modeling.

    The encoder learns the language of plots by predicting masked words; the result is a base model for `train
    classifier`. If interrupted, run the same command again to resume.

    Example: `movieplots train mlm --data runs/plots --base-model minilm-l6 --epochs 1 -o runs/mlm`

    Then: `movieplots train classifier --data runs/plots --base-model runs/mlm -o runs/mlm-classifier`
    """
    from movieplots.classification.mlm import train_mlm as run

    _print_losses(settings.output_dir, run.of(settings), as_json)


@lr_app.command("generator")
@with_options(GeneratorLrSettings)
def find_generator_lr(settings: GeneratorLrSettings, file: Figure, as_json: AsJson = False) -> None:
    """Find a learning rate for `train generator`: train briefly at growing rates and plot the loss.

    The suggested rate is where the loss falls fastest (Smith 2017).

    Example: `movieplots find-lr generator --data runs/plots --base-model smollm2-135m --steps 30
    -o runs/generator-lr.png`
    """
    check_file(file, "lr.png")
    from movieplots.generation.training import find_lr
    from movieplots.generation.training_settings import usual_learning_rate
    from movieplots.reporting.training import LOSS

    _print_lr(file, find_lr.of(settings), usual_learning_rate(settings.base_model, settings.method), LOSS, as_json)


@lr_app.command("classifier")
@with_options(ClassifierLrSettings)
def find_classifier_lr(settings: ClassifierLrSettings, file: Figure, as_json: AsJson = False) -> None:
    """Find a learning rate for `train classifier`: train briefly at growing rates and plot the loss.

    The suggested rate is where the loss falls fastest (Smith 2017).

    Example: `movieplots find-lr classifier --data runs/plots --base-model minilm-l6 -o runs/classifier-lr.png`
    """
    check_file(file, "lr.png")
    from movieplots.classification.training import find_lr
    from movieplots.classification.training_settings import usual_learning_rate

    usual = usual_learning_rate(settings.base_model, settings.method)
    _print_lr(file, find_lr.of(settings), usual, "batch loss", as_json)


@app.command(rich_help_panel=TRAIN)
@with_options(QuantizeSettings)
def quantize(settings: QuantizeSettings, as_json: AsJson = False) -> None:
    """Quantize a classifier to int8, for ONNX Runtime: a quarter of the size, and no torch.

    Scores before and after are measured on the test plots of --data, so give the data of the training.

    Example: `movieplots quantize --model runs/classifier --data runs/plots -o runs/quantized`
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
    before, after = metrics.test_loss_before, metrics.test_loss_after
    output.print(
        f"{folder}: test loss {before:.2f} → {after:.2f} nats/token (perplexity {perplexity(before):,.0f} → "
        f"{perplexity(after):,.0f}) after {plural(metrics.steps, 'step')}",
        highlight=False,
    )


def _print_classifier(folder: str | Path, info: "ClassifierInfo", as_json: bool) -> None:
    if _printed(info, as_json):
        return
    output.print(f"{folder}: {info.metrics.test_plots} test plots, {len(info.labels)} genres")
    forms = (("Plot only", info.metrics.test), ("Title and plot", info.metrics.test_titled))
    for what, measured in forms:
        if measured:
            _print_scores(what, {info.base_model: measured.scores} | measured.baselines)


def _printed(info: Any, as_json: bool) -> bool:
    """Print JSON if asked to, and return whether nothing more is to be printed; only the main process prints."""
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
    output.print(f"{file}: suggested learning rate {search.suggestion:.1e}")
