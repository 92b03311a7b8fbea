"""Time and memory of `movieplots prepare imdb` for a file with the size of the public table, and their growth.

    python benchmarks/preparation.py --catalogues FOLDER

The script writes a file in the IMDb layout with 117,352 rows, like the public one. Each plot consists of several
descriptions of the catalogues, about 120 words on average, so phrases repeat, which is harder for deduplication than
real plots. One word of each sentence is random, because repeated sentences are removed as boilerplate. Of a hundred
rows, two are copies, two are copies with a few words changed, and one is a stock text with another name in it. The
preparation runs in a separate process, as a user would run it.
"""

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from claims import at_least, at_most, conclude
from processes import run_measured

from movieplots.errors import sentences
from movieplots.genres import GENRES, map_tags
from movieplots.preparation.cleaning import split_sentences
from movieplots.preparation.language import detect_languages
from movieplots.sources.corpus import RawPlot
from movieplots.sources.streaming import read_streaming
from movieplots.texts import clean_text

ROWS = 117_352
SHARES = (0.1, 1.0, 3.0)
MEDIAN_WORDS, SPREAD = 80, 0.6  # of the log-normal distribution of lengths
LANGUAGE_SAMPLE = 1000
STOCK_TEXT = (
    "In this weekly show the host walks through another town with a camera, a map and far too much luggage, talks to "
    "the people who live there, and asks guest number {} what became of the house of {} and of all who lived in it."
)
SECONDS, GIGABYTES, LANGUAGE_RATIO, GROWTH = 90, 1.5, 30, 1.15


@dataclass(frozen=True)
class Run:
    """One preparation: wall-clock seconds, peak memory in bytes, and its report."""

    seconds: float
    memory: int
    report: dict[str, object]


def main() -> int:
    """Print the tables, then the claims as one JSON line; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description="Time, memory and growth of the preparation.")
    parser.add_argument("--catalogues", type=Path, required=True, help="folder of the four catalogues, as for prepare")
    parser.add_argument(
        "--runs", type=int, default=3, help="repetitions of each size; results are medians (default: 3)"
    )
    arguments = parser.parse_args()
    real = [raw for raw in read_streaming(arguments.catalogues).rows if raw.plot.strip()]

    runs: dict[float, list[Run]] = {share: [] for share in SHARES}
    with tempfile.TemporaryDirectory() as folder:
        files = {share: write_table(real, int(share * ROWS), Path(folder) / f"{share}.csv") for share in SHARES}
        for _ in range(arguments.runs):  # alternating, so a busy minute does not affect one size only
            for share, file in files.items():
                runs[share].append(prepare(file, Path(folder) / "out"))
        plots = sample_plots(files[1.0])
    seconds = {share: statistics.median(run.seconds for run in of_share) for share, of_share in runs.items()}
    memory = statistics.median(run.memory for run in runs[1.0])
    rates = language_rates(plots, arguments.runs)

    print(f"{'rows':>10}{'kept':>10}{'near duplicates':>18}{'seconds':>10}{'rows per second':>16}{'memory, GB':>13}")
    for share, of_share in runs.items():
        report = of_share[0].report
        dropped = report["dropped"]["near_duplicate"]  # type: ignore[index]
        largest = max(run.memory for run in of_share) / 1e9
        rate = report["read"] / seconds[share]  # type: ignore[operator]
        print(
            f"{report['read']:>10,}{report['kept']:>10,}{dropped:>18,}{seconds[share]:>10.1f}{rate:>16,.0f}{largest:>13.2f}"
        )
    print(f"\nLanguage detection: {rates['fast']:,.0f} plots per second; langdetect: {rates['langdetect']:,.0f}\n")
    claims = [
        at_most("seconds for 117,352 rows", seconds[1.0], SECONDS),
        at_most("gigabytes for 117,352 rows", memory / 1e9, GIGABYTES),
        at_least("language detection, relative to langdetect", rates["fast"] / rates["langdetect"], LANGUAGE_RATIO),
        at_most("growth from 10 % to 100 %, relative to linear", seconds[1.0] / seconds[0.1] / 10, GROWTH),
        at_most("growth from 100 % to 300 %, relative to linear", seconds[3.0] / seconds[1.0] / 3, GROWTH),
    ]
    return conclude(claims)


def write_table(real: list[RawPlot], rows: int, file: Path) -> Path:
    """Write a file in the IMDb layout with `rows` rows, made of titles and descriptions of the catalogues."""
    draw = random.Random(0)
    plots: list[str] = []
    with open(file, "w", encoding="utf-8") as out:
        out.write("\t".join(["title", "plot", *GENRES]) + "\n")
        for number in range(rows):
            kind = draw.random()
            if plots and kind < 0.02:
                plot = draw.choice(plots)
            elif plots and kind < 0.04:
                words = draw.choice(plots).split(" ")
                for _ in range(max(1, len(words) // 40)):
                    words[draw.randrange(len(words))] = "meanwhile"
                plot = " ".join(words)
            elif kind < 0.05:
                plot = STOCK_TEXT.format(number, draw.randrange(10**6))
            else:
                plot = make_plot(real, draw)
                plots.append(plot)
            about = draw.choice(real)
            genres = map_tags("streaming", about.tags).genres or ["drama"]
            flags = ["1" if genre in genres else "0" for genre in GENRES]
            out.write("\t".join([make_title(about, number, draw), f" {plot}", *flags]) + "\n")
    return file


def make_plot(real: list[RawPlot], draw: random.Random) -> str:
    """Concatenate descriptions up to a length from a log-normal distribution."""
    words, parts = MEDIAN_WORDS * draw.lognormvariate(0, SPREAD), []
    while words > 0:
        for sentence in split_sentences(" ".join(draw.choice(real).plot.split())):
            own = sentence.split()
            own[draw.randrange(len(own))] = f"{draw.randrange(16**4):x}"
            parts.append(" ".join(own))
            words -= len(own)
    return " ".join(parts)


def make_title(about: RawPlot, number: int, draw: random.Random) -> str:
    """Return a title by the IMDb rules; 40 % are episodes of long series, as in the public table."""
    name = re.sub(r"[\"{}\t]", "", about.published)
    if draw.random() < 0.6:
        return f"{name} {number % 997} ({about.title.year or '????'})"
    return f'"{name}" ({about.title.year or "????"}) {{Part {number} (#{number % 9 + 1}.{number % 24 + 1})}}'


def prepare(file: Path, out: Path) -> Run:
    """Run the command in a separate process and wait for it."""
    command = [
        sys.executable,
        "-m",
        "movieplots",
        "prepare",
        "imdb",
        "--path",
        str(file),
        "--output-dir",
        str(out),
        "--overwrite",
    ]
    seconds, memory = run_measured(command)
    return Run(seconds, memory, json.loads((out / "report.json").read_text(encoding="utf-8")))


def sample_plots(file: Path) -> list[str]:
    """Return plots of the file, cleaned as before language detection."""
    with open(file, encoding="utf-8") as lines:
        plots = [clean_text(line.split("\t")[1]) for _, line in zip(range(20 * LANGUAGE_SAMPLE), lines, strict=False)]
    return random.Random(0).sample(plots[1:], LANGUAGE_SAMPLE)


def language_rates(plots: list[str], runs: int) -> dict[str, float]:
    """Return the plots per second of each detector, medians of the runs; langdetect uses whole plots."""
    from langdetect import DetectorFactory, detect

    DetectorFactory.seed = 0
    detect(plots[0])  # loads its profiles
    rates: dict[str, list[float]] = {"fast": [], "langdetect": []}
    for _ in range(runs):
        start = time.perf_counter()
        detect_languages(plots)
        rates["fast"].append(len(plots) / (time.perf_counter() - start))
        start = time.perf_counter()
        for plot in plots:
            detect(plot)
        rates["langdetect"].append(len(plots) / (time.perf_counter() - start))
    return {name: statistics.median(of_runs) for name, of_runs in rates.items()}


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
