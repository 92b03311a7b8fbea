"""Settings that all trainings share."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.settings import Data, Option, OutputDir, Overwrite, Seed, Settings

LR_SCHEDULERS = ("linear", "cosine")

TimeLimit = Annotated[
    float | None,
    Option(
        "Stop training after this many minutes. The learning-rate schedule is shortened to end at that time.",
        gt=0,
        metavar="MINUTES",
        default="no limit",
    ),
]


BaseModel = Annotated[
    str, Option("Name in `base_models`, Hugging Face Hub id, or local folder.", metavar="NAME", may_be_path=True)
]


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Options of every training.

    `several_processes` tells whether `accelerate launch` may start it. A finished run can be continued with higher
    values of its `extendable` options.
    """

    several_processes: ClassVar[bool] = False
    extendable: ClassVar[tuple[str, ...]] = ("epochs", "max_steps", "time_limit")

    data: Data
    base_model: BaseModel
    output_dir: OutputDir
    _: KW_ONLY
    seed: Seed = 0
    overwrite: Overwrite = False

    @property
    def teacher_folders(self) -> Sequence[str | Path]:
        """Folders of the models that this one is distilled from."""
        return ()
