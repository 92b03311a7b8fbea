"""Reading of corpora: small files in each layout, valid and broken."""

import bz2
import csv
import datetime
import gzip
import json
import random
import re
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from movieplots import prepare
from movieplots.errors import BadInput
from movieplots.genres import map_tags
from movieplots.preparation.report import ColumnCounts
from movieplots.sources import SOURCES, get_source
from movieplots.sources.cmu_books import read_cmu_books
from movieplots.sources.cmu_movies import read_cmu_movies
from movieplots.sources.corpus import RawCorpus, parse_year, read_table
from movieplots.sources.imdb import read_imdb, read_imdb_table
from movieplots.sources.mpst import read_mpst
from movieplots.sources.sample import DIRTY_FILE, read_sample
from movieplots.sources.streaming import read_streaming
from movieplots.sources.table import read_own_table, tags_in
from movieplots.sources.wikipedia import read_wikipedia

STREAMING_HEADER = ["show_id", "type", "title", "director", "release_year", "listed_in", "description"]
MPST_HEADER = ["imdb_id", "title", "plot_synopsis", "tags", "split", "synopsis_source"]
WIKI_HEADER = ["Release Year", "Title", "Origin/Ethnicity", "Director", "Cast", "Genre", "Wiki Page", "Plot"]
PACKING = {"": bytes, ".bz2": bz2.compress, ".gz": gzip.compress}

PLOT_LIST = """CRC: 0x00000000  File: plot.list  Date: Fri Dec 22 00:00:00 2017

PLOT SUMMARIES LIST
===================

-------------------------------------------------------------------------------
MV: "Salt Road" (2009)

PL: A caravan carries salt
PL: across a dry sea.

BY: Ada

PL: The same road, told by
PL: the camel.

BY: Bo <bo@example.org>

-------------------------------------------------------------------------------
MV: "Salt Road" (2009) {Café (#1.3)}

PL: They stop for coffee.

BY: Ada

-------------------------------------------------------------------------------
MV: "Salt Road" (2009) {Night Shift (#1.4)} {{SUSPENDED}}

PL: They stop for nothing.

BY: Ada

-------------------------------------------------------------------------------
MV: Tide: The Return (2011/II) (TV)

PL: The water comes back.
-------------------------------------------------------------------------------
"""
GENRE_LIST = """CRC: 0x00000000  File: genres.list  Date: Fri Dec 22 00:00:00 2017

Drama\t\t12
8: THE GENRES LIST
==================

"Salt Road" (2009)\t\t\t\t\tAdventure
"Salt Road" (2009)\t\t\t\t\tDrama
"Salt Road" (2009) {Night Shift (#1.4)} {{SUSPENDED}}\tHorror
Tide: The Return (2011/II) (TV)\tSci-Fi
Unheard (2001)\t\tShort
"""


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_csv(path, header, *rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_catalogue(path, *rows):
    return write_csv(path, STREAMING_HEADER, *rows)


def table(path, required=("title",), tabs=False):
    """Return the rows and the corpus with the counts."""
    corpus = RawCorpus()
    return list(read_table(path, list(required), corpus, tabs=tabs)), corpus


def rows_of(path, required=("title",), tabs=False):
    return table(path, required, tabs)[0]


def counts(corpus):
    return len(corpus.rows), corpus.broken, corpus.blank


# --- text files: packing, damage, encodings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.csv is empty: it needs a header line with title, plot"),
        (b"\n\n", r"a\.csv is empty"),
        (b"name,text\nx,y\n", r"a\.csv has no column title, plot: its header has name, text; check .* the right file"),
        (b"title,text\nx,y\n", r"a\.csv has no column plot:"),
        (b"title,plot,plot\nx,y,z\n", r"a\.csv has two columns called 'plot': rename one of them"),
        ("title,plot\nCafé,Un café\n".encode("latin-1"), r"a\.csv, line 2, is not UTF-8 .* `iconv -f latin1 -t utf-8`"),
        ("title,plot\n".encode("utf-16"), r"a\.csv, line 1, is not UTF-8 text: .* `iconv -f utf-16 -t utf-8`"),
        (b"PK\x03\x04and so on", r"a\.csv is a zip archive or a spreadsheet: unpack it, or save it as CSV"),
    ],
)
def test_for_a_file_that_cannot_be_used_the_message_has_the_reason(tmp_path, content, message):
    file = write(tmp_path / "a.csv", content)
    with pytest.raises(BadInput, match=message):
        rows_of(file, ["title", "plot"])


@pytest.mark.parametrize("pack", PACKING.values())
def test_latin_1_is_found_with_its_line(tmp_path, pack):
    lines = ["title,plot"] + [f"Film {i},Words about film {i}." for i in range(5000)]
    lines[4321] = "Éclair,Un éclair"
    with pytest.raises(BadInput, match=r"a\.csv, line 4322, is not UTF-8 text"):
        rows_of(write(tmp_path / "a.csv", pack("\n".join(lines).encode("latin-1"))))


def test_a_truncated_file_with_latin_1_is_reported_as_truncated(tmp_path):
    noise = random.Random(1)
    long = "".join(chr(noise.randrange(32, 127)) for _ in range(200_000))
    packed = gzip.compress(("title\n\xe9" + long).encode("latin-1"))
    with pytest.raises(BadInput, match="is truncated"):
        rows_of(write(tmp_path / "a.csv", packed[: len(packed) // 2]))


def test_a_missing_file_and_a_folder_have_a_message(tmp_path):
    with pytest.raises(BadInput, match=r"none\.csv cannot be read: No such file"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        rows_of(tmp_path)


@pytest.mark.parametrize("tabs", [True, False])
@pytest.mark.parametrize("pack", PACKING.values())
def test_compressed_files_are_recognized_by_their_content(tmp_path, pack, tabs):
    text = "title,plot\nA,one\n".replace(",", "\t" if tabs else ",")
    assert rows_of(write(tmp_path / "a.csv", pack(text.encode())), tabs=tabs) == [{"title": "A", "plot": "one"}]


def packed_table(pack):
    noise = random.Random(1)
    words = ["harbour", "night", "lantern", "café", "sister", "letter"]
    lines = [f'Film {i},"{" ".join(noise.choices(words, k=40))}, {i}",drama' for i in range(300)]
    return pack("\n".join(["title,plot,genres", *lines]).encode())


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress])
@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_compressed_file_must_be_downloaded_again(tmp_path, pack, part):
    whole = packed_table(pack)
    file = write(tmp_path / "a.csv", whole[: max(4, int(len(whole) * part))])
    with pytest.raises(BadInput, match=r"a\.csv is truncated \(.*\): download it again"):
        rows_of(file)


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress])
def test_a_flipped_bit_in_a_compressed_file_is_detected(tmp_path, pack):
    whole = packed_table(pack)
    noise = random.Random(2)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[noise.randrange(10, len(whole))] ^= 1 << noise.randrange(8)
        with pytest.raises(BadInput, match=r"a\.csv is (damaged|truncated) \(.*\): download it again"):
            rows_of(write(tmp_path / "a.csv", bytes(damaged)))


# --- tables with commas


@pytest.mark.parametrize(("tabs", "mark"), [(True, "\t"), (False, ",")])
def test_ragged_and_blank_rows_are_counted(tmp_path, tabs, mark):
    lines = ["", "title,plot", "A,one", "B", "", "C,three,more", " , ", ",,", "D,four"]
    file = write(tmp_path / "a", "\n".join(lines).replace(",", mark))
    rows, corpus = table(file, tabs=tabs)
    assert rows == [{"title": "A", "plot": "one"}, {"title": "D", "plot": "four"}]
    assert (corpus.broken, corpus.blank) == (2, 3)


@pytest.mark.parametrize(("tabs", "mark"), [(True, "\t"), (False, ",")])
def test_thousands_of_blank_rows_are_counted(tmp_path, tabs, mark):
    text = "title,plot,genres\nA,one,drama\n" + ",,\n" * 32_000 + "\n" * 894 + "B,two,war\n"
    rows, corpus = table(write(tmp_path / "a.csv", text.replace(",", mark)), tabs=tabs)
    assert [row["title"] for row in rows] == ["A", "B"]
    assert (corpus.broken, corpus.blank) == (0, 32_894)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("tabs", "mark"), [(True, "\t"), (False, ",")])
def test_byte_order_mark_nul_bytes_and_line_ends_do_not_matter(tmp_path, end, tabs, mark):
    text = f"title, plot{end}A,o\0ne{end}\0\0{end}".replace(",", mark)
    rows, corpus = table(write(tmp_path / "a.csv", b"\xef\xbb\xbf" + text.encode()), tabs=tabs)
    assert rows == [{"title": "A", "plot": "one"}]
    assert (corpus.broken, corpus.blank) == (0, 1)


def test_quoted_fields_contain_commas_newlines_and_quotes(tmp_path):
    file = write(tmp_path / "a.csv", 'title,plot\n"A, B","first line\n\nsecond ""line"""\nC,two\n')
    rows, corpus = table(file)
    assert rows == [{"title": "A, B", "plot": 'first line\n\nsecond "line"'}, {"title": "C", "plot": "two"}]
    assert (corpus.broken, corpus.blank) == (0, 0)


@pytest.mark.parametrize("tabs", [True, False])
@pytest.mark.parametrize("text", ["שלום לך, ים רחוק", 'قال: "نعم"', "Two 👩‍🚀🚀, one 🌍", "e\u0301 \u202eабв", "—…“”"])
def test_other_scripts_and_emoji_are_kept(tmp_path, tabs, text):
    frame = pd.DataFrame({"title": [text, "B"], "plot": ["one", text]})
    frame.to_csv(tmp_path / "a.csv", index=False, sep="\t" if tabs else ",")
    assert rows_of(tmp_path / "a.csv", tabs=tabs) == frame.to_dict("records")


@pytest.mark.parametrize("tabs", [True, False])
def test_a_plot_of_a_megabyte_is_read(tmp_path, tabs):
    long = "A long, dark night. " * 52_429
    frame = pd.DataFrame({"title": ["A", "B"], "plot": [long, "short"]})
    frame.to_csv(tmp_path / "a.csv", index=False, sep="\t" if tabs else ",")
    rows = rows_of(tmp_path / "a.csv", tabs=tabs)
    assert (len(rows), rows[0]["plot"] == long, len(long) > 2**20) == (2, True, True)


STRAY = {  # the rows after the header title,plot,genres; titles that are read; broken rows
    "at the start of a plot": ('A,"Lost plot,war\nB,"Two, too.",drama\nC,three,drama\n', ["B", "C"], 1),
    "before rows without quotes": ('A,"Lost plot,war\nB,two,drama\nC,three,drama\n', ["B", "C"], 1),
    "before a row of many lines": ('A,"Lost,war\nB,drama,"First\nsecond, line"\nC,x,war\n', ["B", "C"], 1),
    "before a doubled quote": ('A,"Lost,war\nB,"""Two"", he says.",drama\nC,three,drama\n', ["B", "C"], 1),
    "in rows one after the other": ('A,"One,war\nB,"two,war\nC,"three,war\nD,four,war\n', ["D"], 3),
    "in the last row": ('A,one,war\nB,two,"drama\n', ["A"], 1),
    "in the last row, of many lines": ('A,one,war\nB,war,"First line\nsecond, line, here\n', ["A"], 1),
    "before a ragged row": ('A,"Lost,war\nB,two\nC,three,war\n', ["C"], 2),
    "never closed, rows after it": ('A,one,"war\nB,two,war\nC,three,war\n', ["B", "C"], 1),
    "in the middle of a field": ('A,a 12" record,war\nB,two,war\n', ["A", "B"], 0),
    "around a word in a quoted plot": ('A,"He said "no", twice.",war\nB,two,war\n', ["B"], 1),
}


@pytest.mark.parametrize(("text", "titles", "broken"), STRAY.values(), ids=STRAY)
def test_a_stray_quote_breaks_only_its_own_row(tmp_path, text, titles, broken):
    rows, corpus = table(write(tmp_path / "a.csv", "title,plot,genres\n" + text))
    assert ([row["title"] for row in rows], corpus.broken) == (titles, broken)


def test_a_row_of_many_lines_is_not_cut_by_a_stray_quote_before_it(tmp_path):
    file = write(tmp_path / "a.csv", 'title,genres,plot\nA,war,"Lost\nB,war,"First\nsecond ""line""."\n')
    assert rows_of(file) == [{"title": "B", "genres": "war", "plot": 'First\nsecond "line".'}]


@pytest.mark.parametrize("columns", [3, 4])
def test_lines_of_a_quoted_plot_with_a_missing_field_do_not_become_rows(tmp_path, columns):
    header = ["title", "plot", "genres", "year"][:columns]
    plot = "First line.\nOne, two\none, two, three\none,two\none,two,three\none,two,three,four\nlast"
    file = write_csv(tmp_path / "a.csv", header, ["A", plot], ["B", "short", "war", "2001"][:columns])
    rows, corpus = table(file)
    assert ([row["title"] for row in rows], corpus.broken) == (["B"], 1)


def test_unescaped_quotes_inside_a_plot_of_many_lines_keep_the_row(tmp_path):
    rows, corpus = table(write(tmp_path / "a.csv", 'title,plot,genres\nA,"First\nsays "no" twice",war\nB,two,war\n'))
    assert ([row["title"] for row in rows], corpus.broken) == (["A", "B"], 0)


@pytest.mark.parametrize(("mark", "tabs"), [(",", False), ("\t", True)])
def test_what_pandas_writes_is_read_back(tmp_path, mark, tabs):
    noise = random.Random(3)
    bits = ["night", "café", '"', '""', "\n", "\n\n", ",", ", ", " ", "'", "שלום", "🎬", 'said "no".', "a, b", "1"]
    for _ in range(100):
        cells = [["x" + "".join(noise.choices(bits, k=noise.randint(0, 12))) for _ in range(3)] for _ in range(5)]
        frame = pd.DataFrame(cells, columns=["title", "plot", "genres"])
        frame.to_csv(tmp_path / "a.csv", index=False, sep=mark)
        rows, corpus = table(tmp_path / "a.csv", tabs=tabs)
        assert rows == frame.to_dict("records")
        assert (corpus.broken, corpus.blank) == (0, 0)


# --- tables with tabs


def test_between_tabs_a_quote_is_a_character(tmp_path):
    file = write(tmp_path / "a.csv", 'title\tplot\n"Salt" (2009)\t "Stop," he says.\n"Open\tends\n')
    assert rows_of(file, tabs=True) == [
        {"title": '"Salt" (2009)', "plot": ' "Stop," he says.'},
        {"title": '"Open', "plot": "ends"},
    ]


@pytest.mark.parametrize(
    "order", [["title", "plot", "genres"], ["title", "genres", "plot"], ["plot", "title", "genres"]]
)
def test_newlines_and_tabs_in_a_plot_that_pandas_wrote_with_tabs(tmp_path, order):
    plots = ["First line\nsecond, line", 'He said "no"\tand left', "Plain", '"All" quoted "ends"']
    frame = pd.DataFrame({"title": ['"Salt" (2009)', "B", "C", "D"], "plot": plots, "genres": "war"})
    frame[order].to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    assert rows_of(tmp_path / "a.tsv", tabs=True) == frame[order].to_dict("records")


def test_a_file_with_tabs_and_all_its_texts_in_quotes(tmp_path):
    frame = pd.DataFrame({"title": ["A", "B"], "plot": ["One", 'Two "two"'], "year": [2001, 2002]})
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t", quoting=csv.QUOTE_NONNUMERIC)
    assert rows_of(tmp_path / "a.tsv", tabs=True) == frame.astype(str).to_dict("records")


def test_two_open_quotes_between_tabs_do_not_join_the_rows_between_them(tmp_path):
    lines = ["title\tplot\tgenres", 'A\t"Open\twar', "B\ttwo\twar", 'C\tclosed"\twar', "D\tfour\twar"]
    rows = rows_of(write(tmp_path / "a.tsv", "\n".join(lines)), tabs=True)
    assert [row["plot"] for row in rows] == ['"Open', "two", 'closed"', "four"]


def test_one_stray_quote_leaves_the_quotes_of_pandas_readable(tmp_path):
    lines = ["title\tplot", '"""Salt"" (2009)"\t One.', '"Stray" quote\ttwo', 'C\t" ""Three"" three."', '"D"\t"""']
    rows = rows_of(write(tmp_path / "a.tsv", "\n".join(lines)), tabs=True)
    assert [tuple(row.values()) for row in rows] == [
        ('"Salt" (2009)', " One."), ('"Stray" quote', "two"), ("C", ' "Three" three.'), ('"D"', '"""')
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("2004", 2004),
        (" 1999 ", 1999),
        ("2004.0", 2004),
        ("2004-05-01", 2004),
        ("2004-05-01 00:00:00", 2004),
        ("", None),
        ("2004.5", None),
        ("²", None),
        ("nan", None),
        ("2001-2005", 2001),
        ("2001\u20132005", 2001),
        ("2001\u2013", 2001),
        ("2001- ", 2001),
        ("1988/89", 1988),
        ("2004/05/01", 2004),
        ("2004.05.01", 2004),
        ("2004-05-01T00:00:00Z", 2004),
        ("2004-05-01T00:00:00.000+02:00", 2004),
        ("(2004)", 2004),
        ("[2004]", 2004),
        ("(I) (2004)", 2004),
        ("(2001\u20132005)", 2001),
        ("c. 1935", 1935),
        ("ca. 1935", 1935),
        ("Circa 1935", 1935),
        ("c1935", 1935),
        ("~1935", 1935),
        ("2004 (USA)", 2004),
        ("10/21/88", 1988),
        ("10/21/1988", 1988),
        ("21/10/1988", 1988),
        ("21.10.1988", 1988),
        ("21. 10. 1988", 1988),
        ("1-2-29", 2029),
        ("1-2-30", 1930),
        ("1/1/00", 2000),
        ("31.12.99", 1999),
        ("10/21/1988 14:30", 1988),
        ("5 Oct 2004", 2004),
        ("05 October 2004", 2004),
        ("5th of October, 2004", 2004),
        ("Oct 5, 2004", 2004),
        ("Oct. 5, 2004", 2004),
        ("October 5th 2004", 2004),
        ("October 2004", 2004),
        ("Sept 2004", 2004),
        ("5-Oct-04", 2004),
        ("5-Oct-88", 1988),
        ("Tue, 05 Oct 2004 00:00:00 GMT", 2004),
        ("20041015", 2004),
        ("20041015.0", 2004),
        ("36526", 2000),
        ("36526.0", 2000),
        ("10000", 1927),
        ("73050", 2099),
        ("9999", None),
        ("73051", None),
        ("99999", None),
        ("20041345", None),
        ("88-10-21", None),
        ("13/13/88", None),
        ("32.1.1988", None),
        ("Oct 5", None),
        ("Oct-04", None),
        ("12", None),
        ("soon", None),
        ("tt0123456", None),
        ("9999999", None),
        ("-0800", None),
        ("0800", None),
        ("20", None),
        ("0", None),
        ("-200", None),
        ("9" * 5000, None),
    ],
)
def test_parse_year(text, year):
    assert parse_year(text) == year


@pytest.mark.parametrize(
    "value",
    [
        datetime.date(2004, 5, 1), datetime.datetime(2004, 5, 1, 12, 30), pd.Timestamp("2004-05-01"), 2004, 2004.0,
        pd.Timestamp("2004-05-01", tz="UTC"),
    ],
)  # fmt: skip
def test_a_year_of_another_type(value):
    assert parse_year(str(value)) == 2004


@pytest.mark.parametrize(
    "text", ["(" * 300_000, " " * 300_000, "1" * 300_000, "Oct " * 80_000, "5 Oct" + "-" * 300_000]
)
def test_a_year_is_found_in_linear_time(text):
    start = time.process_time()
    assert parse_year(text) is None
    assert time.process_time() - start < 1


# --- separators, escapes, names of columns, broken rows


@pytest.mark.parametrize(("mark", "name"), [("\t", "tabs"), (";", "semicolons"), ("|", "bars")])
@pytest.mark.parametrize("declared", [False, True])
def test_another_separator_is_found_and_reported(tmp_path, capsys, mark, name, declared):
    text = 'title,plot,genres\nA,"One, two",war\nB,"He said ""no"".",drama\n'
    lines = [mark.join(row) for row in csv.reader(text.splitlines())]
    head = [f"sep={mark}"] if declared else []
    file = write(tmp_path / "a.csv", "\r\n".join([*head, *lines, ""]))
    rows, corpus = table(file, ["title", "plot"])
    assert [row["plot"] for row in rows] == ["One, two", 'He said "no".']
    assert corpus.broken == 0
    assert f"a.csv is read as separated by {name}." in " ".join(capsys.readouterr().err.split())


def test_the_usual_separator_is_preferred_without_a_message(tmp_path, capsys):
    file = write(tmp_path / "a.csv", "title,plot,a;b|c\nA,One; two | three,x\n")
    assert [row["plot"] for row in rows_of(file, ["title", "plot"])] == ["One; two | three"]
    assert capsys.readouterr().err == ""


def test_a_tab_separated_layout_with_commas_is_read(tmp_path):
    file = write(tmp_path / "a.csv", 'title,plot,Drama,War\n"Salt, Salt (2001)"," She says ""no"".",1,0\n')
    (row,) = read_imdb(file).rows
    assert (row.published, row.plot, row.tags) == ("Salt, Salt (2001)", ' She says "no".', ["drama"])


def test_columns_that_are_missing_under_another_separator_are_named_with_it(tmp_path):
    file = write(tmp_path / "a.csv", "title;text;genres\nA;One;war\n")
    with pytest.raises(BadInput, match="no column plot: its header, separated by semicolons, has title, text, genres;"):
        rows_of(file, ["title", "plot"])
    with pytest.raises(BadInput, match=r"no column title, plot: its header, separated by tabs, has name, text; check"):
        rows_of(write(tmp_path / "b.csv", "name\ttext\nA\tOne\n"), ["title", "plot"])


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_backslashes_before_quotes_are_escapes_if_the_whole_file_needs_it(tmp_path, mark):
    lines = ["title,plot", r'A,"He said \"go\", and left."', r'"B","C:\\dir, \"x\""', r'C,"n\o escape"']
    text = "\n".join(lines).replace(",", mark) + "\n"
    rows, corpus = table(write(tmp_path / "a.csv", text), tabs=mark == "\t")
    assert [row["plot"].replace(mark, ",") for row in rows] == [
        'He said "go", and left.',
        r'C:\dir, "x"',
        r"n\o escape",
    ]
    assert corpus.broken == 0


def test_backslashes_are_characters_in_a_file_that_is_valid_without_escapes(tmp_path):
    file = write(tmp_path / "a.csv", 'title,plot\nA,"C:\\dir\\"\nB,"says \\""no\\"" twice"\n')
    rows, corpus = table(file)
    assert [row["plot"] for row in rows] == ["C:\\dir\\", 'says \\"no\\" twice']
    assert corpus.broken == 0


def test_column_names_match_whatever_their_case(tmp_path):
    file = write(tmp_path / "a.csv", "TITLE, Plot ,Genres,Year\nA,One.,war,1999\n")
    for columns in ({}, {"title": "title", "year": " YEAR"}):
        (row,) = read_own_table(file, columns).rows
        assert (row.published, row.plot, row.tags, row.title.year) == ("A", "One.", ["war"], 1999)
    write(tmp_path / "a.jsonl", '{"TITLE": "A", " Plot": "One.", "Genres": "war", "Year": 1999}')
    pd.DataFrame({"TITLE": ["A"], " Plot": ["One."], "Genres": ["war"], "Year": [1999]}).to_parquet(
        tmp_path / "a.parquet"
    )
    for name in ("a.jsonl", "a.parquet"):
        (row,) = read_own_table(tmp_path / name).rows
        assert (row.published, row.plot, row.tags, row.title.year) == ("A", "One.", ["war"], 1999)
    (row,) = read_wikipedia(write_csv(tmp_path / "w.csv", [name.upper() for name in WIKI_HEADER], WIKI_ROWS[0])).rows
    assert (row.published, row.title.year) == ("Salt", 1951)


def test_of_columns_that_differ_in_case_the_exact_one_is_used_or_there_is_a_message(tmp_path):
    file = write(tmp_path / "a.csv", "Title,title,plot\nA,B,One.\n")
    assert rows_of(file) == [{"Title": "A", "title": "B", "plot": "One."}]
    with pytest.raises(BadInput, match=r"more than one column 'TITLE' \(Title, title\): rename all but one"):
        rows_of(file, ["TITLE"])


def test_broken_rows_are_kept_with_line_reason_and_text(tmp_path):
    text = 'title,plot,genres\nA,"First\nsecond",war\n\nB,one,two,war\nC\n'
    text += 'D,"Lost,war\nE,x,war\nF,"a\nb",c,d\nG,"open,war\n'
    expected = [
        ("line 5", "4 fields instead of 3", "B,one,two,war"),
        ("line 6", "1 field instead of 3", "C"),
        ("line 7", "a quote is not closed", 'D,"Lost,war'),
        ("line 9", "4 fields instead of 3", 'F,"a\nb",c,d'),
        ("line 11", "a quote is never closed", 'G,"open,war'),
    ]
    for name, pack in (("a.csv", bytes), ("a.csv.gz", gzip.compress)):
        rows, corpus = table(write(tmp_path / name, pack(text.encode())))
        assert [row["title"] for row in rows] == ["A", "E"]
        assert [(row.where, row.why, row.text) for row in corpus.broken_rows] == [
            (f"{name}, {where}", why, broken) for where, why, broken in expected
        ]
        assert str(corpus.broken_rows[0]) == f"{name}, line 5: 4 fields instead of 3"


def test_broken_rows_of_every_source_name_their_line(tmp_path):
    def broken(corpus):
        return [f"{row.where}: {row.why}" for row in corpus.broken_rows]

    file = write(tmp_path / "i.csv", "title\tplot\tDrama\nA (2001)\t One.\t1\nB (2002)\t Two.\tyes\n")
    assert broken(read_imdb_table(file, "x")) == ["i.csv, line 3: the column Drama has 'yes' instead of 0 or 1"]
    lists = tmp_path / "lists"
    lists.mkdir()
    write_lists(lists, "MV: None (2001)\n\nMV: A (2001)\nPL: One.\nodd\n", "THE GENRES LIST\n===\nA (2001)\tx\ty\n")
    assert broken(read_imdb(lists)) == [
        "plot.list, line 1: the title has no plot",
        "plot.list, line 5: the line does not start with MV:, PL: or BY:",
        "genres.list, line 3: the line is not a title, tabs and a genre",
    ]
    corpus = read_mpst(write_csv(tmp_path / "m.csv", MPST_HEADER, MPST_ROWS[0], ["tt9", "A", "B", "", "dev", "imdb"]))
    assert broken(corpus) == ["m.csv, line 5: the split 'dev' is not one of train, val, test"]
    corpus = read_cmu_books(write(tmp_path / "b.txt", "\n".join([book(), "x\ty", book("id"), book(genres="[1]")])))
    assert broken(corpus) == [
        "b.txt, line 2: 2 fields instead of 7",
        "b.txt, line 3: the id 'id' is not a number",
        "b.txt, line 4: the genres are not a JSON object of names",
    ]
    good = '{"title": "A", "plot": "B", "genres": "war"}\n'
    corpus = read_own_table(write(tmp_path / "j.jsonl", good + '\nbroken\n[1]\n{"title": ["A"], "plot": "B"}\n'))
    assert broken(corpus) == [
        "j.jsonl, line 3: this is not valid JSON",
        "j.jsonl, line 4: this is a list instead of an object",
        "j.jsonl, line 5: the title is a list instead of text",
    ]
    assert [row.text for row in corpus.broken_rows] == ["broken", "[1]", '{"title": ["A"], "plot": "B"}']
    pq.write_table(
        pa.table({"title": [["A"], ["B"]], "plot": ["x", "y"], "genres": ["war", "war"]}), tmp_path / "p.parquet"
    )
    assert broken(read_own_table(tmp_path / "p.parquet"))[1] == "p.parquet, row 2: the title is a list instead of text"


def test_values_that_cannot_be_read_are_counted(tmp_path):
    rows = [["A", "One.", "war", "2001"], ["B", "Two.", "[{'id': 1}]", "soon"], ["C", "Three.", "", " "]]
    corpus = read_own_table(write_csv(tmp_path / "a.csv", ["title", "plot", "genres", "Year"], *rows), {"year": "Year"})
    year, genres = corpus.columns["Year"], corpus.columns["genres"]
    assert (year.rows, year.empty, year.unreadable, year.example) == (3, 1, 1, "soon")
    assert (genres.rows, genres.empty, genres.unreadable, genres.example) == (3, 1, 1, "[{'id': 1}]")


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("year", ["soon", "", "later"], "the column 'x' has no readable year \\(example: 'soon'\\)\. Name another"),
        ("year", ["", "NaN", " "], "the column 'x' is empty. Name another column for year with --column"),
        (
            "genres",
            ['[{"id": 1}]', "", ""],
            r"the column 'x' has no readable genres .*\[{\"id\": 1}\]",
        ),
        ("id", ["", "", ""], "the column 'x' is empty. Name another column for id"),
    ],
)
def test_for_a_named_column_without_readable_values_there_is_a_message(tmp_path, part, values, message):
    rows = [[name, "Words.", "war", value] for name, value in zip("ABC", values, strict=True)]
    file = write_csv(tmp_path / "a.csv", ["title", "plot", "genres", "x"], *rows)
    with pytest.raises(BadInput, match=message):
        read_own_table(file, {part: "x"})


# --- imdb


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
    assert [row.split for row in corpus.rows] == [None, None, None]


@pytest.mark.parametrize("ending", PACKING)
def test_imdb_table_from_file_and_folder_plain_and_packed(tmp_path, ending):
    text = 'title\tplot\tAction\tGame-Show\n"Salt" (2009) {(2009-03-01)}\t The sea.\t0\t1\n'
    file = write(tmp_path / f"movies_genres.csv{ending}", PACKING[ending](text.encode()))
    for place in (file, tmp_path):
        (row,) = read_imdb(place).rows
        assert (row.published, row.plot, row.tags) == ('"Salt" (2009) {(2009-03-01)}', " The sea.", ["game-show"])
        assert (row.title.kind, row.title.primary, row.title.year) == ("episode", "Salt", 2009)
        assert row.title.air_date == "2009-03-01"
        assert row.id == read_imdb(file).rows[0].id and row.id.startswith("imdb-")


def test_imdb_table_as_pandas_writes_it_with_row_numbers(tmp_path):
    titles = ['"Salt" (2009) {Low Tide (#1.3)}', "Heat (1995)"]
    frame = pd.DataFrame({"title": titles, "plot": [' "No," he says.', " Fire.\nSmoke."], "Drama": [1.0, None]})
    frame.to_csv(tmp_path / "a.csv", sep="\t")
    corpus = read_imdb(tmp_path / "a.csv")
    assert counts(corpus) == (2, 0, 0)
    assert [(row.published, row.plot) for row in corpus.rows] == list(zip(titles, frame["plot"], strict=True))
    assert [row.tags for row in corpus.rows] == [["drama"], []]


def test_imdb_flags_other_than_0_and_1_break_the_row_and_missing_genres_the_file(tmp_path):
    lines = "title\tplot\tDrama\nA (2001)\t One.\t1.0\nB (2002)\t Two.\tyes\n"
    corpus = read_imdb_table(write(tmp_path / "a.csv", lines), "x")
    assert [row.tags for row in corpus.rows] == [["drama"]]
    assert corpus.broken == 1
    with pytest.raises(BadInput, match="no genre columns"):
        read_imdb_table(write(tmp_path / "b.csv", "title\tplot\nA (2001)\t One.\n"), "x")
    with pytest.raises(BadInput, match="two columns called 'Drama'"):
        read_imdb_table(write(tmp_path / "c.csv", "title\tplot\tDrama\tDrama\nA (2001)\t One.\t0\t1\n"), "x")


def test_for_an_empty_folder_the_message_says_what_imdb_needs(tmp_path):
    with pytest.raises(BadInput, match=r"contains no IMDb plots: put movies_genres\.csv or plot\.list there"):
        read_imdb(tmp_path)


def write_lists(folder, plots=PLOT_LIST, genres=GENRE_LIST, ending=""):
    write(folder / f"plot.list{ending}", PACKING[ending](plots.encode("latin-1")))
    write(folder / f"genres.list{ending}", PACKING[ending](genres.encode("latin-1")))
    return folder


@pytest.mark.parametrize("ending", PACKING)
def test_imdb_lists(tmp_path, ending):
    write_lists(tmp_path, ending=ending)
    for place in (tmp_path, tmp_path / f"plot.list{ending}", tmp_path / f"genres.list{ending}"):
        corpus = read_imdb(place)
        assert counts(corpus) == (5, 0, 0)
        assert [(row.published, row.plot, row.tags) for row in corpus.rows] == [
            ('"Salt Road" (2009)', "A caravan carries salt across a dry sea.", ["Adventure", "Drama"]),
            ('"Salt Road" (2009)', "The same road, told by the camel.", ["Adventure", "Drama"]),
            ('"Salt Road" (2009) {Café (#1.3)}', "They stop for coffee.", ["Adventure", "Drama"]),
            ('"Salt Road" (2009) {Night Shift (#1.4)} {{SUSPENDED}}', "They stop for nothing.", ["Horror"]),
            ("Tide: The Return (2011/II) (TV)", "The water comes back.", ["Sci-Fi"]),
        ]
    series, _, episode, suspended, movie = (row.title for row in corpus.rows)
    assert (series.kind, series.primary, series.year, series.secondary) == ("series", "Salt Road", 2009, "")
    assert (episode.kind, episode.secondary, episode.season, episode.episode) == ("episode", "Café", 1, 3)
    assert suspended.suspended and suspended.secondary == "Night Shift"
    assert (movie.kind, movie.primary, movie.secondary, movie.numeral, movie.medium) == (
        "movie", "Tide: The Return", "", "II", "TV",
    )  # fmt: skip
    assert len({row.id for row in corpus.rows}) == 5


def test_imdb_lists_with_windows_line_ends_and_nul_bytes(tmp_path):
    plots, genres = (text.replace("\n", "\r\n").replace("Salt", "Sa\0lt") for text in (PLOT_LIST, GENRE_LIST))
    corpus = read_imdb(write_lists(tmp_path, plots, genres))
    assert counts(corpus) == (5, 0, 0)
    assert corpus.rows[2].tags == ["Adventure", "Drama"]


def test_the_table_is_preferred_to_the_lists(tmp_path):
    write_lists(tmp_path)
    write(tmp_path / "movies_genres.csv", "title\tplot\tDrama\nA (2001)\t One.\t1\n")
    assert [row.published for row in read_imdb(tmp_path).rows] == ["A (2001)"]


def test_lines_of_the_lists_that_cannot_be_read_are_counted(tmp_path):
    plots = PLOT_LIST + "MV: Empty (2001)\n\nMV: Full (2002)\n\nPL: Words.\nno mark\n\nBY: Ada\n\nMV: Last (2003)\n"
    genres = GENRE_LIST + "Full (2002)\tDrama\nno genre (2001)\ntoo (2001)\tmany\tgenres\n\n-----------\n"
    corpus = read_imdb(write_lists(tmp_path, plots, genres))
    assert counts(corpus) == (6, 5, 0)  # without plot: Empty, Last; a line without mark; two lines of genres
    assert (corpus.rows[-1].published, corpus.rows[-1].plot, corpus.rows[-1].tags) == (
        "Full (2002)",
        "Words.",
        ["Drama"],
    )


def test_braces_in_the_name_of_a_movie_do_not_make_it_an_episode(tmp_path):
    plots = "MV: Odd {One} (2001)\nPL: Words.\nBY: Ada\n"
    genres = "8: THE GENRES LIST\n====\nOdd (2001)\tDrama\n"
    assert read_imdb(write_lists(tmp_path, plots, genres)).rows[0].tags == []


def test_an_invalid_list_and_a_missing_list_are_named(tmp_path):
    write(tmp_path / "plot.list", PLOT_LIST.encode("latin-1"))
    with pytest.raises(BadInput, match=r"contains no genres for these plots: put genres\.list there"):
        read_imdb(tmp_path)
    with pytest.raises(BadInput, match=r"genres\.list is not a genres list: it does not have the heading"):
        read_imdb(write_lists(tmp_path, genres="title,genre\n"))
    with pytest.raises(BadInput, match=r"plot\.list contains no plots: it needs lines that start with `MV:` and `PL:`"):
        read_imdb(write_lists(tmp_path, plots="title,plot\n"))
    (tmp_path / "plot.list").unlink()
    with pytest.raises(BadInput, match=r"contains no plots for these genres: put plot\.list there"):
        read_imdb(tmp_path / "genres.list")


def test_a_truncated_list_must_be_downloaded_again(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "plot.list").unlink()
    write(tmp_path / "plot.list.gz", gzip.compress(PLOT_LIST.encode("latin-1"))[:-20])
    with pytest.raises(BadInput, match=r"plot\.list\.gz is truncated"):
        read_imdb(tmp_path)


def test_references_to_titles_and_names_are_replaced_by_these(tmp_path):
    plots = [
        "After _Low Tide (1999)_ (qv), Anna ('Ida Brandt\nPL: (I)' (qv)) rows back.",
        "Anna's friend 'Peter O'Toole' (qv) said 'Hello', and #Captain Bo# (qv)\nPL: _\"Salt Road\" (2009)_ (qv).",
        "The 'quoted' _word_ and # 5 stay.",
    ]
    entries = "".join(f"MV: F{i} (2001)\n\nPL: {plot}\n\nBY: x\n\n" for i, plot in enumerate(plots))
    corpus = read_imdb(write_lists(tmp_path, entries, "THE GENRES LIST\n===\n"))
    clean = [
        "After Low Tide (1999), Anna (Ida Brandt) rows back.",
        "Anna's friend Peter O'Toole said 'Hello', and Captain Bo \"Salt Road\" (2009).",
        plots[2],
    ]
    assert [row.plot for row in corpus.rows] == clean
    assert corpus.repaired == {"qv": 2}
    raw = [plot.replace("\nPL:", "") for plot in plots]
    lines = ["title\tplot\tDrama", *(f"F{i} (2001)\t{plot}\t1" for i, plot in enumerate(raw))]
    table_corpus = read_imdb(write(tmp_path / "movies_genres.csv", "\n".join(lines)))
    assert [row.plot for row in table_corpus.rows] == clean
    ids = [row.id for row in corpus.rows]
    assert ids == [row.id for row in table_corpus.rows]  # of the unchanged text
    assert ids == [RawCorpus().text_id("imdb", f"F{i} (2001)", plot) for i, plot in enumerate(raw)]


@pytest.mark.parametrize("part", ["_", "'", " '", "'a (qv", "#", "# ", " ", "_a", "(qv) '", "'a) "])
def test_references_are_found_in_linear_time(tmp_path, part):
    plot = "x" + part * 100_000 + " (qv)"
    start = time.process_time()
    read_imdb_table(write(tmp_path / "a.csv", f"title\tplot\tDrama\nA (2001)\t{plot}\t1\n"), "x")
    assert time.process_time() - start < 2


# --- streaming


def test_editions_and_years_are_not_part_of_a_catalogue_title(tmp_path):
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
        assert counts(corpus) == (3, 1, 0)
        assert (show.id, show.published, str(show.title)) == ("netflix-s1", "Dark Harbour", '"Dark Harbour" (2017)')
        assert (show.plot, show.split, show.title.kind) == ("Fog comes.", None, "series")
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
def test_commas_inside_a_genre_name_do_not_split_it(tmp_path, listed, tags):
    file = write_catalogue(tmp_path / "a.csv", ["s1", "Movie", "A", "", "2000", listed, "Text."])
    assert read_streaming(file).rows[0].tags == tags


def test_several_catalogues_in_one_folder_have_different_ids(tmp_path):
    for name in ("hulu", "netflix"):
        write_catalogue(
            tmp_path / f"{name}_titles.csv", ["s1", "Movie", name.title(), "", "2000", "Drama", f"On {name}."]
        )
    write(tmp_path / "notes.csv", "not,a,catalogue\n")
    assert [row.id for row in read_streaming(tmp_path).rows] == ["hulu-s1", "netflix-s1"]


def test_compressed_catalogues_are_read_once_and_keep_their_ids(tmp_path):
    for name in ("hulu", "netflix"):
        file = write_catalogue(tmp_path / f"{name}_titles.csv", ["s1", "Movie", "A", "", "2000", "Drama", "Text."])
        write(tmp_path / f"{file.name}.gz", gzip.compress(file.read_bytes()))
    file.unlink()
    assert [row.id for row in read_streaming(tmp_path).rows] == ["hulu-s1", "netflix-s1"]
    assert [row.id for row in read_streaming(tmp_path / "netflix_titles.csv.gz").rows] == ["netflix-s1"]


def test_a_catalogue_row_without_an_id_gets_one_of_its_text(tmp_path):
    rows = [["", "Movie", title, "", "2000", "Drama", f"On {title}."] for title in "AB"]
    ids = [
        {row.title.primary: row.id for row in read_streaming(write_catalogue(tmp_path / "x_titles.csv", *order)).rows}
        for order in (rows, rows[::-1])
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == 2


def test_for_a_folder_without_a_catalogue_the_message_names_the_files(tmp_path):
    with pytest.raises(BadInput, match=r"contains no catalogue: put one or more of netflix_titles\.csv, .*hulu"):
        read_streaming(tmp_path)


def test_a_wrong_csv_is_named_with_its_missing_columns(tmp_path):
    write(tmp_path / "x_titles.csv", "title,plot\nA,B\n")
    with pytest.raises(BadInput, match=r"x_titles\.csv has no column show_id, type, release_year, listed_in, descr"):
        read_streaming(tmp_path)


# --- mpst

MPST_ROWS = [
    ["tt001", "Night  Ferry", 'A boat.\n\n"Hold on," she says, twice.', "cult, horror, gothic", "train", "imdb"],
    ["tt002", "Ash: Part Two", "word " * 8000, "murder", "val", "wikipedia"],
    ["tt003", "Plain", "Plain words.", "", "test", "imdb"],
]


@pytest.mark.parametrize("ending", PACKING)
def test_mpst_rows_from_file_and_folder(tmp_path, ending):
    plain = write_csv(tmp_path / "plain", MPST_HEADER, *MPST_ROWS)
    file = write(tmp_path / f"mpst_full_data.csv{ending}", PACKING[ending](plain.read_bytes()))
    for place in (file, tmp_path):
        corpus = read_mpst(place)
        assert counts(corpus) == (3, 0, 0)
        first, second, third = corpus.rows
        assert (first.id, first.published, first.plot) == ("mpst-tt001", "Night Ferry", MPST_ROWS[0][2])
        assert (first.tags, first.split) == (["cult", "horror", "gothic"], "train")
        assert (first.title.primary, first.title.year, first.title.kind) == ("Night Ferry", None, "movie")
        assert (second.title.primary, second.title.secondary, second.split) == ("Ash: Part Two", "", "validation")
        assert len(second.plot) == 40_000
        assert (third.tags, third.split) == ([], "test")


def test_mpst_rows_that_are_broken_are_counted(tmp_path):
    text = write_csv(tmp_path / "a.csv", MPST_HEADER, *MPST_ROWS).read_bytes().decode()
    stray = 'tt010,"Stray,Lost words.,cult,train,imdb\r\n'
    ragged = 'tt011,Ragged,"Line one.\r\nline, two,\r\na,b,c,d,e,f\r\n",cult,imdb\r\n'
    split = "tt012,Elsewhere,Words.,cult,dev,imdb\r\n"
    head, rest = text.split("\r\n", 1)
    corpus = read_mpst(write(tmp_path / "b.csv", f"{head}\r\n{stray}{ragged}{split},,,,,\r\n{stray}{rest}"))
    assert counts(corpus) == (3, 4, 1)
    assert [row.id for row in corpus.rows] == ["mpst-tt001", "mpst-tt002", "mpst-tt003"]


def test_mpst_truncated_in_a_synopsis(tmp_path):
    text = write_csv(tmp_path / "a.csv", MPST_HEADER, *MPST_ROWS).read_text()
    corpus = read_mpst(write(tmp_path / "b.csv", text[: text.index("word word") + 100]))
    assert counts(corpus) == (1, 1, 0)


def test_mpst_needs_its_columns_and_its_file(tmp_path):
    with pytest.raises(
        BadInput, match=r"has no column imdb_id, plot_synopsis, tags, split: its header has title, plot"
    ):
        read_mpst(write(tmp_path / "a.csv", "title,plot\nA,B\n"))
    with pytest.raises(BadInput, match=r"contains no MPST file: put mpst_full_data\.csv there"):
        read_mpst(tmp_path)


# --- cmu-books


def book(number="17", title="Salt", date="1951-05-02", genres='{"/m/1": "Satire", "/m/2": "Fiction"}', plot=" Text."):
    return "\t".join([number, "/m/0x", title, "Ada Author", date, genres, plot])


@pytest.mark.parametrize("ending", PACKING)
def test_books_from_file_and_folder(tmp_path, ending):
    lines = [
        book(),
        book("18", "Ash: A  Novel", "1999", "", ' She said "no".'),
        book("19", "Été", "", '{"/m/3": "Roman \\u00e0 clef"}', "שלום 🌍"),
    ]
    file = write(tmp_path / f"booksummaries.txt{ending}", PACKING[ending]("\n".join(lines).encode()))
    for place in (file, tmp_path):
        corpus = read_cmu_books(place)
        assert counts(corpus) == (3, 0, 0)
        first, second, third = corpus.rows
        assert (first.id, first.published, first.plot) == ("cmu-books-17", "Salt", " Text.")
        assert (first.tags, first.split) == (["Satire", "Fiction"], None)
        assert (first.title.kind, first.title.primary, first.title.year) == ("book", "Salt", 1951)
        assert (second.title.primary, second.title.secondary, second.title.year) == ("Ash: A Novel", "", 1999)
        assert (second.published, second.tags, second.plot) == ("Ash: A Novel", [], ' She said "no".')
        assert (third.title.year, third.tags, third.plot) == (None, ["Roman à clef"], "שלום 🌍")


def test_broken_and_blank_lines_of_books_are_counted(tmp_path):
    lines = [
        book(), "", "\t" * 6, "17\ttoo\tfew", book() + "\tmore", book("id"), book(genres='{"/m/1": "Sat'),
        book(genres='["Satire"]'), book("18", plot="a\0b"), " ",
    ]  # fmt: skip
    corpus = read_cmu_books(write(tmp_path / "a.txt", "\n".join(lines)))
    assert counts(corpus) == (2, 5, 3)
    assert corpus.rows[1].plot == "ab"


@pytest.mark.parametrize("content", ["", "title,plot,genres\nA,B,C\n"])
def test_a_file_without_books_is_named(tmp_path, content):
    with pytest.raises(BadInput, match=r"a\.txt contains no book summaries: it needs lines with 7 fields"):
        read_cmu_books(write(tmp_path / "a.txt", content))


# --- cmu-movies


def movie(number="1", name="Salt", released="2001-08-24", genres='{"/m/01jfsb": "Thriller", "/m/0": "Indie"}'):
    return "\t".join([number, "/m/0x", name, released, "14010832", "98.0", "{}", '{"/m/1": "Norway"}', genres])


@pytest.mark.parametrize("ending", PACKING)
def test_movies_from_folder_and_either_file(tmp_path, ending):
    metadata = [movie(), movie("2", "Ash:  Part Two", "1988", ""), movie("3", "Été", "", "{}"), movie("9", "No plot")]
    summaries = ["3\tשלום 🌍.", '1\tShe said "no".', "", "2\tA fire."]
    write(tmp_path / f"movie.metadata.tsv{ending}", PACKING[ending]("\n".join(metadata).encode()))
    write(tmp_path / f"plot_summaries.txt{ending}", PACKING[ending]("\n".join(summaries).encode()))
    for place in ("", f"movie.metadata.tsv{ending}", f"plot_summaries.txt{ending}"):
        corpus = read_cmu_movies(tmp_path / place)
        assert counts(corpus) == (3, 0, 1)
        third, first, second = corpus.rows
        assert (first.id, first.published, first.plot) == ("cmu-movies-1", "Salt", 'She said "no".')
        assert (first.tags, first.title.year, first.title.kind) == (["Thriller", "Indie"], 2001, "movie")
        assert (second.title.primary, second.title.secondary, second.title.year) == ("Ash: Part Two", "", 1988)
        assert (third.title.year, third.tags, third.plot) == (None, [], "שלום 🌍.")


def test_movies_that_cannot_be_read_are_kept_with_the_reason(tmp_path):
    write(tmp_path / "movie.metadata.tsv", "\n".join([movie(), "2\ttoo few", movie("3", genres='{"/m/1": "Thr')]))
    write(tmp_path / "plot_summaries.txt", "1\tWords.\n2\tWords.\nno tab\n3\tWords.\n4\tWords.\n")
    corpus = read_cmu_movies(tmp_path)
    assert [row.id for row in corpus.rows] == ["cmu-movies-1"]
    assert [str(row) for row in corpus.broken_rows] == [
        "movie.metadata.tsv, line 2: 2 fields instead of 9",
        "movie.metadata.tsv, line 3: the genres are not a JSON object of names",
        "plot_summaries.txt, line 2: movie.metadata.tsv has no readable line for 2",
        "plot_summaries.txt, line 3: the line is not a number, a tab and a summary",
        "plot_summaries.txt, line 4: movie.metadata.tsv has no readable line for 3",
        "plot_summaries.txt, line 5: movie.metadata.tsv has no readable line for 4",
    ]


def test_movies_need_both_files(tmp_path):
    with pytest.raises(BadInput, match=r"contains no movie summaries: put plot_summaries\.txt there"):
        read_cmu_movies(tmp_path)
    write(tmp_path / "plot_summaries.txt", "1\tWords.\n")
    with pytest.raises(BadInput, match=r"contains no metadata for these summaries: put movie\.metadata\.tsv there"):
        read_cmu_movies(tmp_path)
    write(tmp_path / "movie.metadata.tsv", "title,plot\n")
    with pytest.raises(
        BadInput, match=r"movie\.metadata\.tsv contains no metadata of movies: it needs lines with 9 fields"
    ):
        read_cmu_movies(tmp_path)
    write(tmp_path / "movie.metadata.tsv", movie("7"))
    with pytest.raises(BadInput, match=r"plot_summaries\.txt contains no summaries of movies in movie\.metadata\.tsv"):
        read_cmu_movies(tmp_path)


# --- wikipedia

WIKI_ROWS = [
    [
        "1951",
        "Salt[1]",
        "American",
        "Ada",
        "Bo",
        "black comedy/drama",
        "https://example.org",
        "One.[2]\r\n\r\nTwo[a].",
    ],
    ["1999.0", "Ash: Part Two", "", "", "", "unheard-of kind", "", "He [said] nothing."],
    ["", "Untold", "", "", "", "", "", "Words."],
]


@pytest.mark.parametrize("ending", PACKING)
def test_wikipedia_rows_from_file_and_folder(tmp_path, ending):
    plain = write_csv(tmp_path / "plain", WIKI_HEADER, *WIKI_ROWS)
    name = f"wiki_movie_plots_deduped.csv{ending}"
    file = write(tmp_path / name, PACKING[ending](plain.read_bytes() + b",,,,,,,\r\n" * 3000))
    for place in (file, tmp_path):
        corpus = read_wikipedia(place)
        assert counts(corpus) == (3, 0, 3000)
        first, second, third = corpus.rows
        assert (first.published, first.plot, first.split) == ("Salt", "One.\r\n\r\nTwo.", None)
        assert (first.title.primary, first.title.year, first.title.kind) == ("Salt", 1951, "movie")
        assert first.tags == ["black comedy", "drama"]
        assert (second.title.primary, second.title.secondary, second.title.year) == ("Ash: Part Two", "", 1999)
        assert (second.plot, second.tags) == ("He [said] nothing.", ["unheard-of kind"])
        assert (third.title.year, third.tags) == (None, [])
        assert all(row.id.startswith("wikipedia-") for row in corpus.rows)


def test_wikipedia_rows_that_are_broken_are_counted(tmp_path):
    text = write_csv(tmp_path / "a.csv", WIKI_HEADER, *WIKI_ROWS).read_text()
    head, rest = text.split("\n", 1)
    rows = '2001,"Lost,,,,,,Words.\n\n2002,Short,x\n,,,,,,,\n'
    corpus = read_wikipedia(write(tmp_path / "b.csv", f"{head}\n{rows}{rest}"))
    assert counts(corpus) == (3, 2, 1)
    corpus = read_wikipedia(write(tmp_path / "c.csv", text[: text.index("Two[a]") + 3]))
    assert counts(corpus) == (0, 1, 0)


# --- table

OWN = [
    {"id": "a", "title": "Salt: Part One", "plot": "Line one.\nLine, two.", "genres": "Drama, Sci-Fi", "year": 1951},
    {"id": "b", "title": "Ash", "plot": 'She said "no" 🌍 שלום.', "genres": "War", "year": 1999},
]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.parquet", "A.CSV.gz", "a.jsonl.bz2"])
def test_own_table_in_each_format(tmp_path, name):
    file, frame = tmp_path / name, pd.DataFrame(OWN)
    if ".parquet" in name:
        frame.to_parquet(file)
    elif "json" in name:
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, index=False, sep="\t" if "tsv" in name else ",", compression="infer")
    corpus = read_own_table(file, {"id": "id", "year": "year"})
    assert counts(corpus) == (2, 0, 0)
    first, second = corpus.rows
    assert (first.id, first.published, first.plot) == ("table-a", "Salt: Part One", OWN[0]["plot"])
    assert (first.tags, first.split, first.title.kind) == (["Drama", "Sci-Fi"], None, "movie")
    assert (first.title.primary, first.title.secondary, first.title.year) == ("Salt: Part One", "", 1951)
    assert (second.id, second.plot, second.tags, second.title.year) == ("table-b", OWN[1]["plot"], ["War"], 1999)


def test_columns_have_any_names_and_may_be_used_twice(tmp_path):
    file = write(tmp_path / "a.csv", "name,story,kind\nSalt,It rains.,drama;war\n")
    (row,) = read_own_table(file, {"title": "name", "plot": "story", "genres": "kind"}).rows
    assert (row.published, row.plot, row.tags) == ("Salt", "It rains.", ["drama", "war"])
    file = tmp_path / "a.parquet"
    pd.DataFrame({"story": ["It rains."], "kind": ["war"]}).to_parquet(file)
    (row,) = read_own_table(file, {"title": "story", "plot": "story", "genres": "kind"}).rows
    assert (row.published, row.plot) == ("It rains.", "It rains.")


def test_unknown_parts_in_columns_are_named(tmp_path):
    with pytest.raises(
        BadInput, match="--column has no field name, tags: the fields are title, plot, genres, id and year"
    ):
        read_own_table(tmp_path / "a.csv", {"tags": "x", "name": "y"})


@pytest.mark.parametrize(
    ("genres", "tags"),
    [
        ("Drama, Sci-Fi", ["Drama", "Sci-Fi"]),
        ("Drama|Sci-Fi;War", ["Drama", "Sci-Fi", "War"]),
        ('["Drama", "Action, Adventure"]', ["Drama", "Action, Adventure"]),
        ("['Drama', \"Children's\"]", ["Drama", "Children's"]),
        ("['Drama' 'War']", ["Drama", "War"]),
        ("[Drama, War]", ["Drama", "War"]),
        (" , ", []),
        ("", []),
        ("[]", []),
        (["Drama", " Sci-Fi ", "", None, 1], ["Drama", "Sci-Fi", "1"]),
        ('[{"id": 18, "name": "Drama"}, {"id": 10749, "name": "Romance"}]', ["Drama", "Romance"]),
        ("[{'id': 18, 'name': 'Drama'}, {'id': 10751, 'name': \"Children's\"}]", ["Drama", "Children's"]),
        ("[{'mal_id': 1, 'type': 'anime', 'name': 'Drama', 'url': 'https://example.org/drama'}]", ["Drama"]),
        ([{"id": 18, "name": "Drama"}, {"id": 878, "Name": "Sci-Fi"}], ["Drama", "Sci-Fi"]),
        ({"id": 18, "name": "Drama"}, ["Drama"]),
        ('{"id": 18, "name": "Drama"}', ["Drama"]),
        ('{"/m/07s9rl0": "Drama", "/m/06n90": "Science Fiction"}', ["Drama", "Science Fiction"]),
        ({"/m/07s9rl0": "Drama"}, ["Drama"]),
        ({"Q130232": "Drama", "18": "War"}, ["Drama", "War"]),
        ("{18: 'Drama'}", ["Drama"]),
        ('[{"id": "1", "description": "Action"}]', ["Action"]),
        (
            [{"genre": {"name": "Drama"}}, {"label": "War"}, {"tag": "Western"}, {"title": "Horror"}],
            ["Drama", "War", "Western", "Horror"],
        ),
        ({"genres": [{"name": "Drama"}]}, ["Drama"]),
        ({"Drama": 1, "Comedy": 0, "War": True}, ["Drama", "War"]),
        ("{'Drama': 1, 'Comedy': 0}", ["Drama"]),
        ("{'War', 'Drama'}", ["Drama", "War"]),
        ("('Drama', 'War')", ["Drama", "War"]),
        ('{Drama,"Science Fiction"}', ["Drama", "Science Fiction"]),
        ("[{&quot;id&quot;: 18, &quot;name&quot;: &quot;Drama&quot;}]", ["Drama"]),
        ("Action &amp; Adventure; Drama", ["Action & Adventure", "Drama"]),
        ("[18, 35]", ["18", "35"]),
        ([18.0, 35], ["18", "35"]),
        ("(no genres listed)", ["(no genres listed)"]),
        ("{}", []),
        (None, []),
        (7, ["7"]),
    ],
)
def test_genres_as_text_and_as_lists(tmp_path, genres, tags):
    line = json.dumps({"title": "A", "plot": "Words.", "genres": genres})
    assert read_own_table(write(tmp_path / "a.jsonl", line)).rows[0].tags == tags


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ({"id": 1}, []),
        ({"type": "manga", "slug": "drama"}, []),
        ('[{"id": 18, "name": "Dra', []),
        ("{'name': Drama}", []),
        ([{"name": "Drama"}, {"id": 18}], ["Drama"]),
        ([{"id": 18, "name": None}], []),
        ([{"name": 18}], []),
        (True, []),
        ([[[[[["Drama"]]]]]], []),
        ("[" * 50_000 + "{:", []),
        (1.5, []),
    ],
)
def test_objects_that_cannot_be_parsed_are_unreadable(value, tags):
    assert tags_in(value) == (tags, False)


def test_tags_of_other_types():
    assert tags_in(np.array(["Drama", "War"])) == (["Drama", "War"], True)
    assert tags_in(("Drama", {"name": "War"})) == (["Drama", "War"], True)
    assert tags_in({"War", "Drama"}) == (["Drama", "War"], True)
    assert tags_in(float("nan")) == ([], True)


def test_parquet_with_objects_maps_and_dates(tmp_path):
    columns = {
        "title": ["A", "B"],
        "plot": ["One.", "Two."],
        "genres": pa.array([[{"id": 18, "name": "Drama"}], [{"id": 37, "name": "Western"}]]),
        "year": pa.array([datetime.date(1999, 5, 1), None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    corpus = read_own_table(tmp_path / "a.parquet")
    assert [(row.tags, row.title.year) for row in corpus.rows] == [(["Drama"], 1999), (["Western"], None)]
    maps = pa.array([[("Drama", 1), ("War", 0)], None], pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.table(columns | {"genres": maps}), tmp_path / "b.parquet")
    assert [row.tags for row in read_own_table(tmp_path / "b.parquet").rows] == [["Drama"], []]


FLAGGED = [{"title": "A", "plot": "One.", "Drama": 1, "Sci-Fi": 0, "War": 1}, {"title": "B", "plot": "Two.", "Drama": 0,
           "Sci-Fi": 1, "War": 2}]  # fmt: skip


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("yes", [1, 1.0, True])
def test_columns_of_0_and_1_are_genres_without_a_genres_column(tmp_path, name, yes):
    frame = pd.DataFrame(FLAGGED).astype({"Drama": type(yes), "Sci-Fi": type(yes)})
    file = tmp_path / name
    if name.endswith("csv"):
        frame.to_csv(file, index=False)
    elif name.endswith("jsonl"):
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_parquet(file)
    assert [row.tags for row in read_own_table(file).rows] == [["Drama"], ["Sci-Fi"]]  # War has a 2
    with pytest.raises(BadInput, match="has no column kinds"):
        read_own_table(file, {"genres": "kinds"})


def test_one_column_of_0_and_1_is_not_enough(tmp_path):
    file = write(tmp_path / "a.csv", "title,plot,Drama,seen\nA,One.,1,1\nB,Two.,,0\n")
    with pytest.raises(BadInput, match=r"has no column genres: it has title, plot, Drama, seen; name the columns"):
        read_own_table(file)
    file = write(tmp_path / "b.csv", "title,plot,Drama,War\nA,One.,1,false\nB,Two.,,TRUE\n")
    assert [row.tags for row in read_own_table(file).rows] == [["Drama"], ["War"]]


OBJECT = {"title": "A", "plot": "One.", "genres": [{"id": 18, "name": "Drama"}], "year": "1999"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([OBJECT]),
        json.dumps([OBJECT], indent=2),
        json.dumps(OBJECT) + "\n",
        json.dumps(OBJECT, indent=2),
        "\ufeff" + json.dumps(OBJECT) + "\n\n" + '"broken"\n',
        json.dumps([OBJECT, 7]),
    ],
)
@pytest.mark.parametrize("ending", PACKING)
def test_a_json_file_contains_an_array_or_an_object_per_line(tmp_path, text, ending):
    corpus = read_own_table(write(tmp_path / f"a.json{ending}", PACKING[ending](text.encode())))
    assert [(row.published, row.tags, row.title.year) for row in corpus.rows] == [("A", ["Drama"], 1999)]
    assert corpus.broken == ("broken" in text or "7" in text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"title": {"0": "A"}, "plot": {"0": "B"}},
            r"one object with all values of a column under its name: .*orient='records'",
        ),
        ({"title": ["A"], "plot": ["B"]}, r"one object with all values of a column under its name"),
        ({"page": 1, "results": [OBJECT]}, "one object with a list of objects under 'results': save only that list"),
        ({"page": 1}, "one object with page: export the data as an array of objects"),
        (7, "a number: export the data as an array of objects"),
        ([], "no rows: it needs an array of objects"),
        ([1, 2], "no rows"),
    ],
)
def test_the_message_for_another_json_file_says_what_it_is(tmp_path, content, message):
    with pytest.raises(BadInput, match=rf"a\.json contains {message}"):
        read_own_table(write(tmp_path / "a.json", json.dumps(content)))


def test_the_message_for_a_truncated_json_file_names_the_line(tmp_path):
    text = json.dumps([OBJECT, OBJECT], indent=1)
    with pytest.raises(BadInput, match=r"a\.json, line \d+, is not valid JSON \(.*\): export the data again"):
        read_own_table(write(tmp_path / "a.json", text[:-30]))
    with pytest.raises(BadInput, match=r"a\.json contains no rows"):
        read_own_table(write(tmp_path / "a.json", ""))


def test_kaggles_movies_metadata_and_tmdb_5000(tmp_path):
    header = [
        "adult", "belongs_to_collection", "budget", "genres", "homepage", "id", "imdb_id", "original_language",
        "original_title", "overview", "popularity", "poster_path", "production_companies", "production_countries",
        "release_date", "revenue", "runtime", "spoken_languages", "status", "tagline", "title", "video", "vote_average",
        "vote_count",
    ]  # fmt: skip
    values = {
        "genres": "[{'id': 16, 'name': 'Animation'}, {'id': 10751, 'name': 'Family'}]", "id": "862",
        "overview": 'A doll, lost.\nIt "waits".', "release_date": "1995-10-30", "title": "The Doll",
    }  # fmt: skip
    file = write_csv(tmp_path / "movies_metadata.csv", header, [values.get(name, "") for name in header])
    columns = {"title": "title", "plot": "overview", "genres": "genres", "id": "id", "year": "release_date"}
    (row,) = read_own_table(file, columns).rows
    assert (row.id, row.published, row.plot) == ("table-862", "The Doll", values["overview"])
    assert (row.tags, row.title.year) == (["Animation", "Family"], 1995)
    header = [
        "budget", "genres", "homepage", "id", "keywords", "original_language", "original_title", "overview",
        "popularity", "production_companies", "production_countries", "release_date", "revenue", "runtime",
        "spoken_languages", "status", "tagline", "title", "vote_average", "vote_count",
    ]  # fmt: skip
    values |= {"genres": '[{"id": 28, "name": "Action"}, {"id": 878, "name": "Science Fiction"}]'}
    values |= {"keywords": '[{"id": 1463, "name": "culture clash"}]', "release_date": "2009-12-10"}
    file = write_csv(tmp_path / "tmdb_5000_movies.csv", header, [values.get(name, "") for name in header])
    (row,) = read_own_table(file, columns).rows
    assert (row.tags, row.title.year) == (["Action", "Science Fiction"], 2009)


def test_json_lines_that_are_broken_are_counted_and_missing_keys_are_empty(tmp_path):
    lines = [
        '{"plot": "No title.", "genres": []}',
        '{"title": "A", "plot": "Wo\0rds\\u0000.", "genres": ["war"], "year": 1951}',
        "", " ", "{'title': 'B'}", '{"title": "B", ', "[1, 2]", "7", "null", "[" * 100_000,
        '{"title": 1984, "plot": null, "genres": null, "year": "1984"}',
        '{"title": "B", "plot": ["a", "list"], "genres": "war"}',
        '{"title": {"en": "B"}, "plot": "Words.", "genres": "war"}',
        '{"title": "C", "plot": "Half an emoji: \\ud83d.", "genres": "war", "year": 2001.0}',
        '{"title": NaN, "plot": "Words.", "genres": "war", "year": NaN}',
    ]  # fmt: skip
    corpus = read_own_table(write(tmp_path / "a.jsonl", "\n".join(lines)), {"year": "year"})
    assert counts(corpus) == (5, 8, 2)
    assert [(row.published, row.plot, row.title.year) for row in corpus.rows] == [
        ("", "No title.", None),
        ("A", "Words.", 1951),
        ("1984", "", 1984),
        ("C", "Half an emoji: .", 2001),
        ("", "Words.", None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", r"a\.csv is empty: it needs a header line with title, plot"),
        ("a.csv", "title,plot\nA,B\n", r"a\.csv has no column genres: it has title, plot; name the columns"),
        ("a.jsonl", "", r"a\.jsonl contains no rows: it needs a JSON object on each line"),
        ("a.jsonl", '[\n{"title":\n"A"}\n]\n', r"a\.jsonl contains no rows"),
        ("a.jsonl", '{"title": "A", "text": "B"}\n', r"no column plot: it has title, text; name the columns"),
        ("a.jsonl", b'{"title": "Caf\xe9"}', r"a\.jsonl, line 1, is not UTF-8 text"),
        ("a.jsonl", bz2.compress(b'{"title": "A"}')[:-5], r"a\.jsonl is truncated"),
        ("a.parquet", "title,plot,genres\n", r"a\.parquet cannot be read as Parquet \(Parquet"),
        ("a.parquet", "", r"a\.parquet cannot be read as Parquet"),
        (
            "a.xlsx",
            "",
            r"a\.xlsx is not a supported table: give a \.csv, \.tsv, \.json, \.jsonl or \.parquet file",
        ),
        ("table", "title,plot,genres\n", r"table is not a supported table"),
    ],
)
def test_for_a_table_that_cannot_be_used_the_message_has_the_reason(tmp_path, name, content, message):
    with pytest.raises(BadInput, match=message):
        read_own_table(write(tmp_path / name, content))


def test_an_own_table_that_is_missing_or_a_folder(tmp_path):
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        with pytest.raises(BadInput, match=r"cannot be read.*No such file"):
            read_own_table(tmp_path / name)
    (tmp_path / "b.csv").mkdir()
    for folder in (tmp_path, tmp_path / "b.csv"):
        with pytest.raises(BadInput, match="is not a supported table: give a"):
            read_own_table(folder)


def test_parquet_with_lists_nulls_and_numbers(tmp_path):
    pq.write_table(
        pa.table(
            {
                "title": pa.array(["A", None, "C"]).dictionary_encode(),
                "plot": pa.array(["One.", "Two.", None], pa.large_string()),
                "genres": [["Drama", None], None, []],
                "year": [1951.0, None, 2001.0],
                "notes": [{"a": 1}, None, None],
            }
        ),
        tmp_path / "a.parquet",
    )
    corpus = read_own_table(tmp_path / "a.parquet", {"year": "year"})
    assert [(row.published, row.plot, row.tags, row.title.year) for row in corpus.rows] == [
        ("A", "One.", ["Drama"], 1951), ("", "Two.", [], None), ("C", "", [], 2001)
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"has no column genre: it has title, plot, genres, year, notes; name the"):
        read_own_table(tmp_path / "a.parquet", {"genres": "genre"})


def test_a_truncated_or_damaged_parquet_file_is_named(tmp_path):
    file = tmp_path / "a.parquet"
    pd.DataFrame(OWN * 500).to_parquet(file)
    whole = file.read_bytes()
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        read_own_table(write(file, whole[:-100]))
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        read_own_table(write(file, whole[:4] + bytes(400) + whole[404:]))


# --- all sources


def small_files(folder, reverse):
    """Write a file of each corpus without ids in one order or the other, and return the file of each source."""
    step = -1 if reverse else 1
    imdb = ["A (2001)\t One.\t1", "B (2002)\t Two.\t0", "C (2003)\t Three.\t1"]
    lists = folder / "lists"
    lists.mkdir()
    entries = ["MV: A (2001)\nPL: One.\nBY: x\n", "MV: B (2002)\nPL: Two.\nBY: x\nPL: Three.\nBY: y\n"]
    write_lists(lists, "".join(entries[::step]))
    own = [["A", "One.", "war"], ["B", "Two.", "war"], ["C", "Three.", "war"]]
    return {
        "imdb": write(folder / "imdb", "\n".join(["title\tplot\tDrama", *imdb[::step]])),
        "lists": lists,
        "mpst": write_csv(folder / "mpst", MPST_HEADER, *[["", *row[1:]] for row in MPST_ROWS[::step]]),
        "wikipedia": write_csv(folder / "wikipedia", WIKI_HEADER, *WIKI_ROWS[::step]),
        "table": write_csv(folder / "a.csv", ["title", "plot", "genres"], *own[::step]),
    }


def test_ids_do_not_depend_on_the_order_of_rows(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    orders = zip(small_files(folders[0], False).items(), small_files(folders[1], True).values(), strict=True)
    for (name, first), second in orders:
        read = get_source("imdb" if name == "lists" else name).read
        ids = {row.plot: row.id for row in read(first).rows}
        assert ids == {row.plot: row.id for row in read(second).rows}
        assert len(set(ids.values())) == 3


def test_the_bundled_files_read_from_file_and_folder():
    assert counts(read_sample(DIRTY_FILE.parent)) == (420, 0, 0)
    dirty = read_sample(DIRTY_FILE)
    assert (len(dirty.rows), dirty.broken) == (52, 4)


def test_the_registry_has_all_sources():
    assert list(SOURCES) == ["sample", "streaming", "imdb", "mpst", "cmu-books", "cmu-movies", "wikipedia", "table"]
    assert all(get_source(name).name == name for name in SOURCES)
    with pytest.raises(BadInput, match=r"Unknown source 'imbd': choose from .*sample.*streaming"):
        get_source("imbd")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sample", "comes with the project"),
        ("imdb", "run `movieplots fetch imdb`"),
        ("cmu-books", "run `movieplots fetch cmu-books`"),
        ("cmu-movies", "run `movieplots fetch cmu-movies`"),
        ("mpst", r"download mpst_full_data\.csv \(kaggle\.com/datasets/cryptexcode/.*\) into data/raw/mpst"),
        ("table", "your own file: give --path FILE"),
    ],
)
def test_every_source_has_an_instruction(name, sentence):
    assert re.search(sentence, get_source(name).how_to_get)


def test_an_episode_with_braces_in_its_series_name_inherits_its_genres(tmp_path):
    write(tmp_path / "plot.list", 'MV: "A {B}" (2004) {Low {Tide} (#1.1)}\n\nPL: The sea.\n\nBY: me\n')
    write(tmp_path / "genres.list", '8: THE GENRES LIST\n==================\n\n"A {B}" (2004)\t\tHorror\n')
    assert [row.tags for row in read_imdb(tmp_path).rows] == [["Horror"]]


def test_references_of_wikipedia_are_removed_and_words_in_brackets_kept(tmp_path):
    plots = ["He falls.[1][a] She said [t]he end [citation needed] came.[23]", "He took [a] walk with [i]ts owner."]
    with open(tmp_path / "wiki_movie_plots_deduped.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Release Year", "Title", "Genre", "Plot"])
        writer.writerows([1999, f"Film {i}", "drama", plot] for i, plot in enumerate(plots))
    corpus = read_wikipedia(tmp_path)
    assert [row.plot for row in corpus.rows] == ["He falls. She said [t]he end  came.", plots[1]]
    assert corpus.repaired == {"reference": 1}


# --- `prepare` with these corpora


def own_rows(number=60, genres="drama", year="1999"):
    return [
        [f"Film {i}", f"Number {i} walks {i} miles to town {i} and comes home {i}.", genres, year]
        for i in range(number)
    ]


def prepared(tmp_path, rows, header=("title", "plot", "genres", "year"), **options):
    return prepare(
        "table", tmp_path / "out", write_csv(tmp_path / "a.csv", list(header), *rows), dedup_threshold=1, **options
    )


def test_broken_rows_and_unreadable_values_are_in_the_report_and_in_messages(tmp_path, capsys):
    rows = own_rows()
    rows[3][3], rows[4][3], rows[7][3] = "soon", "later", ""
    rows[9:9] = [["Broken", "a", "b", "c", "d"]] * 5
    result = prepared(tmp_path, rows)
    assert result.read == result.kept + sum(result.dropped.values()) == 65
    assert result.dropped == {"broken_row": 5}
    assert result.columns["table"]["year"] == ColumnCounts(60, 1, 2, "soon")
    dropped = pd.read_parquet(tmp_path / "out" / "dropped.parquet")
    assert dropped["reason"].tolist() == ["broken_row"] * 5
    assert dropped["detail"][0] == "a.csv, line 11: 5 fields instead of 4"
    assert dropped["plot"][0] == "Broken,a,b,c,d"
    err = capsys.readouterr().err
    assert "Broken row in a.csv, line 11: 5 fields instead of 4\n" in err
    assert err.count("Broken row in") == 3
    assert "… and 2 more broken rows, see dropped.parquet\n" in err
    assert "year: 2 of 59 values could not be read, such as 'soon'\n" in err


def test_rows_without_an_id_in_a_column_of_ids_are_reported(tmp_path, capsys):
    rows = [[*row, "" if i < 2 else f"n{i}"] for i, row in enumerate(own_rows())]
    prepared(tmp_path, rows, ("title", "plot", "genres", "year", "id"))
    assert "id: 2 of 60 rows have no value; their ids are hashes of the texts\n" in capsys.readouterr().err


def test_if_too_few_plots_are_left_the_unknown_tags_are_named(tmp_path):
    with pytest.raises(
        BadInput, match=r"No plot can be used \(no genre 60\); no genre mapping contains the tags '18' \(60\), "
    ):
        prepared(tmp_path, own_rows(genres="[18, 35]"))
    rows = own_rows(3) + [[f"{row[0]} b", f"{row[1]} b", "Oater / Duster", "1999"] for row in own_rows()]
    with pytest.raises(
        BadInput, match=r"too small to split: .*'Oater / Duster' \(60\): map them .* as --genre-map"
    ) as error:
        prepared(tmp_path, rows)
    assert "add plots" not in str(error.value)
    with pytest.raises(BadInput, match=r"too small to split: .*; add plots"):
        prepared(tmp_path, own_rows(3))
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine.csv").write_text("tag,genres\n18,drama\n35,comedy\n")
    result = prepared(tmp_path, own_rows(genres="[18, 35]"), genre_map=tmp_path / "mine.csv")
    assert (result.genres, result.unknown_tags) == ({"comedy": 60, "drama": 60}, {})


def test_tags_that_are_split_are_counted_by_their_parts(tmp_path):
    result = prepared(tmp_path, own_rows(genres="Drama / Romance & Oater"))
    assert result.tags == {"mapped": 120, "ignored": 0, "unknown": 60}
    assert result.unknown_tags == {"Oater": 60}


def test_a_column_of_0_and_1_that_is_not_a_genre_is_reported_and_an_odd_value_named(tmp_path):
    file = tmp_path / "flags.csv"
    file.write_text("title,plot,Drama,Comedy,Zork\nSalt,A mill burns.,1,0,1\nAsh,A goat sings.,0,1,0\n")
    assert [row.tags for row in read_own_table(file).rows] == [["Drama", "Zork"], ["Comedy"]]
    assert map_tags("table", ["Drama", "Zork"]).unknown == ["Zork"]
    file.write_text("title,plot,Drama,Comedy\nSalt,A mill burns.,2,0\nAsh,A goat sings.,0,1\n")
    with pytest.raises(BadInput, match=r"no column genres, and its column 'Drama' .* contains '2'"):
        read_own_table(file)
    pq.write_table(pa.table({"title": ["Salt"], "plot": ["A mill."], "Drama": [1], "War": [True], "Zork": [1]}), file)
    file.rename(tmp_path / "flags.parquet")
    assert read_own_table(tmp_path / "flags.parquet").rows[0].tags == ["Drama", "War", "Zork"]
