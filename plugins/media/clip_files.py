"""The files of the clip cache: their names, locks and checksums."""

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from plugins.media.object_store import StoredObject

_HASH_CHUNK_BYTES = 1024 * 1024


class Checksums(msgspec.Struct, frozen=True):
    """Written beside a whole clip."""

    key: str
    etag: str
    size: int
    sha256: str


class Hashes:
    """Running checksums of a download."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """The next bytes."""
        self.sha256.update(chunk)
        self.md5.update(chunk)
        self.size += len(chunk)

    def add_file(self, path: Path) -> "Hashes":
        """The bytes of a whole file; returns itself."""
        with path.open("rb") as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                self.add(chunk)
        return self


def clip_name(store_url: str, found: StoredObject) -> str:
    """A changed object has another name, so that no download mixes two versions."""
    identity = "\n".join((store_url, found.key, found.etag, str(found.size)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def note_path(path: Path) -> Path:
    """Where the checksums of the clip at ``path`` lie."""
    return path.with_suffix(".json")


def write_note(path: Path, found: StoredObject, hashes: Hashes) -> None:
    """Puts a clip's checksums on disk, before the clip itself appears there."""
    note = Checksums(found.key, found.etag, found.size, hashes.sha256.hexdigest())
    with note_path(path).open("wb") as file:
        file.write(msgspec.json.encode(note))
        file.flush()
        os.fsync(file.fileno())


def open_locked(path: Path, lock: int, *, create: bool = False) -> int | None:
    """A descriptor that holds ``lock`` on the file at ``path``; None where there is none, or it is
    locked by another, or went away meanwhile.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, lock)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def remove_unused(path: Path) -> bool:
    """Removes a clip or part that nobody holds; False where somebody does."""
    descriptor = open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if descriptor is None:
        return False
    path.unlink(missing_ok=True)
    if path.suffix == ".mp4":
        note_path(path).unlink(missing_ok=True)
    os.close(descriptor)
    return True


def write_all(descriptor: int, chunk: bytes) -> None:
    """``os.write`` until everything is written."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Puts a rename inside ``folder`` on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
