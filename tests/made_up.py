"""A corpus, a dump, a classifier and an embedder whose answers are known, and what the folders of models hold."""

import json
from dataclasses import MISSING, fields

import numpy as np
import pandas as pd

from movieplots.classification.info import (
    BaselineScores,
    Calibration,
    ClassifierInfo,
    ClassifierMetrics,
    LabelScores,
    Measured,
    Scores,
)
from movieplots.generation.info import GeneratorInfo, GeneratorMetrics
from movieplots.plots import SCHEMA, load_plots, save_plots
from movieplots.runs.folder import Recipe, to_json
from movieplots.runs.lineage import PlotIds

LABELS = ["comedy", "horror", "western"]
SCORES = Scores(0.5, 0.4, 0.45, 0.6)


def generator_info(**changes):
    """What the folder of a generator holds, where the changes do not say otherwise."""
    known = {
        "base_model": "tiny", "titles": True, "anchored": True, "max_tokens": 80,
        "genre_counts": dict.fromkeys(LABELS, 1), "sources": ["sample"], "data_fingerprint": "",
        "ancestors_recorded": True, "recipe": Recipe("train generator", {}, ""), "history": [], "samples": [],
        "test_loss_by_genre": {},
        "metrics": GeneratorMetrics(4.0, 3.0, 100, 2, 120, 900, 1.0, 0.1, 0, 9000, 900),
    }  # fmt: skip
    return GeneratorInfo(**(known | changes))


def classifier_info(**changes):
    """What the folder of a classifier holds, where the changes do not say otherwise."""
    row = LabelScores(0.5, 0.5, 0.5, 0.5, 7)
    baselines = {"TF-IDF + linear SVM": BaselineScores(0.4, 0.3, 0.5, 0.5, "C 1")}
    measured = Measured(SCORES, {}, dict.fromkeys(LABELS, row), baselines)
    known = {
        "base_model": "tiny", "labels": LABELS, "thresholds": [0.5] * len(LABELS), "not_learned": {},
        "max_tokens": 80, "titles": True, "sources": ["sample"], "data_fingerprint": "", "history": [],
        "recipe": Recipe("train classifier", {}, ""),
        "metrics": ClassifierMetrics(measured, None, Calibration([0.0] * 3, 1.0, 0.1, 0.1), 120, 60, 60, 2),
    }  # fmt: skip
    return ClassifierInfo(**(known | changes))


def made(kind, **given):
    """A dataclass of which only some fields matter."""
    return kind(**{each.name: None for each in fields(kind) if each.default is MISSING} | given)


def made_up(rng, words, vocabulary=3000):
    """So many words drawn from a vocabulary."""
    return [f"w{number}" for number in rng.integers(vocabulary, size=words)]


def write_data(folder):
    """A Plot table of 240 plots, half of them training, the others validation and test: the folder."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(240):
        genre = LABELS[i % 3]
        text = " ".join([genre if i % 5 else "no", *made_up(rng, 30, 200)])
        split = ("train", "test", "train", "validation")[i % 4]
        title = {"title": f"Title <{i}> (2001)", "primary": f"Title <{i}>", "year": 2001, "kind": "movie"}
        rows.append({"id": f"t-{i}", "plot": text, "genres": [genre], "split": split} | title)
    save_plots(pd.DataFrame(rows).reindex(columns=SCHEMA.names), folder / "plots.parquet")
    return folder


def write_dump(folder, data):
    """112 samples at two settings, and what wrote them: one copies a plot, one is empty, one circles: the folder."""
    folder.mkdir()
    copied = load_plots(data, "train")["plot"][0]
    rng = np.random.default_rng(4)
    for temperature, name in ((0.7, "temp_0_7_topp_0"), (1.0, "temp_1_topp_0_9")):
        lines = []
        for i, genre in enumerate(["horror", "comedy", "horror, comedy", "opera"] * 14):
            plot = f"a {genre} of <script>alert(1)</script> {' '.join(made_up(rng, 20, 200))}"
            plot = copied if i == 5 else "" if i == 6 else "round and round we " * 4 if i == 7 else plot
            top_p = 0.0 if name.endswith("_0") else 0.9
            title = {0: "<i>Odd</i>", 1: '"Round" (2001) {Again}', 2: "title <2> (1990)"}.get(i, f"New {i} (2002)")
            lines.append(
                {"genre": genre, "title": title, "plot": plot, "temperature": temperature, "top_p": top_p}
                | {"seed": i, "truncated": i == 3}
            )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    history = [{"step": 1, "loss": 4.1}, {"step": 1, "eval_loss": 4.0}, {"step": 2, "loss": 3.2}]
    (folder / "dump.json").write_text(json.dumps({"model": to_json(generator_info(history=history))}))
    PlotIds.of(load_plots(data)).write(folder)
    return folder


class FakeClassifier:
    """Gives a genre the probability 0.9 where the text names it, else 0.1; its folder says that it read the data."""

    labels = LABELS
    thresholds = np.array([0.5, 0.5, 0.5])

    def __init__(self, folder, data):
        self.folder = folder
        PlotIds.of(load_plots(data)).write(folder)
        self.info = classifier_info()

    def predict_proba(self, texts):
        assert all(text.strip() for text in texts)  # the real one refuses an empty text
        return np.array([[0.9 if label in text else 0.1 for label in LABELS] for text in texts])


class WordEmbedder:
    """Each word has a random direction, a text that of all its words: quick, and alike texts are near."""

    name = "words"

    def embed(self, texts, what=""):
        directions = np.random.default_rng(0).normal(size=(997, 16))
        vectors = np.full((len(texts), 16), np.nan, np.float16)
        for i, text in enumerate(texts):
            if words := [sum(map(ord, word)) * len(word) % 997 for word in text.lower().split()]:
                vector = directions[words].sum(axis=0)
                vectors[i] = vector / np.linalg.norm(vector)
        return vectors
