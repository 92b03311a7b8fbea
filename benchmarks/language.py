"""Quality and speed of both language detectors of `movieplots prepare`, on labeled rows of the four catalogues.

    python benchmarks/language.py --catalogues FOLDER

`language_labels.csv` has id, language and note of rows labeled by hand: all rows that at least one detector classified
as not English, short English rows, English rows with many foreign names, and random rows. A text without a language (a
title alone, a number) has the language `und`. It is counted separately and not part of precision and recall.
"""

import argparse
import csv
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from claims import at_least, conclude

from movieplots.errors import BadInput, sentences
from movieplots.preparation.language import DETECTORS, detect_languages
from movieplots.sources.streaming import read_streaming
from movieplots.texts import clean_text

LABELS = Path(__file__).with_name("language_labels.csv")
RUNS = 3  # repetitions; times are medians
ENOUGH = 0.99  # minimum precision and recall of English
SPEED_RATIO = 30


@dataclass(frozen=True)
class Quality:
    """The scores of one detector: counts of texts, and shares from 0 to 1."""

    english_precision: float
    english_recall: float
    other_precision: float
    other_recall: float
    english_dropped: int
    other_kept: int
    same_language: float  # of texts in other languages, the share with the exact language
    no_language_kept: int
    errors: list[str]  # `id true→detected`


def main() -> int:
    """Print the tables, then the claims as one JSON line; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description="Quality and speed of the two language detectors.")
    parser.add_argument("--catalogues", type=Path, required=True, help="folder of the four catalogues, as for prepare")
    parser.add_argument("--sample", type=int, default=2000, help="plots for measuring the speed (default: 2000)")
    arguments = parser.parse_args()

    # As in prepare: clean texts, without rows that have no plot.
    texts = {raw.id: clean_text(raw.plot) for raw in read_streaming(arguments.catalogues).rows}
    labels = read_labels(texts, arguments.catalogues)
    plots = [text for text in texts.values() if text]
    if not 0 < arguments.sample <= len(plots):
        raise BadInput(f"--sample must be from 1 to {len(plots)}, the number of plots, not {arguments.sample}.")

    labeled = [texts[name] for name in labels]
    quality = {name: compare(labels, detect_languages(labeled, detector=name)) for name in DETECTORS}
    rates = measure_speed(random.Random(0).sample(plots, arguments.sample))
    print_tables(list(labels.values()), quality, rates)

    fast, slow = quality["fast"], quality["langdetect"]
    ratio = statistics.median(quick / plain for quick, plain in zip(rates["fast"], rates["langdetect"], strict=True))
    claims = [
        at_least("fast: recall of English", fast.english_recall, ENOUGH),
        at_least("fast: precision of English", fast.english_precision, ENOUGH),
        at_least("fast: recall of English not below langdetect's", fast.english_recall, slow.english_recall),
        at_least("fast: precision of English not below langdetect's", fast.english_precision, slow.english_precision),
        at_least("fast: speed relative to langdetect", ratio, SPEED_RATIO),
    ]
    return conclude(claims)


def read_labels(texts: dict[str, str], catalogues: Path) -> dict[str, str]:
    """Return the language of each labeled row by id; raise BadInput if a row is not among `texts`."""
    with open(LABELS, encoding="utf-8", newline="") as file:
        labels = {row["id"]: row["language"] for row in csv.DictReader(file)}
    missing = [name for name in labels if name not in texts]
    if missing:
        raise BadInput(
            f"{len(missing)} of the {len(labels)} labeled rows are not in {catalogues} (the first is {missing[0]}): "
            "put all four catalogues there."
        )
    return labels


def compare(labels: dict[str, str], detected: list[str]) -> Quality:
    """Score detected languages, in the order of `labels`."""
    rows = [(name, true, found) for (name, true), found in zip(labels.items(), detected, strict=True)]
    english = [found == "en" for _, true, found in rows if true == "en"]
    other = [found != "en" for _, true, found in rows if true not in ("en", "und")]
    kept, dropped = sum(english), len(english) - sum(english)
    found, missed = sum(other), len(other) - sum(other)
    return Quality(
        english_precision=kept / (kept + missed),
        english_recall=kept / len(english),
        other_precision=found / (found + dropped),
        other_recall=found / len(other),
        english_dropped=dropped,
        other_kept=missed,
        same_language=sum(code == true for _, true, code in rows if true not in ("en", "und")) / len(other),
        no_language_kept=sum(code == "en" for _, true, code in rows if true == "und"),
        errors=[f"{name} {true}→{code}" for name, true, code in rows if true != "und" and code != true],
    )


def measure_speed(sample: list[str]) -> dict[str, list[float]]:
    """Return the plots per second of each detector and run.

    The detectors alternate, so a busy machine slows both. Loading the fast model is part of every run; langdetect loads
    its profiles once per process, before the first run.
    """
    rates: dict[str, list[float]] = {name: [] for name in DETECTORS}
    for name in DETECTORS:
        detect_languages(sample[:1], detector=name)
    for _ in range(RUNS):
        for name in DETECTORS:
            start = time.perf_counter()
            detect_languages(sample, detector=name)
            rates[name].append(len(sample) / (time.perf_counter() - start))
    return rates


def print_tables(languages: list[str], quality: dict[str, Quality], rates: dict[str, list[float]]) -> None:
    """Print counts and shares of both detectors side by side, and the ids of their errors."""
    unknown, english = languages.count("und"), languages.count("en")
    others = sorted(set(languages) - {"en", "und"})
    counts = ", ".join(f"{languages.count(code)} {code}" for code in others)
    print(f"{len(languages)} labeled rows: {english} English, {counts}, {unknown} undetermined\n")
    print(f"{'':38}{'fast':>10}{'langdetect':>14}")
    rows = {
        "English: precision": [f"{one.english_precision:.4f}" for one in quality.values()],
        "English: recall": [f"{one.english_recall:.4f}" for one in quality.values()],
        "not English: precision": [f"{one.other_precision:.4f}" for one in quality.values()],
        "not English: recall": [f"{one.other_recall:.4f}" for one in quality.values()],
        "English dropped": [str(one.english_dropped) for one in quality.values()],
        "other languages kept": [str(one.other_kept) for one in quality.values()],
        "other languages: exact language": [f"{one.same_language:.4f}" for one in quality.values()],
        f"undetermined, kept (of {unknown})": [str(one.no_language_kept) for one in quality.values()],
        f"plots per second (median of {RUNS})": [f"{statistics.median(rates[name]):,.0f}" for name in quality],
    }
    for what, (fast, slow) in rows.items():
        print(f"{what:38}{fast:>10}{slow:>14}")
    for name, one in quality.items():
        print(f"\nErrors of {name} ({len(one.errors)}): {', '.join(one.errors) or 'none'}")
    print()


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
