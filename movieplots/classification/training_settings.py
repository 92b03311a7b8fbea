"""The settings of a classifier's training, of one with fastai, of continued pretraining, and of quantization."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from movieplots.pretrained.base_models import hidden_size
from movieplots.runs.settings import TimeLimit, TrainingSettings
from movieplots.settings import Data, Option, OutputDir, Seed, Settings

METHODS = ("full", "lora")
LOSSES = ("weighted-bce", "bce", "class-balanced", "focal", "asymmetric")
TOKENS_PER_STEP = 4096  # of continued pretraining
# Learning rates of the top layer, unless another is given: of encoders up to MiniLM's hidden size, and of wider ones.
# For all weights of BERT-base Devlin et al. (2019) recommend 2e-5 to 5e-5; for adapters of RoBERTa-base Hu et al.
# (2022) take 4e-4 to 5e-4. The number of layers would not tell them apart: DistilRoBERTa has six, as MiniLM-L6 has.
NARROW = 384
TOP_RATES = {"full": 3e-4, "lora": 2e-3}
WIDER_TOP_RATES = {"full": 5e-5, "lora": 5e-4}
FULL_RATES = "3e-4; 5e-5 with a hub id, or an encoder wider than `minilm-l6`"  # in words, for all weights

BaseModel = Annotated[
    str,
    Option(
        "`minilm-l6` (works offline), a hub id such as `roberta-base`, or a local folder, trained or not.",
        may_be_path=True,
    ),
]
Epochs = Annotated[int, Option("Epochs over the training plots.", ge=1)]
BatchSize = Annotated[
    int, Option("Plots in an optimizer step; where memory is short, they go through the model in parts.", ge=1)
]
Loss = Annotated[
    str,
    Option(
        "Binary cross-entropy per label: `weighted-bce` (rare genres count more), `bce`, `class-balanced` (Cui et al. "
        "2019), `focal` (Lin et al. 2017) or `asymmetric` (Ridnik et al. 2021); see "
        "`movieplots.classification.imbalance`.",
        choices=LOSSES,
    ),
]
LabelSmoothing = Annotated[
    float,
    Option(
        "Moves targets towards 0.5 by half of it (Szegedy et al. 2016): 0 trusts every tag; 0.1 a little less.",
        ge=0,
        lt=1,
    ),
]
Titles = Annotated[bool, Option("Show half of the plots with their titles, so that the model can be given one.")]


@dataclass(frozen=True)
class ClassifierSettings(TrainingSettings):
    """The settings of `train_classifier`."""

    command_name: ClassVar[str] = "train classifier"

    base_model: BaseModel
    _: KW_ONLY
    epochs: Epochs = 3
    batch_size: BatchSize = 48
    method: Annotated[
        str,
        Option(
            "`full`: all weights, with a learning rate that falls by layer (Howard and Ruder 2018); `lora`: adapters "
            "of rank 16 (Hu et al. 2022), merged at the end.",
            choices=METHODS,
        ),
    ] = "full"
    loss: Loss = "weighted-bce"
    label_smoothing: LabelSmoothing = 0.0
    titles: Titles = False
    layers: Annotated[
        int | None,
        Option("Keep so many of the base model's layers, evenly chosen (Sanh et al. 2019).", ge=1, default="all"),
    ] = None
    learning_rate: Annotated[
        float | None,
        Option(
            "Of the top layer, from which all others follow.",
            gt=0,
            lt=1,
            default="3e-4 for `full`, 2e-3 for `lora`; 5e-5 and 5e-4 with a hub id, or an encoder wider than "
            "`minilm-l6`",
        ),
    ] = None
    teachers: Annotated[
        Sequence[str | Path],
        Option(
            "Folders of classifiers trained on the same data, whose probabilities make up half of the targets (Hinton "
            "et al. 2015).",
            item="teacher",
            repeated=True,
            decides=False,
        ),
    ] = ()
    time_limit: TimeLimit = None

    def usual(self) -> dict[str, Any]:
        """The learning rate of the base model and the method."""
        return {"learning_rate": usual_learning_rate(self.base_model, self.method)}

    @property
    def teacher_folders(self) -> Sequence[str | Path]:
        """The teachers."""
        return self.teachers


@dataclass(frozen=True)
class FastaiSettings(TrainingSettings):
    """The settings of `train_with_fastai`."""

    command_name: ClassVar[str] = "train fastai"

    base_model: BaseModel
    _: KW_ONLY
    epochs: Annotated[int, Option("Epochs with all layers, after one for the head and one for half of them.", ge=1)] = 3
    batch_size: BatchSize = 48
    learning_rate: Annotated[
        float | None, Option("Of the top layer, from which all others follow.", gt=0, lt=1, default=FULL_RATES)
    ] = None
    loss: Loss = "weighted-bce"
    label_smoothing: LabelSmoothing = 0.0
    titles: Titles = False

    def usual(self) -> dict[str, Any]:
        """The learning rate of the base model."""
        return {"learning_rate": usual_learning_rate(self.base_model)}


@dataclass(frozen=True)
class ClassifierLrSettings(Settings):
    """The settings of `find_lr` for classifiers."""

    command_name: ClassVar[str] = "find-lr classifier"

    data: Data
    base_model: BaseModel
    _: KW_ONLY
    batch_size: BatchSize = 48
    method: Annotated[str, Option("`full`: all weights; `lora`: adapters.", choices=METHODS)] = "full"
    loss: Loss = "weighted-bce"
    label_smoothing: LabelSmoothing = 0.0
    titles: Titles = False
    steps: Annotated[int, Option("Steps of one batch each.", ge=20)] = 100
    seed: Seed = 0


@dataclass(frozen=True)
class MlmSettings(TrainingSettings):
    """The settings of `train_mlm`."""

    command_name: ClassVar[str] = "train mlm"

    base_model: Annotated[
        str,
        Option(
            "A hub id such as `bert-base-uncased`, `minilm-l6` (works offline), or a local folder.", may_be_path=True
        ),
    ]
    _: KW_ONLY
    epochs: Epochs = 2
    block_size: Annotated[int, Option("Tokens in a packed sequence; a step takes about 4,096.", ge=16)] = 128
    learning_rate: Annotated[
        float | None, Option("Learning rate after the warm-up.", gt=0, lt=1, default=FULL_RATES)
    ] = None
    time_limit: TimeLimit = None

    def usual(self) -> dict[str, Any]:
        """The learning rate of the base model."""
        return {"learning_rate": usual_learning_rate(self.base_model)}

    @property
    def sequences_per_step(self) -> int:
        """So many that a step has about as many tokens, whatever the size."""
        return max(1, TOKENS_PER_STEP // self.block_size)


@dataclass(frozen=True)
class QuantizeSettings(Settings):
    """The settings of `quantize`."""

    command_name: ClassVar[str] = "quantize"

    model: Annotated[str | Path, Option("Folder of a trained classifier.", decides=False)]
    output_dir: OutputDir
    data: Annotated[
        str | Path, Option("The data it was trained on, to measure what quantization costs.", decides=False)
    ]


def usual_learning_rate(base_model: str, method: str = "full") -> float:
    """The learning rate of an encoder's training, unless another is given. It depends on the encoder's hidden size.

    A folder says it in `config.json`, also where the model was trained here. A hub id counts as wider than `minilm-l6`:
    most encoders are, and too low a rate only makes them learn slowly, where too high a one undoes the pretraining.
    Nothing is read from the hub, so that the rate is the same where it cannot be reached.
    """
    size = hidden_size(base_model)
    rates = TOP_RATES if size is not None and size <= NARROW else WIDER_TOP_RATES
    return rates[method]
