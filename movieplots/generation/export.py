"""Export generators to GGUF, the file format of llama.cpp and the programs built on it.

There are two kinds of files: the whole model with its adapter merged, and the adapter alone, with a few megabytes, for
the GGUF file of `smollm2-135m` from PyPI. The `gguf` package writes them: tensor names are from its tables, and the
layout of the tensors is what llama.cpp expects for the two architectures (llama, gpt2).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from movieplots.errors import BadInput
from movieplots.files import atomic_path, check_file, content_fingerprint, fingerprint, read_json
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import END_OF_GENRE, PromptTokenizer, SavedTokenizer, format_sample
from movieplots.generation.sampling_settings import ExportSettings
from movieplots.pretrained.base_models import cache_folder, identity, packaged_file
from movieplots.progress import notify
from movieplots.runs.folder import read_info, to_json
from movieplots.settings import Json, takes

ADAPTER_BASE_MODEL = "smollm2-135m"
DECODED_TYPE = "q8_0"  # type of the weights for the llama.cpp backend
LAYOUT = 1  # version of the cached files; increment it if their content changes


class UnsupportedModel(BadInput):
    """Raised for a model or tokenizer that cannot be exported to GGUF."""


@takes(ExportSettings)
def export_gguf(settings: ExportSettings) -> Path:
    """Export a generator to a GGUF file.

    The file contains the whole model with its adapter merged, or with `adapter` only the adapter in float16. The
    vocabulary has the special tokens of the prompt format under their names (`<|endofgenre|>`), so any program that
    runs GGUF files can continue a prompt in this format. An adapter fits the GGUF file of `smollm2-135m`.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    BadInput
        If the architecture or tokenizer is not supported, or if `adapter` is true and the generator is not an adapter
        on `smollm2-135m`.

    Examples
    --------
    >>> from movieplots.generation.export import export_gguf
    >>> from movieplots.pretrained import shipped
    >>> file = export_gguf(shipped.GENERATOR, "runs/adapter.gguf", adapter=True)
    >>> file.name, file.stat().st_size < 20e6
    ('adapter.gguf', True)
    """
    file, folder = check_file(settings.output, "generator.gguf"), Path(settings.model)
    if settings.adapter:
        _write_adapter(folder, file)
        return file
    from movieplots.generation.model import load_generator

    model, tokenizer, info = load_generator(folder)
    write_gguf(model, tokenizer, file, settings.type or DECODED_TYPE, f"movie-plot generator on {info.base_model}")
    return file


def _write_adapter(folder: Path, file: Path) -> None:
    info = read_info(folder, GeneratorInfo)
    is_adapter = (folder / "adapter_config.json").is_file()
    if info.base_model != ADAPTER_BASE_MODEL or not is_adapter:
        what = f"is an adapter on {info.base_model}" if is_adapter else "has no adapter"
        raise BadInput(
            f"The generator in {folder} {what}, and only adapters on {ADAPTER_BASE_MODEL} can be exported alone: "
            "export the whole model, without --adapter."
        )
    alpha, tensors = _adapter(folder)
    with atomic_path(file) as temporary:
        writer = _Writer(temporary, "llama", f"movie-plot adapter on {info.base_model}")
        writer.string("general.type", "adapter")
        writer.string("adapter.type", "lora")
        writer.float("adapter.lora.alpha", alpha)
        for name, tensor in tensors.items():
            writer.tensor(name, tensor, "f16")
        writer.close()


def _adapter(folder: Path) -> tuple[float, dict[str, np.ndarray]]:
    """Read an adapter on the packaged base model: (alpha, tensors `….lora_a` and `….lora_b` by their GGUF names)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config = read_json(folder / "adapter_config.json", "train the model again with --overwrite")
    # llama.cpp adds alpha / rank * lora_b @ lora_a to a weight; rank-stabilized LoRA scales by alpha / sqrt(rank).
    alpha = config["lora_alpha"] * (config["r"] ** 0.5 if config.get("use_rslora") else 1)
    heads = {"q_proj": 9, "k_proj": 3}
    names = _tensor_names("llama", 30)
    try:
        stored = load_file(folder / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise BadInput(f"The adapter in {folder} cannot be loaded: {str(error).splitlines()[0]}") from None
    tensors = {}
    for name, tensor in stored.items():
        module, _, part = name.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        target = names(module + ".weight")
        if target is None or part not in ("lora_A", "lora_B"):
            raise BadInput(f"The adapter in {folder} has {name}, which GGUF does not support: export the whole model.")
        if part == "lora_B":
            tensor = _llama_layout(module, tensor, heads)
        tensors[f"{target}.{part.lower()}"] = tensor.astype(np.float32)
    return alpha, tensors


def cached_gguf(folder: str | Path, info: GeneratorInfo) -> tuple[Path, int]:
    """Return the GGUF file of a generator for the llama.cpp backend, converting it if necessary.

    The file is converted at first use, and again if the generator in the folder changes; the old file is then deleted.

    Returns
    -------
    file : pathlib.Path
        The file in the cache folder.
    context : int
        Context length of the model in tokens.

    Raises
    ------
    BadInput
        If the model cannot be exported to GGUF, or the conversion needs torch and it is not installed.
    """
    folder = Path(folder)
    cache = cache_folder() / "gguf" / fingerprint(str(folder.resolve()))
    base_model = identity(info.base_model) if (folder / "adapter_config.json").is_file() else None
    version = fingerprint(LAYOUT, DECODED_TYPE, to_json(info), base_model, content_fingerprint(folder, "*"))
    for file in cache.glob(f"{version}.*.gguf"):
        return file, int(file.name.split(".")[1])  # the name has the context length, because reading GGUF is slower
    notify(f"Converting {folder} for llama.cpp once into {cache} …")
    if info.base_model == ADAPTER_BASE_MODEL and (folder / "adapter_config.json").is_file():
        context = _packaged_context()
        out = cache / f"{version}.{context}.gguf"
        _write_merged(folder, info, out)
    else:
        try:
            from movieplots.generation.model import context_of, load_generator
        except ModuleNotFoundError:
            raise BadInput(
                f"{folder} must be converted once for llama.cpp, which needs torch: run `pip install torch`."
            ) from None

        model, tokenizer, _ = load_generator(folder)
        context = context_of(model)
        out = cache / f"{version}.{context}.gguf"
        write_gguf(model, tokenizer, out, DECODED_TYPE, str(folder), spelled=False)
    for file in cache.glob("*.gguf"):
        if file != out:
            file.unlink(missing_ok=True)
    return out, context


def write_gguf(model: Any, tokenizer: PromptTokenizer, out: Path, kind: str, name: str, spelled: bool = True) -> None:
    """Write a causal language model on the CPU and its vocabulary atomically to the file `out`.

    Without `spelled` all tokens are control tokens with numbers as names, and have no text. Then llama.cpp's server
    returns each token immediately, instead of waiting until a character is complete.

    Raises
    ------
    UnsupportedModel
        If the architecture or the tokenizer is not supported.
    """
    architecture = model.config.model_type
    if architecture not in _PARAMETERS:
        supported = " and ".join(_PARAMETERS)
        raise UnsupportedModel(f"GGUF export supports the model types {supported}, not {architecture}.")
    with atomic_path(out) as temporary:
        writer = _Writer(temporary, architecture, name)
        _PARAMETERS[architecture](writer, model.config)
        writer.string("general.type", "model")
        _write_vocabulary(writer, tokenizer, model.config.vocab_size, spelled)
        for target, tensor in _tensors(model, architecture):
            writer.tensor(target, tensor, _weight_type(target, tensor, kind))
        writer.close()


def _write_merged(folder: Path, info: GeneratorInfo, out: Path) -> None:
    """Merge an adapter into the packaged base model and write the file of `write_gguf(spelled=False)` without torch."""
    from gguf import GGUFReader, dequantize

    alpha, tensors = _adapter(folder)
    base_model = GGUFReader(packaged_file(ADAPTER_BASE_MODEL))
    with atomic_path(out) as temporary:
        writer = _Writer(temporary, "llama", str(folder))
        for key, field in base_model.fields.items():
            if key.startswith("llama."):
                (writer.float if isinstance(field.contents(), float) else writer.number)(key, field.contents())
        writer.string("general.type", "model")
        tokenizer = PromptTokenizer.of(SavedTokenizer(folder), info)
        for weight in base_model.tensors:
            tensor = dequantize(weight.data, weight.tensor_type)
            tensor = tensor.astype(np.float16).astype(np.float32)  # like the copy of the base model for torch
            if weight.name == "token_embd.weight":
                _write_vocabulary(writer, tokenizer, len(tensor), spelled=False)
            lora = [tensors.get(f"{weight.name}.lora_{part}") for part in "ab"]
            if lora[0] is not None:
                tensor += alpha / len(lora[0]) * (lora[1] @ lora[0])
            writer.tensor(weight.name, tensor, _weight_type(weight.name, tensor, DECODED_TYPE))
        writer.close()


def _packaged_context() -> int:
    from gguf import GGUFReader

    return int(GGUFReader(packaged_file(ADAPTER_BASE_MODEL)).fields["llama.context_length"].contents())


class _Writer:
    """A wrapper of gguf's writer for the required entries, with the number types that llama.cpp expects."""

    def __init__(self, path: Path, architecture: str, name: str) -> None:
        from gguf import GGUFWriter

        self.gguf = GGUFWriter(path, architecture, use_temp_file=False)
        self.architecture = architecture
        self.string("general.name", name)

    def string(self, key: str, value: str) -> None:
        """Write a text."""
        self.gguf.add_string(key, value)

    def float(self, key: str, value: float) -> None:
        """Write a number."""
        self.gguf.add_float32(key, value)

    def number(self, key: str, value: int) -> None:
        """Write a count; a key that starts with a dot gets the architecture as its prefix."""
        self.gguf.add_uint32(self.architecture + key if key.startswith(".") else key, value)

    def tensor(self, name: str, tensor: np.ndarray, kind: str) -> None:
        """Write a tensor, quantized to the type `kind`."""
        from gguf import GGMLQuantizationType, quantize

        type_ = GGMLQuantizationType[kind.upper()]
        self.gguf.add_tensor(name, quantize(np.ascontiguousarray(tensor, dtype=np.float32), type_), raw_dtype=type_)

    def close(self) -> None:
        """Write everything to the file."""
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def _llama_parameters(writer: _Writer, config: Any) -> None:
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        raise UnsupportedModel(f"GGUF export does not support rotary embeddings of the type {rope['rope_type']}.")
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.number(".context_length", config.max_position_embeddings)
    writer.number(".embedding_length", config.hidden_size)
    writer.number(".block_count", config.num_hidden_layers)
    writer.number(".feed_forward_length", config.intermediate_size)
    writer.number(".attention.head_count", heads)
    writer.number(".attention.head_count_kv", config.num_key_value_heads)
    writer.number(".attention.key_length", size)
    writer.number(".attention.value_length", size)
    writer.number(".rope.dimension_count", size)
    writer.float("llama.rope.freq_base", rope.get("rope_theta", 10000.0))
    writer.float("llama.attention.layer_norm_rms_epsilon", config.rms_norm_eps)


def _gpt2_parameters(writer: _Writer, config: Any) -> None:
    writer.number(".context_length", config.n_positions)
    writer.number(".embedding_length", config.n_embd)
    writer.number(".block_count", config.n_layer)
    writer.number(".feed_forward_length", config.n_inner or 4 * config.n_embd)
    writer.number(".attention.head_count", config.n_head)
    writer.float("gpt2.attention.layer_norm_epsilon", config.layer_norm_epsilon)


_PARAMETERS = {"llama": _llama_parameters, "gpt2": _gpt2_parameters}


def _tensors(model: Any, architecture: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (GGUF name, float32 weights in llama.cpp's layout) of each parameter, without tied output weights."""
    config = model.config
    names = _tensor_names(architecture, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": getattr(config, "num_key_value_heads", None)}
    output = model.get_output_embeddings().weight
    tied = output.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    for name, parameter in model.named_parameters():  # names tied weights once, as the input embeddings
        target = names(name)
        if target is None or (tied and target == "output.weight"):
            raise UnsupportedModel(f"GGUF export does not support this model's parameter {name}.")
        tensor = parameter.detach().float().numpy()
        if architecture == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            tensor = tensor.T  # GPT-2 stores linear layers as (inputs, outputs)
        if architecture == "llama":
            tensor = _llama_layout(name.removesuffix(".weight").removesuffix(".bias"), tensor, heads)
        yield target, tensor


def _tensor_names(architecture: str, blocks: int) -> Any:
    """Return a function from a parameter's name in transformers to its GGUF name, or None for an unknown one."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    table = get_tensor_name_map(MODEL_ARCH[architecture.upper()], blocks)
    return lambda name: table.get_name(name, try_suffixes=(".weight", ".bias"))


def _llama_layout(module: str, tensor: np.ndarray, heads: dict[str, int]) -> np.ndarray:
    """Reorder rows of query and key projections: llama.cpp rotates adjacent pairs, transformers the two halves."""
    count = heads.get(module.rpartition(".")[2])
    if count is None:
        return tensor
    halves = tensor.reshape(count, 2, tensor.shape[0] // count // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _weight_type(name: str, tensor: np.ndarray, kind: str) -> str:
    """Return the type of a tensor: float32 for vectors, at least 8 bits for embeddings, 16 bits for odd widths."""
    if tensor.ndim == 1 or name == "position_embd.weight":
        return "f32"
    if kind.startswith("q") and tensor.shape[-1] % 32:
        return "f16"
    if kind.startswith("q") and name in ("token_embd.weight", "output.weight"):
        return "q8_0"
    return kind


def _write_vocabulary(writer: _Writer, tokenizer: PromptTokenizer, size: int, spelled: bool) -> None:
    """Write a byte-level BPE vocabulary of `size` tokens: their names, their types and the merges."""
    from gguf import TokenType

    gguf = writer.gguf
    gguf.add_tokenizer_model("gpt2")
    gguf.add_eos_token_id(tokenizer.end)
    gguf.add_bos_token_id(tokenizer.end)
    gguf.add_add_bos_token(spelled and tokenizer.anchored)  # the llama.cpp backend sends ids that include it
    if not spelled:
        gguf.add_tokenizer_pre("gpt-2")
        gguf.add_token_list([f"<{i}>" for i in range(size)])
        gguf.add_token_types([TokenType.CONTROL] * size)
        gguf.add_token_merges(["a b"])
        return
    fast = json.loads(tokenizer.tokenizer.backend_tokenizer.to_str())
    gguf.add_tokenizer_pre(_pre_tokenizer(fast))
    tokens = [f"[PAD{i}]" for i in range(size)]  # the embedding matrix can have more rows than the vocabulary
    types = [TokenType.UNUSED] * size
    for token, i in fast["model"]["vocab"].items():
        tokens[i], types[i] = token, TokenType.NORMAL
    for token in fast["added_tokens"]:
        i = token["id"]
        tokens[i], types[i] = token["content"], TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    for name, i in tokenizer.special_tokens.items():  # user-defined, because control tokens would not be printed
        tokens[i], types[i] = name, TokenType.USER_DEFINED
    gguf.add_token_list(tokens)
    gguf.add_token_types(types)
    merges = fast["model"]["merges"]
    gguf.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    prompt = format_sample(tokenizer.titles, "horror", "", "", truncated=True).partition(END_OF_GENRE)
    writer.string("general.description", f"Writes movie plots. Prompt: {prompt[0]}{prompt[1]}")


def _pre_tokenizer(fast: dict[str, Json]) -> str:
    """Return llama.cpp's name of the tokenizer's pre-tokenizer."""
    parts = fast.get("pre_tokenizer") or {}
    parts = parts.get("pretokenizers", [parts])
    kinds = [part.get("type") for part in parts]
    if fast["model"]["type"] == "BPE" and kinds == ["ByteLevel"] and parts[0].get("use_regex", True):
        return "gpt-2"
    if fast["model"]["type"] == "BPE" and kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
        return "smollm"
    raise UnsupportedModel(
        "GGUF export supports only the tokenizers of GPT-2 and SmolLM2: train with another base model."
    )
