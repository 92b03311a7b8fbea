"""Settings of `generate`, `dump` and `export`."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.errors import BadInput
from movieplots.generation.controls import LENGTHS, MAX_KEYWORDS, check_keywords, check_phrases
from movieplots.generation.keywords import contains
from movieplots.settings import LAST_SEED, Option, OutputDir, Overwrite, Seed, Settings, option_of

BACKENDS = ("auto", "transformers", "llama.cpp")

Generator = Annotated[str | Path, Option("Folder of a trained generator.", metavar="DIR", decides=False)]
MinP = Annotated[
    float,
    Option(
        "Min-p sampling: drop tokens less probable than this fraction of the most probable one. 0 disables it.",
        ge=0,
        lt=1,
    ),
]
RepetitionPenalty = Annotated[
    float, Option("Penalty for tokens that already occur in the text. 1 disables it.", ge=1, le=10)
]
NoRepeatNgramSize = Annotated[
    int, Option("Size of n-grams (in tokens) that may occur only once in a text.", ge=2, le=100, off=0)
]
BackendName = Annotated[
    str,
    Option(
        "Program that runs the generator: `auto` (transformers on a GPU, otherwise llama.cpp), `transformers`, "
        "`llama.cpp`, or the URL of an OpenAI-compatible server that has the model, such as http://localhost:8000/v1.",
        metavar="NAME",
        decides=False,
    ),
]


def is_address(backend: str) -> bool:
    """Return whether the name of a backend is the URL of a server."""
    return backend.startswith(("http://", "https://"))


def check_backend(backend: str) -> None:
    """Raise BadInput for an unknown backend. Whether it can run here is not checked."""
    if backend not in BACKENDS and not is_address(backend):
        raise BadInput(f"Unknown backend {backend!r}: choose {', '.join(BACKENDS)}, or the URL of a server.")


@dataclass(frozen=True, kw_only=True)
class Sampling(Settings):
    """Sampling options.

    Notes
    -----
    Sources: top-p (nucleus) sampling `Holtzman et al. (2020) <https://arxiv.org/abs/1904.09751>`_, min-p sampling
    `Nguyen et al. (2024) <https://arxiv.org/abs/2407.01082>`_, repetition penalty
    `Keskar et al. (2019) <https://arxiv.org/abs/1909.05858>`_.
    """

    temperature: Annotated[float, Option("Sampling temperature. Higher values are more random.", gt=0, le=5)] = 0.8
    top_p: Annotated[
        float,
        Option(
            "Nucleus sampling: sample from the smallest set of tokens whose probabilities sum to this value. "
            "0 and 1 disable it.",
            ge=0,
            le=1,
        ),
    ] = 0.9
    min_p: MinP = 0.05  # without it most plots at temperature 1.3 are truncated
    repetition_penalty: RepetitionPenalty = 1.0
    no_repeat_ngram_size: NoRepeatNgramSize = 0


@dataclass(frozen=True)
class PlotSettings(Sampling):
    """Options for the content and the sampling of plots."""

    genres: Annotated[
        Sequence[str] | None,
        Option(
            "Genres of the plots. Several genres are combined in one prompt.",
            item="genre",
            metavar="NAME",
            default="a random genre per plot, with the frequencies of the training plots",
        ),
    ] = None
    title: Annotated[
        str | None,
        Option(
            "Title of the plots, preferably with a year, such as `Salt (2009)`. It needs a generator trained with "
            "titles."
        ),
    ] = None
    opening: Annotated[str, Option("First words of the plots.")] = ""
    _: KW_ONLY
    keywords: Annotated[
        Sequence[str],
        Option(
            f"Words that the plots should contain in any inflection: up to {MAX_KEYWORDS}, such as lighthouse. Not "
            "every plot contains them.",
            item="keyword",
            metavar="WORD",
        ),
    ] = ()
    length: Annotated[
        str | None,
        Option(
            "Length of the plots: `short` (up to 25 words), `medium` (26 to 60 words) or `long`. Most plots have it.",
            choices=tuple(LENGTHS),
            default="as the model chooses",
        ),
    ] = None
    avoid: Annotated[
        Sequence[str],
        Option(
            "Phrases that must not appear in title or plot, in any inflection, such as serial killer.",
            item="phrase",
            metavar="PHRASE",
        ),
    ] = ()
    seed: Annotated[
        int | None,
        Option(
            "Random seed. The same seed gives the same plots on one machine.",
            ge=0,
            le=LAST_SEED,
            default="a new one each time",
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        Option(
            "Maximum number of tokens (word pieces, about 1.3 per word) to generate, title and plot together.",
            ge=1,
            default="enough for 99.5 % of the training plots",
        ),
    ] = None

    def check(self) -> None:
        """Raise BadInput if keywords, length, avoided phrases, title and opening contradict each other."""
        given = {f"keyword {word!r}": word for word in check_keywords(self.keywords)}
        for phrase in check_phrases(self.avoid):
            for name, text in (given | {"title": self.title or "", "opening": self.opening}).items():
                if isinstance(text, str) and contains(text, phrase):
                    raise BadInput(f"The {name} contains {phrase!r}, which is to be avoided: leave out one of them.")
        most = LENGTHS[self.length][1] if self.length else None
        if most and isinstance(self.opening, str) and (words := len(self.opening.split())) > most:
            raise BadInput(
                f"The opening has {words} words, and a {self.length} plot at most {most}: choose another length, or "
                "shorten the opening."
            )


@dataclass(frozen=True)
class GenerateSettings(PlotSettings):
    """Options of `PlotGenerator.generate`."""

    command_name: ClassVar[str] = "generate"

    n: Annotated[int, Option("Number of plots.", ge=1, short="-n")] = 1


@dataclass(frozen=True, kw_only=True)
class StreamSettings(PlotSettings):
    """Options of `PlotGenerator.stream`."""

    number: Annotated[int, Option("Which plot of `generate(..., seed=seed)` to write, counted from 0.", ge=0)] = 0
    continue_opening: Annotated[
        bool, Option("Continue the opening even if it looks complete: generate at least 12 more tokens.")
    ] = False


@dataclass(frozen=True)
class DumpSettings(Settings):
    """Options of `sample_dump`."""

    command_name: ClassVar[str] = "dump"

    model: Generator
    output_dir: OutputDir
    _: KW_ONLY
    genres: Annotated[
        Sequence[str] | None,
        Option(
            "Genres to prompt with, one at a time.",
            item="genre",
            metavar="NAME",
            default="all genres of the training plots",
        ),
    ] = None
    temperatures: Annotated[
        Sequence[float],
        replace(
            option_of(Sampling, "temperature"),
            help="Sampling temperatures of the grid. Higher values are more random.",
            item="temperature",
        ),
    ] = (0.7, 1.0, 1.3)
    top_ps: Annotated[
        Sequence[float],
        replace(
            option_of(Sampling, "top_p"),
            help="Top-p values of the grid, for nucleus sampling. 0 and 1 disable it.",
            item="top-p value",
        ),
    ] = (0.0, 0.9)
    samples_per_genre: Annotated[int, Option("Number of samples per genre, temperature and top-p value.", ge=1)] = 10
    min_p: MinP = Sampling.min_p
    repetition_penalty: RepetitionPenalty = Sampling.repetition_penalty
    no_repeat_ngram_size: NoRepeatNgramSize = Sampling.no_repeat_ngram_size
    backend: BackendName = "auto"
    seed: Seed = 0
    overwrite: Overwrite = False

    def check(self) -> None:
        """Raise BadInput for an unknown backend or an empty grid."""
        check_backend(self.backend)
        if not self.cells():
            raise BadInput("The grid is empty: give at least one temperature and one top-p value.")

    def cells(self) -> list[Sampling]:
        """Return the grid: each temperature with each top-p value, without repetitions."""
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
    """Options of `export_gguf`."""

    command_name: ClassVar[str] = "export"

    model: Generator
    output: Annotated[
        str | Path, Option("File to write, such as generator.gguf.", metavar="FILE", short="-o", decides=False)
    ]
    _: KW_ONLY
    type: Annotated[
        str | None,
        Option(
            "Type of the weights: `f32`, `f16`, `q8_0`, `q5_1`, `q5_0`, `q4_1` or `q4_0`. Fewer bits make the file "
            "smaller and the model less accurate.",
            choices=TYPES,
            default="q8_0, or f16 for an adapter",
        ),
    ] = None
    adapter: Annotated[bool, Option("Write only the LoRA adapter, for use with a GGUF file of its base model.")] = False

    def check(self) -> None:
        """Raise BadInput for a type of an adapter."""
        if self.adapter and self.type:
            raise BadInput("--adapter is always written as f16: leave out --type.")
