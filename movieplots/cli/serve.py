"""Commands that serve models: studio, api."""

from pathlib import Path
from typing import Annotated

import typer

from movieplots.cli.options import USE, BackendName, NoveltyFile, app
from movieplots.generation.sampling_settings import check_backend
from movieplots.measures.novelty_index import shipped_index
from movieplots.pretrained.shipped import CLASSIFIER, GENERATOR, check_there

Generators = Annotated[
    list[Path] | None,
    typer.Option(
        "--generator",
        help="Folder of a trained generator. Repeat the option to serve two, one with and one without titles.",
        metavar="DIR",
        show_default="the pretrained one",
    ),
]
ServedClassifier = Annotated[
    Path,
    typer.Option(
        "--classifier",
        help="Folder of a trained classifier; a quantized one is faster.",
        metavar="DIR",
        show_default="the pretrained one",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all interfaces.", metavar="ADDRESS")]
Port = Annotated[int, typer.Option(help="Port to listen on.", metavar="INTEGER", min=1, max=65535)]


@app.command(rich_help_panel=USE)
def studio(
    generator: Generators = None,
    classifier: ServedClassifier = CLASSIFIER,
    novelty: NoveltyFile = None,
    backend: BackendName = "auto",
    api: Annotated[
        str | None,
        typer.Option(help="Address of a running API.", metavar="URL", show_default="the studio starts one"),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8501,
    report: Annotated[
        Path | None, typer.Option(help="Report to explore: a folder written by `movieplots evaluate`.", metavar="DIR")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            help="File that stores the plots you write.",
            metavar="FILE",
            show_default="a file in ~/.local/share/movieplots",
        ),
    ] = None,
) -> None:
    """Start the studio, a web page for writing plots. Press Ctrl+C to stop.

    Example: `movieplots studio --generator runs/generator --classifier runs/quantized --novelty runs/novelty.npz
    --report runs/report`
    """
    from movieplots.serving.launch import run_studio

    check_backend(backend)
    arguments: list[str] = []
    if api is None:
        generators, classifier, novelty = _served(generator, classifier, novelty)
        named = [("classifier", classifier), ("novelty", novelty), ("backend", backend)]
        for name, value in [*(("generator", folder) for folder in generators), *named]:
            arguments += [f"--{name}", str(value)] if value else []
    run_studio(api, arguments, host, port, report, history)


@app.command(rich_help_panel=USE)
def api(
    generator: Generators = None,
    classifier: ServedClassifier = CLASSIFIER,
    novelty: NoveltyFile = None,
    backend: BackendName = "auto",
    host: Host = "127.0.0.1",
    port: Port = 8000,
    queue: Annotated[
        int,
        typer.Option(
            help="Number of plots that may wait. Further requests get HTTP status 429.", metavar="INTEGER", min=0
        ),
    ] = 64,
    timeout: Annotated[float, typer.Option(help="Time limit of a request.", metavar="SECONDS", min=1)] = 60.0,
) -> None:
    """Serve plots and genres over HTTP, with documentation at `/docs`. Press Ctrl+C to stop.

    Example: `movieplots api --generator runs/generator --classifier runs/quantized --novelty runs/novelty.npz`
    """
    from movieplots.serving.launch import run_api

    check_backend(backend)
    run_api(*_served(generator, classifier, novelty), backend, host, port, queue=queue, seconds=timeout)


def _served(
    generators: list[Path] | None, classifier: Path, novelty: Path | None
) -> tuple[list[Path], Path, Path | None]:
    """Return the given or pretrained generators, the classifier, and the index of training plots if there is one."""
    chosen = [check_there(folder) for folder in generators or [GENERATOR]]
    indices = [shipped_index(folder) for folder in chosen]
    return chosen, check_there(classifier), novelty or (indices[0] if all(indices) else None)
