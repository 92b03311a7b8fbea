"""What the settings of all trainings have in common."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.settings import Data, Option, OutputDir, Overwrite, Seed, Settings

LR_SCHEDULERS = ("linear", "cosine")

TimeLimit = Annotated[
    float | None,
    Option("Stop training after this many minutes; the learning rate has then fallen to 0.", gt=0, metavar="MINUTES"),
]


BaseModel = Annotated[str, Option("A name of `base_models`, a local folder, or a hub id.", may_be_path=True)]


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Where a training reads and writes, and what every training can be told.

    With `several_processes` it may be started by `accelerate launch`. `extendable` are the options of which a finished
    run may be asked for more.
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
        """The models that this one learns from, beside its base model."""
        return ()
