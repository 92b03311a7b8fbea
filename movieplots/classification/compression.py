"""A trained classifier in a quarter of the space: 8-bit weights in one ONNX file, run by ONNX Runtime without torch.

Weights are rounded to 8 bits a column, activations as they come (dynamic quantisation), which costs a little accuracy:
`compress` measures how much on the test split, where it is given the data.
"""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from movieplots.classification.labelled_plots import read_labelled
from movieplots.classification.metrics import headline, intervals, multilabel_metrics
from movieplots.classification.model import GenreModel, load_genre_model
from movieplots.classification.onnx_engine import FILE_NAME, SETTINGS
from movieplots.classification.prediction import GenreClassifier
from movieplots.classification.thresholds import best_thresholds
from movieplots.errors import BadInput
from movieplots.files import atomic_folder, write_json
from movieplots.model_folder import clear, read_info, write_info


def compress(model: str | Path, out: str | Path, data: str | Path | None = None) -> dict[str, Any]:
    """Write the classifier of the folder `model` as 8-bit ONNX to the folder `out`; returns its info.

    With the `data` that it was trained on, its metrics are measured anew: `metrics` are then those of the compressed
    model, and `metrics["before_compression"]` those of the model it was. Thresholds are chosen anew, too. Raises
    BadInput for other data, whose test plots may have been training plots.
    """
    model, out = Path(model), Path(out)
    info = read_info(model, "classification")
    if (model / FILE_NAME).is_file():
        raise BadInput(f"{model} is compressed already.")
    if out.resolve() == model.resolve():
        raise BadInput("--out must be another folder than --model, which stays as it is.")
    plots = None
    if data is not None:
        plots = read_labelled(data, info["labels"])
        if plots.fingerprint != info["data_fingerprint"]:
            raise BadInput(f"{model} was trained on other plots than those of {data}: give the same --data.")
    network, tokenizer = load_genre_model(model, len(info["labels"]))
    if out.is_dir():
        clear(out)
    settings = {
        "max_tokens": network.max_tokens, "mask": tokenizer.mask_token or "", "pad": tokenizer.pad_token,
        "pad_id": tokenizer.pad_token_id,
    }  # fmt: skip
    with atomic_folder(out) as temporary:
        _write_onnx(network, temporary / FILE_NAME)
        tokenizer.backend_tokenizer.save(str(temporary / "tokenizer.json"))
        write_json(temporary / SETTINGS, settings)
    info["compressed"] = "8-bit weights, ONNX"
    write_info(out, info, _card(info, model))
    if plots is not None:
        classifier = GenreClassifier.from_pretrained(out)
        proba = {split: classifier.predict_proba(plots.texts[split]) for split in ("validation", "test")}
        thresholds = best_thresholds(plots.targets["validation"], proba["validation"])
        test = multilabel_metrics(plots.targets["test"], proba["test"], thresholds, plots.labels)
        info["thresholds"] = [float(t) for t in thresholds]
        info["metrics"] |= {
            "before_compression": info["metrics"]["test"],
            "test": headline(test),
            "test_per_label": test["per_label"],
            "test_intervals": intervals(plots.targets["test"], proba["test"], thresholds),
        }
        write_info(out, info, _card(info, model))
    return info


def _write_onnx(network: GenreModel, file: Path) -> None:
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.transformers import optimizer
    except ModuleNotFoundError:
        raise BadInput("Compressing needs the packages onnx and onnxruntime: pip install onnx onnxruntime.") from None

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.network(input_ids, attention_mask)["logits"]

    config = network.encoder.config
    example = torch.ones((2, 8), dtype=torch.int64)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain, fused = Path(folder) / "plain.onnx", Path(folder) / "fused.onnx"
        torch.onnx.export(
            Logits().eval(), (example, example), str(plain), dynamo=False, opset_version=17,
            input_names=["input_ids", "attention_mask"], output_names=["logits"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in ("input_ids", "attention_mask")}
            | {"logits": {0: "texts"}},
        )  # fmt: skip
        optimizer.optimize_model(
            str(plain), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
        ).save_model_to_file(str(fused))
        logging.getLogger().setLevel(logging.ERROR)  # it advises a preparation that the optimizer has done
        quantize_dynamic(
            fused, file, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
            extra_options={"DefaultTensorType": 1},
        )  # fmt: skip


def _card(info: dict[str, Any], model: Path) -> str:
    card = (model / "README.md").read_text()
    before = info["metrics"].get("before_compression")
    text = "Its weights are rounded to 8 bits and stored for ONNX Runtime."
    if before:
        now = info["metrics"]["test"]
        text += (
            f" On the test plots that changes micro-F1 from {before['micro_f1']:.3f} to {now['micro_f1']:.3f}, "
            f"macro-F1 from {before['macro_f1']:.3f} to {now['macro_f1']:.3f} and mean average precision from "
            f"{before['map']:.3f} to {now['map']:.3f}; the tables below are of the model before."
        )
    head, _, rest = card.partition("\n\n")
    return f"{head}\n\n{text}\n\n{rest}"
