"""Atomic writing: the old file or the new one, never half of one and never a leftover."""

import json

import pytest

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, atomic_path, ensure_folder, fingerprint, read_json, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    file = tmp_path / "new" / "deep" / "a.txt"
    write_text(file, "old, and longer")
    write_text(file, "neu: é")
    assert file.read_bytes() == "neu: é".encode()
    assert names(file.parent) == ["a.txt"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail():
        with atomic_path(file) as temporary:
            temporary.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_value_that_is_not_json_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert names(tmp_path) == []


def test_json_keeps_its_order_and_its_letters(tmp_path):
    write_json(tmp_path / "a.json", {"b": "é", "a": 1})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "é" in text
    assert list(json.loads(text)) == ["b", "a"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_that_an_editor_saved(encoding, tmp_path):
    (tmp_path / "a.json").write_text('{"a": "é"}', encoding=encoding)
    assert read_json(tmp_path / "a.json", "mend it") == {"a": "é"}


@pytest.mark.parametrize("content", [b'{"a": 1', b'{"a": "\xe9"}', b"[]", b"null", b""])
def test_damaged_json_is_a_sentence(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"a.json is damaged: mend it\.$"):
        read_json(tmp_path / "a.json", "mend it")


def test_a_folder_s_files_are_replaced_and_the_others_stay(tmp_path):
    out = tmp_path / "model"
    with atomic_folder(out) as temporary:
        (temporary / "a").write_text("1")
        (temporary / "sub").mkdir()
        (temporary / "sub" / "old").write_text("1")
        (temporary / "swap").write_text("a file")
    (out / "mine").write_text("kept")
    with atomic_folder(out) as temporary:
        (temporary / "a").write_text("2")
        (temporary / "sub").mkdir()
        (temporary / "sub" / "new").write_text("2")
        (temporary / "swap").mkdir()
    assert names(out) == ["a", "mine", "sub", "swap"]
    assert (out / "a").read_text() == "2"
    assert names(out / "sub") == ["new"]
    assert (out / "swap").is_dir()


def test_an_exception_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "a").write_text("1")

    def fail():
        with atomic_folder(tmp_path) as temporary:
            (temporary / "a").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "1"


def test_a_file_where_a_folder_should_be_is_said_in_a_sentence(tmp_path):
    (tmp_path / "out").write_text("")
    for place in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(BadInput, match=r"is a file, not a folder: choose another --output-dir"):
            ensure_folder(place)


def test_a_fingerprint_depends_on_the_values_only():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint("a", "b") != fingerprint("ab")
    assert len(fingerprint()) == 16
