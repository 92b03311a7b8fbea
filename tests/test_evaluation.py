"""Evaluation: exact measures on texts whose answer is known, and the report that is written from them."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import movieplots.evaluation as evaluation
from movieplots.errors import BadInput
from movieplots.evaluation import evaluate
from movieplots.evaluation.diversity import distinct, loops
from movieplots.evaluation.genre_control import genre_control
from movieplots.evaluation.intervals import bootstrap_interval
from movieplots.evaluation.measures import word_budget
from movieplots.evaluation.novelty import longest_copied_runs, nearest_texts, novelty
from movieplots.evaluation.report import mark_run, opening, spread
from movieplots.plots import SCHEMA, data_fingerprint, load_plots, save_plots
from movieplots.words import number_words

LABELS = ["comedy", "horror", "western"]


def made_up(rng, words, vocabulary=3000):
    return [f"w{number}" for number in rng.integers(vocabulary, size=words)]


def numbered(samples, training):
    vocabulary = {}
    return number_words(samples, vocabulary), number_words(training, vocabulary)


def naive_run(sample, training):
    best = 0
    for i in range(len(sample)):
        for j in range(len(training)):
            n = 0
            while i + n < len(sample) and j + n < len(training) and sample[i + n] == training[j + n]:
                n += 1
            best = max(best, n)
    return best


@pytest.mark.parametrize("length", [5, 20, 60])
def test_a_planted_copy_is_found_at_its_exact_length(length):
    rng = np.random.default_rng(length)
    training = [made_up(rng, 80) for _ in range(50)]
    source = training[31]
    sample = ["before", "it", *source[7 : 7 + length], "after", "it"]
    found = novelty([", ".join(sample).upper()], [" ".join(text) for text in training]).iloc[0]
    assert (found["copied_words"], found["copied_at"], found["copied_row"]) == (length, 2, 31)
    assert not found["exact_copy"]


def test_a_run_does_not_cross_from_one_training_plot_into_the_next():
    samples, training = numbered(["a b c d"], ["x a b", "c d y"])
    assert longest_copied_runs(samples, training)[0].tolist() == [2]


def test_runs_and_nearest_equal_a_naive_double_loop(monkeypatch):
    monkeypatch.setattr("movieplots.evaluation.novelty._CHUNK", 7)  # several chunks
    rng = np.random.default_rng(0)
    # A vocabulary of twelve words makes long chance runs, loops and ties.
    samples = [made_up(rng, int(rng.integers(0, 40)), 12) for _ in range(15)] + [[]]
    training = [made_up(rng, int(rng.integers(1, 40)), 12) for _ in range(20)] + [[]]
    joined = [" ".join(text) for text in samples], [" ".join(text) for text in training]
    runs, at, rows = longest_copied_runs(*numbered(*joined))
    similarity, nearest = nearest_texts(*numbered(*joined))
    for i, sample in enumerate(samples):
        assert runs[i] == max(naive_run(sample, text) for text in training)
        if runs[i]:
            copied = " ".join(sample[at[i] : at[i] + runs[i]])
            assert f" {copied} " in f" {joined[1][rows[i]]} "
        jaccard = [len({*sample} & {*text}) / (len({*sample} | {*text}) or 1) for text in training]
        assert similarity[i] == pytest.approx(max(jaccard))
        assert nearest[i] == (int(np.argmax(jaccard)) if max(jaccard) else -1)


def test_exact_copies_ignore_case_and_punctuation():
    found = novelty(["The sea, gives BACK!", "The sea gives", ""], ["The sea gives back", ""])
    assert found["exact_copy"].tolist() == [True, False, False]
    assert found["copied_words"].tolist() == [4, 3, 0]


def test_distinct_counts_ngrams_per_word():
    texts = ["a b a b", "a c"]
    assert distinct(texts, 1) == pytest.approx(3 / 6)
    assert distinct(texts, 2) == pytest.approx(3 / 6)  # ab, ba, ac: no pair crosses from one text into the next
    assert distinct(texts, 1, budget=4) == pytest.approx(2 / 4)
    assert distinct([], 2) == distinct([""], 2) == 0.0


def test_a_loop_is_four_words_three_times():
    assert loops("and then the dog. " * 3)
    assert not loops("and then the dog. " * 2)
    assert not loops("the dog " * 2)
    assert not loops("")


def test_genre_control_by_hand():
    proba = np.array([[0.9, 0.1, 0.0], [0.6, 0.8, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.3]])
    control = genre_control(["comedy", "horror, comedy", "horror", "opera"], proba, np.array([0.5, 0.5, 0.5]), LABELS)
    assert control.hit.tolist()[:3] == [1.0, 1.0, 1.0]
    assert np.isnan(control.hit[3]) and control.unknown == ["opera"]
    assert control.probability[1] == pytest.approx(0.7)
    assert control.predicted == [["comedy"], ["comedy", "horror"], ["horror"], []]
    assert control.prompted == ["comedy", "horror"]
    assert control.matrix == pytest.approx(np.array([[0.75, 0.45, 0.0], [0.4, 0.75, 0.05]]))
    # comedy: 1 of the 3 others; both: 0 of 3; horror: 1 of 3
    assert control.chance == pytest.approx(2 / 9)


def test_intervals_are_seeded_and_never_claim_certainty():
    values = np.array([1.0] * 12 + [0.0] * 28)
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    assert 0.1 < low < 0.3 < high < 0.5
    low, high = bootstrap_interval(np.zeros(100))
    assert low == 0 and high == pytest.approx(0.03, abs=0.001)


def test_the_word_budget_is_that_of_the_smallest_group_with_words():
    groups = [pd.DataFrame({"words": words}) for words in ([10, 20], [0], [7, 8], [])]
    assert word_budget(groups) == 15


def test_spread_takes_settings_and_genres_in_turn():
    rows = [(t, 0.9, genre) for t in (0.7, 1.0) for genre in LABELS for _ in range(10)]
    table = pd.DataFrame(rows, columns=["temperature", "top_p", "genre"])
    chosen = table.loc[spread(table, 12)]
    assert set(chosen.value_counts()) == {2} and len(chosen.drop_duplicates()) == 6


def test_only_the_opening_of_a_training_plot_is_shown():
    assert opening("one two three four five six seven eight nine") == "one two three four five six seven eight …"


def test_a_marked_run_is_escaped():
    assert mark_run("<b>it</b> & the sea", 1, 2) == "&lt;b&gt;<mark>it&lt;/b</mark>&gt; &amp; the sea"


def test_of_a_copied_passage_only_the_first_words_are_shown():
    text = " ".join(f"w{i}" for i in range(40))
    shown = mark_run(text, 5, 30)
    assert "w12 [… 22 more copied words left out]</mark> w35" in shown and "w13" not in shown


def test_a_letter_that_grows_in_lower_case_does_not_shift_the_mark():
    assert "<mark>sea gives</mark> back" in mark_run("\u0130x the sea gives back", 3, 2)


class FakeClassifier:
    """Gives a genre the probability 0.9 where the text names it, else 0.1."""

    labels = LABELS
    thresholds = np.array([0.5, 0.5, 0.5])

    def __init__(self, fingerprint):
        self.info = {
            "data_fingerprint": fingerprint,
            "metrics": {"baseline": {"micro_f1": 0.4, "macro_f1": 0.3, "map": 0.5}},
        }

    def predict_proba(self, texts):
        assert all(text.strip() for text in texts)  # the real one refuses an empty text
        return np.array([[0.9 if label in text else 0.1 for label in LABELS] for text in texts])


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(3)
    rows = []
    for i in range(60):
        genre = LABELS[i % 3]
        text = " ".join([genre if i % 5 else "no", *made_up(rng, 30, 200)])
        split = "test" if i % 4 == 0 else "train"
        rows.append({"id": f"t-{i}", "title": f"Title <{i}>", "plot": text, "genres": [genre], "split": split})
    file = tmp_path / "data" / "plots.parquet"
    save_plots(pd.DataFrame(rows).reindex(columns=SCHEMA.names), file)
    return file.parent


@pytest.fixture
def dumps(tmp_path, data):
    folder = tmp_path / "dump"
    folder.mkdir()
    copied = load_plots(data, "train")["plot"][0]
    rng = np.random.default_rng(4)
    for temperature, name in ((0.7, "temp_0_7_topp_0"), (1.0, "temp_1_topp_0_9")):
        lines = []
        for i, genre in enumerate(["horror", "comedy", "horror, comedy", "opera"] * 4):
            plot = f"a {genre} of <script>alert(1)</script> {' '.join(made_up(rng, 20, 200))}"
            plot = copied if i == 5 else "" if i == 6 else "round and round we " * 4 if i == 7 else plot
            top_p = 0.0 if name.endswith("_0") else 0.9
            lines.append(
                {"genre": genre, "title": "<i>Odd</i>", "plot": plot, "temperature": temperature, "top_p": top_p}
                | {"seed": i, "finished": i != 3}
            )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = {
        "base": "tiny",
        "data_fingerprint": data_fingerprint(load_plots(data)),
        "metrics": {"test_loss_before": 4.0, "test_loss_after": 3.0},
        "history": [{"step": 1, "loss": 4.1}, {"step": 1, "eval_loss": 4.0}, {"step": 2, "loss": 3.2}],
    }
    (folder / "dump.json").write_text(json.dumps({"model": model}))
    return folder


@pytest.fixture
def judge(monkeypatch, data):
    fake = FakeClassifier(data_fingerprint(load_plots(data)))
    monkeypatch.setattr(evaluation, "_load_classifier", lambda path: fake)
    return fake


def test_a_full_report(dumps, data, judge, tmp_path):
    out = tmp_path / "out"
    report = evaluate(dumps, data, out, classifier="judge")
    metrics = report.metrics
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["evaluated"]["generator_trained_on_this_data"] is True
    assert metrics["learning"]["perplexity_after"] == pytest.approx(np.exp(3), abs=1e-5)
    samples = metrics["samples"]
    assert samples["exact_copies"] == 2 and samples["copied_words_max"] == 31
    assert samples["copied_more_than_20"]["share"] == pytest.approx(2 / 32)
    assert samples["looping"]["share"] == samples["unfinished"]["share"] == pytest.approx(2 / 32)
    # "opera" is left out; of the 12 others in each cell, the copied and the empty plot miss their genre
    assert samples["genre_hit"]["of"] == 24
    assert metrics["genre_control"]["unknown_genres"] == ["opera"]
    assert [(cell["temperature"], cell["top_p"]) for cell in metrics["by_cell"]] == [(0.7, 0.0), (1.0, 0.9)]
    assert 0 < metrics["classifier"]["classifier"]["micro_f1"] < 1

    table = pd.read_csv(out / "samples.csv", keep_default_na=False)
    assert len(table) == 32 and table["copied_from_id"][5] == load_plots(data, "train")["id"][0]
    names = {"training_curve", "copied_runs", "genre_control", "genre_heatmap", "classifier_f1"}
    assert {file.stem for file in (out / "figures").iterdir()} == names

    page = (out / "report.html").read_text()
    assert report.path == str(out / "report.html")
    assert "4.00 → 3.00" in page and "opera" in page
    copied = load_plots(data, "train")["plot"][0].split()
    assert " ".join(copied[:8]) in page and " ".join(copied[:9]) not in page
    assert "<script>alert" not in page and "&lt;script&gt;" in page and "<i>Odd" not in page
    assert not re.findall(r"""(?:src|href|srcset)=["'](?!data:)""", page) and "http" not in page


def test_the_same_input_gives_the_same_bytes(dumps, data, judge, tmp_path):
    for name in ("one", "two"):
        evaluate(dumps, data, tmp_path / name, classifier="judge")
    files = [file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_without_classifier_history_or_losses(dumps, data, judge, tmp_path):
    out = tmp_path / "out"
    evaluate(dumps, data, out, classifier="judge")
    (dumps / "dump.json").unlink()
    (dumps / "temp_1_topp_0_9.jsonl").unlink()
    metrics = evaluate(dumps, data, out).metrics
    assert metrics["learning"] is metrics["genre_control"] is metrics["classifier"] is None
    assert [file.name for file in (out / "figures").iterdir()] == ["copied_runs.png"]  # the earlier ones are gone
    assert "Not recorded" in (out / "report.html").read_text()


def test_a_classifier_of_other_data_is_not_measured(dumps, data, judge, tmp_path):
    judge.info["data_fingerprint"] = "another"
    metrics = evaluate(dumps, data, tmp_path / "out", classifier="judge").metrics
    assert list(metrics["classifier"]) == ["skipped"]
    assert "trained on other data" in (tmp_path / "out" / "report.html").read_text()
    assert metrics["samples"]["genre_hit"]["of"] == 24  # it still judges the samples


def test_only_unknown_genres_and_no_test_plots(dumps, data, judge, tmp_path):
    plots = load_plots(data)
    plots["split"] = "train"
    save_plots(plots, data / "plots.parquet")
    judge.info["data_fingerprint"] = data_fingerprint(plots)
    for file in dumps.glob("*.jsonl"):
        file.write_text("".join(line + "\n" for line in file.read_text().splitlines() if '"opera"' in line))
    metrics = evaluate(dumps, data, tmp_path / "out", classifier="judge").metrics
    assert metrics["real_plots"] is None and metrics["samples"]["genre_hit"] is None
    assert "no test plots" in metrics["classifier"]["skipped"]


def test_bad_input_is_said_in_a_sentence_and_nothing_is_written(dumps, data, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    for bad in (tmp_path / "missing", tmp_path / "empty"):
        with pytest.raises(BadInput, match=bad.name):
            evaluate(bad, data, out)
    with pytest.raises(BadInput, match="No Plot table"):
        evaluate(dumps, tmp_path / "nowhere", out)
    (dumps / "dump.json").write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        evaluate(dumps, data, out)
    plots = load_plots(data)
    (dumps / "dump.json").unlink()
    save_plots(plots[plots["split"] == "test"], data / "plots.parquet")
    with pytest.raises(BadInput, match="no training plots"):
        evaluate(dumps, data, out)
    assert not out.exists()
