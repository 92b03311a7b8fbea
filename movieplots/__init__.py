"""Write new movie plots and detect their genres with fine-tuned transformers.

The public API, in the order in which you use it:

=================  ====================================================================================
prepare            Clean one or several corpora and split them into train, validation and test.
load_plots         Read the prepared plots as a pandas DataFrame.
parse_title        Parse a title by the IMDb naming rules.
base_models        List the base models that have a short name.
train_generator    Fine-tune a causal language model to write plots.
train_classifier   Fine-tune an encoder to detect genres.
PlotGenerator      A trained generator: write plots for genres, a title or an opening.
GenreClassifier    A trained classifier: probabilities, genres and explanations of plots.
sample_dump        Sample plots over a grid of genres, temperatures and top-p values into a folder, a dump.
read_dump          Read a dump as a pandas DataFrame.
evaluate           Compare a dump with training and test plots and write an HTML report.
BadInput           The error for arguments and files that cannot be used.
=================  ====================================================================================

`help(movieplots.prepare)` and so on describe each in full. A name is imported when it is first used. Error messages
name options as on the command line: `--overwrite` is the argument `overwrite=True`.

Results:

=============================================  ==============================================================
movieplots.preparation.report.Preparation      Counts of `prepare`, and the path of the plots.
movieplots.titles.Title                        Parts of a title, from `parse_title`.
movieplots.generation.info.GeneratorInfo       Description and metrics of a trained generator.
movieplots.classification.info.ClassifierInfo  Description and metrics of a trained classifier.
movieplots.generation.sampling.Sample          One generated plot.
movieplots.reporting.report.Report             Metrics and samples of `evaluate`, and the path of the report.
movieplots.measures.novelty_index.NearestPlot  The training plot most similar to a plot, and copied words.
=============================================  ==============================================================

More functions:

===========================================================  ====================================================
movieplots.sources.fetching.fetch_missing                    Download the files of corpora.
movieplots.generation.distillation.distill                   Train a smaller generator to imitate a trained one.
movieplots.generation.training.find_lr                       Suggest a learning rate for `train_generator`.
movieplots.generation.export.export_gguf                     Export a generator for llama.cpp.
movieplots.classification.training.find_lr                   Suggest a learning rate for `train_classifier`.
movieplots.classification.quantization.quantize              Make a classifier smaller, and faster on a CPU.
movieplots.classification.mlm.train_mlm                      Adapt an encoder to plots before `train_classifier`.
movieplots.classification.fastai_training.train_with_fastai  Train a classifier with fastai and 1cycle schedules.
movieplots.classification.explanation.explain                Find the words that decide a prediction.
movieplots.measures.novelty_index.load_comparison            Check plots for copying, with a novelty index.
movieplots.notebook.live_curves.show_live_curves             Show the losses of a training in a notebook.
===========================================================  ====================================================

Examples
--------
>>> import movieplots
>>> from movieplots.pretrained import shipped  # the pretrained models of the package
>>> generator = movieplots.PlotGenerator.from_pretrained(shipped.GENERATOR)
>>> sample = generator.generate(["horror"], title="Salt (2009)", seed=1)[0]
>>> classifier = movieplots.GenreClassifier.from_pretrained(shipped.CLASSIFIER)
>>> genres = classifier.predict([sample.plot])[0]
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"

# The threads of llama.cpp and torch wait for each other hundreds of times per token. GNU OpenMP lets a waiting thread
# spin for milliseconds before it sleeps. On a busy machine that blocks the core that the awaited thread needs. OpenMP
# reads the variable when it is loaded, so it is set before torch is imported. `benchmarks/load.py` measures the effect.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_PUBLIC = {
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
__all__ = sorted(_PUBLIC)
_WITHOUT_EXTRAS = {"BadInput", "GenreClassifier", "PlotGenerator", "base_models", "parse_title"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'movieplots' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names too, for `help` and tab completion: those that the installed extras let Python import."""
    names = __all__ if find_spec("pandas") else sorted(_WITHOUT_EXTRAS)  # the extra `train` has pandas
    return [*globals(), *names]
