"""The settings of a classifier's training: their defaults, which is sensible, and the command that repeats them."""

from typing import Any

from movieplots.classification.imbalance import LOSSES
from movieplots.errors import BadInput
from movieplots.training import check_learning_rate, check_seed, check_time_limit

METHODS = ("full", "lora")
DEFAULTS: dict[str, Any] = {
    "passes": 3,
    "method": "full",
    "loss": "weighted",
    "label_smoothing": 0.0,
    "titles": False,
    "layers": None,
    "learning_rate": None,
    "batch_size": 48,
    "time_limit": None,
    "seed": 0,
}


def make_recipe(base: str, **settings: Any) -> dict[str, Any]:
    """The whole recipe; raises BadInput for a setting out of range. `settings` has every key of `DEFAULTS`."""
    for name in ("passes", "batch_size"):
        if settings[name] < 1:
            raise BadInput(f"--{name.replace('_', '-')} must be at least 1, not {settings[name]}.")
    for name, choices in (("method", METHODS), ("loss", LOSSES)):
        if settings[name] not in choices:
            raise BadInput(f"--{name} must be {' or '.join(choices)}, not {settings[name]!r}.")
    if not 0 <= settings["label_smoothing"] < 1:
        raise BadInput(f"--label-smoothing must be at least 0 and below 1, not {settings['label_smoothing']:g}.")
    if settings["layers"] is not None and settings["layers"] < 1:
        raise BadInput(f"--layers must be at least 1, not {settings['layers']}.")
    check_learning_rate(settings["learning_rate"])
    check_time_limit(settings["time_limit"])
    check_seed(settings["seed"])
    return {"base": base} | settings


def command(recipe: dict[str, Any]) -> str:
    """The command that trains by this recipe; settings left at their defaults are not named."""
    verb = recipe.get("verb", "classifier")
    options = "".join(f" --teacher TEACHER_{i + 1}" for i in range(len(recipe.get("teachers", ()))))
    for name, default in DEFAULTS.items():
        value = recipe.get(name, default)
        if value != default:
            options += f" --{name.replace('_', '-')}" + ("" if value is True else f" {value}")
    return f"movieplots train {verb} --data DATA --base {recipe['base']}{options} --out THIS_FOLDER"
