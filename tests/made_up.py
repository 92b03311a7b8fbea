"""A corpus, a dump, a classifier and an embedder whose answers are known, for tests of the evaluation."""

import json

import numpy as np
import pandas as pd

from movieplots.lineage import PlotIds
from movieplots.plots import SCHEMA, load_plots, save_plots

LABELS = ["comedy", "horror", "western"]


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
                | {"seed": i, "finished": i != 3}
            )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = {
        "base": "tiny",
        "markup": "with-titles",
        "metrics": {"test_loss_before": 4.0, "test_loss_after": 3.0},
        "history": [{"step": 1, "loss": 4.1}, {"step": 1, "eval_loss": 4.0}, {"step": 2, "loss": 3.2}],
    }
    (folder / "dump.json").write_text(json.dumps({"model": model}))
    PlotIds.of(load_plots(data)).write(folder)
    return folder


class FakeClassifier:
    """Gives a genre the probability 0.9 where the text names it, else 0.1; its folder says that it read the data."""

    labels = LABELS
    thresholds = np.array([0.5, 0.5, 0.5])

    def __init__(self, folder, data):
        self.folder = folder
        PlotIds.of(load_plots(data)).write(folder)
        figures = {"micro_f1": 0.5, "macro_f1": 0.4, "map": 0.45}
        row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "average_precision": 0.5, "support": 7}
        self.info = {
            "metrics": {
                "test_plots": 60, "test": figures, "test_per_label": dict.fromkeys(LABELS, row),
                "baselines": {"TF-IDF + linear SVM": {"micro_f1": 0.4, "macro_f1": 0.3, "map": 0.5}},
            },
        }  # fmt: skip

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
