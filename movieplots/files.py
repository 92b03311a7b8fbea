"""Writing so that a killed process leaves either the old file or the new one, never half of one."""

import contextlib
import errno
import functools
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from movieplots.errors import BadInput

_PIECE = 1_000  # items of a list turned into JSON at once
_A_DAY = 86_400  # seconds
# The last parts of a temporary name: place and process, see `_writer`, and a random part; once there was no place.
_TEMPORARY = re.compile(r"(?:\.(?P<place>[0-9a-f]{8}))?\.(?P<process>\d+)\.\w+(?:\.tmp)?$")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk full, quota used up, file too large


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on an error it is removed."""
    path = Path(path)
    ensure_folder(path.parent)
    _sweep(path.parent, f".{path.name}.", ".tmp")
    temporary = path.with_name(f".{path.name}.{_writer()}.{secrets.token_hex(8)}.tmp")
    try:
        with room_for(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON atomically; keys keep their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; on success its files replace those of the same name in `path`."""
    path = Path(path)
    ensure_folder(path)
    _sweep(path, ".unfinished.")
    temporary = Path(tempfile.mkdtemp(prefix=f".unfinished.{_writer()}.", dir=path))
    try:
        with room_for(path):
            yield temporary
            for file in sorted(temporary.iterdir()):
                target = path / file.name
                if target.is_dir():
                    remove_folder(target)
                elif file.is_dir():
                    target.unlink(missing_ok=True)
                os.replace(file, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there, so that a killed process leaves the whole of it or nothing under its name."""
    # Swept away later where this is killed.
    aside = folder.with_name(f".unfinished.{_writer()}.{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):
        os.replace(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def brought(inside: str, beside: str) -> Path:
    """A folder of files that the project brings: `inside` the package where that was installed, or `beside` it."""
    package = Path(__file__).resolve().parent
    return package / inside if (package / inside).is_dir() else package.parent / beside


def _writer() -> str:
    """What a temporary name says of who writes: where, and the number that the process has there.

    A number alone does not tell: each container that shares a folder may have a process 1.
    """
    return f"{_place()}.{os.getpid()}"


@functools.cache
def _place() -> str:
    """Eight digits for the machine, or the container on it, within which no two processes have the same number."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:  # not on Linux
        numbers = ""
    return fingerprint(socket.gethostname(), numbers)[:8]


def _sweep(folder: Path, start: str, end: str = "") -> None:
    """Remove what killed processes left unfinished, of this place at once, of another (see `_writer`) after a day."""
    for leftover in folder.iterdir():
        named = _TEMPORARY.search(leftover.name)
        if not (named and leftover.name.startswith(start) and leftover.name.endswith(end)):
            continue
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it, or swept it away
            here = named["place"] in (None, _place())
            if (here and not _alive(int(named["process"]))) or time.time() - leftover.stat().st_mtime > _A_DAY:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _alive(process: int) -> bool:
    if os.name == "nt":  # there it is no question, but a signal
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


def disk_full(error: BaseException) -> bool:
    """Whether an error raised while a file was written means that there is no room for it.

    Libraries written in Rust or C++ raise errors of their own, which only name the system's in their text.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    text = str(error)
    named = any(os.strerror(number) in text or f"os error {number}" in text for number in _FULL)
    return named or "PytorchStreamWriter failed writing" in text  # torch says no more than that


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Say in a sentence where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        whole = next((p.parent for p in (path, *path.parents) if p.name.startswith(".unfinished.")), path)
        raise BadInput(f"{whole} cannot be written ({os.strerror(error.errno)}): make room, then run again.") from None


def ensure_folder(path: str | Path) -> Path:
    """Make the folder, or say in a sentence why it cannot be made."""
    path = Path(path)
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path} cannot be made ({error.strerror}): choose another folder.") from None
    return path


def check_folder(path: str | Path) -> None:
    """Say in a sentence why the folder cannot be made or written to, where that can be seen without making it."""
    path = Path(path)
    there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))  # False if forbidden
    if not there.is_dir():
        raise BadInput(f"{there} is a file, not a folder: choose another --output-dir.")
    if not os.access(there, os.W_OK):
        raise BadInput(f"{there} cannot be written to: choose a folder you own.")


def check_file(path: str | Path, example: str) -> Path:
    """The path of a file that is to be written. Raises BadInput where it is a folder, or where none can be written.

    `example` is a name for the file in the message.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give --output the name of a file, such as {path / example}.")
    check_folder(path.parent)
    return path


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """The object that a JSON file of ours holds; raises BadInput with the `remedy` where the file is damaged.

    An editor may have put a byte-order mark before it, or have saved it as UTF-16.
    """
    with contextlib.suppress(ValueError, OSError):
        found = json.loads(Path(path).read_bytes())  # from bytes it finds the encoding by itself
        if isinstance(found, dict):
            return found
    raise BadInput(f"{path} is damaged: {remedy}.")


def fingerprint(*parts: Any) -> str:
    """A 16-digit hash of JSON-able values: equal inputs, equal fingerprint, on every machine."""
    digest = hashlib.sha256()
    for piece in _json_pieces(parts):
        digest.update(piece.encode())
    return digest.hexdigest()[:16]


def content_fingerprint(folder: str | Path, pattern: str = "**") -> str:
    """A hash of the names and contents of the files in a folder that match; hidden ones and notes (.md) do not count.

    Neither sizes nor times are trusted: a file of another content may have the same, as in an image of a container.
    """
    digests = {}
    for name in glob.glob(pattern, root_dir=folder, recursive=True):
        file = Path(folder, name)
        if file.is_file() and file.suffix != ".md":
            with file.open("rb") as opened:
                digests[Path(name).as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return fingerprint(digests)


def _json_pieces(parts: tuple[Any, ...]) -> Iterator[str]:
    """The JSON text of the parts bit by bit: the text of a large corpus as one would take several times its memory."""
    text = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
    for number, part in enumerate(parts):
        yield ", " if number else "["
        if isinstance(part, list) and part:
            for first in range(0, len(part), _PIECE):
                yield (", " if first else "[") + text(part[first : first + _PIECE])[1:-1]
            yield "]"
        else:
            yield text(part)
    yield "]" if parts else "[]"
