"""Export generators to GGUF, the file format of llama.cpp and the programs built on it.

There are two kinds of files: the whole model with its adapter merged, and the adapter alone, with a few megabytes, for
the GGUF file of `smollm2-135m` from PyPI. The `gguf` package writes them: tensor names are from its tables, and the
layout of the tensors is what llama.cpp expects for each architecture (Llama, GPT-2, Qwen 3, Gemma 3).
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

    The base model can be of the model type `llama` (Llama, SmolLM2), `gpt2`, `qwen3` or `gemma3_text` (Gemma 3 without
    images).

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    BadInput
        If the architecture or tokenizer is not supported, or if `adapter` is true and the generator is not an adapter
        on `smollm2-135m`.

    Notes
    -----
    llama.cpp's converter (`convert_hf_to_gguf.py`) supports other architectures. It needs a folder with the adapter
    merged, which `model.save_pretrained(folder)` and `tokenizer.save(folder)` write after
    `model, tokenizer, _ = load_generator(...)` (in `movieplots.generation.model`).

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
    model_type = model.config.model_type
    if model_type not in _PARAMETERS:
        raise UnsupportedModel(
            f"GGUF export supports the model types {', '.join(_PARAMETERS)}, not {model_type}: llama.cpp's converter "
            "(convert_hf_to_gguf.py) can convert the model after the adapter is merged."
        )
    architecture = model_type.removesuffix("_text")  # the name in llama.cpp
    with atomic_path(out) as temporary:
        writer = _Writer(temporary, architecture, name)
        _PARAMETERS[model_type](writer, model.config)
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
        """Write a number; a key that starts with a dot gets the architecture as its prefix."""
        self.gguf.add_float32(self._full(key), value)

    def number(self, key: str, value: int) -> None:
        """Write a count; a key that starts with a dot gets the architecture as its prefix."""
        self.gguf.add_uint32(self._full(key), value)

    def _full(self, key: str) -> str:
        return self.architecture + key if key.startswith(".") else key

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
    _require(config, hidden_act="silu")
    _require_rope(config, rope, "default", "llama3")
    _decoder_parameters(writer, config, rope)


def _qwen3_parameters(writer: _Writer, config: Any) -> None:
    _require(config, hidden_act="silu", attention_bias=False, use_sliding_window=False)
    _require_rope(config, config.rope_parameters, "default")
    _decoder_parameters(writer, config, config.rope_parameters)


def _gemma3_parameters(writer: _Writer, config: Any) -> None:
    # llama.cpp scales attention by the size of a head, except in the model with 62 layers.
    is_largest = config.num_hidden_layers == 62
    scale = config.hidden_size // config.num_attention_heads if is_largest else config.head_dim
    _require(
        config, hidden_activation="gelu_pytorch_tanh", attention_bias=False, query_pre_attn_scalar=scale,
        attn_logit_softcapping=None, final_logit_softcapping=None, use_bidirectional_attention=False,
    )  # fmt: skip
    rope, local_rope = config.rope_parameters["full_attention"], config.rope_parameters["sliding_attention"]
    _require_rope(config, rope, "default", "linear")
    _require_rope(config, local_rope, "default")
    _decoder_parameters(writer, config, rope)
    if _rope_type(rope) == "linear":
        writer.string("gemma3.rope.scaling.type", "linear")
        writer.float(".rope.scaling.factor", rope["factor"])
    if "sliding_attention" in config.layer_types:
        writer.number(".attention.sliding_window", config.sliding_window)
        writer.gguf.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
        writer.float(".rope.freq_base_swa", local_rope["rope_theta"])


def _decoder_parameters(writer: _Writer, config: Any, rope: dict[str, Any]) -> None:
    """Write what Llama and the architectures derived from it have in common."""
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
    writer.float(".rope.freq_base", rope.get("rope_theta", 10000.0))
    writer.float(".attention.layer_norm_rms_epsilon", config.rms_norm_eps)


def _rope_type(rope: dict[str, Any]) -> str:
    return str(rope.get("rope_type", "default"))


def _require_rope(config: Any, rope: dict[str, Any], *types: str) -> None:
    if _rope_type(rope) not in types:
        raise UnsupportedModel(
            f"GGUF export does not support {config.model_type} with rotary embeddings of the type {_rope_type(rope)}."
        )


def _require(config: Any, **values: Any) -> None:
    """Raise UnsupportedModel unless the settings of the model have these values, the only ones in llama.cpp."""
    for name, value in values.items():
        found = getattr(config, name, value)
        if (found or None) != (value or None):
            raise UnsupportedModel(
                f"GGUF export supports {config.model_type} only with {name} {value}, and this model has {found}."
            )


def _gpt2_parameters(writer: _Writer, config: Any) -> None:
    writer.number(".context_length", config.n_positions)
    writer.number(".embedding_length", config.n_embd)
    writer.number(".block_count", config.n_layer)
    writer.number(".feed_forward_length", config.n_inner or 4 * config.n_embd)
    writer.number(".attention.head_count", config.n_head)
    writer.float(".attention.layer_norm_epsilon", config.layer_norm_epsilon)


_PARAMETERS = {
    "llama": _llama_parameters,
    "gpt2": _gpt2_parameters,
    "qwen3": _qwen3_parameters,
    "gemma3_text": _gemma3_parameters,
}


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
        if architecture == "gemma3" and name.endswith("norm.weight"):
            tensor = tensor + 1  # Gemma multiplies by 1 plus the weight, llama.cpp by the weight
        yield target, tensor
    if architecture == "llama" and _rope_type(config.rope_parameters) == "llama3":
        yield "rope_freqs.weight", _rope_factors(config)


def _rope_factors(config: Any) -> np.ndarray:
    """Return the factors of Llama 3's rope scaling, by which llama.cpp divides the frequencies of a head."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    positions = np.arange(len(scaled), dtype=np.float64) / len(scaled)
    return config.rope_parameters["rope_theta"] ** -positions / scaled.double().numpy()


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
    """Write a vocabulary of `size` tokens: their names, their types, and the merges or scores."""
    from gguf import TokenType

    gguf = writer.gguf
    fast = json.loads(tokenizer.tokenizer.backend_tokenizer.to_str()) if spelled else None
    scores = None if fast is None else _sentencepiece_scores(fast)
    gguf.add_tokenizer_model("gpt2" if scores is None else "llama")
    gguf.add_eos_token_id(tokenizer.end)
    gguf.add_bos_token_id(tokenizer.end)
    gguf.add_add_bos_token(spelled and tokenizer.anchored)  # the llama.cpp backend sends ids that include it
    if fast is None:
        gguf.add_tokenizer_pre("gpt-2")
        gguf.add_token_list([f"<{i}>" for i in range(size)])
        gguf.add_token_types([TokenType.CONTROL] * size)
        gguf.add_token_merges(["a b"])
        return
    gguf.add_tokenizer_pre(_pre_tokenizer(fast) if scores is None else "default")
    tokens = [f"[PAD{i}]" for i in range(size)]  # the embedding matrix can have more rows than the vocabulary
    types = [TokenType.UNUSED] * size
    for token, i in fast["model"]["vocab"].items():
        is_byte = scores is not None and token in _BYTES
        tokens[i], types[i] = token, TokenType.BYTE if is_byte else TokenType.NORMAL
    for token in _matched_first(fast):
        i = token["id"]
        tokens[i], types[i] = token["content"], TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    for name, i in tokenizer.special_tokens.items():  # user-defined, because control tokens would not be printed
        tokens[i], types[i] = name, TokenType.USER_DEFINED
    gguf.add_token_list(tokens)
    gguf.add_token_types(types)
    if scores is not None:
        gguf.add_token_scores([scores.get(token, 0.0) for token in tokens])
        gguf.add_add_space_prefix(False)
        gguf.add_unk_token_id(fast["model"]["vocab"][fast["model"]["unk_token"]])
    else:
        merges = fast["model"]["merges"]
        gguf.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    prompt = format_sample(tokenizer.titles, "horror", "", "", truncated=True).partition(END_OF_GENRE)
    writer.string("general.description", f"Writes movie plots. Prompt: {prompt[0]}{prompt[1]}")


_BYTES = {f"<0x{byte:02X}>" for byte in range(256)}  # SentencePiece's tokens for characters outside the vocabulary
_SPACE = "▁"  # SentencePiece's character for a space


def _sentencepiece_scores(fast: dict[str, Json]) -> dict[str, float] | None:
    """Return the score of each merged token if the tokenizer is like Gemma's, otherwise None."""
    # llama.cpp merges any two tokens whose concatenation is a token, the highest score first. This gives the same
    # tokens as the list of merges if the list has all of these pairs.
    model, normalizer, splits = fast["model"], fast.get("normalizer"), fast.get("pre_tokenizer")
    if not (
        model["type"] == "BPE"
        and model.get("byte_fallback")
        and model["vocab"].keys() >= {*_BYTES, model["unk_token"]}
        and normalizer == {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
        and splits == {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    ):
        return None
    ranks: dict[str, int] = {}
    pairs = set()
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        pairs.add((left, right))
        ranks.setdefault(left + right, rank)
    mergeable = model["vocab"].keys() - {token["content"] for token in _matched_first(fast)} - _BYTES
    for token in mergeable:
        for i in range(1, len(token)):
            left, right = token[:i], token[i:]
            if left in mergeable and right in mergeable and (left, right) not in pairs:
                return None
    return {token: -float(rank) for token, rank in ranks.items()}


def _matched_first(fast: dict[str, Json]) -> list[dict[str, Json]]:
    """Return the added tokens that are found in a text before all others."""
    # Gemma's added tokens of several spaces are not: they are written with SentencePiece's character, and in a text
    # that comes from the normalizer, later.
    return [token for token in fast["added_tokens"] if token["special"] or _SPACE not in token["content"]]


# The words that Llama 3 and Qwen split a text into; they differ in the number of digits per token.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {_WORDS % r"\p{N}{1,3}": "llama-bpe", _WORDS % r"\p{N}": "qwen2"}


def _pre_tokenizer(fast: dict[str, Json]) -> str:
    """Return llama.cpp's name of the tokenizer's pre-tokenizer."""
    model, normalizer = fast["model"], (fast.get("normalizer") or {}).get("type")
    parts = fast.get("pre_tokenizer") or {}
    parts = parts.get("pretokenizers", [parts])
    kinds = [part.get("type") for part in parts]
    if model["type"] == "BPE" and kinds and kinds[-1] == "ByteLevel" and not parts[-1].get("add_prefix_space"):
        has_words, whole_words = parts[-1].get("use_regex", True), bool(model.get("ignore_merges"))
        if normalizer is None and has_words and not whole_words:
            if kinds == ["ByteLevel"]:
                return "gpt-2"
            if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
                return "smollm"
        if kinds == ["Split", "ByteLevel"] and not has_words and parts[0]["behavior"] == "Isolated":
            name = _SPLITS.get(parts[0]["pattern"].get("Regex"))
            # llama.cpp merges inside a word of Llama 3 only if the whole word is not a token.
            if (name, normalizer, whole_words) in (("llama-bpe", None, True), ("qwen2", "NFC", False)):
                return str(name)
    raise UnsupportedModel(
        "GGUF export supports only the tokenizers of GPT-2, SmolLM2, Llama 3, Qwen 3 and Gemma 3: train with another "
        "base model."
    )
