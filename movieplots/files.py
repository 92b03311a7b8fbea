"""Read and write files; a process that is killed leaves the old file or the new one, never a partial one."""

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

_CHUNK = 1_000  # items of a list that are encoded as JSON together
_A_DAY = 86_400  # seconds
# The end of a temporary name: host and process (see `_writer`) and a random part. Earlier versions wrote no host.
_TEMPORARY = re.compile(r"(?:\.(?P<host>[0-9a-f]{8}))?\.(?P<process>\d+)\.\w+(?:\.tmp)?$")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk full, quota exceeded, file too large


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` on success, remove it on an error."""
    path = Path(path)
    ensure_folder(path.parent)
    _remove_leftovers(path.parent, f".{path.name}.", ".tmp")
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
    """Write indented JSON atomically; the order of the keys is kept."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; on success its files replace those of the same name in `path`."""
    path = Path(path)
    ensure_folder(path)
    _remove_leftovers(path, ".unfinished.")
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
    """Remove a folder if it exists, atomically: it is renamed first."""
    # If this is killed, `_remove_leftovers` removes the rest later.
    aside = folder.with_name(f".unfinished.{_writer()}.{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):
        os.replace(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def included_folder(in_package: str, in_checkout: str) -> Path:
    """Return a folder that is included in the project: in the installed package, or else in the checkout."""
    package = Path(__file__).resolve().parent
    return package / in_package if (package / in_package).is_dir() else package.parent / in_checkout


def _writer() -> str:
    """Return the identity of this process for temporary names: host and process id.

    A process id alone is ambiguous: each container that shares a folder may have a process 1.
    """
    return f"{_host()}.{os.getpid()}"


@functools.cache
def _host() -> str:
    """Return eight digits for the machine or container, within which process ids are unique."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # not on Linux
        namespace = ""
    return fingerprint(socket.gethostname(), namespace)[:8]


def _remove_leftovers(folder: Path, start: str, end: str = "") -> None:
    """Remove temporary files of killed processes: of this host immediately, of other hosts after a day."""
    for leftover in folder.iterdir():
        named = _TEMPORARY.search(leftover.name)
        if not (named and leftover.name.startswith(start) and leftover.name.endswith(end)):
            continue
        with contextlib.suppress(FileNotFoundError):  # another process has just renamed or removed it
            here = named["host"] in (None, _host())
            if (here and not _alive(int(named["process"]))) or time.time() - leftover.stat().st_mtime > _A_DAY:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _alive(process: int) -> bool:
    if os.name == "nt":  # there os.kill(process, 0) would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # a process of another user
    return True


def disk_full(error: BaseException) -> bool:
    """Return whether an error means that the disk is full.

    Libraries in Rust or C++ raise their own errors, which contain the system's error only as text.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    text = str(error)
    named = any(os.strerror(number) in text or f"os error {number}" in text for number in _FULL)
    return named or "PytorchStreamWriter failed writing" in text  # all that torch reports


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Raise BadInput instead of OSError if the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        whole = next((p.parent for p in (path, *path.parents) if p.name.startswith(".unfinished.")), path)
        raise BadInput(f"{whole} cannot be written ({os.strerror(error.errno)}): make room, then run again.") from None


def ensure_folder(path: str | Path) -> Path:
    """Create the folder and its parents; raise BadInput if that is impossible."""
    path = Path(path)
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path} cannot be created ({error.strerror}): choose another folder.") from None
    return path


def check_folder(path: str | Path) -> None:
    """Raise BadInput if the folder cannot be created or written to; create nothing."""
    path = Path(path)
    there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))  # False if forbidden
    if not there.is_dir():
        raise BadInput(f"{there} is a file, not a folder: choose another --output-dir.")
    if not os.access(there, os.W_OK):
        raise BadInput(f"{there} is not writable: choose a folder that you own.")


def check_file(path: str | Path, example: str) -> Path:
    """Return the path of an output file; raise BadInput if it is a folder or its folder is not writable.

    `example` is a file name for the message.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give --output the name of a file, such as {path / example}.")
    check_folder(path.parent)
    return path


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """Return the object in a JSON file of the project; raise BadInput with the `remedy` if the file is damaged.

    A byte-order mark and UTF-16, which editors may write, are accepted.
    """
    with contextlib.suppress(ValueError, OSError):
        found = json.loads(Path(path).read_bytes())  # from bytes, json detects the encoding
        if isinstance(found, dict):
            return found
    raise BadInput(f"{path} is damaged: {remedy}.")


def fingerprint(*parts: Any) -> str:
    """Return a 16-digit hash of JSON-compatible values, the same on every machine."""
    digest = hashlib.sha256()
    for chunk in _json_chunks(parts):
        digest.update(chunk.encode())
    return digest.hexdigest()[:16]


def content_fingerprint(folder: str | Path, pattern: str = "**") -> str:
    """Return a hash of the names and contents of the matching files in a folder, without hidden files and .md files.

    Sizes and times are not used: in a container image, a file with different content can have the same ones.
    """
    digests = {}
    for name in glob.glob(pattern, root_dir=folder, recursive=True):
        file = Path(folder, name)
        if file.is_file() and file.suffix != ".md":
            with file.open("rb") as opened:
                digests[Path(name).as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return fingerprint(digests)


def _json_chunks(parts: tuple[Any, ...]) -> Iterator[str]:
    """Yield the JSON text of the parts in chunks; for a large corpus the whole text would need too much memory."""
    text = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
    for number, part in enumerate(parts):
        yield ", " if number else "["
        if isinstance(part, list) and part:
            for first in range(0, len(part), _CHUNK):
                yield (", " if first else "[") + text(part[first : first + _CHUNK])[1:-1]
            yield "]"
        else:
            yield text(part)
    yield "]" if parts else "[]"
