"""The settings of a generator's training and of a distillation."""

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.runs.folder import read_info
from movieplots.runs.settings import LR_SCHEDULERS, BaseModel, TimeLimit, TrainingSettings
from movieplots.settings import Data, Option, OutputDir, Overwrite, Seed, Settings

METHODS = ("lora", "full")
PACKINGS = ("packed", "random-crops")
SAMPLERS = ("uniform", "genre-weighted")
LEARNING_RATES = {"lora": 1e-3, "full": 1e-4}
STUDENT_LEARNING_RATE = 3e-4

GeneratorBase = Annotated[
    str,
    Option(
        "`smollm2-135m` (works offline), a hub id such as `gpt2`, or a local folder, also of a trained generator.",
        may_be_path=True,
    ),
]
Titles = Annotated[
    bool | None,
    Option(
        "Whether the model learns to write titles, too.", default="as the base model, where it is a generator; else yes"
    ),
]
Method = Annotated[
    str, Option("`lora`: a small adapter of rank 16 (Hu et al. 2022); `full`: all weights.", choices=METHODS)
]
Packing = Annotated[
    str,
    Option(
        "`packed`: whole plots, packed into sequences; `random-crops`: random cuts of one long text, as gpt-2-simple "
        "does (Woolf 2019).",
        choices=PACKINGS,
    ),
]
Sampler = Annotated[
    str | None,
    Option(
        "`uniform`: each plot once an epoch, under any of its genres; `genre-weighted`: plots that show their genre "
        "clearly, and plots of small genres, more often, others less (see `movieplots.generation.genre_weights`).",
        choices=SAMPLERS,
        default="genre-weighted; uniform with --packing random-crops, which takes no other",
    ),
]
Epochs = Annotated[float, Option("Epochs over the training plots; ignored where --max-steps is given.", gt=0)]
MaxSteps = Annotated[int | None, Option("Optimizer steps, in place of --epochs.", ge=1)]
Scheduler = Annotated[
    str,
    Option(
        "How the learning rate falls to 0: `linear` or `cosine` (Loshchilov and Hutter 2017).", choices=LR_SCHEDULERS
    ),
]
Patience = Annotated[
    int | None,
    Option(
        "The validation loss is measured eight times, evenly spread: stop after so many in a row without a lower one, "
        "and keep the best weights.",
        ge=1,
        default="never",
    ),
]
BlockSize = Annotated[int, Option("Tokens in a sequence; where plots are packed, longer ones are cut.", ge=16)]
SequencesPerStep = Annotated[
    int, Option("Sequences in an optimizer step; where memory is short, they go through the model in parts.", ge=1)
]
# Tokens; loglines have 30 to 120, so that a sequence holds some eight of them.
BLOCK_SIZE, BATCH_SIZE = 512, 2


@dataclass(frozen=True, kw_only=True)
class SequenceSettings(Settings):
    """How long a generator is trained, and on which sequences: what every training of one can be told."""

    epochs: Epochs = 3.0
    max_steps: MaxSteps = None
    time_limit: TimeLimit = None
    sampler: Sampler = None
    lr_scheduler_type: Scheduler = "linear"
    early_stopping_patience: Patience = None
    block_size: BlockSize = BLOCK_SIZE
    batch_size: SequencesPerStep = BATCH_SIZE


@dataclass(frozen=True)
class GeneratorSettings(SequenceSettings, TrainingSettings):
    """The settings of `train_generator`."""

    command_name: ClassVar[str] = "train generator"
    several_processes: ClassVar[bool] = True

    base_model: GeneratorBase
    _: KW_ONLY
    titles: Titles = None
    method: Method = "lora"
    packing: Packing = "packed"
    guidance_scale: Annotated[
        float,
        Option(
            "Above 1, such as 2, a base model that was trained here with --method lora and the same titles learns to "
            "write what it would under classifier-free guidance of this scale: its plots then keep to their genre and "
            "are more alike; 1 is off (see `movieplots.generation.guidance`).",
            ge=1,
        ),
    ] = 1.0
    learning_rate: Annotated[
        float | None,
        Option("Learning rate after the warm-up.", gt=0, lt=1, default="1e-3 for `lora`, 1e-4 for `full`"),
    ] = None

    def check(self) -> None:
        """Options that exclude each other."""
        check_sampler(self.sampler, self.packing)
        if self.guidance_scale > 1 and self.packing == "random-crops":
            raise BadInput("--guidance-scale needs --packing packed: random crops do not know where a plot begins.")
        if self.guidance_scale > 1 and self.early_stopping_patience is not None:
            raise BadInput(
                "--guidance-scale cannot go with --early-stopping-patience: while guidance is learned, the validation "
                "loss rises."
            )

    def usual(self) -> dict[str, Any]:
        """The learning rate of the base model and the method, the sampler of the packing, and titles."""
        rate = usual_learning_rate(self.base_model, self.method)
        return {"titles": True, "learning_rate": rate, "sampler": usual_sampler(self.packing)}

    def resolved(self) -> Self:
        """Titles are those of the base model, where it is a generator."""
        start = adapter_info(self.base_model) if self.titles is None else None
        made = super().resolved()
        return made if start is None else replace(made, titles=start.titles)


@dataclass(frozen=True)
class DistillationSettings(SequenceSettings):
    """The settings of `distill`."""

    command_name: ClassVar[str] = "distill"
    several_processes: ClassVar[bool] = True
    extendable: ClassVar[tuple[str, ...]] = TrainingSettings.extendable

    teacher: Annotated[str | Path, Option("Folder of a trained generator.", decides=False)]
    data: Data
    output_dir: OutputDir
    _: KW_ONLY
    layers: Annotated[int, Option("Layers of the student, evenly chosen from the teacher's.", ge=1)]
    learning_rate: Annotated[
        float | None,
        Option("Learning rate after the warm-up.", gt=0, lt=1, default="3e-4"),
    ] = None
    seed: Seed = 0
    overwrite: Overwrite = False

    def usual(self) -> dict[str, Any]:
        """The learning rate of students, and the sampler of packed sequences."""
        return {"learning_rate": STUDENT_LEARNING_RATE, "sampler": usual_sampler(self.packing)}

    @property
    def packing(self) -> str:
        """The only one for students."""
        return "packed"

    @property
    def teacher_folders(self) -> tuple[str | Path]:
        """The one teacher."""
        return (self.teacher,)


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """The settings of `corpus_of`."""

    data: Data
    base_model: BaseModel
    _: KW_ONLY
    titles: Annotated[bool, Option("Whether titles are part of the examples.")] = True
    packing: Packing = "packed"
    sampler: Sampler = None
    block_size: BlockSize = BLOCK_SIZE
    batch_size: SequencesPerStep = BATCH_SIZE
    seed: Seed = 0

    def check(self) -> None:
        """Options that exclude each other."""
        check_sampler(self.sampler, self.packing)

    def usual(self) -> dict[str, Any]:
        """The sampler of the packing."""
        return {"sampler": usual_sampler(self.packing)}


@dataclass(frozen=True)
class GeneratorLrSettings(Settings):
    """The settings of `find_lr` for generators."""

    command_name: ClassVar[str] = "find-lr generator"

    data: Data
    base_model: GeneratorBase
    _: KW_ONLY
    titles: Annotated[bool, Option("Whether titles are part of the examples.")] = True
    method: Method = "lora"
    packing: Packing = "packed"
    block_size: BlockSize = BLOCK_SIZE
    steps: Annotated[int, Option("Steps of one packed sequence each.", ge=20)] = 50
    seed: Seed = 0


def usual_learning_rate(base_model: str, method: str = "lora") -> float:
    """The learning rate of a generator's training, unless another is given: that of the method, whatever the base."""
    return LEARNING_RATES[method]


def usual_sampler(packing: str) -> str:
    """The sampler that is recommended: random crops show every plot alike."""
    return "genre-weighted" if packing == "packed" else "uniform"


def check_sampler(sampler: str | None, packing: str) -> None:
    """Raise BadInput where the sampler needs another packing."""
    if sampler == "genre-weighted" and packing == "random-crops":
        raise BadInput("--sampler genre-weighted needs --packing packed: random crops show every plot alike.")


def adapter_info(base_model: str) -> GeneratorInfo | None:
    """The info of a base model that is a generator's folder with an adapter; None for any other."""
    if not (Path(base_model) / "adapter_config.json").is_file():
        return None
    return read_info(base_model, GeneratorInfo)
