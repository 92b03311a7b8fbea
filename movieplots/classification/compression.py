"""A trained classifier in a quarter of the space: 8-bit weights in one ONNX file, run by ONNX Runtime without torch.

Weights are rounded to 8 bits a column, activations as they come (dynamic quantisation), which costs a little accuracy:
`compress` measures how much on the test split.
"""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from scipy.special import expit

from movieplots.classification.assessment import check_same_plots
from movieplots.classification.calibration import calibration_error
from movieplots.classification.card import model_card
from movieplots.classification.finishing import measure
from movieplots.classification.metrics import NAMES
from movieplots.classification.model import GenreModel, load_genre_model
from movieplots.classification.onnx_engine import MODEL, SETTINGS, OnnxEngine
from movieplots.classification.recipe import command
from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, write_json
from movieplots.lineage import read_plot_ids
from movieplots.model_folder import FILE_NAME, read_info, write_info


def compress(model: str | Path, out: str | Path, data: str | Path) -> dict[str, Any]:
    """Write the classifier of the folder `model` as 8-bit ONNX to the folder `out`; returns its info.

    `data` are the plots that it was trained on: thresholds are chosen and metrics measured anew, and
    `metrics["before_compression"]` are those of the model it was. Raises BadInput for other data, whose test plots may
    have been training plots, and where `out` holds something else.
    """
    model, out = Path(model), Path(out)
    check_folder(out)
    _onnx()
    info = read_info(model, "classification")
    if info.get("compressed"):
        raise BadInput(f"{model} is compressed already.")
    if out.is_dir() and any(out.iterdir()) and not (out / MODEL).is_file():
        raise BadInput(f"{out} holds something else than a compressed classifier: choose another --out.")
    plots = check_same_plots(model, info, data)
    network, tokenizer = load_genre_model(model, len(info["labels"]))
    settings = {
        "max_tokens": network.max_tokens, "mask": tokenizer.mask_token or "", "pad": tokenizer.pad_token,
        "pad_id": tokenizer.pad_token_id,
    }  # fmt: skip
    with atomic_folder(out) as temporary:
        _write_onnx(network, temporary / MODEL)
        tokenizer.backend_tokenizer.save(str(temporary / "tokenizer.json"))
        write_json(temporary / SETTINGS, settings)
        engine = OnnxEngine(temporary, len(info["labels"]))
        proba = {split: expit(engine.logits(plots.texts[split])) for split in ("validation", "test")}
        thresholds, measured = measure(engine, plots, bool(info["recipe"].get("titles")), proba)
        (out / FILE_NAME).unlink(missing_ok=True)
    metrics = info["metrics"]
    calibration = metrics["calibration"] | {"error_after": calibration_error(plots.targets["test"], proba["test"])}
    info["metrics"] = metrics | measured | {"calibration": calibration, "before_compression": metrics["test"]}
    info["thresholds"] = [float(t) for t in thresholds]
    info["max_tokens"] = network.max_tokens
    info["compressed"] = "8-bit weights, ONNX"
    write_info(out, info, _card(info), read_plot_ids(model) or plots.ids)
    return info


def folder_size(folder: str | Path) -> float:
    """What the files of a model's folder weigh, those of folders in it not counted, in MB (millions of bytes)."""
    return sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file()) / 1e6


def _write_onnx(network: GenreModel, file: Path) -> None:
    quantization, optimizer = _onnx()

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
        logging.disable(logging.WARNING)  # it advises a preparation that the optimizer has done
        try:
            quantization.quantize_dynamic(
                fused, file, weight_type=quantization.QuantType.QInt8, per_channel=True, reduce_range=True,
                extra_options={"DefaultTensorType": 1},
            )  # fmt: skip
        finally:
            logging.disable(logging.NOTSET)


def _onnx() -> tuple[Any, Any]:
    """(ONNX Runtime's quantization, its optimizer of transformers)."""
    try:
        from onnxruntime import quantization
        from onnxruntime.transformers import optimizer
    except ModuleNotFoundError:
        raise BadInput("Compressing needs the packages onnx and onnxruntime: pip install onnx onnxruntime.") from None
    return quantization, optimizer


def _card(info: dict[str, Any]) -> str:
    before, now = info["metrics"]["before_compression"], info["metrics"]["test"]
    changes = ", ".join(f"{label} {before[name]:.3f} → {now[name]:.3f}" for name, label in NAMES.items())
    head, _, rest = model_card(info).partition("\n\n")
    trained = command(info["recipe"])
    compressed = "movieplots compress --model TRAINED --data DATA --out THIS_FOLDER"
    rest = rest.replace(trained, f"{trained.replace('THIS_FOLDER', 'TRAINED')}\n    {compressed}")
    return f"{head}\n\nIts weights are rounded to 8 bits and stored for ONNX Runtime: {changes}.\n\n{rest}"
