"""Which plots a model has read: known again after cleaning, through all ancestors, and kept apart from other tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from movieplots import load_plots, prepare
from movieplots.classification.language_model import train_language_model
from movieplots.classification.training import train_classifier
from movieplots.errors import BadInput
from movieplots.evaluation.classifier_quality import classifier_quality
from movieplots.lineage import FILE_NAME, PlotIds, hashed_ids, held_out_learned, lineage, read_plot_ids
from movieplots.plots import data_fingerprint


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


def test_the_plots_of_all_ancestors_count(tmp_path):
    first, second, third = (PlotIds.of(table(100, name)) for name in "abc")
    first.write(tmp_path / "first")
    second.after([tmp_path / "first"]).write(tmp_path / "second")
    child = third.after([tmp_path / "second", tmp_path / "nowhere"])
    assert set(child.learned) == {*first.train, *second.train, *third.train}
    asked = PlotIds.of(table(100, "a").assign(split="test"))
    assert child.learned_held_out(asked) == first.train.size
    child.write(tmp_path / "third")
    assert held_out_learned(tmp_path / "third", asked) == first.train.size
    assert held_out_learned(tmp_path / "nowhere", asked) is None


def test_cleaner_texts_are_the_same_plots(corpus, tmp_path):
    """The bytes of a table change where cleaning gets better; which plots stand where does not."""
    plots = load_plots(corpus)
    cleaner = plots.assign(plot=plots["plot"].str.replace(" the ", " a "))
    assert data_fingerprint(plots) != data_fingerprint(cleaner)
    assert PlotIds.of(plots).same_data(PlotIds.of(cleaner))


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
        prepare("table", tmp_path / name, tmp_path / f"{name}.csv", near=1)
        sides.append(load_plots(tmp_path / name).set_index("id")["split"])
    assert len(sides[1]) == 120 - len(rows[::7])
    assert sides[0][sides[1].index].tolist() == sides[1].tolist()


def test_a_base_that_learned_held_out_plots_is_refused_even_by_way_of_another(
    small_corpus, turned_corpus, tiny_roberta, tmp_path, capsys
):
    quick = {"passes": 1, "block_size": 64}
    first, second = tmp_path / "first", tmp_path / "second"
    train_language_model(turned_corpus, tiny_roberta, first, **quick)
    learned = (load_plots(small_corpus)["split"] == "test").sum()
    refused = rf"was trained on {learned} of the plots that are held out here: train it on the same --data"
    with pytest.raises(BadInput, match=rf"first {refused}"):
        train_classifier(small_corpus, str(first), tmp_path / "out", passes=1)
    capsys.readouterr()
    train_language_model(small_corpus, str(first), second, **quick)
    assert f"was trained on {learned} of the plots that are held out here" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(BadInput, match=rf"second {refused}"):
        train_classifier(small_corpus, str(second), tmp_path / "out", passes=1)
    assert not (tmp_path / "out").exists()


def test_a_base_of_other_plots_is_taken_and_one_of_unknown_plots_is_named(tmp_path, capsys):
    (tmp_path / "movieplots.json").write_text('{"recipe": {"base": "tiny"}}')
    PlotIds.of(table(100, "b")).write(tmp_path)
    here = PlotIds.of(table(100, "a"))
    assert lineage(tmp_path, here) == {"base_recipe": {"base": "tiny"}}
    assert not capsys.readouterr().err
    (tmp_path / FILE_NAME).unlink()
    assert lineage(tmp_path, here) == {"base_recipe": {"base": "tiny"}}
    assert "It is not recorded which plots" in capsys.readouterr().err
    assert lineage("minilm-l6", here) == {}


def test_a_classifier_whose_plots_are_not_recorded_states_no_quality():
    here = PlotIds.of(table())
    info = {"metrics": {"test_plots": 10, "test": {}, "test_per_label": {}}}
    assert "not recorded which plots" in classifier_quality(info, None, here)["skipped"]
    assert classifier_quality(info, here, here)["test_plots"] == 10
