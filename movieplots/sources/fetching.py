"""Download of corpora: files are written only when complete and verified, and interrupted downloads resume.

The data is written to `.NAME.part` next to the target, and the size and version of the file on the server to
`.NAME.part.json`. A download resumes only if these are unchanged. Two processes must not download the same file into
the same folder at the same time.
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

TIMEOUT = 30  # seconds without a response or data
PAUSES = (
    1,
    3,
    9,
)  # seconds before each retry; they start again after an attempt that received more data than all before
CHUNK = 1 << 14  # bytes
AGAIN = "run the same command again"


class _Interrupted(Exception):
    """A transfer failed for a temporary reason, which is the message."""


class _Refused(Exception):
    """A transfer failed for a permanent reason, which is the message."""


class _Known(TypedDict):
    """Size and version of a partly downloaded file on the server; None if unknown."""

    size: int | None
    version: str | None


@dataclass(frozen=True)
class _Stream:
    """The bytes of a file from `start`, and its total size and version; None if the server does not report them."""

    start: int
    size: int | None
    version: str | None
    chunks: Generator[bytes, None, None]


def fetch(source: Source, out: Path, everything: bool = False) -> list[Path]:
    """Download the files of a source that are not in the folder yet.

    Parameters
    ----------
    source : Source
        Source from `movieplots.sources.get_source`.
    out : Path
        Folder for the files.
    everything : bool, default False
        Whether to download `extra` files as well.

    Returns
    -------
    list of Path
        Paths of all files, including those that existed.

    Raises
    ------
    BadInput
        If the source has no files, or one cannot be downloaded, written or verified. Partial downloads are kept: the
        next call resumes.
    """
    if not source.downloads and not source.kaggle:
        raise BadInput(f"The source {source.name!r} has no files to fetch: {source.how_to_get}.")
    downloads = [download for download in source.downloads if everything or not download.extra]
    targets = [target for download in downloads for target in _download(download, out)]
    return targets + _from_kaggle(source.kaggle, out)


def fetch_missing(names: Iterable[str]) -> None:
    """Download the files of sources that are missing from the folder in which `prepare` looks for them.

    Parameters
    ----------
    names : iterable of str
        Names of sources, as `movieplots sources` prints them. Sources without files to download are ignored.

    Raises
    ------
    BadInput
        If a name is unknown, or a file cannot be downloaded, written or verified.

    Examples
    --------
    >>> from movieplots.sources.fetching import fetch_missing
    >>> fetch_missing(["sample"])  # comes with the project: nothing to download
    """
    for source in map(get_source, as_names(names, "source")):
        present = any(not file.name.startswith(".") for file in source.folder.glob("*"))  # .NAME.part is incomplete
        if (source.downloads or source.kaggle) and not present:
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
                problem = _problem(download, part)
            if not problem and download.members:
                problem = _take_members(part, missing)
            elif not problem:
                os.replace(part, missing[download.name])
        except _Refused as error:
            raise BadInput(
                f"{download.url} cannot be downloaded ({error}). Check the address, or get the file elsewhere and save "
                f"it as {' and '.join(map(str, missing.values()))}."
            ) from None
        except OSError as error:
            raise BadInput(
                f"{download.name} cannot be written to {out} ({error.strerror}). Free disk space, then {_again(part)}."
            ) from None
        if problem:
            _discard(part)
            raise BadInput(
                f"{download.name} from {download.url} {problem} and was deleted: {AGAIN}. If it fails again, the file "
                "at this address has changed."
            )
    _discard(part)
    return list(targets.values())


def _already_there(target: Path) -> bool:
    if target.is_file():
        notify(f"{target} already exists.")
    return target.is_file()


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _again(part: Path) -> str:
    return f"{AGAIN} to resume at {decimal(_size(part))}" if _size(part) else AGAIN


def _receive(download: Download, part: Path) -> None:
    """Download the file to `part`, with retries. Raises BadInput if all fail."""
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
                        f"{download.url} cannot be downloaded ({error}). Check the connection, then {_again(part)}."
                    ) from None
                notify(f"{download.name}: {error}; retrying in {pause} s.")
                time.sleep(pause)


def _try_once(download: Download, part: Path, progress: Progress) -> None:
    known = _known(part, download.url)
    have = _size(part) if known["size"] else 0
    task = progress.task_ids[0]
    if have and have == known["size"]:  # interrupted between the last byte and the check
        return progress.reset(task, total=have, completed=have)
    transfer = _ftp if urlsplit(download.url).scheme == "ftp" else _http
    stream = transfer(download.url, have, known)
    if have and not stream.start:
        notify(f"{download.name} restarts: it changed on the server, or the server cannot resume downloads.")
    progress.reset(task, total=stream.size, completed=stream.start)
    with contextlib.closing(stream.chunks), open(part, "ab" if stream.start else "wb") as file:
        # A restarted part is empty at this point, so the part and its record match even if the process is killed.
        write_json(_notes(part), {"url": download.url, "size": stream.size, "version": stream.version})
        for chunk in stream.chunks:
            file.write(chunk)
            progress.update(task, advance=len(chunk))
    if stream.size is not None and _size(part) < stream.size:
        raise _Interrupted(f"the server sent only {decimal(_size(part))} of {decimal(stream.size)}")


def _known(part: Path, url: str) -> _Known:
    """Return the recorded size and version of the part, if the record is for this address."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        notes = json.loads(_notes(part).read_bytes())
        if notes["url"] == url:
            return notes
    return {"size": None, "version": None}


def _http(url: str, start: int, known: _Known) -> _Stream:
    """Request the bytes from `start`. The stream starts at 0 if the file changed or the server cannot resume."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        headers |= {"If-Range": known["version"]} if known["version"] else {}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _interrupted(error) from None
    except requests.RequestException as error:  # an invalid address, or too many redirects
        raise _Refused(str(error)) from None
    tag = response.headers.get("ETag", "")  # If-Range does not accept weak tags (W/"…")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    chunks = _http_chunks(response)
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return _Stream(0, int(length) if length.isdecimal() else None, version, chunks)
    size = known["size"]
    if start and size and response.status_code == 206 and version in (known["version"], None):
        same = response.headers.get("Content-Range") == f"bytes {start}-{size - 1}/{size}"
        if same:  # the remaining bytes of the same file
            return _Stream(start, size, known["version"], chunks)
    response.close()
    answer = f"the server responded {response.status_code} {response.reason}"
    if start and response.status_code in (206, 416):  # not the requested bytes
        return _http(url, 0, known)
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise _Interrupted(answer)
    raise _Refused(answer)


def _http_chunks(response: requests.Response) -> Generator[bytes, None, None]:
    """Yield the bytes without decoding: many servers declare a .gz file as encoded, but it must stay compressed."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _interrupted(error) from None
    finally:
        response.close()


def _ftp(url: str, start: int, known: _Known) -> _Stream:
    """Do the same as `_http` for an FTP server with anonymous access."""
    address = urlsplit(url)
    path = unquote(address.path).lstrip("/")
    ftp = ftplib.FTP(timeout=TIMEOUT)
    size = version = None
    try:
        ftp.connect(address.hostname or "", address.port or ftplib.FTP_PORT)
        ftp.login()
        ftp.voidcmd("TYPE I")
        with contextlib.suppress(ftplib.error_perm):  # optional commands of a server
            size = ftp.size(path)
            version = ftp.sendcmd(f"MDTM {path}")
        if (size, version) != (known["size"], known["version"]):
            start = 0
        try:
            connection = ftp.transfercmd(f"RETR {path}", rest=start or None)
        except ftplib.error_perm:
            if not start:
                raise
            start = 0  # the server cannot resume
            connection = ftp.transfercmd(f"RETR {path}")
    except ftplib.all_errors as error:
        ftp.close()
        if isinstance(error, ftplib.error_perm):
            raise _Refused(f"the server responded {error}") from None
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
        return _Interrupted(f"no response within {TIMEOUT} s")
    if isinstance(error, requests.exceptions.SSLError):
        return _Interrupted("the certificate of the server is not valid")
    return _Interrupted(f"the server responded {error}" if isinstance(error, ftplib.Error) else "the connection failed")


def _problem(download: Download, part: Path) -> str | None:
    """Check the size, the checksum and the CRC of a complete part, and return what is wrong, or None."""
    size = _size(part)
    for expected in (download.size, _known(part, download.url)["size"]):
        if expected is not None and size != expected:
            return f"has {size} bytes instead of {expected}"
    if download.md5:
        digest = hashlib.md5(usedforsecurity=False)
        with open(part, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != download.md5:
            return f"has the MD5 checksum {digest.hexdigest()} instead of {download.md5}"
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
    """Extract only these files of the archive to their targets, and return what is wrong, or None."""
    try:
        with tarfile.open(archive) as tar:
            for name, target in members.items():
                try:
                    content = tar.extractfile(name)  # follows links only inside the archive; None for a folder
                except KeyError:
                    content = None
                if content is None:
                    return f"is not an archive with a file {name}"
                with atomic_path(target) as temporary, open(temporary, "wb") as file:
                    shutil.copyfileobj(content, file)
    except tarfile.TarError:
        return f"is not an archive with a file {next(iter(members))}"
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
            f"Kaggle requires an account: {by_hand}, or run `pip install kagglehub` and then {AGAIN}."
        ) from None
    ensure_folder(out)
    for file, target in missing:
        try:
            # Without output_dir, kagglehub uses its own cache, so an interrupted download resumes.
            _copy_unpacked(Path(kagglehub.dataset_download(file.handle, path=file.name)), target)
        except Exception as error:  # kagglehub's exceptions have no common class
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BadInput(
                f"{file.name} cannot be downloaded with kagglehub ({reason}): fix this, or {by_hand}."
            ) from None
    return targets


def _copy_unpacked(delivered: Path, target: Path) -> None:
    """Copy a file from Kaggle, extracting it if it is in a zip archive of the same name."""
    if not delivered.exists():
        delivered = delivered.with_name(f"{delivered.name}.zip")
    with atomic_path(target) as temporary:
        if target.suffix == ".zip" or not zipfile.is_zipfile(delivered):
            shutil.copyfile(delivered, temporary)
            return
        with zipfile.ZipFile(delivered) as archive, archive.open(target.name) as content, open(temporary, "wb") as file:
            shutil.copyfileobj(content, file)
