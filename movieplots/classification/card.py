"""A classifier's README.md."""

from typing import Any

from movieplots.bases import about
from movieplots.classification.labelled_plots import MIN_PLOTS
from movieplots.classification.metrics import NAMES
from movieplots.classification.recipe import command
from movieplots.model_folder import table
from movieplots.sources import licences


def model_card(info: dict[str, Any]) -> str:
    """The card of a trained classifier, from what its `movieplots.json` holds."""
    metrics, sections = info["metrics"], []
    for key, text in (("", "from the plot alone"), ("_titled", "with the title as well")):
        if f"test{key}" in metrics:
            columns = [metrics[f"test{key}"], *metrics[f"baselines{key}"].values()]
            head = "".join(f" {name} |" for name in metrics[f"baselines{key}"])
            rows = "\n".join(
                f"| {label} | {_interval(metrics[f'test{key}_intervals'][name])} | "
                + " | ".join(f"{column[name]:.3f}" for column in columns[1:])
                + " |"
                for name, label in NAMES.items()
            )
            rule = "---|" * (len(columns) + 1)
            sections.append(f"Predicted {text}, with 95 % intervals:\n\n| | this model |{head}\n|{rule}\n{rows}")
    rows = zip(metrics["test_per_label"].items(), info["thresholds"], strict=True)
    per_label = "\n".join(
        f"| {label} | {threshold:.2f} | "
        f"{row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} | {row['support']} |"
        for (label, row), threshold in rows
    )
    not_learned = ", ".join(f"{genre} ({n})" for genre, n in info["not_learned"].items()) or "none"
    calibration = metrics["calibration"]
    settings = {
        name.replace("_", " "): value
        for name, value in info["recipe"].items()
        if name not in ("data", "verb", "teachers", "base_recipe") and value is not None
    }
    settings |= {"steps": metrics["steps"], "calibration temperature": calibration["temperature"]}
    results = "\n\n".join(sections)
    what = (
        f"`{info['base']}` fine-tuned to predict the genres of a plot (several at once), {len(info['labels'])} labels."
    )
    what = f"{what}\n{about(info['base'])}".rstrip()
    return f"""# Movie-genre classifier

{what}

    movieplots genres --model THIS_FOLDER "A sheriff rides into a town that has forgotten its name."

## Data

{metrics["train_plots"]} training plots from {", ".join(info["sources"])} (data fingerprint
`{info["data_fingerprint"]}`), split by group before anything else. Genres with fewer than {MIN_PLOTS} training plots
are not learned: {not_learned}. Licence of {licences(info["sources"])}.

## Results on {metrics["test_plots"]} held-out plots

{results}

The probabilities are calibrated on the validation split: expected calibration error {calibration["error_before"]:.3f}
before, {calibration["error_after"]:.3f} after. The baselines were trained and tuned on the same splits in the same run.

| genre | threshold | precision | recall | F1 | test plots |
|---|---|---|---|---|---|
{per_label}

## Training

    {command(info["recipe"])}

{table(settings)}

## Limits

It knows what its corpus calls a genre; catalogues tag loosely and leave genres out. Genres with few plots in the table
above are measured loosely, too. Texts beyond {info["max_tokens"]} tokens are cut.
"""


def _interval(estimate: dict[str, Any]) -> str:
    return f"**{estimate['value']:.3f}** ({estimate['low']:.3f} to {estimate['high']:.3f})"
