"""The classifier's network: an encoder, mean pooling and one linear layer (the head); saving and loading it.

The pooled vector is scaled to a norm of 8 before the head, because sentence encoders are trained for cosine similarity.
"""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from movieplots.classification.imbalance import Loss
from movieplots.errors import BadInput
from movieplots.pretrained.base_models import load_encoder

SCALE = 8.0
MAX_TOKENS = 512  # longer texts are truncated
RANK = 16


class GenreModel(nn.Module):
    """Encoder and head.

    `forward` returns `logits` of shape (batch, labels) and, if `labels` of the same shape are passed, also the `loss`.
    """

    def __init__(self, encoder: Any, labels: int, loss: Loss | None = None) -> None:
        super().__init__()
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # dropout takes a third of a training step on a CPU
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, labels)
        self.loss = loss

    @property
    def max_tokens(self) -> int:
        """Maximum input length in tokens: `MAX_TOKENS`, or less if the encoder has fewer positions."""
        # RoBERTa numbers positions from the padding token's id plus 1, so it never uses two of them.
        return min(MAX_TOKENS, getattr(self.encoder.config, "max_position_embeddings", MAX_TOKENS + 2) - 2)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute the logits, and the loss if labels are passed."""
        logits = self.head(self.pooled(input_ids, attention_mask, inputs_embeds)).float()
        if labels is None or self.loss is None:
            return {"logits": logits}
        return {"loss": self.loss(logits, labels), "logits": logits}

    def pooled(
        self, input_ids: torch.Tensor | None, attention_mask: torch.Tensor, inputs_embeds: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the input of the head for each text: shape (batch, hidden size), norm `SCALE`."""
        given = {"input_ids": input_ids} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
        hidden = self.encoder(**given, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).float()
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return SCALE * nn.functional.normalize(mean, dim=-1)

    def calibrate(self, shift: torch.Tensor, temperature: float) -> None:
        """Build the calibration into the head: logits become ``(logit - shift) / temperature``."""
        with torch.no_grad():
            self.head.bias.sub_(shift.to(self.head.bias)).div_(temperature)
            self.head.weight.div_(temperature)


def layers_of(encoder: Any) -> nn.ModuleList:
    """Return the encoder's layers from bottom to top. Raises BadInput for an unknown architecture."""
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


def keep_layers(encoder: Any, layers: int) -> None:
    """Keep only this number of the encoder's layers, evenly spaced from the first to the last.

    The same initialization as DistilBERT's (`Sanh et al. 2019 <https://arxiv.org/abs/1910.01108>`_).
    """
    own = layers_of(encoder)
    if not 1 <= layers <= len(own):
        raise BadInput(f"--layers must be from 1 to {len(own)}, the number of layers of the base model, not {layers}.")
    chosen = torch.linspace(0, len(own) - 1, layers).round().int().tolist()
    kept = [own[i] for i in chosen]
    if kinds := getattr(encoder.config, "layer_types", None):  # one per layer, if they differ
        encoder.config.layer_types = [kinds[i] for i in chosen]
    while len(own):
        del own[-1]
    own.extend(kept)
    encoder.config.num_hidden_layers = layers


def add_lora(model: GenreModel) -> None:
    """Freeze the encoder and add LoRA adapters of rank `RANK` to all its linear layers, in place.

    Source: `Hu et al. 2022 <https://arxiv.org/abs/2106.09685>`_.
    """
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
    model.encoder = get_peft_model(model.encoder, config)


def merge_lora(model: GenreModel) -> None:
    """Merge the LoRA adapters, if any, into the encoder's weights."""
    if hasattr(model.encoder, "merge_and_unload"):
        model.encoder = model.encoder.merge_and_unload()


def save_genre_model(model: GenreModel, tokenizer: Any, folder: Path) -> None:
    """Write encoder (Hugging Face format), head and tokenizer as safetensors and JSON."""
    model.encoder.save_pretrained(folder)
    save_file(model.head.state_dict(), folder / "head.safetensors")
    tokenizer.save_pretrained(folder)


def load_genre_model(folder: str | Path, labels: int) -> tuple[GenreModel, Any]:
    """Load (model in evaluation mode, tokenizer) from the folder of a trained classifier."""
    encoder, tokenizer = load_encoder(str(folder))
    model = GenreModel(encoder, labels)
    try:
        model.head.load_state_dict(load_file(Path(folder) / "head.safetensors"))
    except (OSError, RuntimeError, SafetensorError):
        raise BadInput(
            f"{folder}/head.safetensors is missing or does not fit the labels: train the classifier again with "
            "--overwrite."
        ) from None
    return model.eval(), tokenizer
