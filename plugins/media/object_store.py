"""Where recordings and exports lie: S3 and its likes, or a folder through the same narrow seam."""

import contextlib
import io
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from plugins.errors import InvalidInputError, MissingRecordingError, ObjectStoreUnavailableError

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. ``etag`` changes whenever its bytes do; ``md5`` is their hex digest where the
    store tells it, else empty.
    """

    key: str
    size: int
    etag: str
    md5: str = ""


class ObjectStore(Protocol):
    """What SpotOn needs of an object store. Keys are relative to the store's URL.

    Every method raises ``ObjectStoreUnavailableError`` when the store refuses, times out or breaks
    off, ``MissingRecordingError`` when it has no such key, and ``InvalidInputError`` when bucket,
    folder, rights or key are wrong. Implementations may be shared by threads.
    """

    @property
    def url(self) -> str:
        """The store's own URL: names it in messages and in caches."""
        ...

    def list(self, prefix: str) -> Sequence[StoredObject]:
        """All objects whose key starts with ``prefix``, by key."""
        ...

    def head(self, key: str) -> StoredObject:
        """Size and etag of one object."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        ...

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``, fewer where the object ends before."""
        ...

    def stream(self, key: str, start: int = 0, etag: str = "") -> Iterator[bytes]:
        """The bytes from ``start`` to the end; fails if the object no longer has ``etag``."""
        ...

    def put(self, key: str, source: Path | bytes) -> StoredObject:
        """Store a file or bytes under ``key``: readers see the old or the new object, no half."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens where there is none."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The object as a file of this machine where it is one, so that nobody copies it."""
        ...


def open_object_store(
    url: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    connect_timeout_s: float = 5.0,
    read_timeout_s: float = 20.0,
    attempts: int = 3,
) -> "ObjectStore":
    """The store behind ``s3://bucket[/base]`` or ``file:///folder``. Connects to nothing yet.

    Without ``access_key`` the S3 client takes credentials from its default chain (environment,
    profile, instance role). Raises InvalidInputError where the URL or endpoint cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme != "s3" or not parts.netloc:
        raise InvalidInputError(
            f"object store URL {url!r} cannot be used: give s3://bucket[/base] or file:///folder"
        )
    from plugins.media.s3_store import open_s3_store  # noqa: PLC0415  # a folder needs no boto3

    return open_s3_store(
        parts.netloc,
        unquote(parts.path).strip("/"),
        endpoint_url=endpoint_url,
        region=region,
        access_key=access_key,
        secret_key=secret_key,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
        attempts=attempts,
    )


class FolderStore:
    """The files of one folder, as objects. Symbolic links may not lead out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def url(self) -> str:
        """``file://`` and the absolute folder."""
        return self._folder.absolute().as_uri()

    def list(self, prefix: str) -> Sequence[StoredObject]:
        """As ``ObjectStore.list``; uploads still under way are left out."""
        start = self._folder
        for name in PurePosixPath(prefix).parts[: None if prefix.endswith("/") else -1]:
            start /= checked_key(name)
        with self._failures(prefix):
            self._require_folder()
            found = [self._describe(path) for path in _files(start)]
        return sorted((o for o in found if o and o.key.startswith(prefix)), key=lambda o: o.key)

    def head(self, key: str) -> StoredObject:
        """As ``ObjectStore.head``."""
        path = self._path(key)
        with self._failures(key):
            found = self._describe(path) if path.is_file() else None
            if found:
                return found
            self._require_folder()
        raise MissingRecordingError(f"{self.url} has no {key!r}: put the file there")

    def exists(self, key: str) -> bool:
        """As ``ObjectStore.exists``."""
        return has_object(self, key)

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """As ``ObjectStore.read_range``."""
        self.head(key)
        with self._failures(key), self._path(key).open("rb") as file:
            file.seek(start)
            return file.read(max(length, 0))

    def stream(self, key: str, start: int = 0, etag: str = "") -> Iterator[bytes]:
        """As ``ObjectStore.stream``."""
        if etag and self.head(key).etag != etag:
            raise ObjectStoreUnavailableError(f"{key!r} changed while it was read: try again")
        self.head(key)
        with self._failures(key), self._path(key).open("rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def put(self, key: str, source: Path | bytes) -> StoredObject:
        """As ``ObjectStore.put``: written beside, synced, then renamed."""
        path = self._path(key)
        self._require_folder()
        with opened(source) as origin, self._failures(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.upload")
            try:
                _write_synced(part, origin)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return self.head(key)

    def delete(self, key: str) -> None:
        """As ``ObjectStore.delete``."""
        path = self._path(key)
        self._require_folder()
        with self._failures(key):
            path.unlink(missing_ok=True)

    def local_path(self, key: str) -> Path | None:
        """The file itself. Raises as ``head``."""
        self.head(key)
        return self._path(key)

    def _path(self, key: str) -> Path:
        path = self._folder / checked_key(key)
        with self._failures(key):
            if not path.resolve().is_relative_to(self._folder.resolve()):
                raise InvalidInputError(
                    f"{key!r} leads out of {self.url} through a symbolic link: copy the file in"
                )
        return path

    def _require_folder(self) -> None:
        if not self._folder.is_dir():
            raise InvalidInputError(
                f"there is no folder {self._folder}: create it or correct the store's URL"
            )

    def _describe(self, path: Path) -> StoredObject | None:
        """None where the file is gone again, no plain file, or a link out of the folder."""
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            key = path.relative_to(self._folder).as_posix()
            if path.is_file() and path.resolve().is_relative_to(self._folder.resolve()):
                return StoredObject(key, stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_ino:x}")
        return None

    @contextlib.contextmanager
    def _failures(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise MissingRecordingError(f"{self.url} has no {key!r}: put it there") from error
        except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
            raise InvalidInputError(
                f"{key!r} of {self.url} cannot be used ({error.strerror}): check the folder's "
                "owner and rights"
            ) from error
        except OSError as error:
            raise ObjectStoreUnavailableError(
                f"{key!r} of {self.url}: {error}; check the disk, then try again"
            ) from error


def has_object(store: ObjectStore, key: str) -> bool:
    """Whether ``head`` finds the key."""
    try:
        store.head(key)
    except MissingRecordingError:
        return False
    return True


def checked_key(key: str) -> str:
    """The key, if it is a plain relative path; InvalidInputError otherwise."""
    is_plain = all(part not in {"", ".", ".."} for part in key.split("/"))
    if not is_plain or "\\" in key or not key.isprintable():
        raise InvalidInputError(
            f"object key {key!r} cannot be used: give a relative path without '..', such as "
            "campus/c01/sub_video_01.mp4"
        )
    return key


def _files(folder: Path) -> Iterator[Path]:
    """All files below, save uploads under way. A folder that cannot be read is an OSError."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for at, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if not (name.startswith(".") and name.endswith(".upload")):
                yield Path(at) / name


def opened(source: Path | bytes) -> BinaryIO:
    """The bytes of either, to be read once."""
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _write_synced(path: Path, origin: BinaryIO) -> None:
    with path.open("xb") as target:
        shutil.copyfileobj(origin, target, CHUNK_BYTES)
        target.flush()
        os.fsync(target.fileno())
