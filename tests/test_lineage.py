"""Which plots a model has read: known again after cleaning, through all ancestors, and kept apart from other tables."""

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
    """So many plots, four in five of them training."""
    sides = ["train", "train", "train", "train", "test"]
    return pd.DataFrame(
        {
            "id": [f"{source}-{i}" for i in range(n)] if ids is None else ids,
            "group": [f"{group} {i}" for i in range(n)],
            "split": [sides[i % 5] if i % 10 != 9 else "validation" for i in range(n)],
        }
    )


def test_they_come_back_from_the_folder_as_they_were(tmp_path):
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


def test_a_table_that_lost_and_won_a_few_plots_is_the_same_data():
    before, after = table(1000), table(1010).drop(index=range(0, 20, 5))
    assert PlotIds.of(before).same_data(PlotIds.of(after))
    assert not PlotIds.of(before).same_data(PlotIds.of(table(2000)))  # half of that was never read
    assert not PlotIds.of(before).same_data(PlotIds.of(table(1000, "b")))
    moved = before.assign(split=before["split"].where(before.index != 4, "train"))
    assert not PlotIds.of(moved).same_data(PlotIds.of(before))  # one held-out plot was learned


def test_tables_that_number_their_rows_have_no_plot_in_common():
    numbers = [f"table-{i}" for i in range(100)]
    mine, yours = (PlotIds.of(table(ids=numbers, group=name)) for name in ("salt", "heat"))
    assert np.intersect1d(mine.train, yours.train).size == 0
    assert mine.learned_held_out(yours) == 0


def test_the_plots_of_all_ancestors_count(tmp_path, capsys):
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
    with pytest.raises(BadInput, match=rf"third was trained on {first.train.size} of the plots that are held out here"):
        inherited(asked, [tmp_path / "third"])
    assert not capsys.readouterr().err
    (tmp_path / "second" / FILE_NAME).unlink()  # from here on nobody can know, and nobody forgets that
    unknown = inherited(third, [tmp_path / "second"])
    assert not unknown.complete and "It is not recorded which plots" in capsys.readouterr().err
    write("third", unknown)
    assert not inherited(PlotIds.of(table(100, "d")), [tmp_path / "third"]).complete
    assert "It is not recorded which plots" in capsys.readouterr().err


def test_cleaner_texts_are_the_same_plots(corpus, tmp_path):
    """The bytes of a table change where cleaning gets better; which plots stand where does not."""
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
def test_all_that_a_model_learns_from_is_in_the_fingerprint(corpus, column, other):
    plots = load_plots(corpus).head(3)
    assert data_fingerprint(plots.copy()) == data_fingerprint(plots)
    assert data_fingerprint(plots.assign(language="xx", source="elsewhere")) == data_fingerprint(plots)
    changed = plots.assign(**{column: [other, *plots[column][1:]]})
    assert data_fingerprint(changed) != data_fingerprint(plots)
    whole_numbers = plots.assign(year=[2001, 2002, 2003])  # the same as floats, which stand beside missing ones
    assert data_fingerprint(whole_numbers.astype({"year": float})) == data_fingerprint(whole_numbers)


def test_of_a_fingerprint_of_an_earlier_version_no_change_of_the_data_is_claimed(corpus, tmp_path):
    new = data_fingerprint(load_plots(corpus))
    settings = GeneratorSettings(data=corpus, base_model="gpt2", output_dir=tmp_path)
    recipe = Recipe(settings.command_name, settings.recipe(), new)

    def refused(before):
        write_json(tmp_path / "checkpoints" / "recipe.json", {"recipe": to_json(before)})
        with pytest.raises(BadInput) as error:
            _finished(tmp_path, recipe, GeneratorInfo, settings)
        return str(error.value)

    assert "whether they are the same cannot be told: choose another" in refused(replace(recipe, data="842a26e46cf7"))
    assert "other settings (data)" in refused(replace(recipe, data=new[:-1] + "x"))
    older = replace(recipe, data="842a26e46cf7", settings=recipe.settings | {"seed": 7})
    assert "other settings (seed)" in refused(older)


def test_better_cleaning_moves_no_plot_to_another_side(tmp_path):
    """Rows that are dropped now, and sentences that are removed, leave all others on their sides."""
    rows = pd.DataFrame(
        {
            "id": range(120), "title": [f"Salt {i}" for i in range(120)], "genres": ["Drama", "Comedy", "Horror"] * 40,
            "plot": [f"Keeper {i} finds letter {7 * i} behind the mill of village number {i * i}." for i in range(120)],
        }
    )  # fmt: skip
    dirty = rows.copy()
    dirty.loc[::7, "plot"] = "No overview found."
    dirty.loc[1::4, "plot"] += " Visit our website for the weekly schedule."
    sides = []
    for name, frame in (("clean", rows), ("dirty", dirty)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        prepare("table", tmp_path / name, tmp_path / f"{name}.csv", dedup_threshold=1)
        sides.append(load_plots(tmp_path / name).set_index("id")["split"])
    assert len(sides[1]) == 120 - len(rows[::7])
    assert sides[0][sides[1].index].tolist() == sides[1].tolist()


def test_a_base_model_that_learned_held_out_plots_is_refused(small_corpus, turned_corpus, classifier, tmp_path):
    """Twenty training plots of the base model are among the test plots here."""
    base = str(classifier[0])
    learned = ((load_plots(turned_corpus)["split"] == "test") & (load_plots(small_corpus)["split"] == "train")).sum()
    for train, options in ((train_classifier, {}), (train_mlm, {"block_size": 64})):
        with pytest.raises(BadInput, match=rf"{base} was trained on {learned} of the plots that are held out here"):
            train(turned_corpus, base, tmp_path / "out", epochs=1, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("train", ["classifier", "mlm", "generator", "distillation", "fastai"])
def test_no_training_writes_over_what_it_starts_from(train, small_corpus, tiny_roberta, tiny_gpt2, trained, tmp_path):
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
    with pytest.raises(BadInput, match="is what this training starts from: choose another --output-dir"):
        calls[train]()
    assert before == {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_classifier_whose_plots_are_not_recorded_states_no_quality(classifier):
    here = PlotIds.of(table())
    assert "not recorded which plots" in classifier_quality(classifier[1], None, here).skipped
    assert classifier_quality(classifier[1], here, here).test_plots == classifier[1].metrics.test_plots
