"""The model card of a generator."""

from movieplots.formatting import markdown_table, number, percent, perplexity
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.model import RANK
from movieplots.generation.training_settings import DistillationSettings, GeneratorSettings
from movieplots.pretrained.base_models import about
from movieplots.runs.folder import Recipe
from movieplots.sources import licenses

SAMPLERS = {
    "uniform": "each plot once per epoch, with one of its genres",
    "genre-weighted": "plots that are typical of their genre, and plots of rare genres, more often",
}
PACKINGS = {"packed": "packed sequences", "random-crops": "random crops"}


def model_card(info: GeneratorInfo) -> str:
    """Return the README.md of a generator."""
    settings, metrics = settings_of(info.recipe), info.metrics
    guidance = getattr(settings, "guidance_scale", 1.0)
    by_genre = [
        (genre, row.plots, *_with_perplexity(row.before), *_with_perplexity(row.after))
        for genre, row in info.test_loss_by_genre.items()
    ]
    losses = [
        ("before this training", *_with_perplexity(metrics.test_loss_before)),
        ("after this training", *_with_perplexity(metrics.test_loss_after)),
    ]
    head = ("genre", "test plots", "loss before", "perplexity before", "loss after", "perplexity after")
    return f"""# Movie-plot generator

{_description(info, settings)}

    movieplots generate --model THIS_FOLDER --genre horror

## Results

### Test loss

Cross-entropy of title, plot and end-of-sequence token, on {metrics.test_tokens:,} tokens of test plots; perplexity is
its exponential.

{markdown_table(("", "cross-entropy (nats/token)", "perplexity"), losses)}
{_why_higher(info, guidance)}
{markdown_table(head, by_genre)}

## Training

    {settings.command()}
{_first_trainings(info)}
{markdown_table(("", ""), _training_rows(info, settings).items())}

## Data

{metrics.train_plots:,} training plots from {", ".join(info.sources)} (data fingerprint `{info.data_fingerprint}`).
Related plots, such as the episodes of a series, are in the same split. License of
{licenses(info.sources)}.

## Limits

The generator invents stories, names and titles, and can repeat phrases or facts of its training plots. It has the
biases of its base model and of its training data. Read its texts before you publish them.
"""


def settings_of(recipe: Recipe) -> GeneratorSettings | DistillationSettings:
    """Return the settings of a generator's recipe."""
    if recipe.command == DistillationSettings.command_name:
        return recipe.settings_as(DistillationSettings)
    return recipe.settings_as(GeneratorSettings)


def _with_perplexity(loss: float) -> tuple[str, str]:
    """Return a cross-entropy in nats/token and its perplexity as text."""
    value = perplexity(loss)
    return f"{loss:.2f}", f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _training_rows(info: GeneratorInfo, settings: GeneratorSettings | DistillationSettings) -> dict[str, str]:
    """Return the rows of the table of a training's settings and counts."""
    metrics = info.metrics
    guidance = getattr(settings, "guidance_scale", 1.0)
    trained = "all"
    if metrics.trained_parameters < metrics.parameters:
        trained = f"{metrics.trained_parameters:,} ({percent(metrics.trained_parameters / metrics.parameters)})"
    return {
        "learning rate": f"{settings.learning_rate:g}, {settings.lr_scheduler_type} decay",
        "batch": f"{settings.batch_size} {PACKINGS[settings.packing]} of {settings.block_size} tokens",
        "sampling of plots": f"{settings.sampler or 'uniform'}: {SAMPLERS[settings.sampler or 'uniform']}",
        **({"guidance scale": f"{guidance:g}"} if guidance > 1 else {}),
        "seed": str(settings.seed),
        "steps": f"{metrics.steps:,}",
        "epochs": number(metrics.epochs),
        "tokens": f"{metrics.train_tokens:,}",
        "padding": percent(metrics.padding_share),
        "truncated training plots": f"{metrics.truncated_plots:,}",
        "parameters": f"{metrics.parameters:,}",
        "trained parameters": trained,
    }


def _first_trainings(info: GeneratorInfo) -> str:
    """Return the section's part about the generators that this one started from."""
    start = info.recipe.base_recipe
    if start is None:
        return ""
    commands: list[str] = []
    folder = info.recipe.settings["base_model"]
    while start is not None:
        commands.insert(0, settings_of(start).command().replace("THIS_FOLDER", folder))
        folder, start = start.settings.get("base_model", ""), start.base_recipe
    plots = "It was not trained on validation or test plots either."
    if not info.ancestors_recorded:
        plots = "Its training plots are not recorded. If they include test plots, the test losses above are too low."
    lines = "\n".join(f"    {line}" for line in commands)
    return f"""
Training started from a generator that was trained with the commands below. {plots}

{lines}
"""


def _why_higher(info: GeneratorInfo, guidance: float) -> str:
    if guidance == 1 or info.metrics.test_loss_after <= info.metrics.test_loss_before:
        return ""
    return (
        "\nGuidance raises the test loss: the generator learned to write what is typical of a genre, which many real\n"
        "plots are not.\n"
    )


def _description(info: GeneratorInfo, settings: GeneratorSettings | DistillationSettings) -> str:
    titles = "titles and plots" if info.titles else "plots"
    return f"Generates movie {titles} for given genres: {_kind(info, settings)}.\n{about(info.base_model)}".rstrip()


def _kind(info: GeneratorInfo, settings: GeneratorSettings | DistillationSettings) -> str:
    if isinstance(settings, DistillationSettings):
        return f"a model with {settings.layers} layers, distilled from a generator on `{info.base_model}`"
    if settings.method == "lora":
        return f"a LoRA adapter (rank {RANK}, all linear layers) for the base model `{info.base_model}`"
    return f"the base model `{info.base_model}` with all weights fine-tuned"
