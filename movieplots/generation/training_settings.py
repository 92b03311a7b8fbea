"""Settings of `train_generator`, `distill` and the learning-rate search for generators."""

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.runs.folder import read_info
from movieplots.runs.settings import LR_SCHEDULERS, BaseModel, TimeLimit, TrainingSettings
from movieplots.settings import Data, Option, OutputDir, Overwrite, Seed, Settings, option_of

METHODS = ("lora", "full")
PRECISIONS = ("auto", "float32", "half", "4bit")
PACKINGS = ("packed", "random-crops")
SAMPLERS = ("uniform", "genre-weighted")
LEARNING_RATES = {"lora": 1e-3, "full": 1e-4}
STUDENT_LEARNING_RATE = 3e-4

GeneratorBase = Annotated[
    str,
    Option(
        "Model to fine-tune: `smollm2-135m` (works offline), a Hugging Face Hub id such as `gpt2`, or, for a GPU, "
        "`HuggingFaceTB/SmolLM2-1.7B`, `Qwen/Qwen3-1.7B` or `google/gemma-3-1b-pt`, or a local folder, which may be a "
        "trained generator.",
        metavar="NAME",
        may_be_path=True,
    ),
]
Titles = Annotated[
    bool | None,
    Option(
        "Include titles in the training examples, so that the model also writes them.",
        default="yes, or as in the base model if it is a generator",
    ),
]
Method = Annotated[
    str,
    Option(
        "Weights to train: `lora`, an adapter of rank 16, which needs less memory (Hu et al. 2022), or `full`, all "
        "weights.",
        choices=METHODS,
    ),
]
Packing = Annotated[
    str,
    Option(
        "Training sequences: `packed`, whole plots packed into sequences, or `random-crops`, crops of the concatenated "
        "plots at random places, as in the older package gpt-2-simple (for comparisons).",
        choices=PACKINGS,
    ),
]
Sampler = Annotated[
    str | None,
    Option(
        "Sampling of training plots. `uniform`: each plot once per epoch. `genre-weighted`: plots whose words are "
        "typical of their genre, and plots of rare genres, more often.",
        choices=SAMPLERS,
        default="genre-weighted; uniform if the packing is random-crops",
    ),
]
Epochs = Annotated[float, Option("Number of epochs. Ignored if the maximum number of steps is given.", gt=0)]
MaxSteps = Annotated[int | None, Option("Number of optimizer steps, instead of epochs.", ge=1)]
Scheduler = Annotated[
    str,
    Option(
        "Decay of the learning rate to 0, after a short warm-up in which it rises: `linear` or `cosine` (Loshchilov "
        "and Hutter 2017).",
        choices=LR_SCHEDULERS,
    ),
]
Patience = Annotated[
    int | None,
    Option(
        "Stop after this many evaluations without a lower validation loss, and keep the best weights. A training has "
        "up to eight evaluations.",
        ge=1,
        default="no early stopping",
    ),
]
BlockSize = Annotated[
    int,
    Option("Tokens (word pieces, about 1.3 per word) per sequence. Longer plots are truncated.", ge=16),
]
SequencesPerStep = Annotated[
    int,
    Option(
        "Sequences per optimizer step. If memory runs out, they are processed in smaller parts.",
        ge=1,
    ),
]
# Loglines have 30 to 120 tokens, so a sequence holds about eight of them.
BLOCK_SIZE, BATCH_SIZE = 512, 2


@dataclass(frozen=True, kw_only=True)
class SequenceSettings(Settings):
    """Options that training and distillation of a generator share."""

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
    """Options of `train_generator`."""

    command_name: ClassVar[str] = "train generator"
    several_processes: ClassVar[bool] = True

    base_model: GeneratorBase
    _: KW_ONLY
    titles: Titles = None
    method: Method = "lora"
    precision: Annotated[
        str,
        Option(
            "Number format of the base model's weights with `lora`, whose adapter is always in float32: `float32`, "
            "`half` (bfloat16, or float16 on a GPU without bfloat16), or `4bit` (nf4 of bitsandbytes; Dettmers et al. "
            "2023). `auto`: on a GPU half precision for models of at least 500 million parameters, 4 bits if half "
            "precision does not fit in memory and bitsandbytes is installed, otherwise float32.",
            choices=PRECISIONS,
        ),
    ] = "auto"
    packing: Packing = "packed"
    guidance_scale: Annotated[
        float,
        Option(
            "Above 1, such as 2, distill classifier-free guidance of this scale into the generator: it learns to "
            "predict what the given base model predicts with guidance. Plots then follow their genre more closely and "
            "are less diverse. The base model must be a generator trained with LoRA and the same titles option. 1 "
            "means no guidance.",
            ge=1,
        ),
    ] = 1.0
    learning_rate: Annotated[
        float | None,
        Option(
            "Peak learning rate, reached after a short warm-up.", gt=0, lt=1, default="1e-3 for `lora`, 1e-4 for `full`"
        ),
    ] = None

    def check(self) -> None:
        """Raise BadInput if options conflict."""
        check_sampler(self.sampler, self.packing)
        if self.precision in ("half", "4bit") and self.method == "full":
            raise BadInput(f"--precision {self.precision} needs --method lora: trained weights must be in float32.")
        if self.guidance_scale > 1 and self.packing == "random-crops":
            raise BadInput("--guidance-scale needs --packing packed: random crops do not show where a plot begins.")
        if self.guidance_scale > 1 and self.early_stopping_patience is not None:
            raise BadInput(
                "--guidance-scale cannot be combined with --early-stopping-patience: guidance raises the validation "
                "loss."
            )

    def usual(self) -> dict[str, Any]:
        """Return the default learning rate, sampler and titles."""
        rate = usual_learning_rate(self.base_model, self.method)
        return {"titles": True, "learning_rate": rate, "sampler": usual_sampler(self.packing)}

    def recipe(self) -> dict[str, Any]:
        """Return the options that change the result; `auto` precision is left out, as in models of earlier versions."""
        recipe = super().recipe()
        return {name: value for name, value in recipe.items() if (name, value) != ("precision", "auto")}

    def resolved(self) -> Self:
        """Return a copy with all defaults; titles follow from the base model if it is a generator."""
        start = adapter_info(self.base_model) if self.titles is None else None
        made = super().resolved()
        return made if start is None else replace(made, titles=start.titles)


@dataclass(frozen=True)
class DistillationSettings(SequenceSettings):
    """Options of `distill`."""

    command_name: ClassVar[str] = "distill"
    several_processes: ClassVar[bool] = True
    extendable: ClassVar[tuple[str, ...]] = TrainingSettings.extendable

    teacher: Annotated[str | Path, Option("Folder of the generator to imitate.", metavar="DIR", decides=False)]
    data: Data
    output_dir: OutputDir
    _: KW_ONLY
    layers: Annotated[int, Option("Number of the teacher's layers to keep, evenly spaced (Sanh et al. 2019).", ge=1)]
    learning_rate: Annotated[
        float | None,
        Option("Peak learning rate, reached after a short warm-up.", gt=0, lt=1, default="3e-4"),
    ] = None
    sampler: Annotated[str | None, replace(option_of(SequenceSettings, "sampler"), default="genre-weighted")] = None
    seed: Seed = 0
    overwrite: Overwrite = False

    def usual(self) -> dict[str, Any]:
        """Return the default learning rate and sampler."""
        return {"learning_rate": STUDENT_LEARNING_RATE, "sampler": usual_sampler(self.packing)}

    @property
    def packing(self) -> str:
        """Packing of the training sequences; distillation has only one."""
        return "packed"

    @property
    def teacher_folders(self) -> tuple[str | Path]:
        """Folder of the teacher."""
        return (self.teacher,)


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """Options of `corpus_of`."""

    data: Data
    base_model: BaseModel
    _: KW_ONLY
    titles: Annotated[bool, replace(option_of(GeneratorSettings, "titles"), default="")] = True
    packing: Packing = "packed"
    sampler: Sampler = None
    block_size: BlockSize = BLOCK_SIZE
    batch_size: SequencesPerStep = BATCH_SIZE
    seed: Seed = 0

    def check(self) -> None:
        """Raise BadInput if options conflict."""
        check_sampler(self.sampler, self.packing)

    def usual(self) -> dict[str, Any]:
        """Return the default sampler."""
        return {"sampler": usual_sampler(self.packing)}


@dataclass(frozen=True)
class GeneratorLrSettings(Settings):
    """Options of `find_lr` for generators."""

    command_name: ClassVar[str] = "find-lr generator"

    data: Data
    base_model: GeneratorBase
    _: KW_ONLY
    titles: Annotated[bool, replace(option_of(GeneratorSettings, "titles"), default="")] = True
    method: Method = "lora"
    packing: Packing = "packed"
    block_size: BlockSize = BLOCK_SIZE
    steps: Annotated[int, Option("Number of steps, with one sequence each.", ge=20)] = 50
    seed: Seed = 0


def usual_learning_rate(base_model: str, method: str = "lora") -> float:
    """Return the default learning rate of a generator. It depends only on the method."""
    return LEARNING_RATES[method]


def usual_sampler(packing: str) -> str:
    """Return the default sampler. Random crops can only be uniform."""
    return "genre-weighted" if packing == "packed" else "uniform"


def check_sampler(sampler: str | None, packing: str) -> None:
    """Raise BadInput if the sampler does not work with the packing."""
    if sampler == "genre-weighted" and packing == "random-crops":
        raise BadInput("--sampler genre-weighted needs --packing packed: random crops show all plots equally often.")


def adapter_info(base_model: str) -> GeneratorInfo | None:
    """Return the info of a base model that is a generator with an adapter; otherwise None."""
    if not (Path(base_model) / "adapter_config.json").is_file():
        return None
    return read_info(base_model, GeneratorInfo)
