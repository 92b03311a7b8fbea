"""Atomic writing: the old file or the new one, never half of one and never a leftover."""

import json
import os
import time
from contextlib import ExitStack

import pytest

from movieplots import files
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


def test_two_writers_with_one_process_number_do_not_meet(tmp_path, monkeypatch):
    """In containers that share a folder each may be process 1."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with ExitStack() as writers:
        one, other = (writers.enter_context(atomic_path(tmp_path / "a.txt")) for _ in "ab")
        one.write_text("one")
        other.write_text("other")
        assert one != other
    assert (tmp_path / "a.txt").read_text() == "one"  # the last that was renamed
    assert names(tmp_path) == ["a.txt"]
    (tmp_path / "model.v2").mkdir()
    aside = []
    monkeypatch.setattr(files.os, "replace", lambda _, target: aside.append(target))
    for _ in "ab":
        files.remove_folder(tmp_path / "model.v2")
    assert len(set(aside)) == 2


def test_what_a_killed_process_elsewhere_left_is_swept_away_after_a_day(tmp_path, monkeypatch):
    """Whether a process of another container lives cannot be seen from here."""
    monkeypatch.setattr(files, "_alive", lambda process: process == os.getpid())
    monkeypatch.setattr(files, "_host", lambda: "0123abcd")
    for place in ("0123abcd", "99999999"):
        for day in ("new", "old"):
            folder = tmp_path / f".unfinished.{place}.77.{day}_1"
            folder.mkdir()
            (tmp_path / f".a.json.{place}.77.{day}.tmp").write_text("half")
            if day == "old":
                for path in (folder, tmp_path / f".a.json.{place}.77.{day}.tmp"):
                    os.utime(path, (time.time() - 90_000,) * 2)
    (tmp_path / f".unfinished.0123abcd.{os.getpid()}.mine").mkdir()
    with atomic_folder(tmp_path), atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("{}")
    assert names(tmp_path) == [
        ".a.json.99999999.77.new.tmp", f".unfinished.0123abcd.{os.getpid()}.mine", ".unfinished.99999999.77.new_1",
        "a.json",
    ]  # fmt: skip


def test_a_written_file_may_be_read_by_others(tmp_path):
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "a.txt", "")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


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
