"""Copies of a notebook's working folder on Google Drive, from which a later session resumes.

The notebook works in a folder on the local disk, which is fast; a background thread copies it. Finished results are
copied file by file. An unfinished training is copied as one archive, alternately under two names, so one of them is
always complete. Files are overwritten instead of deleted, because Drive moves deleted files to its trash, which uses
the same space.
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

LISTING = "copies.json"  # in each folder of copies: size and checksum of the valid files
ARCHIVES = ("unfinished-1.zip", "unfinished-2.zip")
SECONDS = 30.0  # between two checks of the working folder
DRIVE_SPEED = 10e6  # assumed upload in bytes per second; after copying, the thread waits for the upload
_CHUNK = 1 << 20  # bytes

Stamp = tuple[int, int]  # size, and checksum or modification time


class DriveCopies:
    """Copies of the folder `work` in the folder `kept`.

    `problem` is the error message of the last attempt to copy, empty if it succeeded.
    """

    def __init__(self, work: Path, kept: Path) -> None:
        self.work, self.kept = work, kept
        self.problem = ""
        self._copied: dict[Path, Stamp] = {}  # file -> size and modification time when it was copied
        # Folder of an unfinished training -> the same for all files of its checkpoints. Other archives are not changed,
        # since they can belong to a notebook that runs elsewhere.
        self._archived: dict[Path, dict[Path, Stamp]] = {}
        self._written = 0
        self._lock = threading.Lock()

    def restore(self) -> int:
        """Restore files that the working folder lacks, and return their number."""
        count = 0
        for listing in sorted(self.kept.rglob(LISTING)):
            folder = self.work / listing.parent.relative_to(self.kept)
            for name, stamp in _read_listing(listing.parent).items():
                if not (folder / name).exists() and _restored(listing.parent / name, folder / name, stamp):
                    self._copied[folder / name] = _state(folder / name)
                    count += 1
        for place in sorted({archive.parent for name in ARCHIVES for archive in self.kept.rglob(name)}):
            folder = self.work / place.relative_to(self.kept)
            if (folder / FILE_NAME).is_file():
                self._archived[folder] = {}  # the session ended after the training and before its results were copied
            elif not (folder / "checkpoints").is_dir():
                count += _unpacked(place, folder)
                self._archived[folder] = _checkpoint_states(_files_of_unfinished(folder))
        return count

    def start(self) -> None:
        """Start copying in the background, until the process ends."""
        threading.Thread(target=self._keep_copying, name="copies to Drive", daemon=True).start()

    def save(self) -> None:
        """Copy changed files; an error is not raised but printed and stored in `problem`."""
        with self._lock:
            problem = ""
            try:
                self._save()
            except Exception as error:  # all errors, since the thread would end silently
                if isinstance(error, FileNotFoundError) and self.kept.is_dir():
                    return  # a file, such as an old checkpoint, was removed during the copy; the next one succeeds
                problem = f"Copying to {self.kept} failed ({error}): mount Google Drive again."
                if disk_full(error):
                    problem = (
                        "Google Drive is full, so nothing is copied: free space there and empty the trash. "
                        "Copying then continues automatically."
                    )
            if problem and problem != self.problem:
                notify(problem)
            self.problem = problem

    def size(self) -> int:
        """Return the size of the copies on Drive in bytes."""
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
        # Only files that this object copied count: another notebook can have copies in the same folder.
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
            self._copied.update(changed)  # after the listing, without which they would not be restored
            for file in gone:
                del self._copied[file]
        if self._archived.pop(folder, None) is not None:  # the training has finished
            for name in ARCHIVES:
                if (kept / name).is_file():
                    _overwrite(kept / name, b"")

    def _save_unfinished(self, folder: Path) -> None:
        """Copy all files of an unfinished training as one archive."""
        kept, files = self.kept / folder.relative_to(self.work), _files_of_unfinished(folder)
        states = _checkpoint_states(files)
        if self._archived.get(folder) == states:
            return
        kept.mkdir(parents=True, exist_ok=True)
        if FILE_NAME in (listing := _read_listing(kept)):  # of an earlier model, which is now trained again
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
    """Yield the folder and its subfolders, except hidden ones, fetched corpora and those of an unfinished training."""
    for place, inner, _ in os.walk(folder):
        yield Path(place)
        unfinished = Path(place) != folder and "checkpoints" in inner
        inner[:] = [] if unfinished else sorted(name for name in inner if name[0] != "." and name != "raw")


def _files_of_unfinished(folder: Path) -> list[Path]:
    """Return the files of an unfinished training, with the last complete checkpoint only."""
    checkpoints = folder / "checkpoints"
    while True:
        last = last_checkpoint(checkpoints)
        older = {path for path in checkpoints.glob("checkpoint-*") if path != last}
        files = [file for inner in _folders(folder) if not older & {inner, *inner.parents} for file in _files(inner)]
        # A checkpoint is removed only after a newer one is complete, so if it is still the last, all files were found.
        if last_checkpoint(checkpoints) == last:
            return files


def _checkpoint_states(files: list[Path]) -> dict[Path, Stamp]:
    """Return the states of the checkpoint files, to detect a new checkpoint."""
    return {file: _state(file) for file in files if any(parent.name == "checkpoints" for parent in file.parents)}


def _files(folder: Path) -> list[Path]:
    """Return the complete files of a folder; hidden files are still being written."""
    return sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != ".")


def _state(file: Path) -> Stamp:
    """Return size and modification time, to detect a changed file."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _stamp(file: Path) -> Stamp:
    """Return size and checksum of a file."""
    size = checksum = 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    return size, checksum


def _copy(file: Path, copy: Path) -> Stamp:
    """Copy a file over another; return size and checksum of the data written."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    size = checksum = 0
    with file.open("rb") as source, copy.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    return size, checksum


def _overwrite(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _read_listing(folder: Path) -> dict[str, Stamp]:
    """Return the valid copies in a folder; none if the listing is missing or damaged."""
    try:
        listing = read_json(folder / LISTING, "")
        return {name: (size, checksum) for name, (size, checksum) in listing.items()}
    except (ValueError, TypeError):
        return {}


def _write_listing(folder: Path, listing: dict[str, Stamp]) -> None:
    _overwrite(folder / LISTING, json.dumps(listing, indent=1).encode())


def _restored(copy: Path, file: Path, stamp: Stamp) -> bool:
    """Restore a file from its copy; return False if the copy is incomplete."""
    if not copy.is_file() or copy.stat().st_size != stamp[0]:
        return False
    with atomic_path(file) as temporary:
        complete = _copy(copy, temporary) == stamp
    if not complete:
        file.unlink()
    return complete


def _number(archive: Path) -> int:
    """Return the number of an archive, the highest for the newest; -1 if it is missing or incomplete."""
    try:
        with ZipFile(archive) as opened:
            return int(opened.comment)
    except (OSError, BadZipFile, ValueError):
        return -1


def _unpacked(place: Path, folder: Path) -> int:
    """Extract the newest complete archive into the folder, and return its number of files."""
    numbers = {name: _number(place / name) for name in ARCHIVES}
    for name in sorted((name for name in ARCHIVES if numbers[name] >= 0), key=lambda name: -numbers[name]):
        try:
            with ZipFile(place / name) as archive, atomic_folder(folder) as temporary:
                archive.extractall(temporary)  # verifies the checksums
                return len(archive.namelist())
        except BadInput:  # the disk is full
            raise
        except (BadZipFile, OSError, ValueError, EOFError, NotImplementedError):
            notify(f"{place / name} is damaged: the previous archive is used.")
            _overwrite(place / name, b"")  # so that it is overwritten next
    return 0
