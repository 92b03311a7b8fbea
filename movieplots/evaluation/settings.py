"""Settings of `evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.pretrained.shipped import CLASSIFIER
from movieplots.settings import Data, Option, Settings

Dumps = str | Path | Sequence[str | Path] | Mapping[str, str | Path]


@dataclass(frozen=True)
class EvaluateSettings(Settings):
    """Options of `evaluate`."""

    command_name: ClassVar[str] = "evaluate"

    dumps: Annotated[
        Dumps,
        Option(
            "Folder of a dump, or of samples from another program (see `read_dump`). For several, a list of folders or "
            "a mapping from names to folders.",
            metavar="[NAME=]DIR",
            item="dump",
        ),
    ]
    data: Data
    output_dir: Annotated[
        str | Path,
        Option("Folder for report.html, metrics.json, tables and figures.", metavar="DIR", short="-o", decides=False),
    ]
    _: KW_ONLY
    classifier: Annotated[
        str | Path | None,
        Option(
            "Folder of a trained classifier, to measure genre accuracy. The word `pretrained` means the included one.",
            metavar="DIR",
            default="genre accuracy is not measured",
        ),
    ] = None
    embedder: Annotated[
        str,
        Option(
            "Model that turns plots into vectors, to compare them: `minilm-l6`, the Universal Sentence Encoder (named "
            "`use`), or a sentence-transformers folder or Hugging Face Hub id.",
            metavar="NAME",
            may_be_path=True,
        ),
    ] = "minilm-l6"

    @property
    def classifier_folder(self) -> str | Path | None:
        """Folder of the classifier, if there is one; a folder called `pretrained` comes before the included one."""
        named = self.classifier
        if named is None or Path(named) != Path("pretrained") or Path(named).exists():
            return named
        return CLASSIFIER
