"""Commands for corpora: sources, fetch, prepare."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from movieplots.cli.options import AsJson, app, output, print_json, with_options
from movieplots.errors import BadInput
from movieplots.preparation.settings import PrepareSettings


@app.command()
def sources(as_json: AsJson = False) -> None:
    """List the corpora: size, licence, how to get each.

    Example: `movieplots sources`
    """
    from movieplots.sources import SOURCES

    rows = [
        {"name": s.name, "what": s.what, "size": s.size, "licence": s.licence, "how_to_get": s.how_to_get}
        for s in SOURCES.values()
    ]
    if as_json:
        return print_json(rows)
    for row in rows:
        output.print(Text.assemble((row["name"], "bold"), f": {row['what']}"))
        output.print(f"    {row['size']}; {row['licence']}\n    {row['how_to_get']}")


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A name from `movieplots sources`.")],
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Folder for the files.", show_default="data/raw/SOURCE"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the files that are not needed as a rule (IMDb's plain-text lists).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a corpus. Interrupted, it continues when started again.

    Files of Kaggle need the package `kagglehub`; without it you are told what to download and where to put it.

    Example: `movieplots fetch cmu-books`
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


@app.command()
@with_options(PrepareSettings)
def prepare(
    settings: Callable[..., PrepareSettings],
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="One or several names from `movieplots sources`.", show_default="sample"),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            help="A source's file or folder, with several sources as SOURCE=PATH, once each.",
            metavar="[SOURCE=]PATH",
            show_default="where `movieplots fetch` puts it",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help="For `table`, where your columns have other names than title, plot, genres, id and year: title=NAME "
            "plot=NAME, with blanks between.",
            metavar="PART=NAME",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Clean one or several corpora and split them into train, validation and test.

    Example: `movieplots prepare streaming --path catalogues/ -o data/streaming`

    Example: `movieplots prepare imdb mpst cmu-books --path imdb=movies_genres.csv.bz2 --max-length 400 -o data/all`

    Example: `movieplots prepare table --path my.csv --columns title=Name plot=Summary genres=Tags -o data/mine`
    """
    from movieplots.preparation.pipeline import prepare as run

    # `--columns title=Name plot=Summary`: what follows the first one arrives among the sources.
    arguments = sources or []
    named = [*(columns or []), *(argument for argument in arguments if "=" in argument)]
    made = settings(
        sources=[argument for argument in arguments if "=" not in argument] or ["sample"],
        path=_paths(path or []),
        columns=_assignments(named, "--columns", "title=Name plot=Summary genres=Tags"),
    )
    result = run.of(made)
    if as_json:
        return print_json(msgspec.to_builtins(result))
    dropped = ", ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in result.dropped.items()) or "none"
    output.print(f"{result.path}: kept {result.kept:,} of {result.read:,} plots; dropped: {dropped}")
    if result.boilerplate:
        times, (sentence, most) = sum(result.boilerplate.values()), next(iter(result.boilerplate.items()))
        output.print(
            f"Boilerplate removed: {len(result.boilerplate):,} different sentences, {times:,} in all, above all "
            f"“{sentence}” ({most:,}); report.json lists them."
        )
    if result.truncated:
        output.print(f"Cut to length: {result.truncated:,}")
    output.print("Splits: " + ", ".join(f"{name} {n:,}" for name, n in result.splits.items()))
    if result.unknown_tags:
        tags = ", ".join(f"{tag!r} ({n:,})" for tag, n in list(result.unknown_tags.items())[:10])
        output.print(f"Tags that no genre mapping names ({len(result.unknown_tags):,}): {tags}")
        output.print(
            "To use them, write a CSV with the line tag,genres and a line for each, such as splatter,horror; give it "
            "with --genre-map."
        )


def _paths(given: list[str]) -> str | dict[str, str] | None:
    """`--path PATH` for one source, `--path SOURCE=PATH` for several."""
    from movieplots.sources import SOURCES

    named: dict[str, str] = {}
    for text in given:
        name, mark, path = text.partition("=")
        if not text or (mark and not path):
            raise BadInput(f"--path {text!r} names no file: write --path PATH or --path SOURCE=PATH.")
        if mark and name in SOURCES:
            if name in named:
                raise BadInput(f"--path names two places for {name}: put its files into one folder.")
            named[name] = path
        elif len(given) == 1:
            return text
        else:
            raise BadInput(f"With several paths each needs its source: --path SOURCE={text}.")
    return named or None


def _assignments(texts: list[str], option: str, example: str) -> dict[str, str]:
    from movieplots.sources import SOURCES

    pairs: dict[str, str] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if name in SOURCES and mark:
            raise BadInput(f"{text!r} stands alone: each path needs its own option, --path {text}.")
        if name in pairs:
            raise BadInput(f"{option} names {name} twice: leave one out.")
        if not (name and mark and value):
            raise BadInput(f"{option} {text!r} is no assignment: write {option} {example}.")
        pairs[name] = value
    return pairs
