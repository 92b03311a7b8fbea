"""The model card of a generator: what it is, what it learned from, how, and how well."""

from typing import Any

from movieplots.bases import about
from movieplots.generation.model import RANK
from movieplots.generation.recipe import command
from movieplots.model_folder import table
from movieplots.sources import licences

DRAWS = {
    "uniform": "each plot once a pass, under one of its genres drawn anew",
    "evident": "plots that show their genre clearly, and small genres, more often",
}


def model_card(info: dict[str, Any]) -> str:
    """The generator's README.md."""
    recipe, metrics = info["recipe"], info["metrics"]
    by_genre = "\n".join(
        f"| {genre} | {row['before']:.2f} | {row['after']:.2f} | {row['plots']} |"
        for genre, row in info["test_loss_by_genre"].items()
    )
    settings = {
        "learning rate": f"{recipe['learning_rate']:g}, {recipe['schedule']}",
        "tokens per step": f"{recipe['blocks_per_step']} {recipe['feeding']} of {recipe['block_size']}",
        "plots and genres": DRAWS[recipe.get("draws", "uniform")],
        **({"guidance": f"{recipe['guidance']:g}"} if "guidance" in recipe else {}),
        "seed": recipe["seed"],
    }
    return f"""# Movie-plot generator

{_what(info)}

    movieplots generate --model THIS_FOLDER --genre horror

## Data

{metrics["train_plots"]} training plots from {", ".join(info["sources"])} (data fingerprint
`{info["data_fingerprint"]}`), split by group before anything else. Licence of
{licences(info["sources"])}.{_start(info)}

## Training

    {command(recipe)}

{table(settings | {name.replace("_", " "): value for name, value in metrics.items()})}

Losses are nats per token of title, plot and end mark, on held-out (test) plots.{_why_higher(info)}

## Held-out loss by genre

| genre | before | after | plots |
|---|---|---|---|
{by_genre}

## Limits

It invents stories, names and titles, and can repeat phrases or facts of its training plots; it has the biases of its
base model and of its corpus. Read before you publish.
"""


def _start(info: dict[str, Any]) -> str:
    start = info["recipe"].get("base_recipe")
    if start is None:
        return ""
    learned = info.get("held_out_learned_before")
    plots = "and has seen none of the held-out plots"
    if learned is None:
        plots = "on plots that are not recorded: if some of them are held out here, the losses below are too low"
    elif learned:
        plots = f"on {learned:,} of the plots that are held out here, too: the losses below are too low"
    commands, folder = [], info["recipe"]["base"]
    while start is not None:
        commands.insert(0, command(start).replace("THIS_FOLDER", folder))
        folder, start = start["base"], start.get("base_recipe")
    told = "\n".join(f"    {line}" for line in commands)
    return f"""

It started from a generator that had been trained already, {plots}:

{told}"""


def _why_higher(info: dict[str, Any]) -> str:
    metrics = info["metrics"]
    if "guidance" not in info["recipe"] or metrics["test_loss_after"] <= metrics["test_loss_before"]:
        return ""
    return (
        "\nGuidance raises them: it learned to write what is typical of a genre, and plots are often not typical of "
        "theirs."
    )


def _what(info: dict[str, Any]) -> str:
    titles = " and title" if info["markup"] == "with-titles" else ""
    does = f"{_kind(info)}, fine-tuned to write plots in the markup `{info['markup']}`, steered by genre{titles}."
    return f"{does}\n{about(info['base'])}".rstrip()


def _kind(info: dict[str, Any]) -> str:
    recipe = info["recipe"]
    if "teacher" in recipe:
        return f"A model of {recipe['layers']} layers, distilled from a generator on `{info['base']}`"
    if recipe["method"] == "lora":
        return f"A LoRA adapter (rank {RANK}, all linear layers) on `{info['base']}`"
    return f"`{info['base']}`, all weights trained"
