"""The generator as a model: LoRA on a base, its folder, and loading it back."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError

from movieplots.base_models import load_causal_lm
from movieplots.errors import BadInput
from movieplots.generation.markup import MarkupTokenizer
from movieplots.model_folder import read_info

RANK = 16


def new_adapter(base: str, markup: str) -> tuple[PeftModel, MarkupTokenizer]:
    """The base with an untrained LoRA adapter of rank 16 on all linear layers (Hu et al. 2021).

    Marks for which the base has no stand-in get new rows in the embedding matrix, and these rows are trained too.
    """
    model, tokenizer = _base_with_marks(base, markup)
    _check_causal(model, base)
    # With a cache, transformers takes packed blocks for one long text: plots would see their neighbours.
    model.config.use_cache = False
    config = LoraConfig(
        r=RANK,
        lora_alpha=2 * RANK,
        target_modules="all-linear",
        trainable_token_indices=tokenizer.new_tokens or None,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config), tokenizer


def save_adapter(model: PeftModel, base: str, folder: Path) -> None:
    """Write the adapter as safetensors; the vocabulary's new rows are part of it, the base's weights are not."""
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty card; ours is written afterwards


def load_generator(folder: str | Path) -> tuple[Any, MarkupTokenizer, dict[str, Any]]:
    """(model in float32 with the adapter merged in, tokenizer, info) of a trained generator's folder."""
    info = read_info(folder, "generation")
    model, tokenizer = _base_with_marks(info["base"], info["markup"])
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"The adapter in {folder} cannot be loaded: {str(error).splitlines()[0]}") from None
    return adapted.merge_and_unload().eval(), tokenizer, info


def _base_with_marks(base: str, markup: str) -> tuple[Any, MarkupTokenizer]:
    model, hub_tokenizer = load_causal_lm(base)
    tokenizer = MarkupTokenizer(hub_tokenizer, markup)
    if tokenizer.new_tokens:
        # The mean of the old rows is a better start than noise (Hewitt 2021), and the same on every load.
        model.resize_token_embeddings(len(hub_tokenizer))
        embeddings = model.get_input_embeddings().weight.data
        first_new = min(tokenizer.new_tokens)
        embeddings[first_new:] = embeddings[:first_new].mean(dim=0)
    return model, tokenizer


@torch.inference_mode()
def _check_causal(model: Any, base: str) -> None:
    """Refuse an encoder, which transformers would load with a new head: its first output changes with the last word."""
    ends = torch.tensor([[1, 2, 3], [1, 2, 4]])
    first = model.eval()(input_ids=ends).logits[:, 0]
    if not torch.allclose(first[0], first[1], atol=1e-4):
        raise BadInput(
            f"{base} is an encoder, not a language model that writes from left to right: "
            "choose a causal one such as smollm2-135m or gpt2."
        )
