"""Distillation: a student of fewer layers learns from the plots and from what a fine-tuned teacher would say.

As DistilGPT-2 and DistilBERT (Sanh et al. 2019) the student starts as every other layer of the teacher, here without
their third term, the likeness of hidden states. It costs little quality and halves the time per token.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import AutoModelForCausalLM

from movieplots.errors import BadInput
from movieplots.files import check_folder
from movieplots.generation.model import load_generator
from movieplots.generation.recipe import DEFAULTS, check_settings, make_recipe
from movieplots.generation.training import Made, train
from movieplots.model_folder import read_info
from movieplots.progress import say
from movieplots.training import Loss, half_precision

TEMPERATURE = 2.0
SOFT_SHARE = 0.5  # of the loss; the rest is the usual one
LEARNING_RATE = 3e-4


def distill(
    teacher: str | Path,
    data: str | Path,
    layers: int,
    out: str | Path,
    max_steps: int | None = None,
    time_limit: float | None = None,
    *,
    learning_rate: float | None = None,
    schedule: str = "linear",
    patience: int | None = None,
    block_size: int = 512,
    blocks_per_step: int = 2,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """Train a student with `layers` of the layers of the generator in the folder `teacher`; returns its info.

    All of the student's weights are trained, on the training plots of `data`, half by the plots' own tokens and half by
    the teacher's probabilities (Hinton et al. 2015). The other arguments, and what happens to a killed run, are those
    of `train_generator`; the default learning rate is 3e-4. The loss before is the untrained student's.
    """
    if layers < 1:
        raise BadInput(f"--layers must be at least 1, not {layers}.")
    rate = LEARNING_RATE if learning_rate is None else learning_rate
    settings = DEFAULTS | {
        "method": "full", "max_steps": max_steps, "time_limit": time_limit, "schedule": schedule, "patience": patience,
        "block_size": block_size, "blocks_per_step": blocks_per_step, "seed": seed,
    }  # fmt: skip
    check_settings(None, rate, settings)  # before the teacher is looked for
    check_folder(out)
    known = read_info(teacher, "generation")
    recipe = make_recipe(known["base"], known["markup"], rate, **settings) | {
        "layers": layers,
        "teacher": known["recipe"],
    }

    def make() -> Made:
        say(f"Loading the teacher {teacher} …")
        model, tokenizer, _ = load_generator(teacher)
        student = new_student(model, layers)
        student.config.use_cache = False  # with one, packed plots would see their neighbours
        model.config.use_cache = False
        return student, tokenizer, distillation_loss(model.requires_grad_(False))

    return train(data, Path(out), recipe, make, fresh, teacher)


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
