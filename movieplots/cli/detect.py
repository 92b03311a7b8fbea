"""Commands that analyze plots: genres, novelty."""

import sys
from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import typer
from rich.table import Table

from movieplots.cli.options import EVALUATE, USE, AsJson, ClassifierFolder, DataFolder, app, output, print_json
from movieplots.errors import BadInput
from movieplots.files import check_file
from movieplots.formatting import plural
from movieplots.pretrained.shipped import CLASSIFIER, check_there
from movieplots.progress import notify

BAR = 30  # characters of the bar for a probability of 1


class Prediction(TypedDict):
    """A plot in `genres --json`; with `--explain`, `words` holds the effect of words on each genre."""

    plot: str
    genres: list[str]
    probabilities: dict[str, float]
    thresholds: dict[str, float]
    words: NotRequired[dict[str, dict[str, float]]]


@app.command(rich_help_panel=USE)
def genres(
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT", help="Plots, or `-` to read them from standard input, one per line, in UTF-8."),
    ],
    model: ClassifierFolder = CLASSIFIER,
    title: Annotated[
        str | None,
        typer.Option(
            help="Title of the plot, preferably with a year, such as `Salt (2009)`. It needs a model trained with "
            "--titles.",
            metavar="TEXT",
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the words that most support each genre.")] = False,
    as_json: AsJson = False,
) -> None:
    """Detect the genres of plots.

    Each genre has a bar for its probability; `│` marks the threshold above which it is predicted.

    Example: `movieplots genres "A sheriff rides into a town that has forgotten its name."`

    Example: `movieplots genres --explain "A haunted house hides a killer." "Two strangers fall in love in Rome."`
    """
    from movieplots.classification.info import ClassifierInfo
    from movieplots.classification.prediction import GenreClassifier, check_titled
    from movieplots.runs.folder import read_info

    where, numbered = ("Line", _lines()) if texts == ["-"] else ("Plot", dict(enumerate(texts, 1)))
    for number, plot in numbered.items():
        if not plot.strip():
            raise BadInput(f"Plot {number} is empty: give it some words.")
    numbers, plots = list(numbered), list(numbered.values())
    if title is not None and len(plots) > 1:
        raise BadInput(f"--title is for one plot, and {len(plots)} were given: run the command once per plot.")
    if title is not None:
        check_titled(read_info(check_there(model), ClassifierInfo))
    classifier = GenreClassifier.from_pretrained(check_there(model))
    for i, tokens in classifier.truncated(plots).items():
        most = classifier.max_tokens
        print(f"{where} {numbers[i]} has {tokens} tokens: only the first {most} are used.", file=sys.stderr)
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
                    genre, ", ".join(f"{word} +{effect:.1f}" for word, effect in strongest) or "no single word"
                )
            output.print("Words that support each genre, with the drop of its log-odds if the word is masked:")
            output.print(table)


@app.command(rich_help_panel=EVALUATE)
def novelty(
    data: DataFolder,
    file: Annotated[Path, typer.Option("--output", "-o", help="File to write, such as novelty.npz.", metavar="FILE")],
    as_json: AsJson = False,
) -> None:
    """Write an index of the training plots, to check whether a generated plot is new.

    The index has the titles, embeddings and hashed n-grams of the plots, but none of their sentences.

    Example: `movieplots novelty --data runs/plots -o runs/novelty.npz`
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
    """Return the lines of standard input that have text, by line number from 1. They are UTF-8 in any locale."""
    lines: dict[int, str] = {}
    blank = 0
    for number, line in enumerate(sys.stdin.buffer.read().removeprefix(BOM_UTF8).splitlines(), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise BadInput(
                f"Line {number} of standard input is not UTF-8: convert it first, for example with iconv."
            ) from None
        if text.strip():
            lines[number] = text
        else:
            blank += 1
    if not lines:
        raise BadInput("Standard input has no text: give one plot per line.")
    if blank:
        notify(f"{plural(blank, 'blank line')} {'was' if blank == 1 else 'were'} skipped.")
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
    """Return the most probable genres, with bars and thresholds; predicted genres are bold and have a check mark."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for i in proba.argsort()[::-1][: max(5, len(predicted))]:
        name, share, threshold = classifier.labels[i], float(proba[i]), float(classifier.thresholds[i])
        bar = list(("█" * round(share * BAR)).ljust(BAR))
        bar[min(round(threshold * BAR), BAR - 1)] = "│"
        style = "bold" if name in predicted else "dim"
        cells = ("✓" if name in predicted else "", name, "".join(bar), f"{share:.2f}")
        table.add_row(*cells, f"threshold {threshold:.2f}", style=style)
    return table
