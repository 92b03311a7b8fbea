"""Commands for generators: generate, dump, export."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from movieplots.cli.options import (
    EVALUATE,
    TRAIN,
    USE,
    AsJson,
    BackendName,
    GeneratorFolder,
    NoveltyFile,
    app,
    output,
    print_json,
    with_options,
)
from movieplots.errors import BadInput
from movieplots.formatting import plural
from movieplots.generation.controls import length_class
from movieplots.generation.sampling_settings import DumpSettings, ExportSettings, GenerateSettings, check_backend
from movieplots.measures.novelty_index import NearestPlot, load_comparison, shipped_index
from movieplots.pretrained.shipped import GENERATOR, check_there
from movieplots.progress import notify, working
from movieplots.settings import Json

if TYPE_CHECKING:
    from movieplots.generation.sampling import Sample


@app.command(rich_help_panel=USE)
@with_options(GenerateSettings)
def generate(
    settings: GenerateSettings,
    model: GeneratorFolder = GENERATOR,
    backend: BackendName = "auto",
    novelty: NoveltyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write new plots and compare each with the most similar training plot.

    The first run with a generator converts it for llama.cpp, which takes a while.

    Example: `movieplots generate --genre horror`

    Example: `movieplots generate --genre horror --genre comedy --title "Salt (2009)" --opening "The sea gives back"
    -n 3`

    Without a phrase: `movieplots generate --genre crime --avoid "serial killer"`

    With a generator of your own: `movieplots generate --model runs/generator --keyword lighthouse --length short`
    """
    from movieplots.generation.info import GeneratorInfo
    from movieplots.generation.sampling import PlotGenerator, check_asked
    from movieplots.runs.folder import read_info

    check_backend(backend)  # before the model is loaded, which takes seconds
    info = read_info(check_there(model), GeneratorInfo)
    check_asked(info, settings.genres, settings.title, settings.keywords, settings.length)
    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(model, backend)
        compare = _comparison(novelty, model)  # before sampling, so that no plot is lost to an error
    with working(f"Writing {plural(settings.n, 'plot')} …"):
        samples = generator.generate(**vars(settings))
    near = compare([sample.plot for sample in samples]) if compare else [None] * len(samples)
    if as_json:
        rows = zip(samples, near, strict=True)
        return print_json([_as_json(sample) | {"nearest": each and asdict(each)} for sample, each in rows])
    for sample, each in zip(samples, near, strict=True):
        output.rule(Text(f"{sample.title or 'Untitled'} · {sample.genre}", style="bold"), align="left", style="dim")
        output.print(sample.plot + (" …" if sample.truncated else ""))
        for note in _notes(sample):
            output.print(note, style="dim")
        if each is not None and each.similarity:  # 0 for a plot without words
            output.print(f"Nearest training plot: {each.title} (cosine similarity {each.similarity:.2f})", style="dim")
            if each.copied:
                copied = f"Copied: {each.longest_verbatim_span} consecutive words from {each.span_title}"
                output.print(copied, style="bold red")
    if settings.seed is None:
        output.print(f"Seed: {samples[0].seed} (repeat with --seed {samples[0].seed})", style="dim")


def _as_json(sample: "Sample") -> dict[str, Json]:
    return asdict(sample) | {"missing_keywords": sample.missing_keywords}


def _notes(sample: "Sample") -> Iterator[str]:
    """Yield what a plot lacks of what was asked for."""
    if sample.missing_keywords:
        yield f"Missing: {', '.join(sample.missing_keywords)}"
    if sample.length and (found := length_class(sample.plot)) != sample.length:
        yield f"Length: {found} ({plural(len(sample.plot.split()), 'word')}), not {sample.length}"
    if sample.not_avoided:
        yield f"Not avoided: {', '.join(sample.not_avoided)}"


def _comparison(named: Path | None, model: Path) -> Callable[[Sequence[str]], list[NearestPlot]] | None:
    """Return a function that finds the nearest training plots, or None if there is no index for this model.

    The included index is optional, so an error in it is only reported.
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


@app.command(rich_help_panel=EVALUATE)
@with_options(DumpSettings)
def dump(settings: Callable[..., DumpSettings], model: GeneratorFolder = GENERATOR, as_json: AsJson = False) -> None:
    """Sample plots over a grid of genres, temperatures and top-p values.

    If interrupted, run the same command again to resume.

    Example: `movieplots dump --model runs/generator --genre horror --genre comedy --samples-per-genre 5 -o runs/dump`

    With the pretrained generator: `movieplots dump --genre horror --samples-per-genre 5 -o runs/pretrained-dump`

    Example: `movieplots dump --model runs/generator --temperature 0.7 --temperature 1 --top-p 0.9
    --no-repeat-ngram-size 4 -o runs/grid`
    """
    from movieplots.generation.dumps import sample_dump

    made = settings(model=model)
    frame = sample_dump.of(made)
    truncated = int(frame["truncated"].sum())
    if as_json:
        return print_json({"path": str(made.output_dir), "samples": len(frame), "truncated": truncated})
    output.print(f"{made.output_dir}: {len(frame)} samples, {truncated} truncated")


@app.command(rich_help_panel=TRAIN)
@with_options(ExportSettings)
def export(
    settings: Callable[..., ExportSettings], model: GeneratorFolder = GENERATOR, as_json: AsJson = False
) -> None:
    """Write a generator as a GGUF file, for llama.cpp and programs built on it.

    The prompt for such a program is `horror<|endofgenre|>`, or `<|startoftext|>horror<|endofgenre|>` for a generator
    without titles. For a file written with --adapter, put `<|endoftext|>` before the prompt.

    Example: `movieplots export --model runs/generator -o runs/generator.gguf`

    Example: `movieplots export --model runs/generator --adapter -o runs/adapter.gguf`
    """
    from movieplots.generation.export import export_gguf

    made = settings(model=model)
    with working("Writing GGUF …"):
        file = export_gguf.of(made)
    size = file.stat().st_size
    if as_json:
        return print_json({"path": str(file), "bytes": size})
    output.print(f"{file}: {size / 1e6:.0f} MB")
