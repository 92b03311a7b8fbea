"""A classifier's README.md."""

from dataclasses import replace

from movieplots.classification.info import ClassifierInfo
from movieplots.classification.labelled_plots import MIN_PLOTS
from movieplots.classification.metrics import NAMES
from movieplots.classification.training_settings import ClassifierSettings, FastaiSettings
from movieplots.formatting import interval, markdown_table
from movieplots.pretrained.base_models import about
from movieplots.sources import licences


def command_of(info: ClassifierInfo) -> str:
    """The command that trained it."""
    if info.recipe.command == FastaiSettings.command_name:
        return info.recipe.settings_as(FastaiSettings).command()
    teachers = tuple(f"TEACHER_{number}" for number in range(1, len(info.recipe.teachers) + 1))
    return replace(info.recipe.settings_as(ClassifierSettings), teachers=teachers).command()


def model_card(info: ClassifierInfo) -> str:
    """The card of a trained classifier, from what its `movieplots.json` holds."""
    metrics, sections = info.metrics, []
    for measured, text in (
        (metrics.test, "from the plot alone"), (metrics.test_titled, "with the title as well"),
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
            sections.append(f"Predicted {text}, with 95 % intervals:\n\n{scores}")
    per_label = [
        (label, *map("{:.2f}".format, (threshold, row.precision, row.recall, row.f1)), row.support)
        for (label, row), threshold in zip(metrics.test.per_label.items(), info.thresholds, strict=True)
    ]
    not_learned = ", ".join(f"{genre} ({n})" for genre, n in info.not_learned.items()) or "none"
    calibration = metrics.calibration
    settings = info.recipe.in_words() | {"steps": metrics.steps, "calibration temperature": calibration.temperature}
    results = "\n\n".join(sections)
    what = (
        f"`{info.base_model}` fine-tuned to predict the genres of a plot (several at once), {len(info.labels)} labels."
    )
    what = f"{what}\n{about(info.base_model)}".rstrip()
    return f"""# Movie-genre classifier

{what}

    movieplots genres --model THIS_FOLDER "A sheriff rides into a town that has forgotten its name."

## Data

{metrics.train_plots:,} training plots from {", ".join(info.sources)} (data fingerprint
`{info.data_fingerprint}`), split by group before anything else. Genres with fewer than {MIN_PLOTS} training plots
are not learned: {not_learned}. Licence of {licences(info.sources)}.

## Results on {metrics.test_plots:,} test plots

{results}

The probabilities are calibrated on the validation split: expected calibration error {calibration.error_before:.3f}
before, {calibration.error_after:.3f} after. The baselines were trained and tuned on the same splits in the same run.

{markdown_table(("genre", "threshold", "precision", "recall", "F1", "test plots"), per_label)}

## Training

    {command_of(info)}

{markdown_table(("", ""), settings.items())}

## Limits

It knows what its corpus calls a genre; catalogues tag loosely and leave genres out. Genres with few plots in the table
above are measured loosely, too. Texts beyond {info.max_tokens} tokens are cut.
"""
