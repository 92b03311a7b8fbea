"""Knowledge distillation: train a student with fewer layers on the plots and on a fine-tuned teacher's predictions.

The student starts from evenly spaced layers of the teacher, as for DistilBERT and DistilGPT-2 (Sanh et al. 2019), but
without their third loss term, the cosine similarity of hidden states. With half of the layers it loses little quality
and needs half of the time per token.
"""

import re
from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import AutoModelForCausalLM

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import load_generator
from movieplots.generation.training import TrainingSetup, measure_corpus, run_generator_training
from movieplots.generation.training_settings import DistillationSettings
from movieplots.progress import notify
from movieplots.runs.fit import Loss, half_precision
from movieplots.runs.folder import read_info
from movieplots.runs.lifecycle import Run
from movieplots.settings import takes

TEMPERATURE = 2.0
SOFT_WEIGHT = 0.5  # of the teacher's term in the loss; the rest is the cross-entropy


@takes(DistillationSettings)
def distill(settings: DistillationSettings) -> GeneratorInfo:
    """Train a student that has fewer layers than its teacher, a trained generator.

    The student starts from evenly spaced layers of the teacher, and all of its weights are trained. An interrupted run
    resumes as described for `train_generator`.

    Returns
    -------
    GeneratorInfo
        Content of the student's `movieplots.json`. `metrics.test_loss_before` is the loss of the untrained student.

    Raises
    ------
    BadInput
        If `layers` is not below the number of the teacher's layers, and in the cases described for `train_generator`.

    Notes
    -----
    The loss is the mean of two terms: the cross-entropy on the plots' tokens, and the KL divergence from the teacher's
    predictions at temperature 2, scaled by 2² (`Hinton et al. 2015 <https://arxiv.org/abs/1503.02531>`_). The
    initialization from the teacher's layers is that of `Sanh et al. (2019) <https://arxiv.org/abs/1910.01108>`_.

    Examples
    --------
    >>> from movieplots.generation.distillation import distill
    >>> info = distill("runs/gpt2", "runs/plots", "runs/student", layers=6)  # doctest: +SKIP
    >>> info.metrics.test_loss_after < info.metrics.test_loss_before  # doctest: +SKIP
    True
    """
    known = read_info(settings.teacher, GeneratorInfo)

    def make(run: Run[DistillationSettings]) -> TrainingSetup:
        notify(f"Loading the teacher {settings.teacher} …")
        model, tokenizer, _ = load_generator(settings.teacher)
        student = new_student(model, settings.layers)
        student.config.use_cache = False  # with a cache, packed plots would attend to each other
        model.config.use_cache = False
        corpus = measure_corpus(run.parts["train"], student, tokenizer, run.settings)
        return TrainingSetup(
            known.base_model, student, tokenizer, corpus, distillation_loss(model.requires_grad_(False))
        )

    return run_generator_training(settings, make)


def new_student(teacher: Any, layers: int) -> Any:
    """Return a model of the teacher's architecture with `layers` of its layers, evenly spaced from first to last."""
    depth = teacher.config.num_hidden_layers
    if not 1 <= layers < depth:
        raise BadInput(f"--layers must be at least 1 and below the teacher's {depth} layers, not {layers}.")
    chosen = torch.linspace(0, depth - 1, layers).round().int().tolist()
    settings = teacher.config.to_dict() | {
        teacher.config.attribute_map.get("num_hidden_layers", "num_hidden_layers"): layers
    }
    if kinds := settings.get("layer_types"):  # such as Gemma's layers with a sliding window
        settings["layer_types"] = [kinds[layer] for layer in chosen]
    student = AutoModelForCausalLM.from_config(type(teacher.config).from_dict(settings), dtype=torch.float32)
    weights = {}
    for name, tensor in teacher.state_dict().items():
        layer = re.search(r"\.(?:h|layers)\.(\d+)\.", name)  # GPT-2 names its list of layers `h`, Llama `layers`
        if layer is None:
            weights[name] = tensor
        elif int(layer[1]) in chosen:
            place = chosen.index(int(layer[1]))
            weights[f"{name[: layer.start(1)]}{place}{name[layer.end(1) :]}"] = tensor
    student.load_state_dict(weights)
    return student.to(torch.float32)


def distillation_loss(teacher: Any) -> Loss:
    """Return the student's loss function: the sum over a batch's target tokens, divided by those of the whole step."""

    def loss(student: Any, inputs: dict[str, torch.Tensor], tokens: Any) -> torch.Tensor:
        inputs = dict(inputs)
        labels = inputs.pop("labels")[:, 1:]
        has_target = labels != -100
        with torch.no_grad(), half_precision(labels.device, teacher.config):
            targets = teacher.to(labels.device)(**inputs).logits[:, :-1][has_target].float()
        own = student(**inputs).logits[:, :-1][has_target].float()
        hard = cross_entropy(own, labels[has_target], reduction="sum")
        soft = kl_div(
            log_softmax(own / TEMPERATURE, -1), log_softmax(targets / TEMPERATURE, -1), reduction="sum", log_target=True
        )
        # The factor T² keeps the gradients of both terms at the same scale (Hinton et al. 2015).
        return (SOFT_WEIGHT * TEMPERATURE**2 * soft + (1 - SOFT_WEIGHT) * hard) / tokens

    return loss
