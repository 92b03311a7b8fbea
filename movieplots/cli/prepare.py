"""Commands for corpora: sources, fetch, prepare."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from movieplots.cli.options import DATA, AsJson, app, output, print_json, with_options
from movieplots.errors import BadInput
from movieplots.preparation.settings import PrepareSettings

_SEVERAL = re.compile(r"[,;]\s*(?=(?:title|plot|genres|id|year)=)")  # between assignments written with commas


@app.command(rich_help_panel=DATA)
def sources(as_json: AsJson = False) -> None:
    """List the corpora that `prepare` can read, with size and license.

    Example: `movieplots sources`
    """
    from movieplots.sources import SOURCES

    rows = [
        {"name": s.name, "what": s.what, "size": s.size, "license": s.license, "how_to_get": s.how_to_get}
        for s in SOURCES.values()
    ]
    if as_json:
        return print_json(rows)
    for row in rows:
        output.print(Text.assemble((row["name"], "bold"), f": {row['what']}"))
        output.print(f"    {row['size']}; {row['license']}\n    {row['how_to_get']}")


@app.command(rich_help_panel=DATA)
def fetch(
    source: Annotated[str, typer.Argument(help="Name of a corpus; see `movieplots sources`.", metavar="SOURCE")],
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Folder for the files.", metavar="DIR", show_default="data/raw/SOURCE"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also download files that are rarely needed (IMDb's plain-text lists).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a corpus.

    If interrupted, run the same command again to resume. Kaggle's files need the package `kagglehub`; without it the
    command says which files to download and where to put them.

    Example: `movieplots fetch cmu-books` (needs a connection)
    """
    from movieplots.sources import get_source
    from movieplots.sources.fetching import fetch as run

    known = get_source(source)
    files = run(known, output_dir or known.folder, everything)
    if as_json:
        return print_json([str(file) for file in files])
    for file in files:
        output.print(str(file))
    path = f" --path {output_dir}" if output_dir else ""
    output.print(f"Next: movieplots prepare {source} --output-dir data/{source}{path}")


@app.command(rich_help_panel=DATA)
@with_options(PrepareSettings)
def prepare(
    settings: Callable[..., PrepareSettings],
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Names of corpora; see `movieplots sources`.", metavar="SOURCE", show_default="sample"),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            help="File or folder of the source. With several sources, repeat the option as SOURCE=PATH.",
            metavar="[SOURCE=]PATH",
            show_default="the folder of `movieplots fetch`",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help="Name of your column for title, plot, genres, id or year, such as title=Name; only for the source "
            "`table`. Repeat the option for each column.",
            metavar="FIELD=NAME",
            show_default="the same names",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Clean corpora and split them into training, validation and test plots.

    Example: `movieplots prepare sample -o runs/plots`

    Your own table: `movieplots prepare table --path my.csv --column title=Name --column plot=Summary
    --column genres=Tags -o runs/mine`

    Downloaded corpora: `movieplots prepare imdb cmu-books --path imdb=movies_genres.csv.bz2 --max-length 400
    -o runs/large`
    """
    from movieplots.preparation.pipeline import prepare as run
    from movieplots.sources import SOURCES

    for text in sources or []:
        name, mark, _ = text.partition("=")
        if mark:
            flag = "--path" if name in SOURCES else "--column"
            raise BadInput(f"{text!r} is not a source: repeat the option, {flag} {text}.")
    made = settings(sources=sources or ["sample"], path=_paths(path or []), columns=_columns(columns or []))
    result = run.of(made)
    if as_json:
        return print_json(msgspec.to_builtins(result))
    dropped = ", ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in result.dropped.items()) or "none"
    output.print(f"{result.path}: kept {result.kept:,} of {result.read:,} plots; dropped: {dropped}")
    if result.boilerplate:
        times, (sentence, most) = sum(result.boilerplate.values()), next(iter(result.boilerplate.items()))
        output.print(
            f"Boilerplate removed: {len(result.boilerplate):,} different sentences, {times:,} times in total. The most "
            f"frequent is “{sentence}” ({most:,}); report.json lists all."
        )
    if result.truncated:
        output.print(f"Truncated: {result.truncated:,}")
    output.print("Splits: " + ", ".join(f"{name} {n:,}" for name, n in result.splits.items()))
    if result.unknown_tags:
        tags = ", ".join(f"{tag!r} ({n:,})" for tag, n in list(result.unknown_tags.items())[:10])
        output.print(f"Tags without a genre ({len(result.unknown_tags):,}): {tags}")
        output.print(
            "To use them, write a CSV file with the header tag,genres and one line per tag, such as splatter,horror. "
            "Pass it with --genre-map."
        )


def _paths(given: list[str]) -> str | dict[str, str] | None:
    """Parse `--path PATH`, for one source, or repeated `--path SOURCE=PATH`."""
    from movieplots.sources import SOURCES

    named: dict[str, str] = {}
    for text in given:
        name, mark, path = text.partition("=")
        if not text or (mark and not path):
            raise BadInput(f"--path {text!r} has no path: write --path PATH or --path SOURCE=PATH.")
        if mark and name in SOURCES:
            if name in named:
                raise BadInput(f"--path is given twice for {name}: put its files into one folder.")
            named[name] = path
        elif len(given) == 1:
            return text
        else:
            raise BadInput(f"With several paths, each needs its source: --path SOURCE={text}.")
    return named or None


def _columns(given: list[str]) -> dict[str, str]:
    """Parse repeated `--column FIELD=NAME`."""
    pairs: dict[str, str] = {}
    for text in given:
        field, mark, name = text.partition("=")
        if not (field and mark and name):
            raise BadInput(f"--column {text!r} has no field or no name: write --column title=Name.")
        if _SEVERAL.search(name):
            repeated = " ".join(f"--column {part}" for part in _SEVERAL.sub("\n", text).split("\n"))
            raise BadInput(f"--column takes one column, not {text!r}: write {repeated}.")
        if field in pairs:
            raise BadInput(f"--column is given twice for {field}: leave one out.")
        pairs[field] = name
    return pairs
