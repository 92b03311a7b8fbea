"""Records of training plots: stable under cleaning, inherited from all predecessors, distinct between tables."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from movieplots import load_plots, prepare
from movieplots.classification.mlm import train_mlm
from movieplots.classification.training import train_classifier
from movieplots.errors import BadInput
from movieplots.evaluation.classifier_quality import classifier_quality
from movieplots.files import write_json
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.training_settings import GeneratorSettings
from movieplots.plots import data_fingerprint
from movieplots.runs.folder import Recipe, to_json
from movieplots.runs.lifecycle import _finished
from movieplots.runs.lineage import FILE_NAME, PlotIds, hashed_ids, inherited, read_plot_ids


def table(n=100, source="a", ids=None, group="group"):
    """A table of n plots, of which four in five are training plots."""
    splits = ["train", "train", "train", "train", "test"]
    return pd.DataFrame(
        {
            "id": [f"{source}-{i}" for i in range(n)] if ids is None else ids,
            "group": [f"{group} {i}" for i in range(n)],
            "split": [splits[i % 5] if i % 10 != 9 else "validation" for i in range(n)],
        }
    )


def test_plot_ids_survive_writing_and_reading(tmp_path):
    ids = replace(PlotIds.of(table()), before=np.array([1, 2], np.uint64))
    ids.write(tmp_path)
    again = read_plot_ids(tmp_path)
    assert all(np.array_equal(getattr(ids, name), getattr(again, name)) for name in ids.__dataclass_fields__)
    assert (again.train.size, again.validation.size, again.test.size, again.learned.size) == (80, 10, 10, 82)
    assert read_plot_ids(tmp_path / "elsewhere") is None
    (tmp_path / FILE_NAME).write_bytes(b"damaged")
    with pytest.raises(BadInput, match=r"plot_ids\.npz is damaged: train the model again"):
        read_plot_ids(tmp_path)


def test_the_hash_of_a_plot_is_the_same_on_every_machine():
    rows = pd.DataFrame({"id": ["netflix-s1", "é-2"], "group": ["salt", "émigrés"]})
    assert [f"{value:016x}" for value in hashed_ids(rows)] == ["770af705c5100960", "9f41813bb2d00125"]


def test_a_table_with_a_few_plots_more_or_less_is_the_same_data():
    before, after = table(1000), table(1010).drop(index=range(0, 20, 5))
    assert PlotIds.of(before).same_data(PlotIds.of(after))
    assert not PlotIds.of(before).same_data(PlotIds.of(table(2000)))  # half of them are new
    assert not PlotIds.of(before).same_data(PlotIds.of(table(1000, "b")))
    moved = before.assign(split=before["split"].where(before.index != 4, "train"))
    assert not PlotIds.of(moved).same_data(PlotIds.of(before))  # one of its test plots is a training plot


def test_tables_with_row_numbers_as_ids_have_no_plot_in_common():
    numbers = [f"table-{i}" for i in range(100)]
    mine, yours = (PlotIds.of(table(ids=numbers, group=name)) for name in ("salt", "heat"))
    assert np.intersect1d(mine.train, yours.train).size == 0
    assert mine.learned_held_out(yours) == 0


def test_the_training_plots_of_all_predecessors_count(tmp_path, capsys):
    def write(name, ids):
        ids.write(tmp_path / name)
        (tmp_path / name / "movieplots.json").write_text("{}")

    first, second, third = (PlotIds.of(table(100, name)) for name in "abc")
    write("first", first)
    write("second", inherited(second, [tmp_path / "first"]))
    child = inherited(third, [tmp_path / "second", tmp_path / "nowhere", "minilm-l6"])
    assert set(child.learned) == {*first.train, *second.train, *third.train} and child.complete
    write("third", child)
    asked = PlotIds.of(table(100, "a").assign(split="test"))
    assert child.learned_held_out(asked) == first.train.size
    with pytest.raises(BadInput, match=rf"third was trained on {first.train.size} of the validation or test plots"):
        inherited(asked, [tmp_path / "third"])
    assert not capsys.readouterr().err
    (tmp_path / "second" / FILE_NAME).unlink()  # without this record, no later model has a complete one
    unknown = inherited(third, [tmp_path / "second"])
    assert not unknown.complete and "There is no record of the training plots of" in capsys.readouterr().err
    write("third", unknown)
    assert not inherited(PlotIds.of(table(100, "d")), [tmp_path / "third"]).complete
    assert "There is no record of the training plots of" in capsys.readouterr().err


def test_cleaner_texts_are_the_same_plots(corpus, tmp_path):
    """Better cleaning changes the bytes of a table, but not the split of a plot."""
    plots = load_plots(corpus)
    cleaner = plots.assign(plot=plots["plot"].str.replace(" the ", " a "))
    assert data_fingerprint(plots) != data_fingerprint(cleaner)
    assert PlotIds.of(plots).same_data(PlotIds.of(cleaner))


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("id", "another"), ("group", "another"), ("split", "validation"), ("genres", ["western"]), ("plot", "Another."),
        ("title", "Another (2001)"), ("primary", "Another"), ("secondary", "Another"), ("year", 1901), ("season", 9),
        ("episode", 9), ("air_date", "2001-01-01"), ("kind", "book"),
    ],
)  # fmt: skip
def test_the_fingerprint_covers_everything_that_models_are_trained_on(corpus, column, other):
    plots = load_plots(corpus).head(3)
    assert data_fingerprint(plots.copy()) == data_fingerprint(plots)
    assert data_fingerprint(plots.assign(language="xx", source="elsewhere")) == data_fingerprint(plots)
    changed = plots.assign(**{column: [other, *plots[column][1:]]})
    assert data_fingerprint(changed) != data_fingerprint(plots)
    whole_numbers = plots.assign(year=[2001, 2002, 2003])  # equal to floats, as in a column with missing years
    assert data_fingerprint(whole_numbers.astype({"year": float})) == data_fingerprint(whole_numbers)


def test_data_with_a_fingerprint_of_an_earlier_version_are_not_called_changed(corpus, tmp_path):
    new = data_fingerprint(load_plots(corpus))
    settings = GeneratorSettings(data=corpus, base_model="gpt2", output_dir=tmp_path)
    recipe = Recipe(settings.command_name, settings.recipe(), new)

    def rejection(before):
        write_json(tmp_path / "checkpoints" / "recipe.json", {"recipe": to_json(before)})
        with pytest.raises(BadInput) as error:
            _finished(tmp_path, recipe, GeneratorInfo, settings)
        return str(error.value)

    assert "it is unknown whether they are the same: choose another" in rejection(replace(recipe, data="842a26e46cf7"))
    assert "other settings (data)" in rejection(replace(recipe, data=new[:-1] + "x"))
    older = replace(recipe, data="842a26e46cf7", settings=recipe.settings | {"seed": 7})
    assert "other settings (seed)" in rejection(older)


def test_better_cleaning_moves_no_plot_to_another_split(tmp_path):
    """Dropped rows and removed sentences do not change the splits of the other rows."""
    rows = pd.DataFrame(
        {
            "id": range(120), "title": [f"Salt {i}" for i in range(120)], "genres": ["Drama", "Comedy", "Horror"] * 40,
            "plot": [f"Keeper {i} finds letter {7 * i} behind the mill of village number {i * i}." for i in range(120)],
        }
    )  # fmt: skip
    dirty = rows.copy()
    dirty.loc[::7, "plot"] = "No overview found."
    dirty.loc[1::4, "plot"] += " Visit our website for the weekly schedule."
    splits = []
    for name, frame in (("clean", rows), ("dirty", dirty)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        prepare("table", tmp_path / name, tmp_path / f"{name}.csv", dedup_threshold=1)
        splits.append(load_plots(tmp_path / name).set_index("id")["split"])
    assert len(splits[1]) == 120 - len(rows[::7])
    assert splits[0][splits[1].index].tolist() == splits[1].tolist()


def test_a_base_model_trained_on_validation_or_test_plots_is_rejected(
    small_corpus, turned_corpus, classifier, tmp_path
):
    """Twenty training plots of the base model are among the test plots here."""
    base_model = str(classifier[0])
    learned = ((load_plots(turned_corpus)["split"] == "test") & (load_plots(small_corpus)["split"] == "train")).sum()
    for train, options in ((train_classifier, {}), (train_mlm, {"block_size": 64})):
        with pytest.raises(BadInput, match=rf"{base_model} was trained on {learned} of the validation or test plots"):
            train(turned_corpus, base_model, tmp_path / "out", epochs=1, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("train", ["classifier", "mlm", "generator", "distillation", "fastai"])
def test_no_training_overwrites_its_base_model_or_teacher(
    train, small_corpus, tiny_roberta, tiny_gpt2, trained, tmp_path
):
    from movieplots.classification.fastai_training import train_with_fastai
    from movieplots.generation.distillation import distill
    from movieplots.generation.training import train_generator

    start = {"generator": tiny_gpt2, "distillation": trained[0]}.get(train, tiny_roberta)
    folder = shutil.copytree(start, tmp_path / "start")
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    calls = {
        "classifier": lambda: train_classifier(small_corpus, str(folder), folder, overwrite=True),
        "mlm": lambda: train_mlm(small_corpus, str(folder), tmp_path / "x" / ".." / "start", block_size=64),
        "generator": lambda: train_generator(small_corpus, str(folder), folder, max_steps=1, overwrite=True),
        "distillation": lambda: distill(folder, small_corpus, folder, layers=1, max_steps=1, overwrite=True),
        "fastai": lambda: train_with_fastai(small_corpus, str(folder), folder),
    }
    with pytest.raises(BadInput, match="is a model that this training starts from: choose another --output-dir"):
        calls[train]()
    assert before == {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_classifier_without_a_record_of_its_plots_has_no_quality(classifier):
    here = PlotIds.of(table())
    assert "not recorded which plots" in classifier_quality(classifier[1], None, here).skipped
    assert classifier_quality(classifier[1], here, here).test_plots == classifier[1].metrics.test_plots
