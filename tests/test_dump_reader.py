"""Reading dumps: each line of any layout is a sample or counted with a reason."""

import json
import re

import pytest

from movieplots.errors import BadInput
from movieplots.generation.dump_reader import cell_values, load_dump, parse_line, read_dump
from movieplots.generation.prompt_format import format_sample
from movieplots.generation.sampling import Sample


@pytest.mark.parametrize("titles", [True, False])
@pytest.mark.parametrize("truncated", [True, False])
@pytest.mark.parametrize("plot", ["The sea gives back what it took.", "", 'He said: "No (not | now)" <b>&</b> …'])
def test_formatted_samples_are_parsed_back(titles, truncated, plot):
    title = '"Salt" (2009) {Low Tide (#1.3)}' if titles else ""
    line = format_sample(titles, "horror, comedy", title, plot, truncated)
    assert parse_line(line) == Sample("horror, comedy", title, plot, 0.0, 0.0, -1, truncated)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty line"),
        ("   ", "empty line"),
        ("<|endoftext|>", "empty line"),
        ("The sea gives back.<|endoftext|>", "missing end-of-genre token"),
        ("<|startoftext|>horror The sea<|endoftext|>", "missing end-of-genre token"),
        ("<|endofgenre|>Salt (2009)<|endoftitle|>The sea", "missing genre"),
        ("horror<|endofgenre|>Salt (2009) The sea<|endoftext|>", "missing end-of-title token"),
        ("horror|0|Salt (2009) The sea<|endoftext|>", "missing end-of-title token"),
        ("|0|Salt (2009)|1|The sea", "missing genre"),
        (
            'war<|endofgenre|>comedy <|endofgenre|>"Short" (2003) {(#10.3)} <|endoftitle|>They go home.<|endoftext|>',
            "more than one end-of-genre token",
        ),
        ("<|startoftext|>war<|endofgenre|>They <|endofgenre|> go.", "more than one end-of-genre token"),
        ("war<|endofgenre|>A (2001)<|endoftitle|>They go.<|endoftitle|>B", "more than one end-of-title token"),
        ("war|0|comedy|0|A (2001)|1|They go.", "more than one end-of-genre token"),
        ("war|0|A (2001)|1|They|1| go.", "more than one end-of-title token"),
        ("war|0|A (2001)|1|They<|endoftitle|> go.", "more than one end-of-title token"),
        ("<|startoftext|>war<|endoftitle|>A<|endofgenre|>They go.", "more than one end-of-title token"),
        ("war<|endofgenre|>A (2001)<|endoftitle|>They go. <|startoftext|>drama", "<|startoftext|> inside the line"),
        ("junk <|startoftext|>war|0|A|1|They go.", "<|startoftext|> inside the line"),
    ],
)
def test_reasons_of_lines_that_are_not_samples(line, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
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
def test_lines_of_gpt_2_simple(line, title):
    assert parse_line(line) == Sample("horror", title, "The sea gives.", 0.0, 0.0, -1, truncated=False)


def test_tokens_of_gpt_2_simple_are_plain_text_in_other_layouts():
    line = "war<|endofgenre|>A (2001)<|endoftitle|>They |0| go |1| home."
    assert parse_line(line).plot == "They |0| go |1| home."


def test_if_most_lines_with_a_start_token_have_titles_all_need_one(tmp_path):
    lines = [f"<|startoftext|>war|0|A {i} (2001)|1|They go.<|endoftext|>" for i in range(3)]
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join([*lines, "<|startoftext|>war|0|An endless title"]))
    dump = load_dump(tmp_path)
    assert len(dump.samples) == 3 and dump.reasons == {"missing end-of-title token": 1}
    lines = [f"<|startoftext|>war|0|They go {i} times.<|endoftext|>" for i in range(3)]
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join([*lines, "<|startoftext|>war|0|A (2001)|1|They go."]))
    dump = load_dump(tmp_path)
    assert dump.samples["title"].tolist() == ["", "", "", "A (2001)"] and dump.reasons == {}


def test_text_after_the_end_of_sequence_is_ignored():
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
def test_temperature_and_top_p_from_the_file_name(name, values):
    assert cell_values(name) == values


def test_a_file_name_without_numbers_is_rejected(tmp_path):
    (tmp_path / "temp_hot_topp_0.txt").write_text("war<|endofgenre|>A (2001)<|endoftitle|>They go.\n")
    with pytest.raises(BadInput, match="must state temperature and top-p"):
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
        "missing end-of-genre token": 2, "empty line": 1, "missing end-of-title token": 1,
        "field plot has the wrong type": 1,
        "missing field title": 1, "not JSON": 1,
    }  # fmt: skip
    assert dump.judged_by_text == 0
    assert dump.unparsed.iloc[0].tolist() == ["temp_0_7_topp_0_9.txt", 3, "missing end-of-genre token"]


def test_skipped_lines_are_reported(tmp_path, capsys):
    (tmp_path / "temp_1_topp_0.txt").write_text("<|startoftext|>war<|endofgenre|>They go.\nnothing\n")
    assert len(read_dump(tmp_path)) == 1
    assert "1 × missing end-of-genre token" in capsys.readouterr().err


def test_folders_that_are_not_dumps(tmp_path):
    with pytest.raises(BadInput, match="is not a dump"):
        read_dump(tmp_path)
    (tmp_path / "temp_1_topp_0.jsonl").write_text("")
    with pytest.raises(BadInput, match="has no samples"):
        read_dump(tmp_path)
    (tmp_path / "temp_1_topp_0.jsonl").write_text('{"genre": "war"}\n')
    with pytest.raises(BadInput, match="has no samples"):
        read_dump(tmp_path)


TITLED = "horror<|endofgenre|>Salt (2009)<|endoftitle|>The sea gives back what it took.<|endoftext|>\n"
UNTITLED = "<|startoftext|>drama<|endofgenre|>Café — a father drives.<|endoftext|>\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_endings(encoding, end, tmp_path):
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


def test_byte_order_marks_inside_concatenated_files(tmp_path):
    (tmp_path / "temp_1_topp_0.txt").write_bytes(UNTITLED.encode("utf-8-sig") * 2)
    assert load_dump(tmp_path).samples["genre"].tolist() == ["drama", "drama"]


@pytest.mark.parametrize(("encoding", "read", "lost"), [("latin-1", 3, 1), ("utf-16-le", 1, 4)])
def test_lines_that_are_not_valid_text_are_rejected(encoding, read, lost, tmp_path):
    lines = (TITLED + UNTITLED.replace(" —", "") + TITLED).encode(encoding)
    (tmp_path / "temp_1_topp_0.txt").write_bytes(lines)
    (tmp_path / "temp_2_topp_0.txt").write_text(TITLED)
    dump = load_dump(tmp_path)
    assert len(dump.samples) == read and dump.reasons == {"not UTF-8 text": lost}
    assert not dump.samples["plot"].str.contains("\ufffd").any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": float("nan")}, "field temperature is out of range"),
        ({"top_p": -1}, "field top_p is out of range"),
        ({"temperature": True}, "field temperature has the wrong type"),
        ({"plot": "half \ud800 a character"}, "field plot is not UTF-8 text"),
    ],
)
def test_records_with_invalid_values(change, reason, tmp_path):
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
    assert "temp_2_topp_0.txt cannot be read (Is a directory)." in said and "such as temp_0_7_topp_0_9.txt" in said


def test_if_all_lines_have_an_end_token_the_text_determines_truncation(tmp_path):
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
    # If one line lacks the token, it determines truncation.
    (tmp_path / "temp_1_topp_0.txt").write_text("\n".join([*lines, "war<|endofgenre|>A<|endoftitle|>They"]))
    dump = load_dump(tmp_path)
    assert dump.samples["truncated"].tolist() == [False] * len(plots) + [True] and dump.judged_by_text == 0


@pytest.mark.parametrize(("plot", "truncated"), [("They go.", False), ("They go to", True)])
def test_truncation_in_a_file_with_one_line(plot, truncated, tmp_path):
    (tmp_path / "temp_1_topp_0.txt").write_text(f"war|0|A (2001)|1|{plot}<|endoftext|>")
    assert load_dump(tmp_path).samples["truncated"].tolist() == [truncated]


def test_json_lines_have_a_field_for_truncation(tmp_path):
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
    assert dump.samples["truncated"].tolist() == [False, True] and dump.reasons == {"missing field truncated": 1}
