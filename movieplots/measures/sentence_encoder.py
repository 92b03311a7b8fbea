"""Sentence embeddings of `minilm-l6` with ONNX Runtime, without torch.

The model's package contains its weights as safetensors. This module builds the ONNX graph of a BERT encoder with these
weights, including mean pooling and normalization, and stores it in the cache folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from movieplots.files import atomic_path, read_json
from movieplots.pretrained.base_models import PACKAGED, cache_folder, resolve
from movieplots.pretrained.batches import A_TOKEN, core_count, in_batches
from movieplots.pretrained.onnx_running import encode, open_session
from movieplots.progress import notify
from movieplots.texts import as_texts

NAME = "minilm-l6"
CACHE_VERSION = 2  # to be increased if the content of the cached file changes
MAX_TOKENS = 256  # as in the model's own configuration
DIMENSIONS = 384
BATCH_CHARACTERS = 4_000


class SentenceEncoder:
    """A sentence embedder: vectors of unit length, float32 of shape (n, 384)."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        folder, self.identity = Path(resolve(NAME)), PACKAGED[NAME].identity
        self._session = open_session(_cached_graph(folder), threads=1)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._tokenizer.encode_special_tokens = True  # `[SEP]` in a text is not a special token
        self._cores = core_count()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of the texts, in order. Raises BadInput if `texts` is not a list of texts."""
        texts = as_texts(texts, "text")
        if not texts:
            return np.empty((0, DIMENSIONS), np.float32)

        def work(batch: list[str]) -> np.ndarray:
            return self._session.run(None, encode(self._tokenizer, batch))[0]

        return in_batches(work, texts, longest=MAX_TOKENS * A_TOKEN, most=BATCH_CHARACTERS, cores=self._cores)


def _cached_graph(folder: Path) -> Path:
    file = cache_folder() / "sentences" / f"{PACKAGED[NAME].identity}.{CACHE_VERSION}.onnx"
    if not file.is_file():
        notify(f"Converting {NAME} to ONNX (only once): {file} …")
        with atomic_path(file) as temporary:
            write_graph(folder, temporary)
    return file


def write_graph(folder: Path, file: Path) -> None:
    """Write the BERT encoder in `folder` (Hugging Face format) with mean pooling as an ONNX file."""
    import onnx
    from safetensors.numpy import load_file

    config = read_json(folder / "config.json", "install its package again")
    onnx.save(_Graph(config, load_file(folder / "model.safetensors")).model(), file)


class _Graph:
    """The graph of a BERT encoder (Devlin et al. 2018); its methods add nodes and return the name of their output."""

    def __init__(self, config: dict, weights: dict[str, np.ndarray]) -> None:
        self.config = config
        self.weights = {
            name.removeprefix("bert."): value.astype(np.float32)
            for name, value in weights.items()
            if value.dtype != np.int64
        }
        self.nodes: list = []
        self.constants: dict[str, np.ndarray | np.generic] = {}

    def model(self) -> Any:
        """Return the graph as an ONNX model."""
        from onnx import TensorProto, helper, numpy_helper

        layers, heads, width = (self.config[key] for key in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
        shape = self.constant("shape", np.array([0, 0, heads, width // heads]))
        flat = self.constant("flat", np.array([0, 0, width]))
        mask = self.node("Cast", "attention_mask", to=TensorProto.FLOAT)
        hidden = self.embedded()
        wide = self.node("Unsqueeze", mask, self.constant("axes", np.array([1, 2])))
        unseen = self.node(
            "Mul", self.node("Sub", wide, self.constant("one", np.float32(1))), self.constant("far", np.float32(1e9))
        )
        scale = self.constant("scale", np.float32((width // heads) ** -0.5))
        for layer in range(layers):
            at = f"encoder.layer.{layer}."
            query, key, value = (
                self.node("Reshape", self.linear(hidden, f"{at}attention.self.{name}"), shape)
                for name in ("query", "key", "value")
            )
            query, value = (self.node("Transpose", each, perm=[0, 2, 1, 3]) for each in (query, value))
            key = self.node("Transpose", key, perm=[0, 2, 3, 1])
            scores = self.node("Add", self.node("Mul", self.node("MatMul", query, key), scale), unseen)
            seen = self.node("MatMul", self.node("Softmax", scores, axis=-1), value)
            seen = self.node("Reshape", self.node("Transpose", seen, perm=[0, 2, 1, 3]), flat)
            hidden = self.normalized(
                self.node("Add", self.linear(seen, at + "attention.output.dense"), hidden),
                at + "attention.output.LayerNorm",
            )
            inner = self.node("Gelu", self.linear(hidden, at + "intermediate.dense"))
            hidden = self.normalized(
                self.node("Add", self.linear(inner, at + "output.dense"), hidden), at + "output.LayerNorm"
            )
        last = self.constant("last", np.array([-1]))
        masked = self.node("Mul", hidden, self.node("Unsqueeze", mask, last))
        total = self.node("ReduceSum", masked, self.constant("tokens", np.array([1])), keepdims=0)
        length = self.node("ReduceL2", total, last, keepdims=1)
        self.nodes.append(helper.make_node("Div", [total, length], ["vectors"]))
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", width])]
        constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "sentences", inputs, outputs, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)

    def embedded(self) -> str:
        """Add the embeddings of words, positions and the first segment, with layer normalization."""
        from onnx import TensorProto

        # The word embeddings are half of the model. Quantized to int8 with a scale per word, they give almost the same.
        table = self.weights["embeddings.word_embeddings.weight"]
        scales = np.abs(table).max(axis=1, keepdims=True).clip(1e-12) / 127
        quantized = self.constant("words", np.round(table / scales).astype(np.int8))
        scale = self.node("Gather", self.constant("word_scales", scales), "input_ids")
        words = self.node("Cast", self.node("Gather", quantized, "input_ids"), to=TensorProto.FLOAT)
        words = self.node("Mul", words, scale)
        length = self.node("Shape", "input_ids", start=1, end=2)
        end = self.node("Squeeze", length)
        numbers = self.node("Range", self.constant("first", np.int64(0)), end, self.constant("step", np.int64(1)))
        places = self.node("Gather", self.weight("embeddings.position_embeddings.weight"), numbers)
        segment = self.constant("segment", self.weights["embeddings.token_type_embeddings.weight"][0])
        return self.normalized(self.node("Add", self.node("Add", words, places), segment), "embeddings.LayerNorm")

    def linear(self, x: str, name: str) -> str:
        """Add a linear layer."""
        product = self.node("MatMul", x, self.constant(name, np.ascontiguousarray(self.weights[name + ".weight"].T)))
        return self.node("Add", product, self.weight(name + ".bias"))

    def normalized(self, x: str, name: str) -> str:
        """Add layer normalization."""
        parts = self.weight(name + ".weight"), self.weight(name + ".bias")
        return self.node("LayerNormalization", x, *parts, epsilon=self.config["layer_norm_eps"])

    def weight(self, name: str) -> str:
        """Add a weight of the model as a constant."""
        return self.constant(name, self.weights[name])

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        """Add a constant."""
        self.constants[name] = value
        return name

    def node(self, kind: str, *inputs: str, **settings: Any) -> str:
        """Add a node with one output."""
        from onnx import helper

        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **settings))
        return name
