"""The model card of a classifier: the README.md of its folder."""

from dataclasses import replace

from movieplots.classification.info import ClassifierInfo
from movieplots.classification.labelled_plots import MIN_PLOTS
from movieplots.classification.metrics import NAMES
from movieplots.classification.training_settings import ClassifierSettings, FastaiSettings
from movieplots.formatting import interval, markdown_table
from movieplots.pretrained.base_models import about
from movieplots.sources import licenses


def command_of(info: ClassifierInfo) -> str:
    """Return the command that trained the classifier."""
    if info.recipe.command == FastaiSettings.command_name:
        return info.recipe.settings_as(FastaiSettings).command()
    teachers = tuple(f"TEACHER_{number}" for number in range(1, len(info.recipe.teachers) + 1))
    return replace(info.recipe.settings_as(ClassifierSettings), teachers=teachers).command()


def model_card(info: ClassifierInfo) -> str:
    """Return the card of a classifier, quantized or not, from the content of its `movieplots.json`."""
    metrics, sections = info.metrics, []
    for measured, text in (
        (metrics.test, "From the plot alone"), (metrics.test_titled, "With the title as well"),
    ):  # fmt: skip
        if measured:
            rows = [
                (
                    label, interval(measured.intervals[name], "{:.3f}".format),
                    *(f"{getattr(each, name):.3f}" for each in measured.baselines.values()),
                )
                for name, label in NAMES.items()
            ]  # fmt: skip
            scores = markdown_table(("", "this model", *measured.baselines), rows)
            sections.append(f"{text}, with 95 % intervals:\n\n{scores}")
    per_label = [
        (label, *map("{:.2f}".format, (threshold, row.precision, row.recall, row.f1)), row.support)
        for (label, row), threshold in zip(metrics.test.per_label.items(), info.thresholds, strict=True)
    ]
    not_learned = ", ".join(f"{genre} ({n})" for genre, n in info.not_learned.items()) or "none"
    calibration = metrics.calibration
    settings = info.recipe.in_words() | {"steps": metrics.steps, "calibration temperature": calibration.temperature}
    results = "\n\n".join(sections)
    form = ", quantized to int8 for ONNX Runtime" if info.quantized else ""
    genres = f"multilabel, {len(info.labels)} genres"
    what = f"`{info.base_model}` fine-tuned to detect the genres of a movie plot: {genres}{form}."
    what = f"{what}\n{about(info.base_model)}".rstrip()
    return f"""# Movie-genre classifier

{what}

    movieplots genres --model THIS_FOLDER "A sheriff rides into a town that has forgotten its name."
{_with_transformers(info)}
## Results on {metrics.test_plots:,} test plots

{results}

Micro-F1 pools all pairs of plot and genre; macro-F1 is the mean over genres. Mean average precision (mAP) is the area
under the precision-recall curve, averaged over genres and independent of thresholds. Label-ranking average precision
(LRAP) is high if a plot's true genres rank above its other genres. All thresholds are chosen on the validation split;
the baselines were trained and tuned on the same splits.{_before_quantization(info)}

Probabilities are calibrated on the validation split. The expected calibration error (ECE) on the test split is
{calibration.error_before:.3f} before calibration and {calibration.error_after:.3f} after it.

{markdown_table(("genre", "threshold", "precision", "recall", "F1", "test plots"), per_label)}

## Data

{metrics.train_plots:,} training plots from {", ".join(info.sources)} (data fingerprint `{info.data_fingerprint}`).
The splits keep each series and title together. License of {licenses(info.sources)}.
Genres with fewer than {MIN_PLOTS} training plots are not predicted: {not_learned}.

## Training

{_commands(info)}

{markdown_table(("setting", "value"), settings.items())}

## Limits

The genres are those of the corpus, whose catalogues tag inconsistently and leave genres out. The scores of genres with
few test plots are uncertain. Texts longer than {info.max_tokens} tokens are truncated.
"""


def _with_transformers(info: ClassifierInfo) -> str:
    if info.quantized:
        return ""
    return f"""
With `transformers` alone:

    from transformers import pipeline

    classifier = pipeline("text-classification", model="THIS_FOLDER", tokenizer="THIS_FOLDER", top_k=None)
    classifier("A sheriff rides into a town that has forgotten its name.", truncation=True)

It returns the calibrated probability of each label ({", ".join(info.labels)}). The thresholds are below.
"""


def _before_quantization(info: ClassifierInfo) -> str:
    if (before := info.metrics.before_quantization) is None:
        return ""
    scores = ", ".join(f"{label} {getattr(before, key):.3f}" for key, label in NAMES.items())
    return f"\n\nBefore quantization, from the plot alone: {scores}."


def _commands(info: ClassifierInfo) -> str:
    trained = f"    {command_of(info)}"
    if not info.quantized:
        return trained
    quantized = "    movieplots quantize --model TRAINED --output-dir THIS_FOLDER --data DATA"
    return f"{trained.replace('THIS_FOLDER', 'TRAINED')}\n{quantized}"
