"""Reading corpora: small files in each layout, whole and broken."""

import csv

import pytest

from movieplots.errors import BadInput
from movieplots.sources import SOURCES, get_source
from movieplots.sources.corpus import read_table, whole_number
from movieplots.sources.imdb import read_imdb_table
from movieplots.sources.sample import DIRTY_FILE, read_sample
from movieplots.sources.streaming import read_streaming

STREAMING_HEADER = ["show_id", "type", "title", "director", "release_year", "listed_in", "description"]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_catalogue(path, *rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([STREAMING_HEADER, *rows])
    return path


def rows_of(path, required=("title",), tabs=False):
    return list(read_table(path, list(required), tabs=tabs))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.csv is empty: it needs a header line with title, plot"),
        (b"\n\n", r"a\.csv is empty"),
        (b"name,text\nx,y\n", r"a\.csv has no column title, plot: its header has name, text"),
        (b"title,text\nx,y\n", r"a\.csv has no column plot:"),
        ("title,plot\nCafé,Un café\n".encode("latin-1"), r"a\.csv, line 2, is not UTF-8 text: convert"),
        ("title,plot\n".encode("utf-16"), r"a\.csv, line 1, is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path, content, message):
    file = write(tmp_path / "a.csv", content)
    with pytest.raises(BadInput, match=message):
        rows_of(file, ["title", "plot"])


def test_a_missing_file_and_a_folder_are_said_in_a_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"none\.csv cannot be read: No such file"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        rows_of(tmp_path)


@pytest.mark.parametrize(("tabs", "mark"), [(True, "\t"), (False, ",")])
def test_ragged_rows_are_given_as_none_and_blank_lines_skipped(tmp_path, tabs, mark):
    lines = ["title,plot", "A,one", "B", "", "C,three,more", "D,four"]
    file = write(tmp_path / "a", "\n".join(lines).replace(",", mark))
    assert rows_of(file, tabs=tabs) == [{"title": "A", "plot": "one"}, None, None, {"title": "D", "plot": "four"}]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_nul_bytes_and_line_ends_do_not_matter(tmp_path, end):
    file = write(tmp_path / "a.csv", b"\xef\xbb\xbf" + f"title,plot{end}A,o\0ne{end}".encode())
    assert rows_of(file) == [{"title": "A", "plot": "one"}]


def test_quoted_fields_hold_commas_newlines_and_quotes(tmp_path):
    file = write(tmp_path / "a.csv", 'title,plot\n"A, B","first line\nsecond ""line"""\nC,two\n')
    assert rows_of(file)[0] == {"title": "A, B", "plot": 'first line\nsecond "line"'}
    assert len(rows_of(file)) == 2


def test_between_tabs_a_quote_is_a_character(tmp_path):
    file = write(tmp_path / "a.csv", 'title\tplot\n"Salt" (2009)\t "Stop," he says.\n"Open\tends\n')
    assert rows_of(file, tabs=True) == [
        {"title": '"Salt" (2009)', "plot": ' "Stop," he says.'},
        {"title": '"Open', "plot": "ends"},
    ]


def test_a_field_may_be_longer_than_the_csv_module_s_default(tmp_path):
    file = write(tmp_path / "a.csv", "title,plot\nA," + "word " * 60_000 + "\n")
    assert len(rows_of(file)[0]["plot"]) == 300_000


@pytest.mark.parametrize(("text", "number"), [("2004", 2004), (" 7 ", 7), ("", None), ("2004.5", None), ("²", None)])
def test_whole_number(text, number):
    assert whole_number(text) == number


def test_imdb_layout(tmp_path):
    file = write(
        tmp_path / "a.csv",
        'title\tplot\tDrama\tSci-Fi\tUnheard-Of\n"Salt" (2009) {Low Tide (#1.3)}\t The sea.\t1\t1\t1\n'
        "Heat (1995)\t Fire.\t0\t1\t0\nHeat (1995)\t Fire.\t0\t0\t0\nbroken\n",
    )
    corpus = read_imdb_table(file, "x")
    first, second, third = corpus.rows
    assert corpus.broken == 1
    assert (first.title.secondary, first.title.season, first.tags) == ("Low Tide", 1, ["drama", "sci-fi", "unheard-of"])
    assert (second.published, second.plot, second.tags) == ("Heat (1995)", " Fire.", ["sci-fi"])
    assert third.id == f"{second.id}-2"


def test_imdb_flags_that_are_no_flags_break_the_row_and_no_genres_break_the_file(tmp_path):
    lines = "title\tplot\tDrama\nA (2001)\t One.\t1.0\nB (2002)\t Two.\tyes\n"
    corpus = read_imdb_table(write(tmp_path / "a.csv", lines), "x")
    assert [row.tags for row in corpus.rows] == [["drama"]]
    assert corpus.broken == 1
    with pytest.raises(BadInput, match="no genre columns"):
        read_imdb_table(write(tmp_path / "b.csv", "title\tplot\nA (2001)\t One.\n"), "x")


def test_editions_and_years_are_no_part_of_a_catalogue_title(tmp_path):
    titles = [
        "Master (Telugu) [4K UHD]",
        "The Tunnel (English Dub)",
        "Thunder Alley (1985)",
        "[REC]",
        "Emma (with weights)",
    ]
    rows = [[f"s{i}", "Movie", title, "", "2020", "Drama", "A plot of some words."] for i, title in enumerate(titles)]
    read = read_streaming(write_catalogue(tmp_path / "x_titles.csv", *rows)).rows
    assert [str(row.title) for row in read] == [
        "Master (Telugu) (2020)", "The Tunnel (2020)", "Thunder Alley (1985)", "[REC] (2020)",
        "Emma (with weights) (2020)",
    ]  # fmt: skip
    assert [row.published for row in read] == titles


def test_ids_do_not_depend_on_the_order_of_rows(tmp_path):
    rows = ["A (2001)\t One.\t1", "B (2002)\t Two.\t0", "C (2003)\t Three.\t1"]
    ids = [
        {row.id for row in read_imdb_table(write(tmp_path / name, "\n".join(["title\tplot\tDrama", *order])), "x").rows}
        for name, order in (("a", rows), ("b", rows[::-1]))
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


def test_the_bundled_files_read_from_file_and_folder():
    assert len(read_sample(DIRTY_FILE.parent).rows) == 420
    dirty = read_sample(DIRTY_FILE)
    assert (len(dirty.rows), dirty.broken) == (52, 4)


def test_streaming_rows(tmp_path):
    file = write_catalogue(
        tmp_path / "netflix_titles.csv",
        ["s1", "TV Show", "Dark  Harbour", "", "2017", "TV Dramas, International TV Shows", "Fog comes."],
        ["s2", "Movie", "Heat", "", "", "Arts, Entertainment, and Culture, Drama", "It is hot."],
        ["s3", "Movie", "Ash", "", "1999", "", "It is cold."],
        ["s4", "Movie", "Cut short"],
    )
    for place in (file, tmp_path):
        corpus = read_streaming(place)
        show, movie, untagged = corpus.rows
        assert corpus.broken == 1
        assert (show.id, show.published, str(show.title)) == ("netflix-s1", "Dark Harbour", '"Dark Harbour" (2017)')
        assert show.tags == ["TV Dramas", "International TV Shows"]
        assert (movie.title.kind, movie.title.year, str(movie.title)) == ("movie", None, "Heat (????)")
        assert movie.tags == ["Arts, Entertainment, and Culture", "Drama"]
        assert untagged.tags == []


@pytest.mark.parametrize(
    ("listed", "tags"),
    [
        ("Arts, Entertainment, and Culture", ["Arts, Entertainment, and Culture"]),
        ("Comedy, Arts, Entertainment, and Culture", ["Comedy", "Arts, Entertainment, and Culture"]),
        (
            "Arts, Entertainment, and Culture, Music Videos and Concerts",
            ["Arts, Entertainment, and Culture", "Music Videos and Concerts"],
        ),
        ("Military and War, Drama", ["Military and War", "Drama"]),
        ("Drama", ["Drama"]),
    ],
)
def test_commas_inside_a_genre_name_do_not_part_it(tmp_path, listed, tags):
    file = write_catalogue(tmp_path / "a.csv", ["s1", "Movie", "A", "", "2000", listed, "Text."])
    assert read_streaming(file).rows[0].tags == tags


def test_several_catalogues_in_one_folder_keep_their_ids_apart(tmp_path):
    for name in ("hulu", "netflix"):
        write_catalogue(
            tmp_path / f"{name}_titles.csv", ["s1", "Movie", name.title(), "", "2000", "Drama", f"On {name}."]
        )
    write(tmp_path / "notes.csv", "not,a,catalogue\n")
    assert [row.id for row in read_streaming(tmp_path).rows] == ["hulu-s1", "netflix-s1"]


def test_a_folder_without_a_catalogue_says_which_files_it_needs(tmp_path):
    with pytest.raises(BadInput, match=r"holds no catalogue: put one or more of netflix_titles\.csv, .*hulu"):
        read_streaming(tmp_path)


def test_a_wrong_csv_is_named_with_its_missing_columns(tmp_path):
    write(tmp_path / "x_titles.csv", "title,plot\nA,B\n")
    with pytest.raises(BadInput, match=r"x_titles\.csv has no column show_id, type, release_year, listed_in, descr"):
        read_streaming(tmp_path)


def test_the_registry_names_its_sources():
    assert all(get_source(name).name == name for name in SOURCES)
    with pytest.raises(BadInput, match=r"Unknown source 'imbd': choose from .*sample.*streaming"):
        get_source("imbd")
