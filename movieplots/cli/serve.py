"""Commands that serve: api, studio."""

from pathlib import Path
from typing import Annotated

import typer

from movieplots.cli.generate import BackendName
from movieplots.cli.options import app
from movieplots.generation.sampling_settings import check_backend
from movieplots.measures.novelty_index import shipped_index
from movieplots.pretrained.shipped import CLASSIFIER, GENERATOR, check_there

Generators = Annotated[
    list[Path] | None,
    typer.Option(
        "--generator",
        help="Folder of a trained generator; a second one may be without titles.",
        show_default="the pretrained one",
    ),
]
ServedClassifier = Annotated[
    Path, typer.Option(help="Folder of a trained classifier, best a quantized one.", show_default="the pretrained one")
]
NoveltyFile = Annotated[
    Path | None,
    typer.Option(
        help="File that `movieplots novelty` wrote.",
        show_default="the one that ships, for generators that read what it has",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")]


@app.command()
def api(
    generator: Generators = None,
    classifier: ServedClassifier = CLASSIFIER,
    novelty: NoveltyFile = None,
    backend: BackendName = "auto",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    queue: Annotated[int, typer.Option(help="Plots that may wait; who comes then is sent away.", min=0)] = 64,
    deadline: Annotated[float, typer.Option(help="Seconds that a request may take.", min=1)] = 60.0,
) -> None:
    """Serve plots and genres over HTTP; `/docs` shows how to ask. Ctrl+C ends it.

    Example: `movieplots api --generator runs/generator --classifier runs/quantized --novelty runs/novelty.npz`
    """
    from movieplots.serving.launch import run_api

    check_backend(backend)
    run_api(*_served(generator, classifier, novelty), backend, host, port, queue=queue, seconds=deadline)


@app.command()
def studio(
    generator: Generators = None,
    classifier: ServedClassifier = CLASSIFIER,
    novelty: NoveltyFile = None,
    backend: BackendName = "auto",
    api: Annotated[str | None, typer.Option(help="Address of a running API; without one, one is started.")] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8501,
    report: Annotated[Path | None, typer.Option(help="Folder that `movieplots evaluate` wrote, to explore.")] = None,
    history: Annotated[Path | None, typer.Option(help="File for the ideas; default: in your home.")] = None,
) -> None:
    """Open the studio: write ideas in the browser. Ctrl+C ends it.

    Example: `movieplots studio --generator runs/generator --classifier runs/quantized`
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


def _served(
    generators: list[Path] | None, classifier: Path, novelty: Path | None
) -> tuple[list[Path], Path, Path | None]:
    """What is served: what was named, else what ships."""
    chosen = [check_there(folder) for folder in generators or [GENERATOR]]
    indices = [shipped_index(folder) for folder in chosen]
    return chosen, check_there(classifier), novelty or (indices[0] if all(indices) else None)
