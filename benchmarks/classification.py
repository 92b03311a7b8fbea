"""Speed of classifiers compared with plain `transformers`, the cost of quantization, and the quality of explanations.

    python benchmarks/classification.py --data data/streaming --model data/classifiers/MiniLM/minilm-l6
    python benchmarks/classification.py --data data/streaming --model MODEL --fast QUANTIZED_STUDENT

Plain `transformers` is the usual recipe: the same model, unsorted batches of 32 plots padded to the
longest. All methods use the same test plots; speeds are medians of several runs. `--fast` is a quantized classifier for
the claim of 300 plots per second on two cores; without it the quantized `--model` is measured.
"""

import argparse
import gc
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from claims import at_least, at_most, conclude
from scipy.special import expit
from transformers import DataCollatorWithPadding

from movieplots import GenreClassifier
from movieplots.classification.assessment import check_same_plots
from movieplots.classification.explanation import at_random, deletion, integrated_gradients, occlusion
from movieplots.classification.labelled_plots import LabelledPlots
from movieplots.classification.metrics import multilabel_metrics
from movieplots.classification.model import new_model
from movieplots.classification.quantization import folder_size, quantize
from movieplots.classification.training import layer_groups, loss_of, training_plots
from movieplots.classification.training_settings import ClassifierLrSettings
from movieplots.errors import sentences

PLOTS_PER_SECOND, MILLISECONDS, WORDS = 300.0, 30.0, 60
PLAIN_BATCH = 32
DROPOUT = 0.1  # that of BERT and RoBERTa


def plots_per_second(predict: Callable[[Sequence[str]], Any], texts: Sequence[str], runs: int) -> float:
    """Return the median over the runs, after a warm-up."""
    predict(texts[:64])
    return len(texts) / median(seconds(lambda: predict(texts)) for _ in range(runs))


def milliseconds(predict: Callable[[Sequence[str]], Any], text: str) -> float:
    """Return the time for a single text, the median of 30 runs."""
    predict([text])
    return 1000 * median(seconds(lambda: predict([text])) for _ in range(30))


def seconds(work: Callable[[], Any]) -> float:
    """Measure the time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def plain_prediction(classifier: GenreClassifier) -> Callable[[Sequence[str]], np.ndarray]:
    """Return a function that predicts with plain `transformers` and the weights of the classifier."""
    model, tokenizer = classifier.engine.model, classifier.engine.tokenizer

    def predict(texts: Sequence[str]) -> np.ndarray:
        rows = []
        for i in range(0, len(texts), PLAIN_BATCH):
            batch = tokenizer(list(texts[i : i + PLAIN_BATCH]), padding=True, truncation=True, return_tensors="pt")
            with torch.no_grad():
                rows.append(model(**batch).logits.numpy())
        return expit(np.concatenate(rows))

    return predict


def training_speed(base_model: str, plots: LabelledPlots, plain: bool, steps: int) -> float:
    """Return training plots per second of this project, or of plain `transformers` with dropout and shuffled plots."""
    settings = ClassifierLrSettings("", base_model)  # the defaults
    model, tokenizer = new_model(base_model, plots.labels)
    if plain:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = DROPOUT
    loss = loss_of(settings, plots)
    shown = training_plots(tokenizer, plots, settings, plots.targets["train"])
    if plain:
        order = np.random.default_rng(0).permutation(len(shown.plots))
        rows: Any = (shown.plots[i] for i in itertools.cycle(order))
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    else:
        rows = iter(shown)
        optimizer = torch.optim.AdamW(layer_groups(model), fused=True)
    size, collate, times = settings.batch_size, DataCollatorWithPadding(tokenizer), []
    model.train()
    for _ in range(steps + 1):
        batch = collate(list(itertools.islice(rows, size)))

        def step(batch: Any = batch) -> None:
            labels = batch.pop("labels")
            loss(model(**batch).logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        times.append(seconds(step))
    return steps * size / sum(times[1:])


def main() -> int:
    """Measure, print, and return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="data/streaming", help="folder that `movieplots prepare` wrote")
    parser.add_argument("--model", required=True, help="folder of a classifier trained on it")
    parser.add_argument("--fast", help="folder of a quantized classifier trained on it")
    parser.add_argument("--runs", type=int, default=3, help="repetitions of each measurement (default: 3)")
    parser.add_argument("--plots", type=int, default=600, help="test plots per run (default: 600)")
    parser.add_argument("--steps", type=int, default=25, help="training steps (default: 25)")
    arguments = parser.parse_args()
    classifier = GenreClassifier.from_pretrained(arguments.model)
    plots = check_same_plots(arguments.model, classifier.info, arguments.data)
    texts = plots.texts["test"][: arguments.plots]
    one = min(plots.texts["test"], key=lambda text: abs(len(text.split()) - WORDS))
    words = np.mean([len(text.split()) for text in texts])
    print(f"{len(texts)} test plots of {words:.0f} words on average; the single plot has {len(one.split())} words")
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "quantized"
        quantize(arguments.model, small, arguments.data)
        quantized = GenreClassifier.from_pretrained(small)
        forms = {
            "plain transformers": (plain_prediction(classifier), classifier, arguments.model),
            "movieplots, torch": (classifier.predict_proba, classifier, arguments.model),
            "quantized, ONNX Runtime": (quantized.predict_proba, quantized, small),
        }
        if arguments.fast:
            fast = GenreClassifier.from_pretrained(arguments.fast)
            check_same_plots(arguments.fast, fast.info, arguments.data)
            forms["fast, quantized"] = (fast.predict_proba, fast, arguments.fast)
        rows: dict[str, dict[str, float]] = {}
        for name, (predict, judged, place) in forms.items():
            speed = plots_per_second(predict, texts, arguments.runs)
            proba = judged.predict_proba(plots.texts["test"])
            scores, _ = multilabel_metrics(plots.targets["test"], proba, judged.thresholds, plots.labels)
            rows[name] = {
                "plots/s": speed,
                "relative": speed / rows["plain transformers"]["plots/s"] if rows else 1.0,
                "one, ms": milliseconds(predict, one),
                "MB": folder_size(place),
                "micro-F1": scores.micro_f1,
                "macro-F1": scores.macro_f1,
                "mAP": scores.map,
            }
    print(f"\n{pd.DataFrame(rows).T.round(3).to_string()}")
    promised = rows["fast, quantized" if arguments.fast else "quantized, ONNX Runtime"]
    claims = [
        at_least("plots per second in batches", promised["plots/s"], PLOTS_PER_SECOND),
        at_most(f"milliseconds for one plot of {WORDS} words", promised["one, ms"], MILLISECONDS),
    ]
    print(f"\n{'training':<28}{'plots/s':>9}{'relative':>10}")
    speeds = {}
    for name in ("plain transformers", "movieplots"):
        speeds[name] = training_speed(classifier.info.base_model, plots, name != "movieplots", arguments.steps)
        print(f"{name:<28}{speeds[name]:>9.1f}{speeds[name] / speeds['plain transformers']:>10.2f}")
        gc.collect()
    claims.append(
        at_least("training, relative to plain transformers", speeds["movieplots"] / speeds["plain transformers"], 1.2)
    )
    sample = texts[:60]
    print("\nFall of the probability of the most probable genre if a fifth of the words is masked (seconds per plot)")
    drops = {}
    for method in (occlusion, integrated_gradients, at_random):
        start = time.perf_counter()
        drops[method.__name__] = float(deletion(classifier, sample, method).mean())
        each = (time.perf_counter() - start) / len(sample)
        print(f"  {method.__name__:<24}{drops[method.__name__]:.3f}  ({each:.2f} s)")
    least = max(0.1, 1.5 * drops["at_random"])  # random words can have no effect at all
    claims.append(at_least("fall by occlusion: 0.1, and 1.5 times that of random words", drops["occlusion"], least))
    return conclude(claims)


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
