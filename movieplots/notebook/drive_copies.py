"""Copies of a notebook's working folder on Google Drive, from which a later session continues.

Work goes on in a folder on the local disk, which is fast; a thread copies from there in the background. What is
finished is copied file by file. A training that is not finished is copied as one archive, written under two fixed names
in turn, so that one of them is always whole. Files are overwritten, not deleted: Drive moves what is deleted to its
trash, which counts against the space as well.
"""

import json
import os
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from movieplots.errors import BadInput
from movieplots.files import atomic_folder, atomic_path, disk_full, read_json
from movieplots.progress import notify
from movieplots.runs.folder import FILE_NAME, last_checkpoint

LISTING = "copies.json"  # in each folder of copies: size and checksum of the files that count
ARCHIVES = ("unfinished-1.zip", "unfinished-2.zip")
SECONDS = 30.0  # between two looks at the working folder
DRIVE_SPEED = 10e6  # bytes per second that are taken to be uploaded; copying waits until they should be
_PIECE = 1 << 20

Stamp = tuple[int, int]  # size, and checksum or time of change


class DriveCopies:
    """Copies of the folder `work` in the folder `kept`.

    `problem` says why the last attempt to copy failed; it is empty where there was none.
    """

    def __init__(self, work: Path, kept: Path) -> None:
        self.work, self.kept = work, kept
        self.problem = ""
        self._copied: dict[Path, Stamp] = {}  # file -> size and time of change when it was copied
        # Folder of an unfinished training -> the same of all files of its checkpoints. Only the archives of these are
        # changed: others may be of a notebook that runs elsewhere.
        self._archived: dict[Path, dict[Path, Stamp]] = {}
        self._written = 0
        self._lock = threading.Lock()

    def restore(self) -> int:
        """Bring back what the working folder lacks, and return how many files that were."""
        count = 0
        for listing in sorted(self.kept.rglob(LISTING)):
            folder = self.work / listing.parent.relative_to(self.kept)
            for name, stamp in _read_listing(listing.parent).items():
                if not (folder / name).exists() and _brought_back(listing.parent / name, folder / name, stamp):
                    self._copied[folder / name] = _state(folder / name)
                    count += 1
        for place in sorted({archive.parent for name in ARCHIVES for archive in self.kept.rglob(name)}):
            folder = self.work / place.relative_to(self.kept)
            if (folder / FILE_NAME).is_file():
                self._archived[folder] = {}  # the session ended between the training's end and the next copying
            elif not (folder / "checkpoints").is_dir():
                count += _unpacked(place, folder)
                self._archived[folder] = _checkpoint_states(_files_of_unfinished(folder))
        return count

    def start(self) -> None:
        """Copy in the background from here on, until the process ends."""
        threading.Thread(target=self._keep_copying, name="copies to Drive", daemon=True).start()

    def save(self) -> None:
        """Copy what has changed. What goes wrong is said rather than raised, and stands in `problem`."""
        with self._lock:
            problem = ""
            try:
                self._save()
            except Exception as error:  # whatever it is: a thread that ends would copy no more, without a word
                if isinstance(error, FileNotFoundError) and self.kept.is_dir():
                    return  # a file that went while it was read, as an old checkpoint's; what came instead is next
                problem = f"Copying to {self.kept} failed ({error}): mount Google Drive again."
                if disk_full(error):
                    problem = (
                        "Google Drive is full and copying has stopped: free some space there and empty its trash, then "
                        "copying goes on by itself."
                    )
            if problem and problem != self.problem:
                notify(problem)
            self.problem = problem

    def size(self) -> int:
        """Bytes that the copies take on Drive."""
        return sum(file.stat().st_size for file in self.kept.rglob("*") if file.is_file())

    def _keep_copying(self) -> None:
        while True:
            before = self._written
            self.save()
            time.sleep(max(SECONDS, (self._written - before) / DRIVE_SPEED))

    def _save(self) -> None:
        for folder in _folders(self.work):
            if (folder / "checkpoints").is_dir():
                self._save_unfinished(folder)
            else:
                self._save_files(folder)

    def _save_files(self, folder: Path) -> None:
        kept = self.kept / folder.relative_to(self.work)
        changed = [(file, state) for file in _files(folder) if self._copied.get(file) != (state := _state(file))]
        # Only what was here counts as gone: another notebook may keep its files in the same folder.
        gone = [file for file in self._copied if file.parent == folder and not file.exists()]
        if changed or gone:
            listing = _read_listing(kept)
            for file, _ in changed:
                copy = kept / file.name
                if file.name not in listing or not copy.is_file() or _stamp(file) != listing[file.name]:
                    listing[file.name] = _copy(file, copy)
                    self._written += copy.stat().st_size
            for file in gone:
                if listing.pop(file.name, None):
                    _overwrite(kept / file.name, b"")
            _write_listing(kept, listing)
            self._copied.update(changed)  # only now: what no listing names would not be brought back
            for file in gone:
                del self._copied[file]
        if self._archived.pop(folder, None) is not None:  # the training has come to its end
            for name in ARCHIVES:
                if (kept / name).is_file():
                    _overwrite(kept / name, b"")

    def _save_unfinished(self, folder: Path) -> None:
        """All files of a training that is not finished as one archive."""
        kept, files = self.kept / folder.relative_to(self.work), _files_of_unfinished(folder)
        states = _checkpoint_states(files)
        if self._archived.get(folder) == states:
            return
        kept.mkdir(parents=True, exist_ok=True)
        if FILE_NAME in (listing := _read_listing(kept)):  # of a model that is now trained anew
            del listing[FILE_NAME]
            _write_listing(kept, listing)
        numbers = {name: _number(kept / name) for name in ARCHIVES}
        oldest = min(ARCHIVES, key=lambda name: numbers[name])
        with ZipFile(kept / oldest, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
            archive.comment = str(max(numbers.values()) + 1).encode()
        self._written += (kept / oldest).stat().st_size
        self._archived[folder] = states


def _folders(folder: Path) -> Iterator[Path]:
    """The folder and those in it, without hidden ones, fetched corpora and what belongs to an unfinished training."""
    for place, inner, _ in os.walk(folder):
        yield Path(place)
        unfinished = Path(place) != folder and "checkpoints" in inner
        inner[:] = [] if unfinished else sorted(name for name in inner if name[0] != "." and name != "raw")


def _files_of_unfinished(folder: Path) -> list[Path]:
    """What belongs to a training that is not finished: of its checkpoints only the last whole one."""
    checkpoints = folder / "checkpoints"
    while True:
        last = last_checkpoint(checkpoints)
        older = {path for path in checkpoints.glob("checkpoint-*") if path != last}
        files = [file for inner in _folders(folder) if not older & {inner, *inner.parents} for file in _files(inner)]
        # A checkpoint is removed only after newer ones have come, so the files of one that is still the last are all.
        if last_checkpoint(checkpoints) == last:
            return files


def _checkpoint_states(files: list[Path]) -> dict[Path, Stamp]:
    """What tells whether a checkpoint is another one than before."""
    return {file: _state(file) for file in files if any(parent.name == "checkpoints" for parent in file.parents)}


def _files(folder: Path) -> list[Path]:
    """The files of a folder that are whole: hidden ones are still being written."""
    return sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != ".")


def _state(file: Path) -> Stamp:
    """What tells whether a file has changed."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _stamp(file: Path) -> Stamp:
    """Size and checksum of a file."""
    size = checksum = 0
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    return size, checksum


def _copy(file: Path, copy: Path) -> Stamp:
    """Copy a file over another, and return size and checksum of what was written."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    size = checksum = 0
    with file.open("rb") as source, copy.open("wb") as target:
        while piece := source.read(_PIECE):
            target.write(piece)
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    return size, checksum


def _overwrite(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _read_listing(folder: Path) -> dict[str, Stamp]:
    """What counts among the copies in a folder; nothing where the listing was cut short or is none."""
    try:
        listing = read_json(folder / LISTING, "")
        return {name: (size, checksum) for name, (size, checksum) in listing.items()}
    except (ValueError, TypeError):
        return {}


def _write_listing(folder: Path, listing: dict[str, Stamp]) -> None:
    _overwrite(folder / LISTING, json.dumps(listing, indent=1).encode())


def _brought_back(copy: Path, file: Path, stamp: Stamp) -> bool:
    """Whether a copy was whole and is now in the working folder; one that was cut short is left out."""
    if not copy.is_file() or copy.stat().st_size != stamp[0]:
        return False
    with atomic_path(file) as temporary:
        whole = _copy(copy, temporary) == stamp
    if not whole:
        file.unlink()
    return whole


def _number(archive: Path) -> int:
    """Which number an archive has, the newest the highest; -1 where there is none that is whole."""
    try:
        with ZipFile(archive) as opened:
            return int(opened.comment)
    except (OSError, BadZipFile, ValueError):
        return -1


def _unpacked(place: Path, folder: Path) -> int:
    """Unpack the newest archive that is whole into the folder, and return how many files it held."""
    numbers = {name: _number(place / name) for name in ARCHIVES}
    for name in sorted((name for name in ARCHIVES if numbers[name] >= 0), key=lambda name: -numbers[name]):
        try:
            with ZipFile(place / name) as archive, atomic_folder(folder) as temporary:
                archive.extractall(temporary)  # which checks the checksums
                return len(archive.namelist())
        except BadInput:  # no room on the disk
            raise
        except (BadZipFile, OSError, ValueError, EOFError, NotImplementedError):
            notify(f"{place / name} is damaged; the archive before it is taken.")
            _overwrite(place / name, b"")  # so that it is the next to be written over
    return 0
