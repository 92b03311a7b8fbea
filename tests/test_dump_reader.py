"""Reading dumps: every line of either markup is a sample or counted with a reason."""

import json

import pytest

from movieplots.errors import BadInput
from movieplots.generation.dump_reader import cell_values, load_dump, parse_line, read_dump
from movieplots.generation.prompt_format import format_sample
from movieplots.generation.sampling import Sample


@pytest.mark.parametrize("titles", [True, False])
@pytest.mark.parametrize("truncated", [True, False])
@pytest.mark.parametrize("plot", ["The sea gives back what it took.", "", 'He said: "No (not | now)" <b>&</b> …'])
def test_a_line_with_or_without_title_is_read_as_it_was_written(titles, truncated, plot):
    title = '"Salt" (2009) {Low Tide (#1.3)}' if titles else ""
    line = format_sample(titles, "horror, comedy", title, plot, truncated)
    assert parse_line(line) == Sample("horror, comedy", title, plot, 0.0, 0.0, -1, truncated)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty line"),
        ("   ", "empty line"),
        ("<|endoftext|>", "empty line"),
        ("The sea gives back.<|endoftext|>", "no end of the genre"),
        ("<|startoftext|>horror The sea<|endoftext|>", "no end of the genre"),
        ("<|endofgenre|>Salt (2009)<|endoftitle|>The sea", "no genre"),
        ("horror<|endofgenre|>Salt (2009) The sea<|endoftext|>", "no end of the title"),
        ("horror|0|Salt (2009) The sea<|endoftext|>", "no end of the title"),
        ("|0|Salt (2009)|1|The sea", "no genre"),
        (
            'war<|endofgenre|>comedy <|endofgenre|>"Short" (2003) {(#10.3)} <|endoftitle|>They go home.<|endoftext|>',
            "a second end of the genre",
        ),
        ("<|startoftext|>war<|endofgenre|>They <|endofgenre|> go.", "a second end of the genre"),
        ("war<|endofgenre|>A (2001)<|endoftitle|>They go.<|endoftitle|>B", "a second end of the title"),
        ("war|0|comedy|0|A (2001)|1|They go.", "a second end of the genre"),
        ("war|0|A (2001)|1|They|1| go.", "a second end of the title"),
        ("war|0|A (2001)|1|They<|endoftitle|> go.", "a second end of the title"),
        ("<|startoftext|>war<|endoftitle|>A<|endofgenre|>They go.", "a second end of the title"),
        ("war<|endofgenre|>A (2001)<|endoftitle|>They go. <|startoftext|>drama", "a start mark inside the line"),
        ("junk <|startoftext|>war|0|A|1|They go.", "a start mark inside the line"),
    ],
)
def test_a_line_that_is_no_sample_says_why(line, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parse_line(line)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ('<|startoftext|>horror|0|"Salt" (2009)|1|The sea gives.<|endoftext|>', '"Salt" (2009)'),
        ('horror|0|"Salt" (2009)|1|The sea gives.<|endoftext|>', '"Salt" (2009)'),
        (' <|startoftext|> Horror |0| "Salt" (2009) |1| The sea gives. <|endoftext|>', '"Salt" (2009)'),
        ("<|startoftext|>horror|0|The sea gives.<|endoftext|>", ""),
        ("<|startoftext|>horror<|endofgenre|>Salt<|endoftitle|>The sea gives.<|endoftext|>", "Salt"),
    ],
)
def test_a_line_with_the_marks_of_gpt_2_simple(line, title):
    assert parse_line(line) == Sample("horror", title, "The sea gives.", 0.0, 0.0, -1, truncated=False)


def test_marks_of_gpt_2_simple_are_plain_text_where_others_stand():
    line = "war<|endofgenre|>A (2001)<|endoftitle|>They |0| go |1| home."
    assert parse_line(line).plot == "They |0| go |1| home."


def test_where_lines_with_a_start_mark_have_titles_all_need_one(tmp_path):
    lines = [f"<|startoftext|>war|0|A {i} (2001)|1|They go.<|endoftext|>" for i in range(3)]
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join([*lines, "<|startoftext|>war|0|An endless title"]))
    dump = load_dump(tmp_path)
    assert len(dump.samples) == 3 and dump.reasons == {"no end of the title": 1}
    lines = [f"<|startoftext|>war|0|They go {i} times.<|endoftext|>" for i in range(3)]
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join([*lines, "<|startoftext|>war|0|A (2001)|1|They go."]))
    dump = load_dump(tmp_path)
    assert dump.samples["title"].tolist() == ["", "", "", "A (2001)"] and dump.reasons == {}


def test_what_follows_the_end_is_left_out():
    assert parse_line("<|startoftext|>war<|endofgenre|>They go.<|endoftext|>war<|endofgenre|>More").plot == "They go."


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temp_0_7_topp_0_9.txt", (0.7, 0.9)),
        ("temp_1_topp_0.jsonl", (1.0, 0.0)),
        ("temp_1_25_topp_0_95.txt", (1.25, 0.95)),
        ("temp_1_3_topp_0.txt", (1.3, 0.0)),
    ],
)
def test_a_cell_is_known_by_its_files_name(name, values):
    assert cell_values(name) == values


def test_a_cell_without_numbers_is_a_sentence(tmp_path):
    (tmp_path / "temp_hot_topp_0.txt").write_text("war<|endofgenre|>A (2001)<|endoftitle|>They go.\n")
    with pytest.raises(BadInput, match="name it like"):
        load_dump(tmp_path)


def test_every_line_is_a_sample_or_counted(tmp_path):
    lines = [
        "horror<|endofgenre|>Salt (2009)<|endoftitle|>The sea.<|endoftext|>",
        "<|startoftext|>war<|endofgenre|>They go",
        "no marks here",
        "",
        "none either",
        "horror<|endofgenre|>no title's end<|endoftext|>",
    ]
    (tmp_path / "temp_0_7_topp_0_9.txt").write_text("\n".join(lines))  # the last line has no line end
    record = {"genre": "war", "title": "", "plot": "x", "temperature": 1, "top_p": 0, "seed": 3, "truncated": False}
    rows = [record, record | {"plot": 3}, {"genre": "war"}]
    (tmp_path / "temp_1_topp_0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"genre": "wa')
    (tmp_path / "temp_1_topp_0.txt").write_text("the same in text, which is not read\n" * 5)
    dump = load_dump(tmp_path)
    assert len(dump.samples) + len(dump.unparsed) == len(lines) + 4
    assert dump.samples["temperature"].tolist() == [0.7, 0.7, 1.0]
    assert dump.samples["top_p"].tolist() == [0.9, 0.9, 0.0]
    assert dump.samples["truncated"].tolist() == [False, True, False]
    assert dump.samples["seed"].tolist() == [-1, -1, 3]
    assert dump.reasons == {
        "no end of the genre": 2, "empty line": 1, "no end of the title": 1, "a plot of the wrong type": 1,
        "no field title": 1, "not JSON": 1,
    }  # fmt: skip
    assert dump.judged_by_text == 0
    assert dump.unparsed.iloc[0].tolist() == ["temp_0_7_topp_0_9.txt", 3, "no end of the genre"]


def test_left_out_lines_are_said(tmp_path, capsys):
    (tmp_path / "temp_1_topp_0.txt").write_text("<|startoftext|>war<|endofgenre|>They go.\nnothing\n")
    assert len(read_dump(tmp_path)) == 1
    assert "1 × no end of the genre" in capsys.readouterr().err


def test_reading_what_is_no_dump(tmp_path):
    with pytest.raises(BadInput, match="No dump"):
        read_dump(tmp_path)
    (tmp_path / "temp_1_topp_0.jsonl").write_text("")
    with pytest.raises(BadInput, match="no samples"):
        read_dump(tmp_path)
    (tmp_path / "temp_1_topp_0.jsonl").write_text('{"genre": "war"}\n')
    with pytest.raises(BadInput, match="no samples"):
        read_dump(tmp_path)


TITLED = "horror<|endofgenre|>Salt (2009)<|endoftitle|>The sea gives back what it took.<|endoftext|>\n"
UNTITLED = "<|startoftext|>drama<|endofgenre|>Café — a father drives.<|endoftext|>\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_of_file_formats_are_no_part_of_a_sample(encoding, end, tmp_path):
    (tmp_path / "temp_1_topp_0.txt").write_bytes((TITLED + UNTITLED).replace("\n", end).encode(encoding))
    (tmp_path / "temp_0_7_topp_0_9.txt").write_bytes((UNTITLED + TITLED).replace("\n", end).encode(encoding))
    record = {"genre": "war", "title": "", "plot": "Café.", "temperature": 2, "top_p": 0, "seed": 3, "truncated": False}
    text = "".join(json.dumps(record, ensure_ascii=False) + end for _ in range(2))
    (tmp_path / "temp_2_topp_0.jsonl").write_bytes(text.encode(encoding))
    dump = load_dump(tmp_path)
    assert dump.reasons == {} and dump.unread == []
    assert dump.samples["genre"].tolist() == ["drama", "horror", "horror", "drama", "war", "war"]
    assert dump.samples["title"].tolist() == ["", "Salt (2009)", "Salt (2009)", "", "", ""]
    assert dump.samples["plot"].tolist()[::3] == ["Café — a father drives."] * 2 and not dump.samples["truncated"].any()


def test_a_mark_of_files_that_were_joined_is_no_part_of_a_sample(tmp_path):
    (tmp_path / "temp_1_topp_0.txt").write_bytes(UNTITLED.encode("utf-8-sig") * 2)
    assert load_dump(tmp_path).samples["genre"].tolist() == ["drama", "drama"]


@pytest.mark.parametrize(("encoding", "read", "lost"), [("latin-1", 3, 1), ("utf-16-le", 1, 4)])
def test_bytes_that_are_no_text_make_their_line_unreadable(encoding, read, lost, tmp_path):
    lines = (TITLED + UNTITLED.replace(" —", "") + TITLED).encode(encoding)
    (tmp_path / "temp_1_topp_0.txt").write_bytes(lines)
    (tmp_path / "temp_2_topp_0.txt").write_text(TITLED)
    dump = load_dump(tmp_path)
    assert len(dump.samples) == read and dump.reasons == {"not UTF-8 text": lost}
    assert not dump.samples["plot"].str.contains("\ufffd").any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": float("nan")}, "a temperature out of range"),
        ({"top_p": -1}, "a top_p out of range"),
        ({"temperature": True}, "a temperature of the wrong type"),
        ({"plot": "half \ud800 a character"}, "a plot that is not UTF-8 text"),
    ],
)
def test_values_that_no_report_can_hold(change, reason, tmp_path):
    record = {"genre": "war", "title": "", "plot": "x", "temperature": 1, "top_p": 0, "seed": 3, "truncated": False}
    (tmp_path / "temp_1_topp_0.jsonl").write_text(json.dumps(record) + "\n" + json.dumps(record | change) + "\n")
    assert load_dump(tmp_path).reasons == {reason: 1}


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "temp_1_topp_0.txt").write_text(TITLED)
    (tmp_path / "temp_hot_topp_0.txt").write_text(TITLED)
    (tmp_path / "temp_2_topp_0.txt").mkdir()
    (tmp_path / "temp_3_topp_0.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    dump = load_dump(tmp_path)
    assert len(dump.samples) == 1 and len(dump.unread) == 2
    assert set(dump.reasons) == {"not UTF-8 text", "not JSON"}
    read_dump(tmp_path)
    said = capsys.readouterr().err
    assert "temp_2_topp_0.txt cannot be read (Is a directory)." in said and "name it like temp_0_7_topp_0_9.txt" in said


def test_where_every_line_has_an_end_mark_the_text_says_whether_it_is_finished(tmp_path):
    plots = {
        "They go.": True, "They go": False, "They go!": True, "Where?": True, "They …": True, "They ...": True,
        'He says: "Go."': True, "They go (home.)": True, "They go,": False, "They meet Mr.": False, "他们走了。": True,
        "他们走了！」": True, "": False,
    }  # fmt: skip
    lines = [f"war<|endofgenre|>A (2001)<|endoftitle|>{plot} <|endoftext|>" for plot in plots]
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join(lines) + "\n\n")
    dump = load_dump(tmp_path)
    assert dict(zip(dump.samples["plot"], ~dump.samples["truncated"], strict=True)) == plots
    assert dump.judged_by_text == len(plots)
    # One line without it, and the mark means something.
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join([*lines, "war<|endofgenre|>A<|endoftitle|>They"]))
    dump = load_dump(tmp_path)
    assert dump.samples["truncated"].tolist() == [False] * len(plots) + [True] and dump.judged_by_text == 0


@pytest.mark.parametrize(("plot", "truncated"), [("They go.", False), ("They go to", True)])
def test_a_file_of_one_line_is_judged_by_its_text(plot, truncated, tmp_path):
    (tmp_path / "temp_1_topp_0.txt").write_text(f"war|0|A (2001)|1|{plot}<|endoftext|>")
    assert load_dump(tmp_path).samples["truncated"].tolist() == [truncated]


def test_json_lines_say_themselves_whether_they_are_finished(tmp_path):
    record = {"genre": "war", "title": "", "plot": "x", "temperature": 1, "top_p": 0, "seed": 3, "truncated": False}
    (tmp_path / "temp_1_topp_0.jsonl").write_text(json.dumps(record))
    (tmp_path / "temp_1_topp_0.txt").write_text("<|startoftext|>war<|endofgenre|>x<|endoftext|>")
    dump = load_dump(tmp_path)
    assert dump.samples["truncated"].tolist() == [False] and dump.judged_by_text == 0


def test_json_lines_of_an_earlier_version_are_read(tmp_path):
    record = {"genre": "war", "title": "", "plot": "x", "temperature": 1, "top_p": 0, "seed": 3}
    rows = [record | {"finished": True}, record | {"finished": False}, record | {"finished": 1}]
    (tmp_path / "temp_1_topp_0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dump = load_dump(tmp_path)
    assert dump.samples["truncated"].tolist() == [False, True] and dump.reasons == {"no field truncated": 1}
