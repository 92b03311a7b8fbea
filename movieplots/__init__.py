"""movieplots: write new movie plots and detect genres with fine-tuned transformers.

The names below are the front door; each is imported only when it is first used, so that `import movieplots` is quick.
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# The threads of llama.cpp and torch wait for each other hundreds of times a token. GNU's OpenMP lets them spin for
# milliseconds before they sleep, which takes the cores from whoever they wait for where other programs want them, too.
# It reads this when it is loaded, so before torch is imported. `benchmarks/generation.py` measures it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_FRONT_DOOR = {
    "BadInput": "movieplots.errors",
    "GenreClassifier": "movieplots.classification.prediction",
    "PlotGenerator": "movieplots.generation.sampling",
    "base_models": "movieplots.pretrained.base_models",
    "evaluate": "movieplots.reporting.report",
    "load_plots": "movieplots.plots",
    "parse_title": "movieplots.titles",
    "prepare": "movieplots.preparation.pipeline",
    "read_dump": "movieplots.generation.dump_reader",
    "sample_dump": "movieplots.generation.dumps",
    "train_classifier": "movieplots.classification.training",
    "train_generator": "movieplots.generation.training",
}
__all__ = sorted(_FRONT_DOOR)


def __getattr__(name: str) -> Any:
    if name not in _FRONT_DOOR:
        raise AttributeError(f"module 'movieplots' has no attribute {name!r}")
    return getattr(import_module(_FRONT_DOOR[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
