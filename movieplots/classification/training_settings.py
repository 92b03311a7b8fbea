"""Settings of `train_classifier`, `train_with_fastai`, `train_mlm`, `quantize` and the learning-rate search."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from movieplots.pretrained.base_models import hidden_size
from movieplots.runs.settings import TimeLimit, TrainingSettings
from movieplots.settings import Data, Option, OutputDir, Seed, Settings, option_of

METHODS = ("full", "lora")
LOSSES = ("weighted-bce", "bce", "class-balanced", "focal", "asymmetric")
TOKENS_PER_STEP = 4096  # in continued pretraining
# Default learning rates of the top layer, for encoders up to MiniLM's hidden size and for wider ones. Devlin et al.
# (2019) recommend 2e-5 to 5e-5 for all weights of BERT-base; Hu et al. (2022) use 4e-4 to 5e-4 for adapters of
# RoBERTa-base. The number of layers does not separate the two: DistilRoBERTa and MiniLM-L6 both have six.
NARROW = 384
TOP_RATES = {"full": 3e-4, "lora": 2e-3}
WIDER_TOP_RATES = {"full": 5e-5, "lora": 5e-4}
FULL_RATES = "3e-4 for `minilm-l6`, 5e-5 for larger encoders and any hub id"

BaseModel = Annotated[
    str,
    Option(
        "Encoder to fine-tune: `minilm-l6` (works offline), a Hugging Face Hub id such as `roberta-base`, or a local "
        "folder, which may be a trained classifier.",
        metavar="NAME",
        may_be_path=True,
    ),
]
Epochs = Annotated[int, Option("Number of epochs.", ge=1)]
BatchSize = Annotated[
    int,
    Option(
        "Plots per optimizer step. If memory runs out, they are processed in smaller parts.",
        ge=1,
    ),
]
Loss = Annotated[
    str,
    Option(
        "Loss: binary cross-entropy with higher weights for rare genres (`weighted-bce`) or without weights (`bce`); "
        "alternatives for imbalanced genres are `class-balanced` (Cui et al. 2019), `focal` (Lin et al. 2017) and "
        "`asymmetric` (Ridnik et al. 2021).",
        choices=LOSSES,
    ),
]
LabelSmoothing = Annotated[
    float,
    Option(
        "Label smoothing (Szegedy et al. 2016): 0.1 turns the targets 0 and 1 into 0.05 and 0.95.",
        ge=0,
        lt=1,
    ),
]
Titles = Annotated[
    bool,
    Option(
        "Include titles in half of the training examples, so that the model can also use a title.",
        negatable=True,
    ),
]
LEARNING_RATE = Option("Peak learning rate of the top layer. Lower layers have lower rates.", gt=0, lt=1)


@dataclass(frozen=True)
class ClassifierSettings(TrainingSettings):
    """Options of `train_classifier`."""

    command_name: ClassVar[str] = "train classifier"

    base_model: BaseModel
    _: KW_ONLY
    epochs: Epochs = 3
    batch_size: BatchSize = 48
    method: Annotated[
        str,
        Option(
            "Weights to train: `full`, all weights, with lower learning rates in lower layers (Howard and Ruder "
            "2018), or `lora`, an adapter of rank 16, which needs less memory (Hu et al. 2022). The result is a full "
            "model in both cases.",
            choices=METHODS,
        ),
    ] = "full"
    loss: Loss = "weighted-bce"
    label_smoothing: LabelSmoothing = 0.0
    titles: Titles = False
    layers: Annotated[
        int | None,
        Option("Number of the base model's layers to keep, evenly spaced (Sanh et al. 2019).", ge=1, default="all"),
    ] = None
    learning_rate: Annotated[
        float | None,
        replace(
            LEARNING_RATE,
            default="`full`: 3e-4 for `minilm-l6`, 5e-5 for larger encoders and any hub id; `lora`: 2e-3 and 5e-4, "
            "respectively",
        ),
    ] = None
    teachers: Annotated[
        Sequence[str | Path],
        Option(
            "Folders of classifiers trained on the same data, for knowledge distillation (Hinton et al. 2015). Each "
            "target is the mean of the true label and the teachers' mean probability.",
            item="teacher",
            metavar="DIR",
            default="no teacher",
            decides=False,
        ),
    ] = ()
    time_limit: TimeLimit = None

    def usual(self) -> dict[str, Any]:
        """Return the default learning rate of the base model and the method."""
        return {"learning_rate": usual_learning_rate(self.base_model, self.method)}

    @property
    def teacher_folders(self) -> Sequence[str | Path]:
        """Folders of the teachers."""
        return self.teachers


@dataclass(frozen=True)
class FastaiSettings(TrainingSettings):
    """Options of `train_with_fastai`."""

    command_name: ClassVar[str] = "train fastai"

    base_model: BaseModel
    _: KW_ONLY
    epochs: Annotated[
        int,
        Option(
            "Number of epochs with all layers. Two more come first: one for the output layer, one for the upper half.",
            ge=1,
        ),
    ] = 3
    batch_size: BatchSize = 48
    learning_rate: Annotated[float | None, replace(LEARNING_RATE, default=FULL_RATES)] = None
    loss: Loss = "weighted-bce"
    label_smoothing: LabelSmoothing = 0.0
    titles: Titles = False

    def usual(self) -> dict[str, Any]:
        """Return the default learning rate of the base model."""
        return {"learning_rate": usual_learning_rate(self.base_model)}


@dataclass(frozen=True)
class ClassifierLrSettings(Settings):
    """Options of `find_lr` for classifiers."""

    command_name: ClassVar[str] = "find-lr classifier"

    data: Data
    base_model: BaseModel
    _: KW_ONLY
    batch_size: BatchSize = 48
    method: Annotated[str, option_of(ClassifierSettings, "method")] = "full"
    loss: Loss = "weighted-bce"
    label_smoothing: LabelSmoothing = 0.0
    titles: Titles = False
    steps: Annotated[int, Option("Number of steps, with one batch each.", ge=20)] = 100
    seed: Seed = 0


@dataclass(frozen=True)
class MlmSettings(TrainingSettings):
    """Options of `train_mlm`."""

    command_name: ClassVar[str] = "train mlm"

    base_model: Annotated[
        str,
        Option(
            "Encoder to train: `minilm-l6` (works offline), a Hugging Face Hub id such as `bert-base-uncased`, or a "
            "local folder.",
            metavar="NAME",
            may_be_path=True,
        ),
    ]
    _: KW_ONLY
    epochs: Epochs = 2
    block_size: Annotated[int, Option("Tokens per training sequence. A step has about 4,096 tokens.", ge=16)] = 128
    learning_rate: Annotated[
        float | None, Option("Peak learning rate, reached after a short warm-up.", gt=0, lt=1, default=FULL_RATES)
    ] = None
    time_limit: TimeLimit = None

    def usual(self) -> dict[str, Any]:
        """Return the default learning rate of the base model."""
        return {"learning_rate": usual_learning_rate(self.base_model)}

    @property
    def sequences_per_step(self) -> int:
        """Sequences per step, for about 4,096 tokens."""
        return max(1, TOKENS_PER_STEP // self.block_size)


@dataclass(frozen=True)
class QuantizeSettings(Settings):
    """Options of `quantize`."""

    command_name: ClassVar[str] = "quantize"

    model: Annotated[str | Path, Option("Folder of a trained classifier.", metavar="DIR", decides=False)]
    output_dir: OutputDir
    data: Data


def usual_learning_rate(base_model: str, method: str = "full") -> float:
    """Return the default learning rate of an encoder. It depends on the hidden size.

    A folder has the size in `config.json`. A hub id counts as wider than `minilm-l6`, because most encoders are: too
    low a rate only slows training down, but too high a rate destroys the pretraining. The hub is not asked, so the
    default is the same without a connection.
    """
    size = hidden_size(base_model)
    rates = TOP_RATES if size is not None and size <= NARROW else WIDER_TOP_RATES
    return rates[method]
