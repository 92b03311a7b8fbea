"""Create, save and load generators: a base model with a LoRA adapter, or a model with all weights fine-tuned."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError

from movieplots.errors import BadInput
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.precision import FLOAT32_PLAN, RANK, TrainingPlan, dtype_for_sampling
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.training_settings import adapter_info
from movieplots.pretrained.base_models import load_causal_lm, load_config
from movieplots.runs.folder import read_info


def new_generator(
    base_model: str, titles: bool, method: str, plan: TrainingPlan = FLOAT32_PLAN
) -> tuple[Any, PromptTokenizer]:
    """Return the base model, ready for training in the precision of the plan, and its prompt tokenizer.

    The method `lora` adds an adapter of rank 16 to all linear layers (Hu et al. 2022,
    https://arxiv.org/abs/2106.09685); `full` trains all weights. Special tokens that the vocabulary lacks get new rows
    in the embedding matrix, which are always trained. If the base model is a generator with an adapter, training
    continues from this adapter. All weights that are trained are in float32.
    """
    start = adapter_info(base_model)
    model, tokenizer = _base_with_special_tokens(start.base_model if start else base_model, titles, **plan.loading)
    _check_causal(model, base_model)
    # With a cache, transformers treats a packed sequence as one long text, so plots would attend to each other.
    model.config.use_cache = False
    if plan.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if start and tokenizer.new_tokens and start.titles != titles:
        flag = "--titles" if start.titles else "--no-titles"
        raise BadInput(f"{base_model} was trained with the special tokens of {flag} only: pass {flag}.")
    if method == "full":
        return _with_adapter(model, base_model).merge_and_unload().requires_grad_(True) if start else model, tokenizer
    if start and method == "lora":
        return _with_adapter(model, base_model, trainable=True), tokenizer
    config = LoraConfig(
        r=RANK,
        lora_alpha=2 * RANK,
        target_modules="all-linear",
        trainable_token_indices=_trained_rows(model, tokenizer.new_tokens),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config), tokenizer


def save_generator(model: Any, weights: dict[str, torch.Tensor], base_model: str, folder: Path) -> None:
    """Write an adapter, or a whole model, with the state dict `weights` as safetensors.

    An adapter includes new embedding rows, but not the weights of the base model. Weights are stored in float16, which
    halves the file and changes neither samples nor test losses noticeably.
    """
    if isinstance(model, PeftModel):
        config = model.peft_config["default"]
        config.base_model_name_or_path = base_model
        config.target_modules = sorted(config.target_modules)  # the order of a set differs between processes
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        half = {name: tensor.half() if name in trained else tensor for name, tensor in weights.items()}
        model.save_pretrained(folder, state_dict=half, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty card; the generator's card is written later
    else:
        model.config.use_cache = True  # off only during training
        once = {tensor.data_ptr(): tensor.half() for tensor in weights.values()}  # keeps tied weights tied
        half = {name: once[tensor.data_ptr()] for name, tensor in weights.items()}
        model.save_pretrained(folder, state_dict=half)


def load_generator(folder: str | Path) -> tuple[Any, PromptTokenizer, GeneratorInfo]:
    """Load a trained generator as a PyTorch model.

    Parameters
    ----------
    folder : str or Path
        Folder that `train_generator` or `distill` wrote.

    Returns
    -------
    model : transformers.PreTrainedModel
        The model on the CPU, in evaluation mode, with its adapter merged. It is in float32, or in half precision if it
        has at least 500 million parameters and the computer has a GPU.
    tokenizer : PromptTokenizer
        Converts prompts to token ids and back.
    info : GeneratorInfo
        Content of the folder's `movieplots.json`.

    Raises
    ------
    BadInput
        If the folder is not a trained generator, or its weights cannot be loaded.

    Examples
    --------
    >>> from movieplots.generation.model import load_generator
    >>> from movieplots.pretrained import shipped
    >>> model, tokenizer, info = load_generator(shipped.GENERATOR)  # doctest: +SKIP
    >>> info.base_model, model.dtype  # doctest: +SKIP
    ('smollm2-135m', torch.float32)
    """
    info = read_info(folder, GeneratorInfo)
    if not (Path(folder) / "adapter_config.json").is_file():
        model, tokenizer = load_causal_lm(str(folder), dtype=dtype_for_sampling(load_config(str(folder))))
        return model.eval(), PromptTokenizer.of(tokenizer, info), info
    dtype = dtype_for_sampling(load_config(info.base_model))
    model, prompt_tokenizer = _base_with_special_tokens(info.base_model, info.titles, info.anchored, dtype=dtype)
    return _with_adapter(model, folder).merge_and_unload().eval(), prompt_tokenizer, info


def context_of(model: Any) -> int:
    """Return the context length of the model in tokens."""
    return int(getattr(model.config, "max_position_embeddings", 0)) or 2**30


def _with_adapter(model: Any, folder: str | Path, trainable: bool = False) -> PeftModel:
    """Load the adapter in this folder onto its base model."""
    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"The adapter in {folder} cannot be loaded: {str(error).splitlines()[0]}") from None


def _base_with_special_tokens(
    base_model: str, titles: bool, anchored: bool = True, **loading: Any
) -> tuple[Any, PromptTokenizer]:
    model, hub_tokenizer = load_causal_lm(base_model, **loading)
    known = len(hub_tokenizer)
    tokenizer = PromptTokenizer(hub_tokenizer, titles, anchored)
    if len(hub_tokenizer) > known:
        known = min(known, model.get_input_embeddings().weight.shape[0])  # Gemma 3 has a token without a row
        # The mean of the existing rows is a better start than noise (Hewitt 2021), and the same at each load.
        model.resize_token_embeddings(len(hub_tokenizer))
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):  # often tied
            layer.weight.data[known:] = layer.weight.data[:known].mean(dim=0)
    return model, tokenizer


def _trained_rows(model: Any, tokens: list[int]) -> list[int] | dict[str, list[int]] | None:
    """Return the rows of the embedding matrix to train, by layer if the output has a matrix of its own."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    if not tokens or layers[0].weight is layers[1].weight:
        return tokens or None
    return {name: tokens for name, module in model.named_modules() if module in layers}


@torch.inference_mode()
def _check_causal(model: Any, base_model: str) -> None:
    """Reject encoders, which transformers would load with a new head.

    The first output of an encoder depends on the last token; that of a causal language model does not.
    """
    inputs = torch.tensor([[1, 2, 3], [1, 2, 4]], device=model.device)
    first = model.eval()(input_ids=inputs).logits[:, 0].float()
    if not torch.allclose(first[0], first[1], atol=1e-4 if model.dtype == torch.float32 else 0.1):
        raise BadInput(
            f"{base_model} is an encoder, not a causal language model: choose a causal language model such as "
            "smollm2-135m or gpt2."
        )
