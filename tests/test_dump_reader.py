"""Reading dumps: every line of either markup is a sample or counted with a reason."""

import json

import pytest

from movieplots.errors import BadInput
from movieplots.generation.dump_reader import cell_values, load_dump, parse_line, read_dump
from movieplots.generation.markup import MARKUPS, format_sample


@pytest.mark.parametrize("markup", MARKUPS)
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("plot", ["The sea gives back what it took.", "", 'He said: "No (not | now)" <b>&</b> …'])
def test_a_line_in_either_markup_is_read_as_it_was_written(markup, finished, plot):
    title = '"Salt" (2009) {Low Tide (#1.3)}' if markup == "with-titles" else ""
    line = format_sample(markup, "horror, comedy", title, plot, finished)
    assert parse_line(line) == {"genre": "horror, comedy", "title": title, "plot": plot, "finished": finished}


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
    ],
)
def test_a_line_that_is_no_sample_says_why(line, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parse_line(line)


def test_what_follows_the_end_is_left_out():
    assert (
        parse_line("<|startoftext|>war<|endofgenre|>They go.<|endoftext|>war<|endofgenre|>More")["plot"] == "They go."
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temp_0_7_topp_0_9.txt", (0.7, 0.9)),
        ("temp_1_topp_0.jsonl", (1.0, 0.0)),
        ("temp_1_25_topp_0_95.txt", (1.25, 0.95)),
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
    record = {"genre": "war", "title": "", "plot": "x", "temperature": 1, "top_p": 0, "seed": 3, "finished": True}
    rows = [record, record | {"plot": 3}, {"genre": "war"}]
    (tmp_path / "temp_1_topp_0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"genre": "wa')
    (tmp_path / "temp_1_topp_0.txt").write_text("the same in text, which is not read\n" * 5)
    dump = load_dump(tmp_path)
    assert len(dump.samples) + len(dump.unparsed) == len(lines) + 4
    assert dump.samples["temperature"].tolist() == [0.7, 0.7, 1.0]
    assert dump.samples["top_p"].tolist() == [0.9, 0.9, 0.0]
    assert dump.samples["finished"].tolist() == [True, False, True]
    assert dump.samples["seed"].tolist() == [-1, -1, 3]
    assert dump.reasons == {
        "no end of the genre": 2, "empty line": 1, "no end of the title": 1, "a plot of the wrong type": 1,
        "no field title": 1, "not JSON": 1,
    }  # fmt: skip
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
