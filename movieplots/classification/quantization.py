"""Dynamic int8 quantization of a classifier, exported to ONNX and run by ONNX Runtime without torch.

Weights are quantized per channel to 7 of the 8 bits, which avoids overflow on CPUs without VNNI instructions.
Activations are quantized to 8 bits per batch. The model is a quarter of its size; `quantize` measures the loss of
accuracy on the test split.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from scipy.special import expit

from movieplots.classification.assessment import check_same_plots
from movieplots.classification.calibration import calibration_error
from movieplots.classification.card import model_card
from movieplots.classification.finishing import measure
from movieplots.classification.info import BaselineScores, ClassifierInfo
from movieplots.classification.model import load_model
from movieplots.classification.onnx_engine import MODEL, SETTINGS, OnnxEngine
from movieplots.classification.training_settings import QuantizeSettings
from movieplots.errors import BadInput
from movieplots.files import atomic_folder, check_folder, write_json
from movieplots.runs.folder import FILE_NAME, read_info, write_info
from movieplots.runs.lineage import read_plot_ids
from movieplots.settings import takes


@takes(QuantizeSettings)
def quantize(settings: QuantizeSettings) -> ClassifierInfo:
    """Quantize a classifier to int8 and store it for ONNX Runtime: a quarter of the size, and faster on a CPU.

    Thresholds are chosen again and the test metrics are measured again.

    Returns
    -------
    ClassifierInfo
        The content of `output_dir/movieplots.json`. `metrics.before_quantization` holds the scores of the original
        model.

    Raises
    ------
    BadInput
        If the classifier was trained on other data, is quantized already, or if the output folder holds something else.

    Notes
    -----
    Dynamic quantization of
    `ONNX Runtime <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>`_: int8 weights per
    channel, activations quantized at run time.

    Examples
    --------
    >>> from movieplots.classification.quantization import quantize
    >>> info = quantize("data/classifier", "data/quantized", "data/plots")  # doctest: +SKIP
    >>> info.metrics.before_quantization.micro_f1, info.metrics.test.scores.micro_f1  # doctest: +SKIP
    """
    model, folder = Path(settings.model), Path(settings.output_dir)
    check_folder(folder)
    _onnx()
    info = read_info(model, ClassifierInfo)
    if info.quantized:
        raise BadInput(f"{model} is quantized already: choose the classifier that it was made from.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MODEL).is_file():
        raise BadInput(f"{folder} holds something other than a quantized classifier: choose another --output-dir.")
    plots = check_same_plots(model, info, settings.data)
    network, tokenizer = load_model(model, info.labels)

    def known_baselines(titles: bool) -> dict[str, BaselineScores]:
        measured = info.metrics.test_titled if titles else info.metrics.test
        return measured.baselines if measured else {}

    engine_settings = {
        "max_tokens": tokenizer.model_max_length, "mask": tokenizer.mask_token or "", "pad": tokenizer.pad_token,
        "pad_id": tokenizer.pad_token_id,
    }  # fmt: skip
    with atomic_folder(folder) as temporary:
        _write_onnx(network, temporary / MODEL)
        network.config.save_pretrained(temporary)  # has the labels, for other programs that run ONNX models
        tokenizer.backend_tokenizer.save(str(temporary / "tokenizer.json"))
        write_json(temporary / SETTINGS, engine_settings)
        engine = OnnxEngine(temporary, len(info.labels))
        proba = {split: expit(engine.logits(plots.texts[split])) for split in ("validation", "test")}
        thresholds, test, test_titled = measure(engine, plots, info.titles, proba, known_baselines)
        (folder / FILE_NAME).unlink(missing_ok=True)
    error = calibration_error(plots.targets["test"], proba["test"])
    info = replace(
        info,
        thresholds=[float(t) for t in thresholds],
        max_tokens=tokenizer.model_max_length,
        quantized="8-bit weights, ONNX",
        metrics=replace(
            info.metrics,
            test=test,
            test_titled=test_titled,
            calibration=replace(info.metrics.calibration, error_after=error),
            before_quantization=info.metrics.test.scores,
        ),
    )
    write_info(folder, info, model_card(info), read_plot_ids(model) or plots.ids)
    return info


def folder_size(folder: str | Path) -> float:
    """Return the size of a model's folder in MB (millions of bytes).

    Parameters
    ----------
    folder : str or path
        Folder of a trained model.

    Returns
    -------
    float
        Size of the files directly in the folder.

    Examples
    --------
    >>> from movieplots.classification.quantization import folder_size
    >>> from movieplots.pretrained import shipped
    >>> round(folder_size(shipped.CLASSIFIER))
    24
    """
    return sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file()) / 1e6


def _write_onnx(network: Any, file: Path) -> None:
    quantization, optimizer = _onnx()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.network(input_ids=input_ids, attention_mask=attention_mask).logits

    config = network.config
    example = torch.ones((2, 8), dtype=torch.int64)
    # Not in `catch_warnings`, which is not thread-safe.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch.onnx")
    with TemporaryDirectory() as folder:
        plain, fused = Path(folder) / "plain.onnx", Path(folder) / "fused.onnx"
        torch.onnx.export(
            Logits().eval(), (example, example), str(plain), dynamo=False, opset_version=17,
            input_names=["input_ids", "attention_mask"], output_names=["logits"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in ("input_ids", "attention_mask")}
            | {"logits": {0: "texts"}},
        )  # fmt: skip
        optimized = optimizer.optimize_model(
            str(plain), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
        )
        quantization.quant_utils.add_pre_process_metadata(
            optimized.model
        )  # else quantize_dynamic warns that the model is not pre-processed
        optimized.save_model_to_file(str(fused))
        quantization.quantize_dynamic(
            fused, file, weight_type=quantization.QuantType.QInt8, per_channel=True, reduce_range=True,
            extra_options={"DefaultTensorType": 1},
        )  # fmt: skip


def _onnx() -> tuple[Any, Any]:
    """Return ONNX Runtime's quantization module and its transformer optimizer."""
    try:
        from onnxruntime import quantization
        from onnxruntime.transformers import optimizer
    except ModuleNotFoundError:
        raise BadInput("Quantization needs onnx and onnxruntime: run `pip install onnx onnxruntime`.") from None
    return quantization, optimizer
