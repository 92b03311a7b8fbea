"""The generator as a model: LoRA on a base or all of its weights, the folder it is kept in, and loading it back."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.training_settings import adapter_info
from movieplots.pretrained.base_models import load_causal_lm
from movieplots.runs.folder import read_info

RANK = 16


def new_generator(base_model: str, titles: bool, method: str) -> tuple[Any, PromptTokenizer]:
    """The base in float32, ready to be trained: `lora` adds an adapter, `full` trains all weights.

    The adapter has rank 16 and sits on all linear layers (Hu et al. 2022). Marks for which the base has no stand-in
    get new rows in the embedding matrix, which are always trained. A base that is itself a trained generator's folder
    is trained further, its adapter where it left off.
    """
    start = adapter_info(base_model)
    model, tokenizer = _base_with_marks(start.base_model if start else base_model, titles)
    _check_causal(model, base_model)
    # With a cache, transformers takes packed blocks for one long text: plots would see their neighbours.
    model.config.use_cache = False
    if start and tokenizer.new_tokens and start.titles != titles:
        flag = "--titles" if start.titles else "--no-titles"
        raise BadInput(f"{base_model} has learned the special tokens of {flag} alone: choose that.")
    if method == "full":
        return _adapted(model, base_model).merge_and_unload().requires_grad_(True) if start else model, tokenizer
    if start and method == "lora":
        return _adapted(model, base_model, trainable=True), tokenizer
    config = LoraConfig(
        r=RANK,
        lora_alpha=2 * RANK,
        target_modules="all-linear",
        trainable_token_indices=tokenizer.new_tokens or None,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config), tokenizer


def save_generator(model: Any, weights: dict[str, torch.Tensor], base_model: str, folder: Path) -> None:
    """Write an adapter or a whole model, of which `weights` is the state dict, as safetensors.

    An adapter holds the vocabulary's new rows, but not the base's weights. Both are kept in float16, which halves the
    file; sampling and held-out losses do not notice.
    """
    if isinstance(model, PeftModel):
        config = model.peft_config["default"]
        config.base_model_name_or_path = base_model
        config.target_modules = sorted(config.target_modules)  # a set has another order in each process
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        half = {name: tensor.half() if name in trained else tensor for name, tensor in weights.items()}
        model.save_pretrained(folder, state_dict=half, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty card; ours is written afterwards
    else:
        model.config.use_cache = True  # off in training only
        once = {tensor.data_ptr(): tensor.half() for tensor in weights.values()}  # tied ones stay one
        half = {name: once[tensor.data_ptr()] for name, tensor in weights.items()}
        model.save_pretrained(folder, state_dict=half)


def load_generator(folder: str | Path) -> tuple[Any, PromptTokenizer, GeneratorInfo]:
    """(model in float32 with the adapter merged in, tokenizer, info) of a trained generator's folder."""
    info = read_info(folder, GeneratorInfo)
    if not (Path(folder) / "adapter_config.json").is_file():
        model, tokenizer = load_causal_lm(str(folder))
        return model.eval(), PromptTokenizer.of(tokenizer, info), info
    model, markup_tokenizer = _base_with_marks(info.base_model, info.titles, info.anchored)
    return _adapted(model, folder).merge_and_unload().eval(), markup_tokenizer, info


def context_of(model: Any) -> int:
    """The most tokens the model can read at once."""
    return int(getattr(model.config, "max_position_embeddings", 0)) or 2**30


def _adapted(model: Any, folder: str | Path, trainable: bool = False) -> PeftModel:
    """The base with the adapter in this folder."""
    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"The adapter in {folder} cannot be loaded: {str(error).splitlines()[0]}") from None


def _base_with_marks(base_model: str, titles: bool, anchored: bool = True) -> tuple[Any, PromptTokenizer]:
    model, hub_tokenizer = load_causal_lm(base_model)
    known = len(hub_tokenizer)
    tokenizer = PromptTokenizer(hub_tokenizer, titles, anchored)
    if len(hub_tokenizer) > known:
        # The mean of the old rows is a better start than noise (Hewitt 2021), and the same on every load.
        model.resize_token_embeddings(len(hub_tokenizer))
        embeddings = model.get_input_embeddings().weight.data
        embeddings[known:] = embeddings[:known].mean(dim=0)
    return model, tokenizer


@torch.inference_mode()
def _check_causal(model: Any, base_model: str) -> None:
    """Refuse an encoder, which transformers would load with a new head: its first output changes with the last word."""
    ends = torch.tensor([[1, 2, 3], [1, 2, 4]])
    first = model.eval()(input_ids=ends).logits[:, 0]
    if not torch.allclose(first[0], first[1], atol=1e-4):
        raise BadInput(
            f"{base_model} is an encoder, not a language model that writes from left to right: "
            "choose a causal one such as smollm2-135m or gpt2."
        )
