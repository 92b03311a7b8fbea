"""The options of writing plots, each declared once."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.errors import BadInput
from movieplots.settings import Option, OutputDir, Overwrite, Seed, Settings, option_of

BACKENDS = ("auto", "transformers", "llama.cpp")

Generator = Annotated[str | Path, Option("Folder of a trained generator.", decides=False)]
MinP = Annotated[float, Option("Keep tokens at least this fraction as likely as the likeliest; 0 is off.", ge=0, lt=1)]
RepetitionPenalty = Annotated[
    float, Option("Above 1 makes tokens that stand there already less likely; 1 is off.", ge=1, le=10)
]
NoRepeatNgramSize = Annotated[int, Option("Never repeat so many tokens in a row.", ge=2, le=100, off=0, metavar="N")]
BackendName = Annotated[
    str,
    Option(
        "`transformers`, `llama.cpp`, `auto` (transformers on a GPU, else llama.cpp), or the address of an "
        "OpenAI-compatible server that has the model, such as http://localhost:8000/v1.",
        decides=False,
    ),
]


def is_address(backend: str) -> bool:
    """Whether a backend's name is the address of a server."""
    return backend.startswith(("http://", "https://"))


def check_backend(backend: str) -> None:
    """Raise BadInput for a backend that there is not; whether it can run here is another question."""
    if backend not in BACKENDS and not is_address(backend):
        raise BadInput(
            f"Unknown backend {backend!r}: choose from {', '.join(BACKENDS)}, or give the address of a server."
        )


@dataclass(frozen=True, kw_only=True)
class Sampling(Settings):
    """How wildly to draw, and what not to repeat.

    Sources: top-p Holtzman et al. 2020, min-p Nguyen et al. 2024, the repetition penalty Keskar et al. 2019.
    """

    temperature: Annotated[float, Option("Scores are divided by it: higher is wilder.", gt=0, le=5)] = 0.8
    top_p: Annotated[
        float, Option("Keep the likeliest tokens up to this share of the probability; 0 is off.", ge=0, le=1)
    ] = 0.9
    min_p: MinP = 0.05  # without it most plots at temperature 1.3 never come to an end
    repetition_penalty: RepetitionPenalty = 1.0
    no_repeat_ngram_size: NoRepeatNgramSize = 0


@dataclass(frozen=True)
class PlotSettings(Sampling):
    """What to write about, and how to draw."""

    genres: Annotated[
        Sequence[str] | None,
        Option(
            "Genres of the plot, all in its prompt.",
            item="genre",
            repeated=True,
            default="drawn anew for each plot, as often as in the training plots",
        ),
    ] = None
    title: Annotated[str | None, Option("Title, best as `Salt (2009)`; needs a model with titles.")] = None
    opening: Annotated[str, Option("The plot's first words.")] = ""
    _: KW_ONLY
    seed: Seed = 0
    max_tokens: Annotated[
        int | None,
        Option(
            "The most tokens to write, title and plot together.", ge=1,
            default="what all but the longest training plots needed",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class GenerateSettings(PlotSettings):
    """The options of `PlotGenerator.generate`."""

    command_name: ClassVar[str] = "generate"

    n: Annotated[int, Option("Number of plots.", ge=1, short="-n")] = 1


@dataclass(frozen=True, kw_only=True)
class StreamSettings(PlotSettings):
    """The options of `PlotGenerator.stream`."""

    number: Annotated[int, Option("Which plot, from 0, of those that `generate` writes with these options.", ge=0)] = 0
    continue_opening: Annotated[
        bool, Option("The opening is a plot to continue: it does not end before 12 more tokens.")
    ] = False


@dataclass(frozen=True)
class DumpSettings(Settings):
    """The options of `sample_dump`."""

    command_name: ClassVar[str] = "dump"

    model: Generator
    output_dir: OutputDir
    _: KW_ONLY
    genres: Annotated[
        Sequence[str] | None,
        Option("Genres to prompt with.", item="genre", default="all of the model's training plots"),
    ] = None
    temperatures: Annotated[
        Sequence[float],
        replace(option_of(Sampling, "temperature"), help="Temperatures of the grid.", item="temperature"),
    ] = (0.7, 1.0, 1.3)
    top_ps: Annotated[
        Sequence[float],
        replace(option_of(Sampling, "top_p"), help="Top-p values of the grid; 0 is off.", item="top-p value"),
    ] = (0.0, 0.9)
    samples_per_genre: Annotated[int, Option("Samples per genre, temperature and top-p.", ge=1)] = 10
    min_p: MinP = Sampling.min_p
    repetition_penalty: RepetitionPenalty = Sampling.repetition_penalty
    no_repeat_ngram_size: NoRepeatNgramSize = Sampling.no_repeat_ngram_size
    backend: BackendName = "auto"
    seed: Seed = 0
    overwrite: Overwrite = False

    def check(self) -> None:
        check_backend(self.backend)
        if not self.cells():
            raise BadInput("The grid is empty: give at least one temperature and one top-p value.")

    def cells(self) -> list[Sampling]:
        """The grid: each temperature with each top-p value, once."""
        pairs = dict.fromkeys((temperature, top_p) for temperature in self.temperatures for top_p in self.top_ps)
        return [
            Sampling(
                temperature=temperature, top_p=top_p, min_p=self.min_p, repetition_penalty=self.repetition_penalty,
                no_repeat_ngram_size=self.no_repeat_ngram_size,
            )
            for temperature, top_p in pairs
        ]  # fmt: skip


TYPES = ("f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


@dataclass(frozen=True)
class ExportSettings(Settings):
    """The options of `export_gguf`."""

    command_name: ClassVar[str] = "export"

    model: Generator
    output: Annotated[str | Path, Option("File to write, FILE.gguf.", short="-o", decides=False)]
    _: KW_ONLY
    type: Annotated[
        str | None,
        Option(f"Type of the weights: {', '.join(TYPES)}.", choices=TYPES, default="q8_0, or f16 for an adapter"),
    ] = None
    adapter: Annotated[bool, Option("Only the LoRA adapter, for the GGUF file of `smollm2-135m`.")] = False

    def check(self) -> None:
        if self.adapter and self.type:
            raise BadInput("An adapter is always written in 16 bits: leave out --type, or --adapter.")
