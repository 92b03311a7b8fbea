"""Evaluation: the numbers, tables, figures and sentences that `evaluate` writes for samples with known results."""

import json
import re
import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest
from made_up import LABELS, FakeClassifier, WordEmbedder, made, write_data, write_dump

from movieplots.classification.info import BaselineScores, ClassifierInfo, ClassifierMetrics
from movieplots.errors import BadInput
from movieplots.evaluation import pipeline
from movieplots.evaluation.answers import (
    MIN_SAMPLES,
    answers,
    classifier_card,
    genre_card,
    introduction,
    learning_card,
    novelty_card,
    settings_card,
)
from movieplots.evaluation.genre_control import genre_control, genre_means
from movieplots.evaluation.metrics import (
    Cell,
    ControlMeans,
    JudgeQuality,
    JudgeScores,
    Learning,
    Metrics,
    Model,
    NotMeasured,
    Summary,
    Texts,
)
from movieplots.evaluation.pipeline import name_dumps
from movieplots.evaluation.references import MOST, REAL, SHUFFLED, mauve_reference, real_samples, shuffled_words
from movieplots.evaluation.summaries import budget_of
from movieplots.intervals import Estimate
from movieplots.measures.mauve import mauve
from movieplots.measures.title_quality import known_series, title_parts
from movieplots.plots import load_plots, save_plots
from movieplots.reporting import evaluation_tables as examples
from movieplots.reporting.report import evaluate, split_at_span
from movieplots.reporting.training import training_curves
from movieplots.runs.lineage import PlotIds


def test_genre_control_by_hand():
    proba = np.array([[0.9, 0.1, 0.0], [0.6, 0.8, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.3]])
    control = genre_control(["comedy", "horror, comedy", "horror", "opera"], proba, np.array([0.5, 0.5, 0.5]), LABELS)
    assert control.hit.tolist()[:3] == [1.0, 1.0, 1.0]
    assert np.isnan(control.hit[3]) and control.unknown == ["opera"]
    assert control.probability[1] == pytest.approx(0.7)
    assert control.predicted == [["comedy"], ["comedy", "horror"], ["horror"], []]
    assert control.prompted == ["comedy", "horror"]
    assert control.matrix == pytest.approx(np.array([[0.75, 0.45, 0.0], [0.4, 0.75, 0.05]]))
    assert control.confusion == pytest.approx(np.array([[0.5, 0.5, 0], [0, 1, 0]]))
    # comedy: 1 of the 3 others; both: 0 of 3; horror: 1 of 3
    assert control.chance == pytest.approx(2 / 9)


def test_genre_similarity_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    vectors, training = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    genres = [["war"], ["war", "drama"], ["drama"], [], ["war"], ["drama"]]
    others = [["drama"], ["western", "drama"], ["western"]] * 3
    vectors[5] = np.nan  # an empty text
    rows, of_samples = genre_means(genres, vectors)
    columns, of_training = genre_means(others, training)
    means = of_samples @ of_training.T
    assert (rows, columns) == (["drama", "war"], ["drama", "western"])
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            pairs = [
                vectors[a] @ training[b] for a in range(5) for b in range(9) if row in genres[a] and column in others[b]
            ]
            assert means[i, j] == pytest.approx(np.mean(pairs))


def test_titles_are_compared_with_the_grammar_and_the_training_titles():
    titles = title_parts(['"Salt" (2009) {Low Tide (#1.3)}', "Heat: Again (1995)", "just words", "", '"New" (2001)'])
    assert titles.titled.tolist() == [True, True, True, False, True]
    assert titles.well_formed.tolist()[:3] == [1, 1, 0] and np.isnan(titles.well_formed[3])
    assert titles["primary"].tolist() == ["Salt", "Heat: Again", "just words", "", "New"]
    assert titles["secondary"].tolist() == ["Low Tide", "", "", "", ""]
    training = pd.DataFrame({"kind": ["series", "movie"], "primary": ["SALT!", "New"]})
    known = known_series(titles, training)
    assert known[[0, 4]].tolist() == [1, 0] and np.isnan(known[[1, 2, 3]]).all()


def test_a_budget_is_the_size_of_the_smallest_group_that_is_not_empty():
    groups = [pd.DataFrame({"words": words}) for words in ([10, 20, 5], [0], [7, 8], [])]
    assert (budget_of(groups).words, budget_of(groups).texts) == (15, 1)


def test_dumps_are_named_by_the_part_of_the_path_that_differs(tmp_path):
    assert list(name_dumps(tmp_path / "a" / "grid")) == ["grid"]
    assert list(name_dumps([tmp_path / "a" / "grid", tmp_path / "b" / "grid"])) == ["a", "b"]
    assert list(name_dumps([tmp_path / "a" / "x" / "grid", tmp_path / "b" / "x" / "grid"])) == ["a", "b"]
    assert list(name_dumps([tmp_path / "a" / "x", tmp_path / "b" / "y"])) == ["x", "y"]
    assert list(name_dumps([tmp_path / "a" / "x", tmp_path / "b" / "x", tmp_path / "y"])) == ["a/x", "b/x", "y"]
    assert name_dumps({"mine": tmp_path}) == {"mine": tmp_path}
    for bad in ([], {}, {REAL: tmp_path}, {" ": tmp_path}):
        with pytest.raises(BadInput, match="dump"):
            name_dumps(bad)


def test_references_are_test_plots_and_the_same_words_shuffled(data):
    plots = load_plots(data)
    real = real_samples(plots, ["opera", "western"])
    assert set(real["plot"]) == set(plots.loc[plots["split"] == "test", "plot"])
    noise = shuffled_words(real)
    assert sorted(" ".join(noise["plot"]).split()) == sorted(" ".join(real["plot"]).split())
    assert noise["plot"].str.split().map(len).tolist() == real["plot"].str.split().map(len).tolist()
    assert not (noise["plot"] == real["plot"]).any()
    assert real_samples(plots, ["opera", "western"]).equals(real) and shuffled_words(real).equals(noise)


def _of_genres(**counts):
    """Return this number of plots of each genre (`a_b` has both) in the validation and the test split."""
    rows = [
        {"split": split, "title": f"{names} {i}", "primary": f"{names} {i}", "kind": "movie", "plot": f"{names} {i}"}
        | {"genres": names.split("_")}
        for split in ("validation", "test")
        for names, count in counts.items()
        for i in range(count)
    ]
    return pd.DataFrame(rows).reindex(columns=[*rows[0], "secondary", "year", "season", "episode", "air_date"])


def test_references_have_the_genres_of_the_prompts():
    plots = _of_genres(drama=600, horror=300, western=7, drama_western=3, horror_war=1)
    real = real_samples(plots, ["drama", "horror", "western", "war", "drama"])
    carried = dict(zip(plots["plot"], plots["genres"], strict=True))
    assert len(real) == MOST and real["plot"].is_unique
    assert all(genre in carried[plot] for genre, plot in zip(real["genre"], real["plot"], strict=True))
    found = real["genre"].value_counts()
    assert (found["western"], found["war"]) == (10, 1) and found["drama"] >= 200 and found["horror"] >= 100
    others = mauve_reference(plots, ["western, drama", "horror"])
    assert len(others) == MOST and sum({"western", "drama"} <= set(genres) for genres in others["genres"]) == 3
    assert not others.equals(mauve_reference(plots, ["western, drama", "horror"], seed=1))


@pytest.mark.parametrize(
    "prompts", [["opera"], [""], ["opera, horror"], ["drama, horror"], [], [f"g{i}" for i in range(999)]]
)
def test_if_no_plot_fits_the_prompts_any_plots_are_used(prompts):
    plots = _of_genres(drama=600, horror=50)
    others, real = mauve_reference(plots, prompts), real_samples(plots, prompts)
    assert len(others) == len(real) == MOST and set(real["genre"]) == {"drama", "horror"}
    assert 10 < sum(genres == ["horror"] for genres in others["genres"]) <= 50
    assert len(mauve_reference(_of_genres(drama=60), prompts)) == 60


def test_following_the_prompts_does_not_lower_mauve():
    """Plots whose embedding depends on the genre only are similar to the reference, whatever the corpus."""
    rng = np.random.default_rng(0)
    genres = [f"g{i}" for i in range(10)]
    centres = dict(zip(genres, 5 * rng.normal(size=(10, 10)), strict=True))
    plots = _of_genres(**dict(zip(genres, [900, *[60] * 9], strict=True)))

    def embedded(names):
        return np.array([centres[name] + rng.normal(size=10) for name in names])

    written = embedded(genres * 30)
    prompted, any_genre = (embedded(mauve_reference(plots, prompts)["genres"].explode()) for prompts in (genres, []))
    assert mauve(written, prompted).value > 0.95
    assert mauve(written, any_genre).value < 0.8


def _copying(copied, trained_on_this_data, count=100):
    half, own = Estimate(0.5, 0, 1, count), Estimate(copied, 0, 1, count)
    samples = made(
        Summary, samples=count, novel_4grams=half, exact_copy=half, copied_more_than_20=own,
        longest_verbatim_span=Estimate(6, 0, 1, count),
    )  # fmt: skip
    model = made(Model, samples=samples, trained_on_this_data=trained_on_this_data)
    references = {REAL: made(Texts, samples=samples)}
    return novelty_card(made(Metrics, models={"dump": model}, references=references), "dump")


@pytest.mark.parametrize(("copied", "verdict"), [(0, "Yes"), (0.01, "Mostly"), (0.2, "Not always"), (0.9, "No")])
def test_the_verdict_on_copying_follows_its_share(copied, verdict):
    assert _copying(copied, True).verdict == verdict


@pytest.mark.parametrize("trained_on_this_data", [None, False])
@pytest.mark.parametrize(("copied", "verdict"), [(0, "Unknown"), (0.01, "Unknown"), (0.2, "Not always"), (0.9, "No")])
def test_for_a_generator_of_other_plots_only_found_copies_are_known(copied, verdict, trained_on_this_data):
    card = _copying(copied, trained_on_this_data)
    assert (card.verdict, card.number) == (verdict, "6 words")
    text = " ".join(card.sentences)
    assert "the training plots of the evaluation data" in text
    assert ("not recorded" in text) == (trained_on_this_data is None)


@pytest.mark.parametrize(("count", "few"), [(3, True), (29, True), (30, False)])
@pytest.mark.parametrize("copied", [0, 0.9])
@pytest.mark.parametrize("trained_on_this_data", [True, None])
def test_on_few_samples_there_is_no_verdict(copied, trained_on_this_data, count, few):
    card = _copying(copied, trained_on_this_data, count)
    assert (card.verdict == "Too few samples") == few
    if few:
        assert card.number == f"{count} of 30 samples"
        assert card.sentences[0] == f"There are only {count} samples; a verdict needs at least 30."
        assert card.sentences[1].startswith("The median longest verbatim span shared with ")
        assert " is 6 words; real test plots: 6." in card.sentences[1]


def test_a_verdict_needs_as_many_samples_as_a_narrow_interval():
    """The Wilson interval of a share of one half spans z / sqrt(n + z²): at most a third of the scale."""
    widths = {n: 1.96 / np.sqrt(n + 1.96**2) for n in (3, MIN_SAMPLES - 1, MIN_SAMPLES)}
    assert widths[3] > 0.7 and widths[MIN_SAMPLES - 1] > 0.34 > widths[MIN_SAMPLES]


@pytest.mark.parametrize(
    ("low", "value", "high", "verdict"),
    [(0.1, 0.2, 0.3, "No"), (0.2, 0.35, 0.5, "Inconclusive"), (0.3, 0.4, 0.5, "Partly"), (0.5, 0.6, 0.7, "Yes")],
)
def test_the_verdict_on_genre_lies_between_chance_and_real_plots(low, value, high, verdict):
    hit = Estimate(value, low, high, 100)
    control = made(ControlMeans, chance=0.25, unknown_genres=[])
    model = made(Model, genre_control=control, samples=made(Summary, genre_accuracy=hit))
    real = {REAL: made(Texts, samples=made(Summary, genre_accuracy=replace(hit, value=0.6)))}
    assert genre_card(made(Metrics, models={"dump": model}, references=real), "dump").verdict == verdict


def _grid(*mauve, count=60):
    """A model's grid with one cell for each MAUVE, given as low, value and high."""
    cells = [
        made(Cell, temperature=0.5 + i / 2, top_p=0.0, samples=count, mauve=Estimate(value, low, high, count))
        for i, (low, value, high) in enumerate(mauve)
    ]
    model = made(Model, by_cell=cells, by_temperature=cells, by_top_p=cells[:1])
    return made(Metrics, models={"dump": model})


def test_a_setting_is_the_best_only_if_no_interval_overlaps():
    card = settings_card(_grid((0.5, 0.6, 0.7), (0.2, 0.3, 0.4), (0.3, 0.35, 0.45)), "dump")
    assert (card.verdict, card.number) == ("Best setting", "0.5, top-p off")
    card = settings_card(_grid((0.5, 0.6, 0.7), (0.2, 0.3, 0.4), (0.3, 0.4, 0.5)), "dump")
    assert (card.verdict, card.number) == ("No difference beyond chance", "2 of 3 settings")
    assert "temperature 0.5 with top-p off (0.60) and temperature 1.5 with top-p off (0.40)." in card.sentences[0]
    assert "temperature 0.5 to 1.5: MAUVE 0.60 → 0.40" in card.sentences[1]
    card = settings_card(_grid((0.5, 0.6, 0.7), (0.2, 0.3, 0.4), count=3), "dump")
    assert (card.verdict, card.number) == ("Too few samples", "3 of 30 samples")


@pytest.mark.parametrize(("plots", "verdict"), [(29, "Too few test plots"), (30, "Better than the baseline")])
def test_on_few_test_plots_there_is_no_verdict_on_the_classifier(plots, verdict):
    own = made(JudgeScores, micro_f1=0.5, macro_f1=0.4)
    quality = JudgeQuality(plots, own, {"x": made(BaselineScores, micro_f1=0.4, macro_f1=0.3)})
    assert classifier_card(made(Metrics, classifier=quality)).verdict == verdict


@pytest.mark.parametrize(
    ("low", "verdict"), [(0.41, "Better than the baseline"), (0.39, "No difference beyond chance")]
)
def test_a_classifier_is_better_only_if_its_interval_excludes_the_baseline(low, verdict):
    own, baseline = made(JudgeScores, micro_f1=0.5, macro_f1=0.4), made(BaselineScores, micro_f1=0.4, macro_f1=0.3)
    quality = JudgeQuality(60, own, {"x": baseline}, {"micro_f1": Estimate(0.5, low, 0.6, 60)})
    assert classifier_card(made(Metrics, classifier=quality)).verdict == verdict


def test_all_settings_that_do_not_differ_from_the_best_are_listed():
    card = settings_card(_grid(*[(0.4, 0.5 + i / 100, 0.7) for i in range(9)], (0.1, 0.2, 0.3)), "dump")
    assert card.number == "9 of 10 settings" and card.sentences[0].count("with top-p") == 9


@pytest.mark.parametrize(
    ("guidance", "after", "verdict"),
    [(2.5, 4.1, "As expected, guidance raised it"), (None, 4.1, "No"), (2.5, 3.9, "Yes")],
)
def test_a_higher_loss_after_training_with_guidance_is_explained(guidance, after, verdict):
    learning = Learning(
        split="test", loss_before=4.0, loss_after=after, perplexity_before=54.6, perplexity_after=60.3, train_tokens=9,
        steps=3, guidance_scale=guidance,
    )  # fmt: skip
    card = learning_card(made(Metrics, models={"dump": made(Model, learning=learning)}), "dump")
    assert card.verdict == verdict and ("guidance (scale 2.5)" in card.sentences[-1]) == (
        verdict == "As expected, guidance raised it"
    )


def test_the_divergence_from_guidance_has_its_own_panel():
    history = [{"step": 0, "eval_loss": 3.2}, {"step": 1, "loss": 0.07}, {"step": 2, "loss": 0.05, "eval_loss": 3.3}]
    (both,) = training_curves(history).axes
    trained, _, validated = both.lines  # the second is the first, smoothed
    assert (list(trained.get_ydata()), list(validated.get_ydata())) == ([0.07, 0.05], [3.2, 3.3])
    validation, training = training_curves(history, guided=True).axes
    assert [list(line.get_ydata()) for line in (*validation.lines, training.lines[0])] == [[3.2, 3.3], [0.07, 0.05]]
    assert validation.get_xlim() == training.get_xlim()
    assert training.get_ylabel().startswith("KL divergence from guided")


def test_a_marked_run_stands_apart():
    assert split_at_span("<b>it</b> & the sea", 1, 2) == ("<b>", "it</b", "> & the sea")
    assert split_at_span("the sea", 0, 0) == ("the sea", "", "")


def test_of_a_copied_passage_only_the_first_words_are_shown():
    _, marked, after = split_at_span(" ".join(f"w{i}" for i in range(40)), 5, 30)
    assert marked.endswith("w12 [… 22 more copied words omitted]") and "w13" not in marked
    assert after.split()[0] == "w35"


def test_a_letter_that_grows_in_lower_case_does_not_shift_the_mark():
    assert split_at_span("\u0130x the sea gives back", 3, 2)[1:] == ("sea gives", " back")


@pytest.fixture
def quick_embedder(monkeypatch):
    monkeypatch.setattr(pipeline, "load_embedder", lambda name: WordEmbedder())


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr("movieplots.reporting.report.draw_figures", lambda metrics, table, folder: {})


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


@pytest.fixture
def dumps(tmp_path, data):
    return write_dump(tmp_path / "dump", data)


@pytest.fixture
def judge(monkeypatch, data, tmp_path):
    fake = FakeClassifier(tmp_path / "judge", data)
    monkeypatch.setattr(pipeline, "_load_classifier", lambda path: fake)
    return fake


OF_ALL = {"similarity", "verbatim_spans", "novel_ngrams", "by_setting", "genre_accuracy", "titles", "classifier_f1"}
OF_EACH = {"genre_probability", "genre_confusion", "genre_similarity", "training_curve"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A report with all that it can have: (the folder of everything, what `evaluate` gave)."""
    folder = tmp_path_factory.mktemp("whole")
    data = write_data(folder / "data")
    write_dump(folder / "dump", data)
    return folder, whole_report(folder, folder / "out")


def whole_report(folder, out):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_embedder", lambda name: WordEmbedder())
        judge = FakeClassifier(folder / "judge", folder / "data")
        patch.setattr(pipeline, "_load_classifier", lambda path: judge)
        return evaluate(folder / "dump", folder / "data", out, classifier=judge.folder)


def test_a_full_report(whole):
    folder, report = whole
    data, out, metrics = folder / "data", folder / "out", report.metrics
    assert json.loads((out / "metrics.json").read_text()) == msgspec.to_builtins(metrics)
    model = metrics.models["dump"]
    assert model.trained_on_this_data is True and model.unparsed == {}
    assert model.learning.perplexity_after == pytest.approx(np.exp(3), abs=1e-5)
    samples = model.samples
    assert samples.samples == 112
    for name in ("exact_copy", "copied_more_than_20", "repetition_rate", "truncated", "empty"):
        assert samples.measure(name).value == pytest.approx(2 / 112, abs=1e-6), name
    assert samples.well_formed.value == pytest.approx(110 / 112, abs=1e-6)
    assert samples.of_series.value == samples.primary_exact.value == pytest.approx(2 / 112, abs=1e-6)
    assert samples.known_series == Estimate(value=0, low=0, high=pytest.approx(0.657620, abs=1e-5), of=2)
    assert samples.secondary_exact.of == 2 and samples.secondary_jaccard is None  # no training title has such
    assert 0 < samples.mauve.value <= 1 and 0 < samples.self_bleu.value < 1
    assert samples.plot_jaccard.of == 110
    # "opera" is left out; of the 42 others in each cell, the copied and the empty plot miss their genre
    assert samples.genre_accuracy.of == 84
    assert model.genre_control.unknown_genres == ["opera"]
    assert [(cell.temperature, cell.top_p) for cell in model.by_cell] == [(0.7, 0.0), (1.0, 0.9)]
    assert [group.temperature for group in model.by_temperature] == [0.7, 1]
    assert [group.top_p for group in model.by_top_p] == [0, 0.9]
    assert [row.genre for row in model.by_genre] == ["comedy", "horror", "opera"]
    assert [row.samples for row in model.by_genre] == [56, 56, 28]
    assert set(metrics.references) == {REAL, SHUFFLED}
    assert metrics.references[REAL].samples.samples == 60
    assert metrics.classifier.classifier.micro_f1 == 0.5
    assert len(report.samples) == 112 + 2 * 60

    table = pd.read_csv(out / "samples.csv", keep_default_na=False)
    assert table["copied_from_id"][5] == table["plot_jaccard_id"][5] == load_plots(data, "train")["id"][0]
    assert float(table["plot_jaccard"][5]) == 1 and float(table["plot_cosine"][5]) == pytest.approx(1, abs=0.001)
    assert table["primary_jaccard_nearest"][2] == "Title <2>" and float(table.primary_exact[2]) == 1
    measures = pd.read_csv(out / "measures.csv")
    row = measures[(measures["grouping"] == "by_cell") & (measures["measure"] == "repetition_rate")].iloc[0]
    assert (row["temperature"], row["top_p"], row["of"]) == (0.7, 0, 56)
    assert row["value"] == pytest.approx(1 / 56, abs=1e-6) and row["low"] < row["value"] < row["high"]
    genres = pd.read_csv(out / "genres.csv").set_index(["model", "prompted", "genre"])
    assert genres.loc[("dump", "horror", "horror"), "mean_probability"] > 0.8
    assert -1 < genres.loc[("dump", "opera", "western"), "mean_cosine"] < 1
    copies = pd.read_csv(out / "copies.csv")
    assert copies["longest_verbatim_span"].tolist() == [31, 31] and copies["model"].tolist() == ["dump", "dump"]
    assert {file.name for file in (out / "figures").iterdir()} == {
        f"{name}.{kind}" for name in OF_ALL | OF_EACH for kind in ("png", "svg")
    }

    page = (out / "report.html").read_text()
    assert report.path == str(out / "report.html")
    assert "cross-entropy from 4.00 to 3.00 nats/token" in page and "opera" in page
    copied = load_plots(data, "train")["plot"][0].split()
    assert " ".join(copied[:8]) in page and " ".join(copied[:9]) not in page
    assert "<script>alert" not in page and "<i>Odd" not in page and "\\u003cscript>alert" in page
    assert not re.findall(r"""(?:src|href|srcset)=["'](?!data:)""", page) and "http" not in page
    rows = json.loads(re.search(r'<script type="application/json" id="samples">(.*?)</script>', page, re.DOTALL)[1])
    assert len(rows) == 112 and rows[0]["title"] == "<i>Odd</i>"


def test_several_dumps_in_one_report(dumps, data, judge, quick_embedder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "temp_1_topp_0.txt").write_text(
        "".join(f"<|startoftext|>western<|endofgenre|>a western number {i} rides<|endoftext|>\n" for i in range(30))
        + "no sample\n"
    )
    out = tmp_path / "out"
    metrics = evaluate([dumps, tmp_path / "other"], data, out, classifier=judge.folder).metrics
    assert list(metrics.models) == ["dump", "other"]
    other = metrics.models["other"]
    assert other.unparsed == {"missing end-of-genre token": 1} and other.base_model is None and other.titles is None
    assert other.samples.titled.value == 0 and other.samples.well_formed is None
    assert other.samples.genre_accuracy.value == 1
    assert metrics.models["dump"].samples.repetition_rate.value == pytest.approx(2 / 112, abs=1e-6)
    names = OF_ALL | {f"{name}_1" for name in OF_EACH} | {f"{name}_2" for name in OF_EACH - {"training_curve"}}
    assert {file.stem for file in (out / "figures").iterdir()} == names
    assert examples.answers_table(metrics)["dump"].tolist()[0].endswith(")")
    whole, cells = examples.measures_by(metrics), examples.measures_by(metrics, "by_cell")
    assert whole[""].tolist() == ["dump", "other", REAL, SHUFFLED]
    assert cells[""].tolist() == ["dump", "dump", "other", REAL, SHUFFLED]
    assert cells["temperature"].tolist() == ["0.7", "1", "1", "", ""]
    assert whole["repetition rate"].tolist()[:2] == ["1.8\N{NO-BREAK SPACE}%", "0\N{NO-BREAK SPACE}%"]

    page = (out / "report.html").read_text()
    assert (
        "Comparison of the generators" in page and "1 line could not be parsed: missing end-of-genre token (1)." in page
    )


def _foreign(folder, name="temp_1_3_topp_0.txt", count=60):
    """Write a dump of another program: no record, and an end-of-sequence token on every line, truncated or not."""
    folder.mkdir(exist_ok=True)
    ends = [".", "!", "", ",", " …"]  # two of five are truncated
    lines = [
        f"western<|endofgenre|>Ride {i} (2001)<|endoftitle|>a western number {i} rides {i * 'on '}out{ends[i % 5]}"
        "<|endoftext|>\n"
        for i in range(count)
    ]
    (folder / name).write_text("".join(lines))
    return folder


def test_the_report_claims_nothing_unknown_of_a_dump_of_another_program(
    data, judge, quick_embedder, no_figures, tmp_path
):
    report = evaluate(_foreign(tmp_path / "foreign"), data, tmp_path / "out", classifier="judge")
    assert str(report) == f"{report.path}: samples compared: 60 of foreign"
    metrics = report.metrics
    model = metrics.models["foreign"]
    assert model.trained_on_this_data is None and model.judged_by_text == 60 and model.unread == []
    assert model.samples.truncated.value == pytest.approx(0.4)
    page = (tmp_path / "out" / "report.html").read_text()
    intro = " ".join(introduction(metrics))
    caution = (
        "Caution: it is not recorded what data this generator was trained on, so copies of its training plots may go "
        "undetected, and its training plots may include the real test plots."
    )
    assert caution in intro and caution in page
    assert "On this page, “training plots” are those of the evaluation data." in intro
    assert "(upper bound) and the same plots" in intro
    similarity, novelty, *_ = answers(metrics, "foreign")
    assert (novelty.verdict, novelty.number) == ("Unknown", "1 word")
    said = (
        "inferred from the final punctuation mark, because every line of the dump ends with an end-of-sequence token."
    )
    assert said in page and any(sentence.endswith(said) for sentence in similarity.sentences)
    assert any("40\N{NO-BREAK SPACE}% are truncated." in sentence for sentence in similarity.sentences)
    table = examples.answers_table(metrics)
    assert table["foreign"][1] == f"Unknown ({novelty.number})"


def test_the_novelty_of_a_dump_trained_on_other_data_is_unknown(dumps, data, quick_embedder, no_figures, tmp_path):
    plots = load_plots(data)
    PlotIds.of(plots.assign(id="other-" + plots["id"])).write(dumps)
    metrics = evaluate(dumps, data, tmp_path / "out").metrics
    intro = " ".join(introduction(metrics))
    assert "Caution: this generator was trained on data other than the evaluation data, so copies" in intro
    assert "(upper bound) and the same plots" in intro
    assert answers(metrics, "dump")[1].verdict == "Unknown"


def test_three_samples_are_too_few_for_a_verdict(data, judge, quick_embedder, no_figures, tmp_path):
    folder = _foreign(tmp_path / "foreign", count=3)
    _foreign(folder, "temp_0_7_topp_0.txt", count=40)
    metrics = evaluate(folder, data, tmp_path / "out", classifier="judge").metrics
    assert answers(metrics, "foreign")[3].verdict == "Too few samples"
    (folder / "temp_0_7_topp_0.txt").unlink()
    metrics = evaluate(folder, data, tmp_path / "out", classifier="judge").metrics
    cards = answers(metrics, "foreign")
    assert [card.verdict for card in cards] == ["Too few samples"] * 3 + ["Not measured"]
    assert [card.number for card in cards[:3]] == ["3 of 30 samples"] * 3
    assert examples.answers_table(metrics)["foreign"][0] == "Too few samples (3 of 30 samples)"


def test_an_unreadable_dump_or_file_does_not_stop_the_others(dumps, data, quick_embedder, no_figures, tmp_path, capsys):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "temp_1_topp_0.txt").write_bytes(b"\x89PNG\r\n\0\0")
    other = _foreign(tmp_path / "other")
    (other / "temp_hot_topp_0.txt").write_text("x")
    metrics = evaluate([dumps, tmp_path / "broken", other], data, tmp_path / "out").metrics
    assert list(metrics.models) == ["dump", "other"] and list(metrics.evaluated.left_out) == ["broken"]
    intro, said = " ".join(introduction(metrics)), capsys.readouterr().err
    for text in (intro, said):
        assert "dump “broken”" in text and "not UTF-8 text" in text
        assert "temp_hot_topp_0.txt must state temperature and top-p" in text
    assert "Caution: it is not recorded what data “other” was trained on" in intro
    assert "what data “dump” was trained on" not in intro
    metrics.models["dump"] = replace(metrics.models["dump"], trained_on_this_data=None)
    assert "Caution: it is not recorded what data “dump” and “other” were trained on" in " ".join(introduction(metrics))
    # A dump with a damaged record is skipped, not evaluated without its record.
    (dumps / "dump.json").write_text("{")
    assert list(evaluate([dumps, other], data, tmp_path / "out").metrics.models) == ["other"]


def test_training_plots_missing_from_the_data_and_leaked_plots_are_counted(
    dumps, data, quick_embedder, no_figures, tmp_path
):
    """Training plots are recognized by their ids; after better cleaning, a few may be missing from the table."""
    plots = load_plots(data)
    train = plots[plots["split"] == "train"]
    save_plots(plots.drop(index=train.index[5:7]), data / "plots.parquet")
    metrics = evaluate(dumps, data, tmp_path / "out").metrics
    model, intro = metrics.models["dump"], " ".join(introduction(metrics))
    assert model.trained_on_this_data is True
    assert (model.training_plots, model.training_plots_not_in_data, model.leaked_plots) == (120, 2, 0)
    assert "2 of the 120 training plots of the generator are missing from the evaluation data" in intro

    save_plots(plots.drop(index=train.index[:20]), data / "plots.parquet")
    metrics = evaluate(dumps, data, tmp_path / "out").metrics
    assert metrics.models["dump"].trained_on_this_data is False
    assert "was trained on data other than the evaluation data" in " ".join(introduction(metrics))

    plots.loc[train.index[:3], "split"] = "test"
    save_plots(plots, data / "plots.parquet")
    metrics = evaluate(dumps, data, tmp_path / "out").metrics
    assert metrics.models["dump"].trained_on_this_data is False
    assert "Caution: the generator was trained on 3 validation or test plots of the evaluation data." in introduction(
        metrics
    )
    assert novelty_card(metrics, "dump").verdict != "Yes"


def test_tables_show_only_the_opening_of_a_training_plot(dumps, data, quick_embedder, no_figures, tmp_path):
    report = evaluate(dumps, data, tmp_path / "out")
    written, training = report.samples[report.samples["model"] == "dump"], load_plots(data, "train")
    near = examples.nearest_plots(written, training, n=2).data
    copied = training["plot"][0].split()
    assert near.count("\n") == 3 and "1.00 *comedy*" in near
    assert f"nearest: Title <0> (2001): “{' '.join(copied[:8])} …”".replace("<0>", "&lt;0&gt;") in near
    assert " ".join(copied[:9]) not in re.sub(r"- 1\.00.*", "", near)  # but for the sample itself, which copies it
    assert "1.00" not in examples.nearest_plots(written, training, most=False).data
    assert examples.nearest_titles(written)["cosine"].tolist()[0] == "1.00"
    assert examples.copies(written)["verbatim span (words)"].tolist() == [31, 31]
    assert "No text" in examples.copies(written.iloc[:3])[""][0]
    assert examples.measures_by(report.metrics, "by_temperature")["temperature"].tolist() == [
        "0.7",
        "1",
        REAL,
        SHUFFLED,
    ]
    assert examples.measures_by(report.metrics, "by_genre")["genre"].tolist() == ["comedy", "horror", "opera"]


def test_the_same_input_gives_the_same_bytes(whole, tmp_path):
    one, two = whole[0] / "out", tmp_path / "out"
    whole_report(whole[0], two)
    files = [file.relative_to(one) for file in one.rglob("*") if file.is_file()]
    assert len(files) == 6 + 2 * 11
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def test_without_classifier_history_or_losses(whole, dumps, data, quick_embedder, tmp_path):
    out = shutil.copytree(whole[0] / "out", tmp_path / "out")
    (dumps / "dump.json").unlink()
    (dumps / "temp_1_topp_0_9.jsonl").unlink()
    metrics = evaluate(dumps, data, out).metrics
    model = metrics.models["dump"]
    assert model.learning is model.genre_control is metrics.classifier is model.samples.genre_accuracy is None
    left = {"similarity", "verbatim_spans", "novel_ngrams", "by_setting", "titles", "genre_similarity"}
    assert {file.stem for file in (out / "figures").iterdir()} == left  # the earlier ones are gone
    assert "Not recorded" in (out / "report.html").read_text()


def test_the_scores_of_a_classifier_of_other_data_are_not_reported(
    dumps, data, judge, quick_embedder, no_figures, tmp_path
):
    plots = load_plots(data)
    PlotIds.of(plots.assign(split=plots["split"].replace({"train": "test", "test": "train"}))).write(judge.folder)
    metrics = evaluate(dumps, data, tmp_path / "out", classifier=judge.folder).metrics
    assert isinstance(metrics.classifier, NotMeasured)
    assert "trained on data other than the evaluation data" in (tmp_path / "out" / "report.html").read_text()
    assert metrics.models["dump"].samples.genre_accuracy.of == 84  # it still predicts the genres of the samples


def test_only_unknown_genres_and_no_validation_and_test_plots(dumps, data, judge, quick_embedder, no_figures, tmp_path):
    plots = load_plots(data)
    plots["split"] = "train"
    save_plots(plots, data / "plots.parquet")
    PlotIds.of(plots).write(judge.folder)
    judge.info = made(ClassifierInfo, metrics=made(ClassifierMetrics, test_plots=0))
    for file in dumps.glob("*.jsonl"):
        file.write_text("".join(line + "\n" for line in file.read_text().splitlines() if '"opera"' in line))
    metrics = evaluate(dumps, data, tmp_path / "out", classifier=judge.folder).metrics
    assert metrics.references == {}
    samples = metrics.models["dump"].samples
    assert samples.mauve is samples.genre_accuracy is None
    assert "without test plots" in metrics.classifier.skipped


@pytest.mark.slow
def test_real_plots_score_near_the_upper_bound_and_noise_near_the_lower(corpus, no_figures, tmp_path):
    """On the bundled corpus with real embeddings: a dump of real plots outside the table, and one of their words."""
    plots = load_plots(corpus).sample(frac=1, random_state=1, ignore_index=True)
    plots["split"] = ["train"] * 150 + ["validation"] * 90 + ["test"] * 90 + ["kept out"] * (len(plots) - 330)
    kept_out = plots[plots["split"] == "kept out"].assign(split="test")
    save_plots(plots[plots["split"] != "kept out"], tmp_path / "data" / "plots.parquet")
    written = {"real": real_samples(kept_out, kept_out["genres"].explode().tolist())}
    written["noise"] = shuffled_words(written["real"], seed=5)
    for name, samples in written.items():
        (tmp_path / name).mkdir()
        rows = samples.assign(temperature=1.0, top_p=0.0, seed=0).to_dict("records")
        (tmp_path / name / "temp_1_topp_0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = evaluate([tmp_path / name for name in written], tmp_path / "data", tmp_path / "out").metrics
    real, noise = (metrics.models[name].samples for name in written)
    ceiling, floor = (metrics.references[name].samples for name in (REAL, SHUFFLED))
    separated = []
    for name, value in vars(ceiling).items():
        if not isinstance(value, Estimate) or name.startswith(("secondary", "known_series")):
            continue
        best, low = value.value, floor.measure(name)
        if low is None or abs(best - low.value) <= value.high - value.low + low.high - low.low:
            continue  # this measure does not separate them with this number of plots
        separated.append(name)
        worst, of_real, of_noise = low.value, real.measure(name).value, noise.measure(name).value
        assert abs(of_real - best) < abs(of_real - worst), name
        assert abs(of_noise - worst) < abs(of_noise - best), name
    assert {"mauve", "novel_2grams", "novel_3grams", "longest_verbatim_span", "well_formed"} <= {*separated}
    assert ceiling.mauve.value > 0.8 > 0.5 > floor.mauve.value


def test_for_bad_input_there_is_a_message_and_no_files(dumps, data, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    for bad in (tmp_path / "missing", tmp_path / "empty"):
        with pytest.raises(BadInput, match=bad.name):
            evaluate(bad, data, out)
    with pytest.raises(BadInput, match=r"None of the 2 dumps can be read .*missing.*empty"):
        evaluate([tmp_path / "missing", tmp_path / "empty"], data, out)
    with pytest.raises(BadInput, match="No Plot table"):
        evaluate(dumps, tmp_path / "nowhere", out)
    with pytest.raises(BadInput, match="does not exist"):
        evaluate(dumps, data, out, embedder="./nowhere")
    for damaged in ("{", "[]", '{"model": []}'):
        (dumps / "dump.json").write_text(damaged)
        with pytest.raises(BadInput, match="is damaged"):
            evaluate(dumps, data, out)
    plots = load_plots(data)
    (dumps / "dump.json").unlink()
    save_plots(plots[plots["split"] == "test"], data / "plots.parquet")
    with pytest.raises(BadInput, match="no training plots"):
        evaluate(dumps, data, out)
    assert not out.exists()
