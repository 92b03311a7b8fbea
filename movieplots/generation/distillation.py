"""Distillation: a student of fewer layers learns from the plots and from what a fine-tuned teacher would say.

As DistilGPT-2 and DistilBERT (Sanh et al. 2019) the student starts as every other layer of the teacher, here without
their third term, the likeness of hidden states. It costs little quality and halves the time per token.
"""

import re
from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import AutoModelForCausalLM

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import load_generator
from movieplots.generation.training import Made, measure_corpus, run_generator_training
from movieplots.generation.training_settings import DistillationSettings
from movieplots.progress import notify
from movieplots.runs.fit import Loss, half_precision
from movieplots.runs.folder import read_info
from movieplots.runs.lifecycle import Run
from movieplots.settings import takes

TEMPERATURE = 2.0
SOFT_SHARE = 0.5  # of the loss; the rest is the usual one


@takes(DistillationSettings)
def distill(settings: DistillationSettings) -> GeneratorInfo:
    """Train a student with some of the layers of a trained generator, its teacher.

    All of the student's weights are trained, half by the plots' own tokens and half by the teacher's probabilities
    (Hinton et al. 2015). What happens to a killed run is as in `train_generator`. The loss before is that of the
    untrained student.

    Returns
    -------
    GeneratorInfo
        What the student's `movieplots.json` then holds.

    Raises
    ------
    BadInput
        As `train_generator` does, and for more layers than the teacher has but one.
    """
    known = read_info(settings.teacher, GeneratorInfo)

    def make(run: Run[DistillationSettings]) -> Made:
        notify(f"Loading the teacher {settings.teacher} …")
        model, tokenizer, _ = load_generator(settings.teacher)
        student = new_student(model, settings.layers)
        student.config.use_cache = False  # with one, packed plots would see their neighbours
        model.config.use_cache = False
        corpus = measure_corpus(run.parts["train"], student, tokenizer, run.settings)
        return Made(known.base_model, student, tokenizer, corpus, distillation_loss(model.requires_grad_(False)))

    return run_generator_training(settings, make)


def new_student(teacher: Any, layers: int) -> Any:
    """A model of the teacher's kind with `layers` of its layers, evenly chosen from the first to the last."""
    depth = teacher.config.num_hidden_layers
    if not 1 <= layers < depth:
        raise BadInput(f"--layers must be at least 1 and fewer than the teacher's {depth}, not {layers}.")
    chosen = torch.linspace(0, depth - 1, layers).round().int().tolist()
    settings = teacher.config.to_dict() | {
        teacher.config.attribute_map.get("num_hidden_layers", "num_hidden_layers"): layers
    }
    settings.pop("layer_types", None)  # one a layer; all alike in the models that are used here
    student = AutoModelForCausalLM.from_config(type(teacher.config).from_dict(settings), dtype=torch.float32)
    weights = {}
    for name, tensor in teacher.state_dict().items():
        layer = re.search(r"\.(?:h|layers)\.(\d+)\.", name)  # GPT-2's and Llama's names for the list of layers
        if layer is None:
            weights[name] = tensor
        elif int(layer[1]) in chosen:
            place = chosen.index(int(layer[1]))
            weights[f"{name[: layer.start(1)]}{place}{name[layer.end(1) :]}"] = tensor
    student.load_state_dict(weights)
    return student.to(torch.float32)


def distillation_loss(teacher: Any) -> Loss:
    """The loss of a batch for the student: summed over its target tokens, divided by those of the whole step."""

    def loss(student: Any, inputs: dict[str, torch.Tensor], tokens: Any) -> torch.Tensor:
        inputs = dict(inputs)
        labels = inputs.pop("labels")[:, 1:]
        learned = labels != -100
        with torch.no_grad(), half_precision(labels.device):
            taught = teacher.to(labels.device)(**inputs).logits[:, :-1][learned].float()
        own = student(**inputs).logits[:, :-1][learned].float()
        hard = cross_entropy(own, labels[learned], reduction="sum")
        soft = kl_div(
            log_softmax(own / TEMPERATURE, -1), log_softmax(taught / TEMPERATURE, -1), reduction="sum", log_target=True
        )
        # The squared temperature keeps the soft term's gradients as large as the other's (Hinton et al. 2015).
        return (SOFT_SHARE * TEMPERATURE**2 * soft + (1 - SOFT_SHARE) * hard) / tokens

    return loss
