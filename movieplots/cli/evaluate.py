"""The command that measures dumps."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from movieplots.cli.options import AsJson, app, output, print_json, with_options
from movieplots.errors import BadInput
from movieplots.evaluation.settings import EvaluateSettings


@app.command()
@with_options(EvaluateSettings)
def evaluate(
    settings: Callable[..., EvaluateSettings],
    dumps: Annotated[
        list[str],
        typer.Option(help="Folder of a dump, also of another program, or NAME=FOLDER; several times for several."),
    ],
    as_json: AsJson = False,
) -> None:
    """Measure dumps against the corpus and write a report: like real plots? new? on genre? at which temperature?

    The embeddings of the corpus are computed once, which takes minutes on a CPU, and kept for the next time.

    Example: `movieplots evaluate --dumps runs/dump --data data/streaming --classifier runs/classifier
    --output-dir runs/report`

    Two side by side: `movieplots evaluate --dumps small=runs/a --dumps large=runs/b --data data/streaming
    --output-dir runs/both`
    """
    from movieplots.reporting.report import evaluate as run

    named = [text.partition("=") for text in dumps]
    if all(sign and not Path(text).exists() for text, (_, sign, _) in zip(dumps, named, strict=True)):
        folders = {name: folder for name, _, folder in named}
        if len(folders) < len(dumps):
            raise BadInput("Two dumps have the same name: give each a name of its own in --dumps NAME=FOLDER.")
        made = settings(dumps=folders)
    else:
        made = settings(dumps=dumps)
    report = run.of(made)
    if as_json:
        return print_json(msgspec.to_builtins(report.metrics))
    output.print(f"Report: {report.path}")
