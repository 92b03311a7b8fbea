"""`make demo`: prepare, train, generate and evaluate on the bundled corpus, with a report at the end.

The models are trained for a short time only, so the demo takes about a quarter of an hour on two cores. Finished stages
are reused, so a second run takes seconds.
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
    notify("The models are small and trained for minutes only: expect simple plots. This takes about 15 minutes.")
    corpus, generator, dump, classifier = (FOLDER / name for name in ("corpus", "generator", "dump", "classifier"))
    _stage(1, "Prepare the bundled corpus: clean it and split it into train, validation and test")
    prepare("sample", corpus)
    _stage(2, "Fine-tune a language model (SmolLM2-135M) to write plots: 40 steps")
    train_generator(corpus, "smollm2-135m", generator, max_steps=40, batch_size=1)
    _stage(3, "Generate 48 plots: 6 genres at 2 temperatures")
    sample_dump(generator, dump, genres=GENRES, temperatures=(0.7, 1.0), top_ps=(0.9,), samples_per_genre=4)
    _stage(4, "Fine-tune a second model (MiniLM) to detect genres: 5 epochs")
    train_classifier(corpus, "minilm-l6", classifier, epochs=5, batch_size=16)
    _stage(5, "Evaluate the generated plots and write a report")
    report, samples = FOLDER / "report.html", FOLDER / "samples.csv"  # the samples are written last
    inputs = [dump / "dump.json", classifier / "movieplots.json"]
    if samples.is_file() and all(file.stat().st_mtime < samples.stat().st_mtime for file in inputs):
        notify(f"{report} is up to date.")
    else:
        evaluate(dump, corpus, FOLDER, classifier=classifier)
    _show(pd.read_csv(samples, keep_default_na=False))
    print(f"\nReport with figures: {report.resolve()}")


def _stage(number: int, what: str) -> None:
    console.print(f"\n{number} of 5  {what}", style="bold", highlight=False)


def _show(samples: pd.DataFrame) -> None:
    """Print the first sample of three genres, without selection."""
    for genre in ("horror", "romance", "western"):
        row = samples[samples["genre"] == genre].iloc[0]
        print(f"\n{row['title'] or 'Untitled'}\n{row['plot']}")
        print(f"    prompted genre: {genre}    predicted: {row['genres_predicted'] or 'none above its threshold'}")


if __name__ == "__main__":
    with sentences():
        main()
