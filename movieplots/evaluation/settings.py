"""The options of `evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.settings import Data, Option, Settings

Dumps = str | Path | Sequence[str | Path] | Mapping[str, str | Path]


@dataclass(frozen=True)
class EvaluateSettings(Settings):
    """What is measured, and by which models."""

    command_name: ClassVar[str] = "evaluate"

    dumps: Annotated[
        Dumps, Option("Folder of a dump, also of another program; several as a list, or as a mapping from their names.")
    ]
    data: Data
    output_dir: Annotated[
        str | Path, Option("Folder for report.html, metrics.json, tables and figures.", short="-o", decides=False)
    ]
    _: KW_ONLY
    classifier: Annotated[
        str | Path | None,
        Option("Folder of a trained classifier, for genre control.", default="none: genre control is left out"),
    ] = None
    embedder: Annotated[
        str,
        Option(
            "`minilm-l6`, `use` (Universal Sentence Encoder), or a sentence-transformers folder or hub id.",
            may_be_path=True,
        ),
    ] = "minilm-l6"
