"""The classifier's network: a sequence classifier of transformers (`AutoModelForSequenceClassification`).

It consists of an encoder and a head, which ends in a linear layer with one output per genre, the output layer. Between
them the head has what its architecture prescribes: for BERT, a pooler on the first token.
"""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification

from movieplots.errors import BadInput
from movieplots.pretrained.base_models import load_pretrained, load_tokenizer

MAX_TOKENS = 512  # longer texts are truncated
RANK = 16


def new_model(base_model: str, labels: list[str]) -> tuple[Any, Any]:
    """Load (model, tokenizer) of a base model, with a new output layer for these labels.

    The tokenizer's `model_max_length` is the maximum input length: `MAX_TOKENS`, or less if the encoder has fewer
    positions. Raises BadInput for an unknown architecture.
    """
    model = load_pretrained(
        AutoModelForSequenceClassification,
        base_model,
        problem_type="multi_label_classification",
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        ignore_mismatched_sizes=True,  # the base model may be a classifier of other genres
    )
    layers_of(model)  # raises BadInput
    without_dropout(model)
    tokenizer = load_tokenizer(base_model)
    # RoBERTa numbers positions from the padding token's id plus 1, so it never uses two of them.
    positions = getattr(model.config, "max_position_embeddings", MAX_TOKENS + 2) - 2
    tokenizer.model_max_length = min(MAX_TOKENS, positions)
    return model, tokenizer


def load_model(folder: str | Path, labels: list[str]) -> tuple[Any, Any]:
    """Load (model in evaluation mode, tokenizer) from the folder of a trained classifier."""
    model = load_pretrained(AutoModelForSequenceClassification, str(folder))
    if list(model.config.id2label.values()) != labels:
        raise BadInput(
            f"{folder}/config.json does not fit the labels, as in classifiers that an earlier version trained: train "
            "the classifier again with --overwrite."
        )
    return model.eval(), load_tokenizer(str(folder))


def without_dropout(model: nn.Module) -> None:
    """Set all dropout to 0, which saves a third of a training step on a CPU."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def head_parameters(model: Any) -> list[nn.Parameter]:
    """Return the parameters of the head, a pooler of the encoder included."""
    encoder = {id(parameter) for name, parameter in model.base_model.named_parameters() if "pooler." not in name}
    return [parameter for parameter in model.parameters() if id(parameter) not in encoder]


def head_layers(model: Any) -> dict[str, nn.Linear]:
    """Return the linear layers of the head by name; the last one is the output layer."""
    head = {id(parameter) for parameter in head_parameters(model)}
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {name: module for name, module in linear.items() if id(module.weight) in head}


def output_layer(model: Any) -> nn.Linear:
    """Return the output layer."""
    return list(head_layers(model).values())[-1]


def layers_of(model: Any) -> nn.ModuleList:
    """Return the encoder's layers from bottom to top. Raises BadInput for an unknown architecture."""
    encoder = model.base_model
    inner = encoder.get_base_model() if hasattr(encoder, "get_base_model") else encoder
    holder = getattr(inner, "encoder", None) or getattr(inner, "transformer", None)  # BERT, RoBERTa; DistilBERT
    layers = getattr(holder, "layer", None)
    if inner.config.model_type == "modernbert":
        layers = inner.layers
    if isinstance(layers, nn.ModuleList):
        return layers
    raise BadInput(
        f"A {inner.config.model_type} model cannot be the base model of a classifier: "
        "choose an encoder such as BERT or RoBERTa."
    )


def keep_layers(model: Any, layers: int) -> None:
    """Keep only this number of the encoder's layers, evenly spaced from the first to the last.

    The same initialization as DistilBERT's (`Sanh et al. 2019 <https://arxiv.org/abs/1910.01108>`_).
    """
    own = layers_of(model)
    if not 1 <= layers <= len(own):
        raise BadInput(f"--layers must be from 1 to {len(own)}, the number of layers of the base model, not {layers}.")
    chosen = torch.linspace(0, len(own) - 1, layers).round().int().tolist()
    kept = [own[i] for i in chosen]
    if kinds := getattr(model.config, "layer_types", None):  # one per layer, if they differ
        model.config.layer_types = [kinds[i] for i in chosen]
    while len(own):
        del own[-1]
    own.extend(kept)
    model.config.num_hidden_layers = layers


def add_lora(model: Any) -> None:
    """Freeze the encoder and add LoRA adapters of rank `RANK` to all its linear layers, in place.

    The head is trained as a whole. Source: `Hu et al. 2022 <https://arxiv.org/abs/2106.09685>`_.
    """
    encoder = model.base_model
    poolers = [name for name, _ in encoder.named_modules() if name.startswith("pooler.")]
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", exclude_modules=poolers or None)
    setattr(model, model.base_model_prefix, get_peft_model(encoder, config))
    for parameter in head_parameters(model):
        parameter.requires_grad_(True)


def merge_lora(model: Any) -> None:
    """Merge the LoRA adapters, if any, into the encoder's weights."""
    if hasattr(model.base_model, "merge_and_unload"):
        setattr(model, model.base_model_prefix, model.base_model.merge_and_unload())


def calibrate(model: nn.Module, shift: torch.Tensor, temperature: float) -> None:
    """Build the calibration into the output layer: logits become ``(logit - shift) / temperature``."""
    output = output_layer(model)
    with torch.no_grad():
        output.bias.sub_(shift.to(output.bias)).div_(temperature)
        output.weight.div_(temperature)
