"""Commands for writing: dump, generate, export."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from movieplots.cli.options import AsJson, app, output, print_json, with_options
from movieplots.errors import BadInput
from movieplots.formatting import plural
from movieplots.generation.sampling_settings import DumpSettings, ExportSettings, GenerateSettings, check_backend
from movieplots.measures.novelty_index import Likeness, load_comparison, shipped_index
from movieplots.pretrained.shipped import GENERATOR, check_there
from movieplots.progress import notify, working
from movieplots.settings import option_of

BackendName = Annotated[str, typer.Option(help=option_of(DumpSettings, "backend").help)]


@app.command()
@with_options(DumpSettings)
def dump(settings: DumpSettings, as_json: AsJson = False) -> None:
    """Sample plots over a grid of genres, temperatures and top-p. Interrupted, it continues when started again.

    Example: `movieplots dump --model runs/generator --output-dir runs/dump`

    Example: `movieplots dump --model runs/generator --genres horror,comedy --temperatures 0.7,1
    --no-repeat-ngram-size 4 --output-dir runs/dump`
    """
    from movieplots.generation.dumps import sample_dump

    frame = sample_dump.of(settings)
    truncated = int(frame["truncated"].sum())
    if as_json:
        return print_json({"path": str(settings.output_dir), "samples": len(frame), "truncated": truncated})
    output.print(f"{settings.output_dir}: {len(frame)} samples, {truncated} truncated")


@app.command()
@with_options(GenerateSettings)
def generate(
    settings: GenerateSettings,
    model: Annotated[
        Path, typer.Option(help="Folder of a trained generator.", show_default="the pretrained one")
    ] = GENERATOR,
    backend: BackendName = "auto",
    novelty: Annotated[
        Path | None,
        typer.Option(
            help="File that `movieplots novelty` wrote, from the model's training plots.",
            show_default="the one that ships, for models that read what it has",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write new plots, and say to which training plot each is nearest and whether it copies.

    Example: `movieplots generate --genre horror --title "Salt (2009)" --opening "The sea gives back" -n 3`
    """
    from movieplots.generation.info import GeneratorInfo
    from movieplots.generation.sampling import PlotGenerator, check_asked
    from movieplots.runs.folder import read_info

    check_backend(backend)  # all that can be wrong, before a model is loaded
    check_asked(read_info(check_there(model), GeneratorInfo), settings.genres, settings.title)
    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(model, backend)
        compare = _comparison(novelty, model)  # before anything is written, that nothing be lost
    with working(f"Writing {plural(settings.n, 'plot')} …"):
        samples = generator.generate(**vars(settings))
    near = compare([sample.plot for sample in samples]) if compare else [None] * len(samples)
    if as_json:
        rows = zip(samples, near, strict=True)
        return print_json([asdict(sample) | {"nearest": each and asdict(each)} for sample, each in rows])
    for sample, each in zip(samples, near, strict=True):
        output.rule(Text(f"{sample.title or 'Untitled'} · {sample.genre}", style="bold"), align="left", style="dim")
        output.print(sample.plot + (" …" if sample.truncated else ""))
        if each is not None and each.similarity:  # a plot without words is near to none
            output.print(f"Nearest training plot: {each.title} (similarity {each.similarity:.2f})", style="dim")
            if each.copied:
                output.print(f"Copied: {each.run} words in a row, from {each.run_title}", style="bold red")


def _comparison(named: Path | None, model: Path) -> Callable[[Sequence[str]], list[Likeness]] | None:
    """A function that tells to which training plots some are nearest; None where there is no index for this model.

    An index that was not asked for is no reason not to write.
    """
    file = named or shipped_index(model)
    if file is None:
        return None
    try:
        return load_comparison(file)
    except BadInput as error:
        if named is not None:
            raise
        notify(f"The plots are not compared with the training plots. {error}")
        return None


@app.command()
@with_options(ExportSettings)
def export(settings: ExportSettings, as_json: AsJson = False) -> None:
    """Write a generator as GGUF, for llama.cpp and the programs built on it.

    Such a program continues a prompt such as `horror<|endofgenre|>`; for an adapter, which keeps the vocabulary of its
    base model, `<|endoftext|>` has to stand before that.

    Example: `movieplots export --model runs/generator --output generator.gguf`

    Example: `movieplots export --model runs/generator --output adapter.gguf --adapter`
    """
    from movieplots.generation.export import export_gguf

    with working("Writing GGUF …"):
        file = export_gguf.of(settings)
    size = file.stat().st_size
    if as_json:
        return print_json({"path": str(file), "bytes": size})
    output.print(f"{file}: {size / 1e6:.0f} MB")
