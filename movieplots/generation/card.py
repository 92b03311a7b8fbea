"""The model card of a generator: what it is, what it learned from, how, and how well."""

from movieplots.formatting import markdown_table
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import RANK
from movieplots.generation.training_settings import DistillationSettings, GeneratorSettings
from movieplots.pretrained.base_models import about
from movieplots.runs.folder import Recipe, to_json
from movieplots.sources import licences

SAMPLERS = {
    "uniform": "each plot once an epoch, under one of its genres drawn anew",
    "genre-weighted": "plots that show their genre clearly, and small genres, more often",
}


def model_card(info: GeneratorInfo) -> str:
    """The generator's README.md."""
    settings, metrics = settings_of(info.recipe), info.metrics
    by_genre = [
        (genre, f"{row.before:.2f}", f"{row.after:.2f}", row.plots) for genre, row in info.test_loss_by_genre.items()
    ]
    guidance = getattr(settings, "guidance_scale", 1.0)
    rows = {
        "learning rate": f"{settings.learning_rate:g}, {settings.lr_scheduler_type}",
        "tokens per step": f"{settings.batch_size} {settings.packing} sequences of {settings.block_size}",
        "plots and genres": SAMPLERS[settings.sampler or "uniform"],
        **({"guidance scale": f"{guidance:g}"} if guidance > 1 else {}),
        "seed": str(settings.seed),
    } | {name.replace("_", " "): value for name, value in to_json(metrics).items()}
    return f"""# Movie-plot generator

{_what(info, settings)}

    movieplots generate --model THIS_FOLDER --genre horror

## Data

{metrics.train_plots:,} training plots from {", ".join(info.sources)} (data fingerprint
`{info.data_fingerprint}`), split by group before anything else. Licence of
{licences(info.sources)}.{_start(info)}

## Training

    {settings.command()}

{markdown_table(("", ""), rows.items())}

Losses are nats per token of title, plot and end-of-sequence token, on test plots.{_why_higher(info, guidance)}

## Test loss by genre

{markdown_table(("genre", "before", "after", "plots"), by_genre)}

## Limits

It invents stories, names and titles, and can repeat phrases or facts of its training plots; it has the biases of its
base model and of its corpus. Read before you publish.
"""


def settings_of(recipe: Recipe) -> GeneratorSettings | DistillationSettings:
    """The settings behind a generator's recipe."""
    if recipe.command == DistillationSettings.command_name:
        return recipe.settings_as(DistillationSettings)
    return recipe.settings_as(GeneratorSettings)


def _start(info: GeneratorInfo) -> str:
    start = info.recipe.base_recipe
    if start is None:
        return ""
    plots = "and has seen none of the held-out plots"
    if not info.ancestors_recorded:
        plots = "on plots that are not recorded: if some of them are held out here, the losses below are too low"
    commands: list[str] = []
    folder = info.recipe.settings["base_model"]
    while start is not None:
        commands.insert(0, settings_of(start).command().replace("THIS_FOLDER", folder))
        folder, start = start.settings.get("base_model", ""), start.base_recipe
    told = "\n".join(f"    {line}" for line in commands)
    return f"""

It started from a generator that had been trained already, {plots}:

{told}"""


def _why_higher(info: GeneratorInfo, guidance: float) -> str:
    if guidance == 1 or info.metrics.test_loss_after <= info.metrics.test_loss_before:
        return ""
    return (
        "\nGuidance raises them: it learned to write what is typical of a genre, and plots are often not typical of "
        "theirs."
    )


def _what(info: GeneratorInfo, settings: GeneratorSettings | DistillationSettings) -> str:
    titles = " and title" if info.titles else ""
    does = f"{_kind(info, settings)}, fine-tuned to write plots, steered by genre{titles}."
    return f"{does}\n{about(info.base_model)}".rstrip()


def _kind(info: GeneratorInfo, settings: GeneratorSettings | DistillationSettings) -> str:
    if isinstance(settings, DistillationSettings):
        return f"A model of {settings.layers} layers, distilled from a generator on `{info.base_model}`"
    if settings.method == "lora":
        return f"A LoRA adapter (rank {RANK}, all linear layers) on `{info.base_model}`"
    return f"`{info.base_model}`, all weights trained"
