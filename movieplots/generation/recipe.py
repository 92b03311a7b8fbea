"""The settings of a generator's training: their defaults, which is sensible, and the command that repeats them."""

import math
from pathlib import Path
from typing import Any

from movieplots.errors import BadInput
from movieplots.generation.markup import check_markup
from movieplots.model_folder import read_info
from movieplots.training import SCHEDULES, check_learning_rate, check_seed, check_time_limit

METHODS = ("lora", "full")
FEEDINGS = ("blocks", "windows")
DRAWS = ("uniform", "evident")
LEARNING_RATES = {"lora": 1e-3, "full": 1e-4}
DEFAULTS: dict[str, Any] = {
    "method": "lora",
    "feeding": "blocks",
    "draws": "uniform",
    "guidance": 0.0,
    "max_steps": None,
    "time_limit": None,
    "schedule": "linear",
    "patience": None,
    "block_size": 512,  # tokens; loglines have 30 to 120, so that a block holds some eight of them
    "blocks_per_step": 2,
    "seed": 0,
}


def adapter_info(base: str) -> dict[str, Any]:
    """The info of a base that is a generator's folder with an adapter; nothing for any other base."""
    return read_info(base, "generation") if (Path(base) / "adapter_config.json").is_file() else {}


def make_recipe(base: str, markup: str | None, learning_rate: float | None, **settings: Any) -> dict[str, Any]:
    """The whole recipe; raises BadInput for a setting out of range. `settings` has every key of `DEFAULTS`.

    Without a markup it is that of the generator that is trained further, else `with-titles`.
    """
    check_settings(markup, learning_rate, settings)
    markup = markup or adapter_info(base).get("markup", "with-titles")
    check_markup(markup)
    if settings["guidance"]:
        _check_guided_base(base, markup)
    rate = LEARNING_RATES[settings["method"]] if learning_rate is None else learning_rate
    recipe = {"base": base, "markup": markup, "learning_rate": rate} | settings
    if not recipe["guidance"]:  # then it is the recipe it was before there was guidance
        del recipe["guidance"]
    return recipe


def check_settings(markup: str | None, learning_rate: float | None, settings: dict[str, Any]) -> None:
    """Raise BadInput for a setting that is wrong whatever the base; arguments as for `make_recipe`."""
    if markup is not None:
        check_markup(markup)
    _check_choice("--method", settings["method"], METHODS)
    _check_choice("--feeding", settings["feeding"], FEEDINGS)
    _check_choice("--draws", settings["draws"], DRAWS)
    if settings["draws"] == "evident" and settings["feeding"] == "windows":
        raise BadInput("--draws evident needs --feeding blocks: windows show every plot alike.")
    _check_guidance(settings)
    _check_choice("--schedule", settings["schedule"], SCHEDULES)
    check_time_limit(settings["time_limit"])
    for name, least in (("max_steps", 1), ("patience", 1), ("blocks_per_step", 1), ("block_size", 16)):
        if settings[name] is not None and settings[name] < least:
            raise BadInput(f"--{name.replace('_', '-')} must be at least {least}, not {settings[name]}.")
    check_learning_rate(learning_rate)
    check_seed(settings["seed"])


def _check_guidance(settings: dict[str, Any]) -> None:
    if not 0 <= settings["guidance"] < math.inf:
        raise BadInput(f"--guidance must be at least 0 and finite, not {settings['guidance']:g}.")
    if not settings["guidance"]:
        return
    if settings["feeding"] == "windows":
        raise BadInput("--guidance needs --feeding blocks: windows do not know where a plot begins.")
    if settings["patience"] is not None:
        raise BadInput("--guidance cannot go with --patience: while guidance is learned, the held-out loss rises.")


def _check_guided_base(base: str, markup: str) -> None:
    start = adapter_info(base)
    if start.get("markup") != markup or not start.get("anchored"):
        raise BadInput(
            f"--guidance needs a --base that `movieplots train generator` made with --method lora and --markup "
            f"{markup}: {base} is none."
        )


def command(recipe: dict[str, Any]) -> str:
    """The command that trains by this recipe; settings left at their defaults are not named."""
    if "teacher" in recipe:
        start = f"movieplots distill --teacher TEACHER --data DATA --layers {recipe['layers']}"
    else:
        start = f"movieplots train generator --data DATA --base {recipe['base']} --markup {recipe['markup']}"
    given = {name: recipe[name] for name, default in DEFAULTS.items() if recipe.get(name, default) != default}
    if "teacher" in recipe:
        given.pop("method")
    if recipe["learning_rate"] != LEARNING_RATES[recipe["method"]]:
        given["learning_rate"] = f"{recipe['learning_rate']:g}"
    options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in given.items())
    return f"{start}{options} --out THIS_FOLDER"


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadInput(f"{option} must be {' or '.join(choices)}, not {value!r}.")
