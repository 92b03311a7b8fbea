"""`make demo`: the whole main job on the bundled corpus, each stage as a user would call it, and a report at the end.

Small on purpose: about half an epoch of training, so that it ends within ten minutes on two cores. Every stage keeps
what it has done, so a second run ends in seconds.
"""

from pathlib import Path

import pandas as pd

from movieplots.classification.training import train_classifier
from movieplots.errors import sentences
from movieplots.generation.dumps import sample_dump
from movieplots.generation.training import train_generator
from movieplots.preparation.pipeline import prepare
from movieplots.progress import console, notify
from movieplots.reporting.report import evaluate

FOLDER = Path("data/demo")
GENRES = ("comedy", "crime", "horror", "romance", "sci-fi", "western")


def main() -> None:
    """Run all stages into `data/demo` and print three generated plots with their predicted genres."""
    corpus, generator, dump, classifier = (FOLDER / name for name in ("corpus", "generator", "dump", "classifier"))
    _stage(1, "Preparing the bundled corpus")
    prepare("sample", corpus)
    _stage(2, "Teaching a language model to write plots")
    train_generator(corpus, "smollm2-135m", generator, max_steps=40, batch_size=1)
    _stage(3, "Letting it write")
    sample_dump(generator, dump, genres=GENRES, temperatures=(0.7, 1.0), top_ps=(0.9,), samples_per_genre=4)
    _stage(4, "Teaching a second model to recognise genres")
    train_classifier(corpus, "minilm-l6", classifier, epochs=5, batch_size=16)
    _stage(5, "Evaluating")
    report, samples = FOLDER / "report.html", FOLDER / "samples.csv"  # the samples are put there last
    inputs = [dump / "dump.json", classifier / "movieplots.json"]
    if samples.is_file() and all(file.stat().st_mtime < samples.stat().st_mtime for file in inputs):
        notify(f"{report} is up to date.")
    else:
        evaluate(dump, corpus, FOLDER, classifier=classifier)
    _show(pd.read_csv(samples, keep_default_na=False))
    print(f"\nThe report, with figures: {report.resolve()}")


def _stage(number: int, what: str) -> None:
    console.print(f"\n{number} of 5  {what}", style="bold", highlight=False)


def _show(samples: pd.DataFrame) -> None:
    """Print the first sample of three genres, as they come."""
    for genre in ("horror", "romance", "western"):
        row = samples[samples["genre"] == genre].iloc[0]
        print(f"\n{row['title'] or 'Untitled'}\n{row['plot']}")
        print(f"    asked for: {genre}    predicted: {row['genres_predicted'] or 'none above its threshold'}")


if __name__ == "__main__":
    with sentences():
        main()
