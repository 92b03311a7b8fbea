"""Commands for reading plots: genres, novelty."""

import sys
from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import typer
from rich.table import Table

from movieplots.cli.options import AsJson, app, output, print_json
from movieplots.errors import BadInput
from movieplots.files import check_file
from movieplots.formatting import plural
from movieplots.pretrained.shipped import CLASSIFIER, check_there
from movieplots.progress import notify

BAR = 30  # characters of a bar for a probability of 1


class Prediction(TypedDict):
    """What `genres --json` says of a plot; `words` are the effects of words on each genre, with `--explain`."""

    plot: str
    genres: list[str]
    probabilities: dict[str, float]
    thresholds: dict[str, float]
    words: NotRequired[dict[str, dict[str, float]]]


@app.command()
def genres(
    texts: Annotated[list[str], typer.Argument(metavar="TEXT…", help="Plots; `-` reads one a line, in UTF-8.")],
    model: Annotated[
        Path, typer.Option(help="Folder of a trained classifier.", show_default="the one that ships")
    ] = CLASSIFIER,
    title: Annotated[
        str | None, typer.Option(help="The plot's title, best as `Salt (2009)`; needs a model trained with --titles.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also show the words that speak for each genre.")] = False,
    as_json: AsJson = False,
) -> None:
    """Detect the genres of plots: ranked, with a bar each, in which `│` marks the genre's threshold.

    Example: `movieplots genres "A sheriff rides into a town that has forgotten its name."`

    Example: `movieplots genres --explain "A haunted house hides a killer." "Two strangers fall in love in Rome."`
    """
    from movieplots.classification.info import ClassifierInfo
    from movieplots.classification.prediction import GenreClassifier, check_titled
    from movieplots.runs.folder import read_info

    where, numbered = ("Line", _lines()) if texts == ["-"] else ("Plot", dict(enumerate(texts, 1)))
    for number, plot in numbered.items():
        if not plot.strip():
            raise BadInput(f"The text in plot {number} is empty: give it some words.")
    numbers, plots = list(numbered), list(numbered.values())
    if title is not None and len(plots) > 1:
        raise BadInput(f"--title belongs to one plot, and {len(plots)} are given: run them one by one.")
    if title is not None:
        check_titled(read_info(check_there(model), ClassifierInfo))
    classifier = GenreClassifier.from_pretrained(check_there(model))
    for i, tokens in classifier.truncated(plots).items():
        most = classifier.max_tokens
        print(f"{where} {numbers[i]} has {tokens} tokens: only its first {most} are read.", file=sys.stderr)
    proba = classifier.predict_proba(plots, None if title is None else [title])
    predicted = [classifier.labels_from_proba(row) for row in proba]
    reasons = [_reasons(classifier, plot, title) if explain else None for plot in plots]
    if as_json:
        rows = zip(plots, predicted, proba, reasons, strict=True)
        return print_json([_prediction(classifier, *row) for row in rows])
    for plot, names, row, words in zip(plots, predicted, proba, reasons, strict=True):
        output.print(plot)
        output.print(_bars(classifier, names, row))
        if words:
            table = Table(box=None, show_header=False, padding=(0, 1))
            for genre, strongest in words.items():
                table.add_row(
                    genre, ", ".join(f"{word} +{effect:.1f}" for word, effect in strongest) or "no word alone"
                )
            output.print("Words that speak for a genre, and by how much its log-odds fall where the word is hidden:")
            output.print(table)


@app.command()
def novelty(
    data: Annotated[Path, typer.Option(help="Folder that `movieplots prepare` wrote, or its table.")],
    file: Annotated[Path, typer.Option("--output", "-o", help="File to write, such as novelty.npz.")],
    as_json: AsJson = False,
) -> None:
    """Write an index of the training plots, with none of their sentences: who has it can tell whether a plot is new.

    Example: `movieplots novelty --data data/streaming -o runs/novelty.npz`
    """
    from movieplots.measures.embedding import EMBEDDER, load_embedder
    from movieplots.measures.novelty_index import NoveltyIndex
    from movieplots.plots import load_plots
    from movieplots.pretrained.base_models import identity
    from movieplots.runs.lineage import hashed_ids

    check_file(file, "novelty.npz")
    plots = load_plots(data, "train")
    titles, texts = plots["title"].tolist(), plots["plot"].tolist()
    index = NoveltyIndex.build(titles, texts, load_embedder().embed, hashed_ids(plots), identity(EMBEDDER) or "")
    index.save(file)
    size = file.stat().st_size
    if as_json:
        return print_json({"path": str(file), "plots": len(plots), "bytes": size})
    output.print(f"{file}: {len(plots):,} plots, {size / 1e6:.1f} MB")


def _lines() -> dict[int, str]:
    """The lines of standard input that have text, by their numbers from 1: UTF-8, whatever the locale."""
    lines: dict[int, str] = {}
    blank = 0
    for number, line in enumerate(sys.stdin.buffer.read().removeprefix(BOM_UTF8).splitlines(), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise BadInput(
                f"Line {number} of standard input is not UTF-8 text: convert it first, for example with iconv."
            ) from None
        if text.strip():
            lines[number] = text
        else:
            blank += 1
    if not lines:
        raise BadInput("Standard input has no text: give one plot a line.")
    if blank:
        notify(f"{plural(blank, 'blank line')} {'was' if blank == 1 else 'were'} left out.")
    return lines


def _reasons(classifier: Any, plot: str, title: str | None) -> dict[str, list[tuple[str, float]]]:
    from movieplots.classification.explanation import explain
    from movieplots.classification.prediction import with_title

    explanation = explain(classifier, with_title(title or "", plot))
    return {genre: explanation.strongest(genre) for genre in explanation.effects}


def _prediction(classifier: Any, plot: str, names: list[str], proba: Any, reasons: Any) -> Prediction:
    row: Prediction = {
        "plot": plot,
        "genres": names,
        "probabilities": dict(zip(classifier.labels, map(float, proba), strict=True)),
        "thresholds": dict(zip(classifier.labels, map(float, classifier.thresholds), strict=True)),
    }
    if reasons:
        row["words"] = {genre: dict(words) for genre, words in reasons.items()}
    return row


def _bars(classifier: Any, predicted: list[str], proba: Any) -> Table:
    """The likeliest genres with a bar each, the threshold marked; those above it are bold and ticked."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for i in proba.argsort()[::-1][: max(5, len(predicted))]:
        name, share, threshold = classifier.labels[i], float(proba[i]), float(classifier.thresholds[i])
        bar = list(("█" * round(share * BAR)).ljust(BAR))
        bar[min(round(threshold * BAR), BAR - 1)] = "│"
        style = "bold" if name in predicted else "dim"
        cells = ("✓" if name in predicted else "", name, "".join(bar), f"{share:.2f}")
        table.add_row(*cells, f"threshold {threshold:.2f}", style=style)
    return table
