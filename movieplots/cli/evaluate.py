"""The command that evaluates dumps."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from movieplots.cli.options import EVALUATE, AsJson, app, output, print_json, with_options
from movieplots.errors import BadInput
from movieplots.evaluation.settings import EvaluateSettings


@app.command(rich_help_panel=EVALUATE)
@with_options(EvaluateSettings)
def evaluate(
    settings: Callable[..., EvaluateSettings],
    dumps: Annotated[
        list[str],
        typer.Option(
            "--dump",
            help="Folder of a dump, or of text files with one sample per line. Repeat the option to compare several.",
            metavar="[NAME=]DIR",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Measure the quality, novelty and diversity of dumps and write a report.

    The embeddings of the corpus are computed once, which takes minutes on a CPU, and cached.

    Example: `movieplots evaluate --dump runs/dump --data runs/plots --classifier runs/classifier -o runs/report`

    With the pretrained classifier: `movieplots evaluate --dump runs/dump --data runs/plots --classifier pretrained
    -o runs/report`

    Compare two generators: `movieplots evaluate --dump teacher=runs/dump --dump student=runs/student-dump
    --data runs/plots -o runs/comparison`
    """
    from movieplots.evaluation.answers import answers
    from movieplots.reporting.report import evaluate as run

    named = [text.partition("=") for text in dumps]
    if all(sign and not Path(text).exists() for text, (_, sign, _) in zip(dumps, named, strict=True)):
        folders = {name: folder for name, _, folder in named}
        if len(folders) < len(dumps):
            raise BadInput("Two dumps have the same name: give each its own, as --dump NAME=DIR.")
        made = settings(dumps=folders)
    else:
        made = settings(dumps=dumps)
    report = run.of(made)
    if as_json:
        return print_json(msgspec.to_builtins(report.metrics))
    for name in report.metrics.models:
        table = Table(name, "", "")
        for card in answers(report.metrics, name):
            table.add_row(card.question, card.verdict, card.number)
        output.print(table)
    output.print(f"Report: {report.path}")
