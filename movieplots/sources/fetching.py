"""Downloading a corpus: a file is there complete and checked, or not at all, and a stopped download continues.

Bytes go to `.NAME.part` beside the target, and what the server says of the file (size and version) to
`.NAME.part.json`; a part is continued only where it is still the same file. Two processes must not fetch the same file
into the same folder at once.
"""

import bz2
import contextlib
import ftplib
import gzip
import hashlib
import json
import os
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Column

from movieplots.errors import BadInput
from movieplots.files import atomic_path, ensure_folder, write_json
from movieplots.progress import console, notify, working
from movieplots.sources import get_source
from movieplots.sources.corpus import Download, KaggleFile, Source
from movieplots.texts import as_names

TIMEOUT = 30  # seconds without an answer or a byte
PAUSES = (1, 3, 9)  # seconds before each new try; they begin anew after a try that came further than all before it
CHUNK = 1 << 14  # bytes
AGAIN = "run the same command again"


class _Interrupted(Exception):
    """A transfer failed in a way that another try may mend; the message is the reason."""


class _Refused(Exception):
    """The server gives no such file, and another try would not change that; the message is the reason."""


class _Known(TypedDict):
    """What the server said of a file of which a part is here: its size and version, each None where it is not known."""

    size: int | None
    version: str | None


@dataclass(frozen=True)
class _Stream:
    """The bytes of a file from `start` on, and its whole size and version, each None where the server tells none."""

    start: int
    size: int | None
    version: str | None
    chunks: Generator[bytes, None, None]


def fetch(source: Source, out: Path, everything: bool = False) -> list[Path]:
    """Put the source's files into the folder `out` and return their paths; a file already there is kept.

    Its `extra` files are fetched with `everything` only. Raises BadInput where a file cannot be had or fails its check.
    """
    if not source.downloads and not source.kaggle:
        raise BadInput(f"There is nothing to fetch for {source.name!r}: {source.how_to_get}.")
    downloads = [download for download in source.downloads if everything or not download.extra]
    targets = [target for download in downloads for target in _download(download, out)]
    return targets + _from_kaggle(source.kaggle, out)


def fetch_missing(names: Iterable[str]) -> None:
    """Fetch those of the named sources that have files to fetch and are not where `prepare` looks for them."""
    for source in map(get_source, as_names(names, "source")):
        there = any(not file.name.startswith(".") for file in source.folder.glob("*"))  # .NAME.part is half a file
        if (source.downloads or source.kaggle) and not there:
            fetch(source, source.folder)


def _download(download: Download, out: Path) -> list[Path]:
    targets = {name: out / PurePosixPath(name).name for name in download.members or [download.name]}
    part = out / f".{download.name}.part"
    missing = {name: target for name, target in targets.items() if not _already_there(target)}
    if missing:
        ensure_folder(out)
        try:
            _receive(download, part)
            with working(f"Checking {download.name} …"):
                fault = _fault(download, part)
            if not fault and download.members:
                fault = _take_members(part, missing)
            elif not fault:
                os.replace(part, missing[download.name])
        except _Refused as error:
            raise BadInput(
                f"{download.url} cannot be fetched ({error}): check the address, or get the file elsewhere and put it "
                f"at {' and '.join(map(str, missing.values()))}."
            ) from None
        except OSError as error:
            raise BadInput(
                f"{download.name} cannot be written in {out} ({error.strerror}): make room, then {_again(part)}."
            ) from None
        if fault:
            _discard(part)
            raise BadInput(
                f"{download.name} from {download.url} {fault} and was removed: {AGAIN} to fetch it anew; "
                "if it fails once more, the file at that address is another one now."
            )
    _discard(part)
    return list(targets.values())


def _already_there(target: Path) -> bool:
    if target.is_file():
        notify(f"{target} is already there.")
    return target.is_file()


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _again(part: Path) -> str:
    return f"{AGAIN} to continue at {decimal(_size(part))}" if _size(part) else AGAIN


def _receive(download: Download, part: Path) -> None:
    """Fill the part, in several tries if need be. Raises BadInput where they are used up."""
    columns = (  # 80 characters at most
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=22)),
        BarColumn(bar_width=14),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    furthest, pauses = 0, iter(PAUSES)
    with Progress(*columns, console=console) as progress:
        progress.add_task(download.name, total=None)
        while True:
            try:
                return _try_once(download, part, progress)
            except _Interrupted as error:
                if _size(part) > furthest:
                    furthest, pauses = _size(part), iter(PAUSES)
                pause = next(pauses, None)
                if pause is None:
                    raise BadInput(
                        f"{download.url} cannot be fetched ({error}): check the connection, then {_again(part)}."
                    ) from None
                notify(f"{download.name}: {error}; next try in {pause} s.")
                time.sleep(pause)


def _try_once(download: Download, part: Path, progress: Progress) -> None:
    known = _known(part, download.url)
    have = _size(part) if known["size"] else 0
    task = progress.task_ids[0]
    if have and have == known["size"]:  # stopped between the last byte and the check
        return progress.reset(task, total=have, completed=have)
    transfer = _ftp if urlsplit(download.url).scheme == "ftp" else _http
    stream = transfer(download.url, have, known)
    if have and not stream.start:
        notify(f"{download.name} starts over: it has changed on the server, or the server cannot continue a download.")
    progress.reset(task, total=stream.size, completed=stream.start)
    with contextlib.closing(stream.chunks), open(part, "ab" if stream.start else "wb") as file:
        # A part that starts over is empty here, so that part and notes agree wherever the process is killed.
        write_json(_notes(part), {"url": download.url, "size": stream.size, "version": stream.version})
        for chunk in stream.chunks:
            file.write(chunk)
            progress.update(task, advance=len(chunk))
    if stream.size is not None and _size(part) < stream.size:
        raise _Interrupted(f"the server stopped at {decimal(_size(part))} of {decimal(stream.size)}")


def _known(part: Path, url: str) -> _Known:
    """What the notes say of the part, if they are of this address."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        notes = json.loads(_notes(part).read_bytes())
        if notes["url"] == url:
            return notes
    return {"size": None, "version": None}


def _http(url: str, start: int, known: _Known) -> _Stream:
    """Ask for the bytes from `start` on. The stream starts at 0 where the file changed or the server cannot do that."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        headers |= {"If-Range": known["version"]} if known["version"] else {}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _interrupted(error) from None
    except requests.RequestException as error:  # an address that is none, redirects without end
        raise _Refused(str(error)) from None
    tag = response.headers.get("ETag", "")  # If-Range takes no weak tag (W/"…")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    chunks = _http_chunks(response)
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return _Stream(0, int(length) if length.isdecimal() else None, version, chunks)
    size = known["size"]
    if start and size and response.status_code == 206 and version in (known["version"], None):
        same = response.headers.get("Content-Range") == f"bytes {start}-{size - 1}/{size}"
        if same:  # the rest of the same file
            return _Stream(start, size, known["version"], chunks)
    response.close()
    answer = f"the server answers {response.status_code} {response.reason}"
    if start and response.status_code in (206, 416):  # not the bytes asked for
        return _http(url, 0, known)
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise _Interrupted(answer)
    raise _Refused(answer)


def _http_chunks(response: requests.Response) -> Generator[bytes, None, None]:
    """The bytes as stored: many servers declare a .gz file as encoded, and it must not be unpacked on the way."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _interrupted(error) from None
    finally:
        response.close()


def _ftp(url: str, start: int, known: _Known) -> _Stream:
    """As `_http`, from an FTP server that takes anonymous users."""
    address = urlsplit(url)
    path = unquote(address.path).lstrip("/")
    ftp = ftplib.FTP(timeout=TIMEOUT)
    size = version = None
    try:
        ftp.connect(address.hostname or "", address.port or ftplib.FTP_PORT)
        ftp.login()
        ftp.voidcmd("TYPE I")
        with contextlib.suppress(ftplib.error_perm):  # extensions that a server may lack
            size = ftp.size(path)
            version = ftp.sendcmd(f"MDTM {path}")
        if (size, version) != (known["size"], known["version"]):
            start = 0
        try:
            connection = ftp.transfercmd(f"RETR {path}", rest=start or None)
        except ftplib.error_perm:
            if not start:
                raise
            start = 0  # the server cannot continue
            connection = ftp.transfercmd(f"RETR {path}")
    except ftplib.all_errors as error:
        ftp.close()
        if isinstance(error, ftplib.error_perm):
            raise _Refused(f"the server answers {error}") from None
        raise _interrupted(error) from None
    return _Stream(start, size, version, _ftp_chunks(ftp, connection))


def _ftp_chunks(ftp: ftplib.FTP, connection: Any) -> Generator[bytes, None, None]:
    try:
        with connection:
            while chunk := connection.recv(CHUNK):
                yield chunk
        ftp.voidresp()
    except ftplib.all_errors as error:
        raise _interrupted(error) from None
    finally:
        ftp.close()


def _interrupted(error: Exception) -> _Interrupted:
    if isinstance(error, (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)):
        return _Interrupted(f"no answer in {TIMEOUT} s")
    if isinstance(error, requests.exceptions.SSLError):
        return _Interrupted("the server's certificate is not accepted")
    return _Interrupted(f"the server answers {error}" if isinstance(error, ftplib.Error) else "the connection failed")


def _fault(download: Download, part: Path) -> str | None:
    """What is wrong with a complete part: its size, its checksum, or the archive's own CRC."""
    size = _size(part)
    for expected in (download.size, _known(part, download.url)["size"]):
        if expected is not None and size != expected:
            return f"has {size} bytes where {expected} are expected"
    if download.md5:
        digest = hashlib.md5(usedforsecurity=False)
        with open(part, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != download.md5:
            return f"has the MD5 checksum {digest.hexdigest()} where {download.md5} is expected"
    openers: dict[str, Callable[[Path], BufferedIOBase]] = {".gz": gzip.open, ".bz2": bz2.open}
    opener = openers.get(Path(download.name).suffix)
    if opener:
        try:
            with opener(part) as file:
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error) as error:  # both modules report a wrong CRC as an OSError
            return f"is a damaged archive ({error})"
    return None if size else "is empty"


def _take_members(archive: Path, members: dict[str, Path]) -> str | None:
    """Write these files of the archive, each to its target, nothing else; says what is wrong where one is not found."""
    try:
        with tarfile.open(archive) as tar:
            for name, target in members.items():
                try:
                    content = tar.extractfile(name)  # follows links inside the archive only; None for a folder
                except KeyError:
                    content = None
                if content is None:
                    return f"is no archive that holds a file {name}"
                with atomic_path(target) as temporary, open(temporary, "wb") as file:
                    shutil.copyfileobj(content, file)
    except tarfile.TarError:
        return f"is no archive that holds a file {next(iter(members))}"
    return None


def _from_kaggle(files: tuple[KaggleFile, ...], out: Path) -> list[Path]:
    targets = [out / PurePosixPath(file.name).name for file in files]
    missing = [(file, target) for file, target in zip(files, targets, strict=True) if not _already_there(target)]
    if not missing:
        return targets
    pages = [f"{file.name} from https://www.kaggle.com/datasets/{file.handle}" for file, _ in missing]
    by_hand = f"download {', '.join(pages)} and put {'it' if len(pages) == 1 else 'them'}, unpacked, into {out}"
    try:
        import kagglehub
    except ImportError:
        raise BadInput(
            f"Kaggle gives files to its account holders only: {by_hand}, or `pip install kagglehub` and {AGAIN}."
        ) from None
    ensure_folder(out)
    for file, target in missing:
        try:
            # Without output_dir it goes through kagglehub's own cache, where a stopped download continues.
            _copy_unpacked(Path(kagglehub.dataset_download(file.handle, path=file.name)), target)
        except Exception as error:  # kagglehub's exceptions have no class in common
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BadInput(f"{file.name} cannot be had with kagglehub ({reason}): mend that, or {by_hand}.") from None
    return targets


def _copy_unpacked(delivered: Path, target: Path) -> None:
    """Copy a file that Kaggle delivered, out of the zip archive of the same name if it came in one."""
    if not delivered.exists():
        delivered = delivered.with_name(f"{delivered.name}.zip")
    with atomic_path(target) as temporary:
        if target.suffix == ".zip" or not zipfile.is_zipfile(delivered):
            shutil.copyfile(delivered, temporary)
            return
        with zipfile.ZipFile(delivered) as archive, archive.open(target.name) as content, open(temporary, "wb") as file:
            shutil.copyfileobj(content, file)
