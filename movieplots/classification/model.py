"""The genre model: an encoder, mean pooling, and one linear head; its folder, and loading it back.

The pooled vector is normalised to length 1 and scaled by 8 before the head, since sentence encoders are trained to be
compared by direction.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from movieplots.base_models import load_encoder
from movieplots.errors import BadInput
from movieplots.model_folder import read_info

SCALE = 8.0


class GenreModel(nn.Module):
    """Encoder and head. `forward` gives `logits` (batch, labels) and, with `labels` (batch, labels), the `loss`."""

    def __init__(self, encoder: Any, labels: int, positive_weights: torch.Tensor | None = None) -> None:
        super().__init__()
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # costs a third of a training step on a CPU
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, labels)
        self.register_buffer("positive_weights", positive_weights, persistent=False)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).float()
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        logits = self.head(SCALE * nn.functional.normalize(pooled, dim=-1)).float()
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=self.positive_weights)
        return {"loss": loss, "logits": logits}


def save_genre_model(model: GenreModel, tokenizer: Any, folder: Path) -> None:
    """Write encoder (Hugging Face format), head and tokenizer; safetensors, no pickle."""
    model.encoder.save_pretrained(folder)
    save_file(model.head.state_dict(), folder / "head.safetensors")
    tokenizer.save_pretrained(folder)


def load_genre_model(folder: str | Path) -> tuple[GenreModel, Any, dict[str, Any]]:
    """(model in evaluation mode, tokenizer, info) of a trained classifier's folder."""
    info = read_info(folder, "classification")
    encoder, tokenizer = load_encoder(str(folder))
    model = GenreModel(encoder, len(info["labels"]))
    try:
        model.head.load_state_dict(load_file(Path(folder) / "head.safetensors"))
    except (OSError, RuntimeError, SafetensorError):
        raise BadInput(
            f"{folder}/head.safetensors is missing or does not fit its labels: train the classifier again with --fresh."
        ) from None
    return model.eval(), tokenizer, info
