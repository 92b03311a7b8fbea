"""The command line: one verb a stage. Commands only parse arguments, call the library and print.

Results go to standard output, everything else to standard error. A command ends with status 0, with 2 and one line for
bad input, or with 130 where it was stopped; whatever needs torch is imported inside its command, so `--help` is quick.
"""

import functools
import io
import json
import sys
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from movieplots.errors import BadInput, sentences
from movieplots.files import check_file
from movieplots.progress import say, working
from movieplots.shipped import CLASSIFIER, GENERATOR, check_there, index_of


class _App(typer.Typer):
    """Typer whose commands refuse a text that is no UTF-8, such as one cut inside a character.

    Files and folders are let through: on Linux their names need not be text.
    """

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
        register = super().command(*arguments, **settings)

        def decorate(command: Callable[..., None]) -> Callable[..., None]:
            @functools.wraps(command)
            def checked(**given: Any) -> None:
                for name, value in given.items():
                    for text in value if isinstance(value, list) else [value]:
                        if isinstance(text, str) and name not in MAY_BE_PATHS:
                            _check_utf8(text, name)
                command(**given)

            register(checked)
            return command

        return decorate


def _check_utf8(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        option = {"texts": "The text", "sources": "The source", "kind": "--type"}.get(name, f"--{name}")
        raise BadInput(
            f"{option.replace('_', '-')} is no UTF-8 from character {error.start + 1} on: "
            "perhaps it was cut inside a character."
        ) from None


app = _App(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fine-tune transformers to write movie plots and to detect genres.\n\n"
    "The stages in order: `fetch`, `prepare`, `train generator`, `dump`, `train classifier`, `evaluate`; "
    "then `generate` and `genres` use what was trained.",
)
train_app = _App(no_args_is_help=True, help="Train a generator, a classifier, or what a classifier starts from.")
app.add_typer(train_app, name="train")
# In a pipe a plot stays on one line; on a terminal it is wrapped between words.
output = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())

# Options of the type str that may name a file or folder: on Linux these need not be text.
MAY_BE_PATHS = ("base", "dumps", "embedder", "path", "teacher", "tokenizer")
BAR = 30  # characters of a bar for a probability of 1

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same files.", min=0, max=2**32 - 1)]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of continuing or reusing what is there.")]
Data = Annotated[Path, typer.Option(help="Folder that `movieplots prepare` wrote.")]
MinP = Annotated[float, typer.Option(help="Keep words at least this fraction as likely as the likeliest; 0 is off.")]
Penalty = Annotated[float, typer.Option(help="Above 1 makes words that stand there already less likely; 1 is off.")]
NoRepeat = Annotated[int, typer.Option(help="Never repeat so many tokens in a row; 0 is off.", metavar="N")]
Decoder = Annotated[
    str,
    typer.Option(
        help="`transformers`, `llama.cpp`, `auto` (transformers on a GPU, else llama.cpp), or the address of an "
        "OpenAI-compatible server that has the model, such as http://localhost:8000/v1."
    ),
]
TimeLimit = Annotated[float | None, typer.Option(help="Stop training after this many minutes.", metavar="MINUTES")]

Base = Annotated[str, typer.Option(help="`smollm2-135m` (works offline), a local folder, trained or not, or a hub id.")]
Markup = Annotated[str, typer.Option(help="`with-titles` or `without-titles`.")]
MaxSteps = Annotated[int | None, typer.Option(help="Optimizer steps; default: three passes.")]
Schedule = Annotated[str, typer.Option(help="How the learning rate falls: `linear` or `cosine`.")]
Patience = Annotated[
    int | None, typer.Option(help="Stop after so many of the eight evaluations without a lower validation loss.")
]
BlockSize = Annotated[int, typer.Option(help="Tokens in a block; longer plots are cut.")]
BlocksPerStep = Annotated[int, typer.Option(help="Blocks in an optimizer step, whatever fits the memory at once.")]

BatchSize = Annotated[int, typer.Option(help="Plots in an optimizer step.")]
LossName = Annotated[str, typer.Option(help="`weighted`, `plain`, `class-balanced`, `focal` or `asymmetric`.")]
Smoothing = Annotated[float, typer.Option(help="0 trusts every tag; 0.1 a little less.")]
Passes = Annotated[int, typer.Option(help="Passes over the training plots.")]
Titles = Annotated[bool, typer.Option("--titles", help="Show half of the plots with their titles, to use both forms.")]


@app.command()
def sources(as_json: Json = False) -> None:
    """List the corpora: size, licence, how to get each.

    Example: `movieplots sources`
    """
    from movieplots.sources import SOURCES

    rows = [
        {"name": s.name, "what": s.what, "size": s.size, "licence": s.licence, "how_to_get": s.how_to_get}
        for s in SOURCES.values()
    ]
    if as_json:
        return _print_json(rows)
    for row in rows:
        output.print(Text.assemble((row["name"], "bold"), f": {row['what']}"))
        output.print(f"    {row['size']}; {row['licence']}\n    {row['how_to_get']}")


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A name from `movieplots sources`.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; default: data/raw/SOURCE.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the files that are not needed as a rule (IMDb's plain-text lists).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Download a corpus. Interrupted, it continues when started again.

    Files of Kaggle need the package `kagglehub`; without it you are told what to download and where to put it.

    Example: `movieplots fetch cmu-books`
    """
    from movieplots.fetching import fetch as run
    from movieplots.sources import get_source

    known = get_source(source)
    files = run(known, out or known.folder, everything)
    if as_json:
        return _print_json([str(file) for file in files])
    for file in files:
        output.print(str(file))
    output.print(f"Next: movieplots prepare {source} --out data/{source}" + (f" --path {out}" if out else ""))


@app.command()
def prepare(
    out: Annotated[Path, typer.Option(help="Folder for plots.parquet, dropped.parquet, report.json and README.md.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="One or several names from `movieplots sources`; default: sample.", show_default=False),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            help="A source's file or folder, with several sources as SOURCE=PATH, once each. "
            "Default: where `movieplots fetch` puts it.",
            metavar="[SOURCE=]PATH",
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
    languages: Annotated[str, typer.Option(help="Languages to keep: en,es or all.", metavar="CODES")] = "en",
    detector: Annotated[str, typer.Option(help="Language detector: `fast` or `langdetect`.")] = "fast",
    min_length: Annotated[int, typer.Option(help="Shorter plots are dropped (words).", min=1)] = 3,
    max_length: Annotated[int, typer.Option(help="Longer plots are cut or dropped (words).", min=1)] = 1000,
    long: Annotated[str, typer.Option(help="Plots that are too long: `cut` at a sentence end, or `drop`.")] = "cut",
    tokenizer: Annotated[
        str | None, typer.Option(help="Count lengths in tokens of this base model instead of words.", metavar="BASE")
    ] = None,
    genre_map: Annotated[
        Path | None,
        typer.Option(help="Your own CSV `tag,genres` for tags that no mapping names; it wins over the built-in ones."),
    ] = None,
    coarse: Annotated[
        bool, typer.Option("--coarse", help="Nine coarse genres (crime, fantasy, novel, …) instead of IMDb's 28.")
    ] = False,
    near: Annotated[
        float, typer.Option(help="Similarity from which two plots are near duplicates; 1: exact ones only.")
    ] = 0.6,
    own_splits: Annotated[
        bool, typer.Option("--own-splits", help="Keep the division that a source brings along (mpst).")
    ] = False,
    splits_from: Annotated[
        Path | None,
        typer.Option(
            help="Folder prepared earlier whose titles stay on their sides; default: --out, if it was prepared before.",
            metavar="DIR",
        ),
    ] = None,
    export: Annotated[
        bool, typer.Option("--export", help="Also write `dataset`, for Hugging Face `datasets.load_from_disk`.")
    ] = False,
    seed: Seed = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Draw the splits anew instead of keeping those there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Clean one or several corpora and split them into train, validation and test.

    Example: `movieplots prepare streaming --path catalogues/ --out data/streaming`

    Example: `movieplots prepare imdb mpst cmu-books --path imdb=movies_genres.csv.bz2 --max-length 400 --out data/all`

    Example: `movieplots prepare table --path my.csv --columns title=Name plot=Summary genres=Tags --out data/mine`
    """
    from movieplots.preparation import prepare as run

    # `--columns title=Name plot=Summary`: what follows the first one arrives among the sources.
    arguments = sources or []
    named = [*(columns or []), *(argument for argument in arguments if "=" in argument)]
    result = run(
        [argument for argument in arguments if "=" not in argument] or ["sample"],
        out,
        _paths(path or []),
        seed,
        languages=[code.strip() for code in languages.split(",") if code.strip()],
        detector=detector,
        min_length=min_length,
        max_length=max_length,
        long=long,
        tokenizer=tokenizer,
        genre_map=genre_map,
        coarse=coarse,
        near=near,
        columns=_assignments(named, "--columns", "title=Name plot=Summary genres=Tags"),
        own_splits=own_splits,
        splits_from=splits_from,
        export=export,
        fresh=fresh,
    )
    if as_json:
        return _print_json(asdict(result))
    dropped = ", ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in result.dropped.items()) or "none"
    output.print(f"{result.path}: kept {result.kept:,} of {result.read:,} plots; dropped: {dropped}")
    if result.boilerplate:
        times, (sentence, most) = sum(result.boilerplate.values()), next(iter(result.boilerplate.items()))
        output.print(
            f"Boilerplate removed: {len(result.boilerplate):,} different sentences, {times:,} in all, above all "
            f"“{sentence}” ({most:,}); report.json lists them."
        )
    if result.cut:
        output.print(f"Cut to length: {result.cut:,}")
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


@train_app.command("generator")
def train_generator(
    data: Data,
    base: Base,
    out: Annotated[Path, typer.Option(help="Folder for the trained model.")],
    markup: Annotated[
        str | None,
        typer.Option(
            help="`with-titles` or `without-titles`.", show_default="the base's, where it was trained here, else with"
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="`lora`: a small adapter; `full`: all weights.")] = "lora",
    feeding: Annotated[
        str, typer.Option(help="`blocks`: packed plots; `windows`: random cuts of one long text, as gpt-2-simple.")
    ] = "blocks",
    draws: Annotated[
        str,
        typer.Option(
            help="`uniform`: each plot once a pass, under any of its genres; `evident`: those that show their genre "
            "clearly, and small genres, more often."
        ),
    ] = "uniform",
    guidance: Annotated[
        float,
        typer.Option(
            help="Above 0, such as 1, a --base that is a trained generator learns to write what it would under "
            "classifier-free guidance of this weight: plots then keep to their genre, and are more alike.",
            show_default="none",
        ),
    ] = 0.0,
    max_steps: MaxSteps = None,
    time_limit: TimeLimit = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Its height after the warm-up; default: 1e-3 for lora, 1e-4 for full.")
    ] = None,
    schedule: Schedule = "linear",
    patience: Patience = None,
    block_size: BlockSize = 512,
    blocks_per_step: BlocksPerStep = 2,
    seed: Seed = 0,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a causal language model to write plots. Killed, it continues when started again.

    Example: `movieplots train generator --data data/streaming --base smollm2-135m --markup with-titles
    --time-limit 30 --out runs/generator`

    Example, on several GPUs: `accelerate launch -m movieplots train generator --data data/streaming --base gpt2
    --method full --blocks-per-step 64 --out runs/gpt2`

    Curves: `tensorboard --logdir runs`
    """
    from movieplots.generation.training import train_generator as run

    info = run(
        data, base, out, markup, max_steps, time_limit, method=method, feeding=feeding, draws=draws, guidance=guidance,
        learning_rate=learning_rate, schedule=schedule, patience=patience, block_size=block_size,
        blocks_per_step=blocks_per_step, seed=seed, fresh=fresh,
    )  # fmt: skip
    _print_training(out, info, as_json)


def _print_training(out: Path, info: dict[str, Any], as_json: bool) -> None:
    from movieplots.training import main_process

    if not main_process():  # of several processes one speaks
        return
    if as_json:
        return _print_json(info)
    metrics = info["metrics"]
    output.print(
        f"{out}: held-out loss {metrics['test_loss_before']:.2f} → {metrics['test_loss_after']:.2f} nats per token "
        f"after {metrics['steps']} steps",
        highlight=False,
    )


@train_app.command("rate")
def find_learning_rate(
    data: Data,
    base: Base,
    out: Annotated[Path, typer.Option(help="PNG file for the figure.")],
    markup: Markup = "with-titles",
    method: Annotated[str, typer.Option(help="`lora` or `full`.")] = "lora",
    steps: Annotated[int, typer.Option(help="Steps of one block each.")] = 50,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search the learning rate for a generator: the loss over growing rates, as a figure, and the steepest place.

    Example: `movieplots train rate --data data/streaming --base smollm2-135m --out runs/rate.png`
    """
    from movieplots.files import atomic_path
    from movieplots.generation.recipe import LEARNING_RATES
    from movieplots.generation.training import find_learning_rate as run
    from movieplots.training_figures import LOSS, learning_rates

    check_file(out, "rate.png")
    search = run(data, base, markup, method=method, steps=steps, seed=seed)
    with atomic_path(out) as temporary:
        learning_rates(search, LEARNING_RATES[method], LOSS).savefig(temporary, format="png", dpi=150)
    if as_json:
        return _print_json(asdict(search))
    output.print(f"{out}: the loss falls fastest at a learning rate of {search.suggestion:.1e}")


@app.command()
def distill(
    teacher: Annotated[Path, typer.Option(help="Folder of a trained generator.")],
    data: Data,
    layers: Annotated[int, typer.Option(help="Layers of the student, evenly chosen from the teacher's.")],
    out: Annotated[Path, typer.Option(help="Folder for the student.")],
    max_steps: MaxSteps = None,
    time_limit: TimeLimit = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its height after the warm-up; default: 3e-4.")] = None,
    schedule: Schedule = "linear",
    patience: Patience = None,
    block_size: BlockSize = 512,
    blocks_per_step: BlocksPerStep = 2,
    seed: Seed = 0,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Train a smaller generator to write like a larger one, and compare them. Killed, it continues when started again.

    Example: `movieplots distill --teacher runs/generator --data data/streaming --layers 15 --time-limit 30
    --out runs/student`
    """
    from movieplots.evaluation.comparison import compare_generators
    from movieplots.generation.distillation import distill as run
    from movieplots.training import main_process

    run(
        teacher, data, layers, out, max_steps, time_limit, learning_rate=learning_rate, schedule=schedule,
        patience=patience, block_size=block_size, blocks_per_step=blocks_per_step, seed=seed, fresh=fresh,
    )  # fmt: skip
    if not main_process():
        return
    compared = compare_generators({"teacher": teacher, "student": out})
    if as_json:
        return _print_json(compared.reset_index().to_dict("records"))
    table = Table("", *compared.columns)
    for name, row in compared.iterrows():
        table.add_row(str(name), *(f"{value:,.0f}" if value >= 10 else f"{value:.3f}" for value in row))
    output.print(table)


@train_app.command("classifier")
def train_classifier(
    data: Data,
    base: Annotated[str, typer.Option(help="`minilm-l6` (works offline), a local folder, or a hub id (roberta-base).")],
    out: Annotated[Path, typer.Option(help="Folder for the trained model.")],
    passes: Passes = 3,
    method: Annotated[
        str, typer.Option(help="`full`: all weights; `lora`: small adapters, merged at the end.")
    ] = "full",
    loss: LossName = "weighted",
    label_smoothing: Smoothing = 0.0,
    titles: Titles = False,
    layers: Annotated[int | None, typer.Option(help="Keep so many of the base's layers; default: all.")] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Learn half from this trained classifier's folder; several times for several."),
    ] = None,
    batch_size: BatchSize = 48,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Of the top layer. By default 3e-4, for LoRA 2e-3, which suit `minilm-l6`; larger: 5e-5."),
    ] = None,
    time_limit: TimeLimit = None,
    seed: Seed = 0,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Fine-tune an encoder to detect genres, beside TF-IDF baselines. Killed, it continues when started again.

    Example: `movieplots train classifier --data data/streaming --base minilm-l6 --out runs/classifier`

    Example: `movieplots train classifier --data data/streaming --base minilm-l6 --titles --passes 5 --out runs/titles`

    A smaller and faster one: `movieplots train classifier --data data/streaming --base minilm-l6 --layers 2 --teacher
    runs/titles --out runs/fast`
    """
    from movieplots.classification.training import train_classifier as run

    info = run(
        data, base, out, passes, batch_size, method=method, loss=loss, label_smoothing=label_smoothing, titles=titles,
        layers=layers, learning_rate=learning_rate, teachers=teacher or (), time_limit=time_limit, seed=seed,
        fresh=fresh,
    )  # fmt: skip
    _print_classifier(out, info, as_json)


def _print_classifier(out: Path, info: dict[str, Any], as_json: bool) -> None:
    from movieplots.training import main_process

    if not main_process():
        return
    if as_json:
        return _print_json(info)
    metrics = info["metrics"]
    output.print(f"{out}: {metrics['test_plots']} held-out plots, {len(info['labels'])} genres")
    for key, what in (("", "From the plot alone"), ("_titled", "With the title as well")):
        if f"test{key}" in metrics:
            _print_measures(what, {info["base"]: metrics[f"test{key}"]} | metrics[f"baselines{key}"])


def _print_measures(title: str, rows: dict[str, dict[str, Any]]) -> None:
    table = Table(title, "micro-F1", "macro-F1", "mAP", "LRAP")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[measure]:.3f}" for measure in ("micro_f1", "macro_f1", "map", "lrap")))
    output.print(table)


@train_app.command("fastai")
def train_with_fastai(
    data: Data,
    base: Annotated[str, typer.Option(help="A hub id (roberta-base), `minilm-l6`, or a local folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the trained model.")],
    passes: Annotated[int, typer.Option(help="Passes with all layers, after one for the head and one for half.")] = 3,
    batch_size: BatchSize = 48,
    learning_rate: Annotated[float, typer.Option(help="Of the top layer; larger encoders: 5e-5.")] = 3e-4,
    loss: LossName = "weighted",
    label_smoothing: Smoothing = 0.0,
    titles: Titles = False,
    find_rate: Annotated[
        Path | None, typer.Option(help="Do not train: search the learning rate and draw the figure.", metavar="PNG")
    ] = None,
    seed: Seed = 0,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Fine-tune an encoder with fastai: gradual unfreezing, one cycle a stage. Killed, it continues when started again.

    Example: `movieplots train fastai --data data/streaming --base roberta-base --out runs/roberta`

    Example: `movieplots train fastai --data data/streaming --base minilm-l6 --out runs/fastai --find-rate rate.png`
    """
    from movieplots.classification.fastai_training import search_rate
    from movieplots.classification.fastai_training import train_with_fastai as run

    if find_rate:
        from movieplots.files import atomic_path
        from movieplots.training import check_learning_rate
        from movieplots.training_figures import learning_rates

        check_file(find_rate, "rate.png")
        check_learning_rate(learning_rate)  # the one that the figure compares with
        search = search_rate(
            data, base, batch_size=batch_size, loss=loss, label_smoothing=label_smoothing, titles=titles, seed=seed
        )
        with atomic_path(find_rate) as temporary:
            figure = learning_rates(search, learning_rate, "loss of a batch")
            figure.savefig(temporary, format="png", dpi=150)
        if as_json:
            return _print_json(asdict(search))
        return output.print(f"{find_rate}: the loss falls fastest at a learning rate of {search.suggestion:.1e}")
    info = run(
        data, base, out, passes, batch_size, learning_rate=learning_rate, loss=loss, label_smoothing=label_smoothing,
        titles=titles, seed=seed, fresh=fresh,
    )  # fmt: skip
    _print_classifier(out, info, as_json)


@train_app.command("language-model")
def train_language_model(
    data: Data,
    base: Annotated[str, typer.Option(help="A hub id (bert-base-uncased), `minilm-l6`, or a local folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the model, which is then a base for `train classifier`.")],
    passes: Annotated[int, typer.Option(help="Passes over the training plots.")] = 2,
    block_size: Annotated[int, typer.Option(help="Tokens in a block; plots are packed into them.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Its height after the warm-up.")] = 3e-4,
    time_limit: TimeLimit = None,
    seed: Seed = 0,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Let an encoder read the training plots first, guessing hidden words. Killed, it continues when started again.

    Example: `movieplots train language-model --data data/streaming --base bert-base-uncased --out runs/bert-lm`, then
    `movieplots train classifier --data data/streaming --base runs/bert-lm --out runs/bert`
    """
    from movieplots.classification.language_model import train_language_model as run

    info = run(
        data, base, out, passes, block_size, learning_rate=learning_rate, time_limit=time_limit, seed=seed, fresh=fresh
    )
    _print_training(out, info, as_json)


@app.command()
def dump(
    model: Annotated[Path, typer.Option(help="Folder of a trained generator.")],
    out: Annotated[Path, typer.Option(help="Folder for the samples.")],
    genres: Annotated[str, typer.Option(help="Names separated by commas; default: all of its training plots.")] = "",
    temperatures: Annotated[str, typer.Option(help="Numbers separated by commas.")] = "0.7,1,1.3",
    top_ps: Annotated[str, typer.Option(help="Numbers separated by commas; 0 means off.")] = "0,0.9",
    samples_per_genre: Annotated[int, typer.Option(help="Samples per genre, temperature and top-p.")] = 10,
    min_p: MinP = 0.0,
    repetition_penalty: Penalty = 1.0,
    no_repeat_ngram: NoRepeat = 0,
    decoder: Decoder = "auto",
    seed: Seed = 0,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Sample plots over a grid of genres, temperatures and top-p. Interrupted, it continues when started again.

    Example: `movieplots dump --model runs/generator --out runs/dump`

    Example: `movieplots dump --model runs/generator --genres horror,comedy --temperatures 0.7,1 --no-repeat-ngram 4
    --out runs/dump`
    """
    from movieplots.generation.dumps import sample_dump

    names = _names(genres)
    frame = sample_dump(
        model, out, names, _numbers("--temperatures", temperatures), _numbers("--top-ps", top_ps), samples_per_genre,
        seed, fresh, min_p, repetition_penalty, no_repeat_ngram, decoder,
    )  # fmt: skip
    unfinished = int((~frame["finished"]).sum())
    if as_json:
        return _print_json({"path": str(out), "samples": len(frame), "unfinished": unfinished})
    output.print(f"{out}: {len(frame)} samples, {unfinished} unfinished")


@app.command()
def evaluate(
    dumps: Annotated[
        list[str],
        typer.Option(help="Folder of a dump, also of another program, or NAME=FOLDER; several times for several."),
    ],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for report.html, metrics.json, tables and figures.")],
    classifier: Annotated[Path | None, typer.Option(help="Folder of a trained classifier, for genre control.")] = None,
    embedder: Annotated[
        str, typer.Option(help="`minilm-l6`, `use`, or a sentence-transformers folder or hub id.")
    ] = "minilm-l6",
    as_json: Json = False,
) -> None:
    """Measure dumps against the corpus and write a report: like real plots? new? on genre? at which temperature?

    The embeddings of the corpus are computed once, which takes minutes on a CPU, and kept for the next time.

    Example: `movieplots evaluate --dumps runs/dump --data data/streaming --classifier runs/classifier
    --out runs/report`

    Two side by side: `movieplots evaluate --dumps small=runs/a --dumps large=runs/b --data data/streaming
    --out runs/both`
    """
    from movieplots.evaluation import evaluate as run

    named = [text.partition("=") for text in dumps]
    if all(sign and not Path(text).exists() for text, (_, sign, _) in zip(dumps, named, strict=True)):
        folders: Any = {name: folder for name, _, folder in named}
        if len(folders) < len(dumps):
            raise BadInput("Two dumps have the same name: give each a name of its own in --dumps NAME=FOLDER.")
    else:
        folders = dumps
    report = run(folders, data, out, classifier, embedder)
    if as_json:
        return _print_json(report.metrics)
    output.print(f"Report: {report.path}")


@app.command()
def generate(
    model: Annotated[
        Path, typer.Option(help="Folder of a trained generator.", show_default="the one that ships")
    ] = GENERATOR,
    genre: Annotated[list[str] | None, typer.Option(help="Genre; several times for several.")] = None,
    title: Annotated[str | None, typer.Option(help="Title, best as `Salt (2009)`; needs a model with titles.")] = None,
    opening: Annotated[str, typer.Option(help="The plot's first words.")] = "",
    n: Annotated[int, typer.Option("-n", help="Number of plots.")] = 1,
    temperature: Annotated[float, typer.Option(help="Above 0; higher is wilder.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest words up to this share; 0 is off.")] = 0.9,
    min_p: MinP = 0.05,
    repetition_penalty: Penalty = 1.0,
    no_repeat_ngram: NoRepeat = 0,
    decoder: Decoder = "auto",
    novelty: Annotated[
        Path | None,
        typer.Option(
            help="File that `movieplots novelty` wrote, from the model's training plots.",
            show_default="the one that ships, for models that read what it has",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write new plots, and say to which training plot each is nearest and whether it copies.

    Example: `movieplots generate --genre horror --title "Salt (2009)" --opening "The sea gives back" -n 3`
    """
    from movieplots.generation.decoders import check_decoder
    from movieplots.generation.sampling import Options, PlotGenerator, check_asked, check_count
    from movieplots.model_folder import read_info

    check_count(n)  # all that can be wrong, before a model is loaded
    Options(temperature, top_p, min_p, repetition_penalty, no_repeat_ngram)
    check_decoder(decoder)
    check_asked(read_info(check_there(model), "generation"), genre, title)
    with working("Loading the generator …"):
        generator = PlotGenerator.from_pretrained(model, decoder)
        compare = _comparison(novelty, model)  # before anything is written, that nothing be lost
    with working(f"Writing {n} plot{'' if n == 1 else 's'} …"):
        samples = generator.generate(
            genre, title, opening, n, temperature, top_p, seed, None, min_p, repetition_penalty, no_repeat_ngram
        )
    near = compare([sample.plot for sample in samples]) if compare else [None] * n
    if as_json:
        rows = zip(samples, near, strict=True)
        return _print_json([asdict(sample) | {"nearest": each and asdict(each)} for sample, each in rows])
    for sample, each in zip(samples, near, strict=True):
        output.rule(Text(f"{sample.title or 'Untitled'} · {sample.genre}", style="bold"), align="left", style="dim")
        output.print(sample.plot + ("" if sample.finished else " …"))
        if each is not None:
            output.print(f"Nearest training plot: {each.title} (similarity {each.similarity:.2f})", style="dim")
            if each.copied:
                output.print(f"Copied: {each.run} words in a row, from {each.run_title}", style="bold red")


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
        say(f"{blank} blank line{' was' if blank == 1 else 's were'} left out.")
    return lines


def _comparison(named: Path | None, model: Path) -> Callable[[list[str]], list[Any]] | None:
    """A function that tells to which training plots some are nearest; None where there is no index for this model.

    An index that was not asked for is no reason not to write.
    """
    file = named or index_of(model)
    if file is None:
        return None
    from movieplots.novelty_index import load_comparison

    try:
        return load_comparison(file)
    except BadInput as error:
        if named is not None:
            raise
        say(f"The plots are not compared with the training plots. {error}")
        return None


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="Folder of a trained generator.")],
    out: Annotated[Path, typer.Option(help="File to write, FILE.gguf.")],
    kind: Annotated[
        str | None, typer.Option("--type", help="Weights: f32, f16, q8_0 (default), q5_1, q5_0, q4_1 or q4_0.")
    ] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Only the LoRA adapter, for the GGUF file of `smollm2-135m`.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a generator as GGUF, for llama.cpp and the programs built on it.

    Such a program continues a prompt in the markup, for example `horror<|endofgenre|>`; for an adapter, which keeps the
    vocabulary of its base, `<|endoftext|>` has to stand before that.

    Example: `movieplots export --model runs/generator --out generator.gguf`

    Example: `movieplots export --model runs/generator --out adapter.gguf --adapter`
    """
    from movieplots.generation.export import check_type, export_adapter, export_gguf

    if adapter and kind:
        raise BadInput("An adapter is always written in 16 bits: leave out --type, or --adapter.")
    check_type(kind or "q8_0")
    with working("Writing GGUF …"):
        file = export_adapter(model, out) if adapter else export_gguf(model, out, kind or "q8_0")
    size = file.stat().st_size
    if as_json:
        return _print_json({"path": str(file), "bytes": size})
    output.print(f"{file}: {size / 1e6:.0f} MB")


@app.command()
def compress(
    model: Annotated[Path, typer.Option(help="Folder of a trained classifier.")],
    out: Annotated[Path, typer.Option(help="Folder for the compressed classifier.")],
    data: Annotated[Path, typer.Option(help="The data it was trained on, to measure what compression costs.")],
    as_json: Json = False,
) -> None:
    """Store a classifier in a quarter of the space: 8-bit weights, for ONNX Runtime, without torch.

    Example: `movieplots compress --model runs/classifier --data data/streaming --out runs/compressed`
    """
    from movieplots.classification.compression import compress as run

    with working("Compressing …"):
        info = run(model, out, data)
    size = sum(file.stat().st_size for file in out.iterdir() if file.is_file())
    if as_json:
        return _print_json(info | {"bytes": size})
    output.print(f"{out}: {size / 1e6:.1f} MB")
    metrics = info["metrics"]
    _print_measures("", {"before": metrics["before_compression"], "compressed": metrics["test"]})


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
    as_json: Json = False,
) -> None:
    """Detect the genres of plots: ranked, with a bar each, in which `│` marks the genre's threshold.

    Example: `movieplots genres "A sheriff rides into a town that has forgotten its name."`

    Example: `movieplots genres --explain "A haunted house hides a killer." "Two strangers fall in love in Rome."`
    """
    from movieplots.classification.prediction import GenreClassifier, check_titled
    from movieplots.model_folder import read_info

    where, numbered = ("Line", _lines()) if texts == ["-"] else ("Plot", dict(enumerate(texts, 1)))
    for number, plot in numbered.items():
        if not plot.strip():
            raise BadInput(f"The text in plot {number} is empty: give it some words.")
    numbers, plots = list(numbered), list(numbered.values())
    if title is not None and len(plots) > 1:
        raise BadInput(f"--title belongs to one plot, and {len(plots)} are given: run them one by one.")
    if title is not None:
        check_titled(read_info(check_there(model), "classification"))
    classifier = GenreClassifier.from_pretrained(check_there(model))
    for i, tokens in classifier.cut(plots).items():
        most = classifier.max_tokens
        print(f"{where} {numbers[i]} has {tokens} tokens: only its first {most} are read.", file=sys.stderr)
    proba = classifier.predict_proba(plots, None if title is None else [title])
    predicted = [classifier.name(row) for row in proba]
    reasons = [_reasons(classifier, plot, title) if explain else None for plot in plots]
    if as_json:
        rows = zip(plots, predicted, proba, reasons, strict=True)
        return _print_json([_prediction(classifier, *row) for row in rows])
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
    data: Data,
    out: Annotated[Path, typer.Option(help="File to write, such as novelty.npz.")],
    as_json: Json = False,
) -> None:
    """Write an index of the training plots, with none of their sentences: who has it can tell whether a plot is new.

    Example: `movieplots novelty --data data/streaming --out runs/novelty.npz`
    """
    from movieplots.evaluation.embedding import load_embedder
    from movieplots.lineage import hashed_ids
    from movieplots.novelty_index import NoveltyIndex
    from movieplots.plots import load_plots

    check_file(out, "novelty.npz")
    plots = load_plots(data, "train")
    index = NoveltyIndex.build(
        plots["title"].tolist(), plots["plot"].tolist(), load_embedder().embed, hashed_ids(plots)
    )
    index.save(out)
    size = out.stat().st_size
    if as_json:
        return _print_json({"path": str(out), "plots": len(plots), "bytes": size})
    output.print(f"{out}: {len(plots):,} plots, {size / 1e6:.1f} MB")


Generators = Annotated[
    list[Path] | None,
    typer.Option(
        "--generator",
        help="Folder of a trained generator; a second one may have the other markup.",
        show_default="the one that ships",
    ),
]
ServedClassifier = Annotated[
    Path, typer.Option(help="Folder of a trained classifier, best a compressed one.", show_default="the one that ships")
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
    decoder: Decoder = "auto",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    queue: Annotated[int, typer.Option(help="Plots that may wait; who comes then is sent away.", min=0)] = 64,
    deadline: Annotated[float, typer.Option(help="Seconds that a request for plots may take.", min=1)] = 60.0,
) -> None:
    """Serve plots and genres over HTTP; `/docs` shows how to ask. Ctrl+C ends it.

    Example: `movieplots api --generator runs/generator --classifier runs/compressed --novelty runs/novelty.npz`
    """
    from movieplots.generation.decoders import check_decoder
    from movieplots.serving.launch import run_api

    check_decoder(decoder)
    run_api(*_served(generator, classifier, novelty), decoder, host, port, queue=queue, seconds=deadline)


@app.command()
def studio(
    generator: Generators = None,
    classifier: ServedClassifier = CLASSIFIER,
    novelty: NoveltyFile = None,
    decoder: Decoder = "auto",
    api: Annotated[str | None, typer.Option(help="Address of a running API; without one, one is started.")] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8501,
    report: Annotated[Path | None, typer.Option(help="Folder that `movieplots evaluate` wrote, to explore.")] = None,
    history: Annotated[Path | None, typer.Option(help="File for the ideas; default: in your home.")] = None,
) -> None:
    """Open the studio: write ideas in the browser. Ctrl+C ends it.

    Example: `movieplots studio --generator runs/generator --classifier runs/compressed`
    """
    from movieplots.generation.decoders import check_decoder
    from movieplots.serving.launch import run_studio

    check_decoder(decoder)
    arguments: list[str] = []
    if api is None:
        generators, classifier, novelty = _served(generator, classifier, novelty)
        named = [("classifier", classifier), ("novelty", novelty), ("decoder", decoder)]
        for name, value in [*(("generator", folder) for folder in generators), *named]:
            arguments += [f"--{name}", str(value)] if value else []
    run_studio(api, arguments, host, port, report, history)


def _served(
    generators: list[Path] | None, classifier: Path, novelty: Path | None
) -> tuple[list[Path], Path, Path | None]:
    """What is served: what was named, else what ships."""
    chosen = [check_there(folder) for folder in generators or [GENERATOR]]
    indices = [index_of(folder) for folder in chosen]
    return chosen, check_there(classifier), novelty or (indices[0] if all(indices) else None)


def _reasons(classifier: Any, plot: str, title: str | None) -> dict[str, list[tuple[str, float]]]:
    from movieplots.classification.explanation import explain
    from movieplots.classification.prediction import with_title

    explanation = explain(classifier, with_title(title or "", plot))
    return {genre: explanation.strongest(genre) for genre in explanation.effects}


def _prediction(classifier: Any, plot: str, names: list[str], proba: Any, reasons: Any) -> dict[str, Any]:
    by_genre = {name: zip(classifier.labels, map(float, values), strict=True) for name, values in
                (("probabilities", proba), ("thresholds", classifier.thresholds))}  # fmt: skip
    row = {"plot": plot, "genres": names} | {name: dict(pairs) for name, pairs in by_genre.items()}
    return row | ({"words": {genre: dict(words) for genre, words in reasons.items()}} if reasons else {})


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


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(option: str, text: str) -> list[float]:
    try:
        numbers = [float(part) for part in _names(text)]
    except ValueError:
        raise BadInput(f"{option} takes numbers separated by commas, not {text!r}.") from None
    if not numbers:
        raise BadInput(f"{option} is empty: give at least one number.")
    return numbers


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def main() -> None:
    """Run the command line; every foreseeable error is one line on standard error and status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a file need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    with sentences():
        try:
            status = app(standalone_mode=False)
        except Exception as error:
            # Typer's own usage errors (a missing option, a wrong type) know how to say what is wrong.
            if not hasattr(error, "format_message"):
                raise
            raise BadInput(f"{error.format_message()} See `movieplots --help`.") from None
        if status == 130:  # Typer's word for an interrupt
            raise KeyboardInterrupt
    sys.exit(status or 0)


if __name__ == "__main__":
    main()
