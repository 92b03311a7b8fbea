"""Time and memory of `movieplots evaluate` with a corpus of the size of the public table, and their growth.

    python benchmarks/evaluation.py --catalogues FOLDER --dump FOLDER --classifier FOLDER

The script makes a corpus of 117,193 training plots of about 120 words, each several descriptions of the catalogues, and
500 validation and 500 test plots. The embeddings of the training plots (random ones) are cached in advance, and those
of validation plots, test plots and their shuffled words, which are the same for all dumps of the same prompts; their
time is printed separately. Embedding the samples is part of the measured time. Each run is the whole command in a
separate process; a repeated run has all embeddings in the cache. For comparison, the script measures a naive double
loop over pairs for a Jaccard matrix (on a sample of the pairs) and self-BLEU by sacrebleu.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import sacrebleu
from claims import at_least, at_most, conclude
from preparation import make_plot, make_title
from processes import run_measured

from movieplots import read_dump
from movieplots.errors import sentences
from movieplots.evaluation.references import mauve_reference, real_samples, shuffled_words
from movieplots.generation.dumps import cell_name
from movieplots.genres import map_tags
from movieplots.measures.diversity import self_bleu
from movieplots.measures.embedding import Embedder, load_embedder
from movieplots.measures.similarity import nearest_by_words
from movieplots.plots import SCHEMA, load_plots, save_plots
from movieplots.sources.corpus import RawPlot
from movieplots.sources.streaming import read_streaming
from movieplots.titles import parse_title
from movieplots.words import number_words, split_words

PLOTS, EVALUATION_PLOTS, SAMPLES = 117_193, 500, 1_680
SIZES = (1 / 3, 1.0, 3.0)
PAIRS = 200_000  # of the naive double loop
BLEU_TEXTS = 260
SECONDS, GIGABYTES, GROWTH, CACHED, NAIVE = 120, 2, 1.15, 10, 50


def main() -> int:
    """Print the tables, then the claims as one JSON line; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description="Time and memory of the evaluation, and their growth.")
    parser.add_argument("--catalogues", type=Path, required=True, help="folder of the four catalogues, as for prepare")
    parser.add_argument("--dump", type=Path, required=True, help=f"a dump; {SAMPLES:,} of its samples are used")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of a genre classifier")
    parser.add_argument(
        "--runs", type=int, default=3, help="repetitions of each size; results are medians (default: 3)"
    )
    arguments = parser.parse_args()
    real = [raw for raw in read_streaming(arguments.catalogues).rows if raw.plot.strip()]

    first: dict[float, list[tuple[float, float]]] = {size: [] for size in SIZES}
    second: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prompts = write_dump(arguments.dump, work / "dump")
        cache = work / "cache"
        os.environ["MOVIEPLOTS_CACHE"] = str(cache)
        for size in SIZES:
            write_corpus(real, int(size * PLOTS), work / f"corpus-{size:g}")
            others = embed_corpus(work / f"corpus-{size:g}", prompts)  # the same number of plots for each size
            cache.rename(work / f"cache-{size:g}")
        for _ in range(arguments.runs):  # alternating, so a busy minute does not affect one size only
            for size in SIZES:
                shutil.copytree(work / f"cache-{size:g}", cache)
                first[size].append(evaluate(work, size, arguments.classifier))
                if size == 1:
                    second.append(evaluate(work, size, arguments.classifier))
                    reading = reading_seconds(work / "corpus-1")
                shutil.rmtree(cache)
        naive, ours = jaccard_seconds(work)
    theirs, own = bleu_seconds(arguments.dump)

    seconds = {size: statistics.median(run[0] for run in runs) for size, runs in first.items()}
    memory = max(run[1] for run in first[1.0]) / 1e9
    print(f"{'training plots':>16}{'seconds':>10}{'memory, GB':>13}")
    for size, runs in first.items():
        print(f"{int(size * PLOTS):>16,}{seconds[size]:>10.1f}{max(run[1] for run in runs) / 1e9:>13.2f}")
    again = statistics.median(run[0] for run in second)
    print(f"\nRepeated, with nothing to embed: {again:.1f} s; loading all training embeddings: {reading:.1f} s")
    print(f"Embedding validation plots, test plots and shuffled words, once per corpus: {others:.1f} s")
    print(f"Jaccard, nearest of all pairs: {ours:.1f} s; naive double loop, from {PAIRS:,} pairs: {naive:,.0f} s")
    print(f"Self-BLEU of {BLEU_TEXTS} texts: {own:.2f} s; sacrebleu: {theirs:.1f} s\n")
    claims = [
        at_most(
            f"seconds for {SAMPLES:,} samples and {PLOTS:,} training plots, the corpus embedded", seconds[1.0], SECONDS
        ),
        at_most("gigabytes for them", memory, GIGABYTES),
        at_most("growth from 33 % to 100 %, relative to linear", seconds[1.0] / seconds[1 / 3] / 3, GROWTH),
        at_most("growth from 100 % to 300 %, relative to linear", seconds[3.0] / seconds[1.0] / 3, GROWTH),
        at_most("seconds to load the training embeddings", reading, CACHED),
        at_least("Jaccard, relative to the naive double loop", naive / ours, NAIVE),
        at_least("self-BLEU, relative to sacrebleu", theirs / own, 1),
    ]
    return conclude(claims)


def write_dump(dump: Path, out: Path) -> list[str]:
    """Write `SAMPLES` samples of the dump, repeated if it has fewer, to a new dump; return their prompts."""
    samples = read_dump(dump)
    samples = pd.concat([samples] * (SAMPLES // len(samples) + 1), ignore_index=True).head(SAMPLES)
    out.mkdir()
    for (temperature, top_p), rows in samples.groupby(["temperature", "top_p"]):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_dict("records")]
        (out / f"{cell_name(temperature, top_p)}.jsonl").write_text("".join(lines), encoding="utf-8")
    return samples["genre"].tolist()


def write_corpus(real: list[RawPlot], training: int, out: Path) -> None:
    """Write a Plot table with `training` training plots, and validation and test plots, made from the catalogues."""
    draw = random.Random(0)
    rows = []
    for number in range(training + 2 * EVALUATION_PLOTS):
        about = draw.choice(real)
        text = make_title(about, number, draw)
        title = parse_title(text)
        rows.append(
            {
                "id": f"made-{number}", "source": "made", "title": text, "primary": title.primary,
                "secondary": title.secondary or None, "year": title.year, "kind": title.kind,
                "plot": make_plot(real, draw), "genres": map_tags("streaming", about.tags).genres or ["drama"],
                "language": "en", "group": f"made-{number}",
                "split": "train" if number < training else ("validation", "test")[number % 2],
            }
        )  # fmt: skip
    save_plots(pd.DataFrame(rows).reindex(columns=SCHEMA.names), out / "plots.parquet")


def embed_corpus(corpus: Path, prompts: list[str]) -> float:
    """Fill the cache for a corpus; return the seconds for its validation and test plots, which a model embeds."""
    plots = load_plots(corpus)
    training = plots[plots["split"] == "train"]
    rng = np.random.default_rng(0)

    def compute(texts: list[str]) -> np.ndarray:
        vectors = rng.normal(size=(len(texts), 384))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    embedder = Embedder("random", load_embedder().identity, compute)
    for name in ("plot", "primary", "secondary"):
        embedder.embed(sorted(set(training[name].dropna())), f"Filling the cache: {name}")

    real = real_samples(plots, prompts)
    texts = [
        *real["plot"],
        *shuffled_words(real)["plot"],
        *mauve_reference(plots, prompts)["plot"],
        *mauve_reference(plots, [])["plot"],
    ]
    start = time.perf_counter()
    load_embedder().embed(texts, "Filling the cache: validation and test")
    return time.perf_counter() - start


def reading_seconds(corpus: Path) -> float:
    """Return the seconds to load all embeddings of the training plots from the cache."""
    texts = load_plots(corpus, "train")["plot"].tolist()
    start = time.perf_counter()
    load_embedder().embed(texts)
    return time.perf_counter() - start


def evaluate(work: Path, size: float, classifier: Path) -> tuple[float, float]:
    """Run the command in a separate process; return seconds and peak memory in bytes."""
    command = [
        sys.executable, "-m", "movieplots", "evaluate", "--dump", str(work / "dump"), "--data",
        str(work / f"corpus-{size:g}"), "--classifier", str(classifier), "--output-dir", str(work / "out"),
    ]  # fmt: skip
    return run_measured(command)


def jaccard_seconds(work: Path) -> tuple[float, float]:
    """Return the seconds for all pairs of a double loop (extrapolated from a sample), and of `nearest_by_words`."""
    samples, training = (
        read_dump(work / "dump")["plot"].tolist(),
        load_plots(work / "corpus-1", "train")["plot"].tolist(),
    )
    few, many = [set(split_words(text)) for text in samples[:40]], [set(split_words(text)) for text in training[:5000]]
    start = time.perf_counter()
    for sample in few:
        for text in many:
            len(sample & text) / len(sample | text) if sample else 0.0
    naive = (time.perf_counter() - start) / PAIRS * len(samples) * len(training)
    vocabulary: dict[str, int] = {}
    numbered, trained = number_words(samples, vocabulary), number_words(training, vocabulary)
    start = time.perf_counter()
    nearest_by_words(numbered, trained)
    return naive, time.perf_counter() - start


def bleu_seconds(dump: Path) -> tuple[float, float]:
    """Return the seconds for self-BLEU of `BLEU_TEXTS` plots by sacrebleu, plot by plot, and by `self_bleu`."""
    texts = [text.lower() for text in read_dump(dump)["plot"] if text][:BLEU_TEXTS]
    metric = sacrebleu.BLEU(effective_order=True, tokenize="none")
    start = time.perf_counter()
    for i, text in enumerate(texts):
        metric.sentence_score(text, texts[:i] + texts[i + 1 :])
    theirs = time.perf_counter() - start
    start = time.perf_counter()
    self_bleu(number_words(texts, {}))
    return theirs, time.perf_counter() - start


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
