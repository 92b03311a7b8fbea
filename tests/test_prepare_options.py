"""Each option of `prepare`, on small corpora in the layouts of the sources."""

import json
import re
from functools import partial
from inspect import signature

import datasets
import pandas as pd
import pytest

from movieplots import load_plots, prepare
from movieplots.cli import prepare as commands
from movieplots.errors import BadInput
from movieplots.genres import COARSE, coarsen
from movieplots.plots import save_plots
from movieplots.preparation.cleaning import count_words
from movieplots.preparation.report import SourceCounts
from movieplots.sources.sample import FILE

SPANISH = [
    "Una cartera descubre cartas que nadie quiso abrir y decide llevarlas ella misma a {} pueblos del valle.",
    "Un viejo farero de {} años encuentra una botella con la voz de su hermano y sale a buscarlo al mar.",
]


@pytest.fixture(scope="module")
def texts(corpus):
    return load_plots(corpus)["plot"].tolist()


def write_table(path, rows):
    """Write rows of (title, plot, genres) as JSON Lines, like a user's table."""
    lines = [json.dumps({"title": title, "plot": plot, "genres": genres}) for title, plot, genres in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_mpst(path, rows):
    """Write rows of (title, synopsis, tags, split) in the layout of MPST."""
    frame = pd.DataFrame(rows, columns=["title", "plot_synopsis", "tags", "split"])
    frame.insert(0, "imdb_id", [f"tt{i:07}" for i in range(len(frame))])
    frame.assign(synopsis_source="imdb").to_csv(path, index=False)
    return path


def test_several_sources_make_one_table_and_duplicates_go_across_them(tmp_path, texts, corpus):
    books = tmp_path / "booksummaries.txt"
    genre = json.dumps({"/m/02xlf": "Fiction", "/m/03npn": "Horror"})
    copies = [texts[0] + " The end of it.", texts[1].upper(), "A summary of a novel that nobody else has written yet."]
    lines = [f"{i}\t/m/0{i}\tThe Book {i}\tA. Author\t19{50 + i}-01-02\t{genre}\t {t}" for i, t in enumerate(copies)]
    books.write_text("\n".join(lines), encoding="utf-8")
    result = prepare(["sample", "cmu-books"], tmp_path / "out", {"cmu-books": books})
    plots = load_plots(tmp_path / "out").set_index("id")
    assert result.by_source == {"sample": SourceCounts(420, 419), "cmu-books": SourceCounts(3, 2)}
    assert result.dropped == {"duplicate": 1, "near_duplicate": 1}
    dropped = pd.read_parquet(tmp_path / "out" / "dropped.parquet").set_index("reason")
    assert dropped.loc["near_duplicate", "detail"] == "cmu-books-0"  # the longer one stays
    assert dropped.loc["near_duplicate", "plot"] == texts[0]
    assert dropped.loc["duplicate", "id"] == "cmu-books-1"
    book = plots.loc["cmu-books-0"]
    assert (book["kind"], book["year"], book["genres"], book["source"]) == ("book", 1950, ["horror"], "cmu-books")
    fine = load_plots(corpus)["genres"]
    assert result.tags == {"mapped": sum(map(len, fine)) + 3, "ignored": 3, "unknown": 0}


def test_a_plot_that_is_too_long_is_cut_at_a_sentence_end_or_dropped(tmp_path, texts):
    lengths = [count_words(text) for text in texts]
    cut = prepare("sample", tmp_path / "cut", max_length=50)
    plots = load_plots(tmp_path / "cut")
    assert cut.kept + cut.dropped.get("too_long", 0) == 420
    assert cut.truncated > 100
    assert plots["plot"].map(count_words).max() <= 50
    assert all(any(whole.startswith(plot) for whole in texts) for plot in plots["plot"])
    assert plots["plot"].str.contains(r"[.!?…][\"'”’)]*$").all()
    dropped = prepare("sample", tmp_path / "drop", max_length=50, too_long="drop")
    assert dropped.dropped == {"too_long": sum(length > 50 for length in lengths)}
    assert dropped.truncated == 0
    short = prepare("sample", tmp_path / "short", min_length=60)
    assert short.dropped == {"too_short": sum(length < 60 for length in lengths)}


def test_lengths_can_be_counted_in_tokens(tmp_path, texts, tiny_gpt2):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    lengths = [len(tokenizer(text)["input_ids"]) for text in texts]
    result = prepare("sample", tmp_path, max_length=110, too_long="drop", tokenizer=tiny_gpt2)
    assert result.dropped == {"too_long": sum(length > 110 for length in lengths)}
    assert 0 < result.dropped["too_long"] < 420
    assert result.settings.length_in == f"tokens of {tiny_gpt2}"


@pytest.mark.parametrize(
    ("languages", "kept"), [(["en"], {"en"}), (["es"], {"es"}), (["en", "es"], {"en", "es"}), (["all"], {"en", "es"})]
)
def test_any_set_of_languages_can_be_kept(tmp_path, texts, languages, kept):
    rows = [(f"Film {i}", text, ["drama"]) for i, text in enumerate(texts[:150])]
    rows += [(f"Cine {i}", SPANISH[i % 2].format(i), "drama, family") for i in range(150)]
    result = prepare(
        "table", tmp_path / "out", write_table(tmp_path / "a.jsonl", rows), languages=languages, dedup_threshold=1
    )
    assert set(load_plots(tmp_path / "out")["language"]) == kept
    assert result.languages == {"en": 150, "es": 150}
    assert result.dropped == ({"other_language": 150} if len(kept) == 1 else {})


def test_langdetect_can_be_chosen(tmp_path, texts):
    rows = [(f"Film {i}", text, ["drama"]) for i, text in enumerate(texts[:100])]
    rows += [("Cine", SPANISH[0].format("tres"), ["drama"]), ("Digits", "1 2 3 4 5 6 7 8", ["drama"])]
    result = prepare("table", tmp_path / "out", write_table(tmp_path / "a.jsonl", rows), detector="langdetect")
    assert result.languages == {"en": 100, "es": 1, "und": 1}


def test_the_nine_coarse_genres(tmp_path, corpus):
    result = prepare("sample", tmp_path, coarse_genres=True)
    plots, fine = load_plots(tmp_path).set_index("id"), load_plots(corpus).set_index("id")
    assert set(result.genres) == set(COARSE)
    assert all(plots.loc[name, "genres"] == coarsen(fine.loc[name, "genres"]) for name in plots.index)
    assert result.dropped == {"no_genre": sum(not coarsen(genres) for genres in fine["genres"])}


def test_a_user_s_genre_map_overrides_the_built_in_ones(tmp_path, texts):
    rows = [(f"Film {i}", text, ["Noirish" if i % 2 else "Drama"]) for i, text in enumerate(texts[:120])]
    file = write_table(tmp_path / "a.jsonl", rows)
    without = prepare("table", tmp_path / "without", file)
    assert without.unknown_tags == {"Noirish": 60}
    assert without.tags == {"mapped": 60, "ignored": 0, "unknown": 60}
    (tmp_path / "map.csv").write_text("tag,genres\nnoirish,crime thriller\ndrama,\n")
    with_map = prepare("table", tmp_path / "with", file, genre_map=tmp_path / "map.csv")
    assert with_map.genres == {"crime": 60, "thriller": 60}
    assert with_map.dropped == {"no_genre": 60}
    assert with_map.tags == {"mapped": 60, "ignored": 60, "unknown": 0}


def test_the_threshold_of_near_duplicates(tmp_path, texts):
    rows = [(f"Film {i}", text, ["drama"]) for i, text in enumerate(texts[:100])]
    rows += [(f"Copy {i}", re.sub(r"\w+", "word", text, count=1), ["drama"]) for i, text in enumerate(texts[:10])]
    run = partial(prepare, "table", path=write_table(tmp_path / "a.jsonl", rows))
    assert run(tmp_path / "a").dropped == {"near_duplicate": 10}
    assert run(tmp_path / "b", dedup_threshold=1).dropped == {}
    assert run(tmp_path / "c", dedup_threshold=0.99).dropped == {}


def test_the_splits_of_a_source_are_kept_but_no_group_crosses_them(tmp_path, texts):
    splits = ["train"] * 70 + ["val"] * 15 + ["test"] * 15
    rows = [(f"Film {i}", texts[i], "horror, cult", split) for i, split in enumerate(splits)]
    rows[0], rows[99] = ("The Same", *rows[0][1:]), ("The Same", *rows[99][1:])
    result = prepare("mpst", tmp_path / "own", write_mpst(tmp_path / "a.csv", rows), own_splits=True)
    plots = load_plots(tmp_path / "own")
    assert result.splits == {"train": 69, "validation": 15, "test": 16}
    assert set(plots.loc[plots["primary"] == "The Same", "split"]) == {"test"}
    assert result.groups_across_splits == 1
    assert "(1 of them) is in the test split" in (tmp_path / "own" / "README.md").read_text()
    assert prepare("mpst", tmp_path / "drawn", tmp_path / "a.csv").splits != result.splits


def test_the_export_opens_with_datasets(tmp_path, corpus):
    prepare("sample", tmp_path, export=True)
    loaded = datasets.load_from_disk(tmp_path / "dataset")
    plots = load_plots(tmp_path)
    assert {name: len(part) for name, part in loaded.items()} == plots["split"].value_counts().to_dict()
    test = plots[plots["split"] == "test"]
    assert loaded["test"]["id"][:] == test["id"].tolist()
    assert loaded["test"]["genres"][:] == test["genres"].tolist()
    assert loaded["test"].features["year"].dtype == "int32"
    files = {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    prepare("sample", tmp_path, export=True)
    assert files == {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def test_an_export_without_the_library_fails_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(BadInput, match=r"needs the library `datasets`: run `pip install datasets`"):
        prepare("sample", tmp_path / "out", export=True)
    assert not (tmp_path / "out").exists()


def test_the_card_describes_the_preparation(tmp_path):
    result = prepare("sample", tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\npretty_name: Plots from sample\nlanguage:\n- en\n")
    assert (
        "| sample | original plots of movies, series and episodes, written for this project | CC0 | 420 | 420 |" in card
    )
    assert f"| all plots | {result.splits['train']} | {result.splits['validation']} | {result.splits['test']} |" in card
    assert result.fingerprint in card


def test_ids_are_unique_even_where_a_source_repeats_them(tmp_path, texts):
    lines = [{"n": 7, "title": f"Film {i}", "plot": text, "genres": "drama"} for i, text in enumerate(texts[:100])]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    prepare("table", tmp_path / "out", tmp_path / "a.jsonl", columns={"id": "n"})
    assert load_plots(tmp_path / "out")["id"].tolist()[:3] == ["table-7", "table-7-2", "table-7-3"]
    for line, name in zip(lines, ["a", "a", "a-2", "a-2", *range(96)], strict=True):
        line["n"] = name
    lines[1]["plot"] = lines[2]["plot"]  # a duplicate with the id of a numbered one
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    result = prepare("table", tmp_path / "out", tmp_path / "a.jsonl", columns={"id": "n"})
    assert result.dropped == {"duplicate": 1}
    ids = load_plots(tmp_path / "out")["id"]
    assert ids.tolist()[:3] == ["table-a", "table-a-2", "table-a-2-3"]
    assert ids.is_unique


def test_id_and_year_are_found_by_their_names(tmp_path, texts):
    rows = [
        {"id": i, "year": ["2004-05-01", 1999.0, "n.d."][i % 3], "title": f"Film {i}", "plot": text, "genres": ["war"]}
        for i, text in enumerate(texts[:100])
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pd.DataFrame(rows).astype({"year": str}).to_parquet(tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        prepare("table", tmp_path / "out", tmp_path / name)
        plots = load_plots(tmp_path / "out").set_index("id")
        assert plots.loc[["table-0", "table-1"], "year"].tolist() == [2004, 1999]
        assert pd.isna(plots.loc["table-2", "year"])


def test_other_files_in_the_folder_are_not_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("# My project\n")
    with pytest.raises(BadInput, match=r"README\.md was not written by `movieplots prepare` and would be lost"):
        prepare("sample", tmp_path)
    (tmp_path / "README.md").unlink()
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "precious.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"dataset was not written by `movieplots prepare`"):
        prepare("sample", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_an_export_of_other_plots_is_removed(tmp_path):
    prepare("sample", tmp_path, export=True)
    assert (tmp_path / "dataset").is_dir()
    prepare("sample", tmp_path, max_length=40)
    assert not (tmp_path / "dataset").exists()


def test_a_damaged_table_is_replaced_with_a_message(tmp_path, capsys):
    prepare("sample", tmp_path)
    (tmp_path / "plots.parquet").write_bytes((tmp_path / "plots.parquet").read_bytes()[:3000])
    prepare("sample", tmp_path)
    assert "is damaged: it is replaced, with new splits" in capsys.readouterr().err
    prepare("sample", tmp_path, seed=1)
    assert "was prepared with seed 0: new splits are assigned with seed 1" in capsys.readouterr().err


def test_a_stub_and_a_signature_are_counted(tmp_path, texts):
    rows = [(f"Film {i}", text, ["drama"]) for i, text in enumerate(texts[:100])]
    rows[0] = ("Stub", "A keeper who <more>", ["drama"])
    rows[1] = ("Cut off", texts[1] + " And then he <more>", ["drama"])
    rows[2] = ("Signed", texts[2] + " —Jane Doe <jane@example.com>", ["drama"])
    result = prepare("table", tmp_path / "out", write_table(tmp_path / "a.jsonl", rows))
    plots = load_plots(tmp_path / "out").set_index("title")["plot"]
    assert result.dropped == {"stub": 1}
    assert result.repaired == {"stub": 2, "signature": 1}
    assert (plots["Cut off"], plots["Signed"]) == (texts[1], texts[2])


def test_the_bundled_corpus_reads_from_its_folder_too(tmp_path):
    assert prepare("sample", tmp_path, FILE.parent).kept == 420


def test_the_table_of_an_earlier_version_opens_and_keeps_its_splits(tmp_path, capsys):
    """Its report.json has other names for some settings and counts; only the seed is read from it."""
    prepare("sample", tmp_path, seed=3)
    plots = load_plots(tmp_path)
    swapped = plots["split"].replace({"validation": "test", "test": "validation"})
    save_plots(plots.assign(split=swapped), tmp_path / "plots.parquet")
    report = json.loads((tmp_path / "report.json").read_text())
    for old, new in {"long": "too_long", "coarse": "coarse_genres", "near": "dedup_threshold"}.items():
        report["settings"][old] = report["settings"].pop(new)
    for old, new in {"cut": "truncated", "kept_sides": "kept_splits", "torn_groups": "groups_across_splits"}.items():
        report[old] = report.pop(new)
    (tmp_path / "report.json").write_text(json.dumps(report))
    result = prepare("sample", tmp_path, seed=3)
    assert result.kept_splits > 0 and "keep their splits from the earlier preparation" in capsys.readouterr().err
    assert load_plots(tmp_path)["split"].tolist() == swapped.tolist()


def test_the_command_has_the_defaults_of_the_function():
    command, function = signature(commands.prepare).parameters, signature(prepare).parameters
    names = {"detector", "min_length", "max_length", "too_long", "dedup_threshold", "coarse_genres", "own_splits"}
    for name in names | {"export", "seed", "overwrite", "tokenizer"}:
        assert command[name].default == function[name].default
