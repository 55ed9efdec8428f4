"""Sub-videos on this machine's disk: downloaded once, checked, bounded in size, kept while in use.

A clip is one file named after its key and etag. While it is downloaded it is the ``.part`` beside
it, exclusively locked; when it is whole it is synced and renamed. Whoever plays it holds a shared
lock. The kernel drops the locks of a process that dies, so nothing is left to repair.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from plugins.errors import ObjectStoreUnavailableError, SpotOnError, UnavailableError
from plugins.media.clip_files import (
    Checksums,
    Hashes,
    clip_name,
    note_path,
    open_locked,
    remove_unused,
    sync_folder,
    write_all,
    write_note,
)
from plugins.media.object_store import ObjectStore, StoredObject
from plugins.media.timeline import LocalClip, SubVideo, overlapping

DOWNLOAD_ATTEMPTS = 3
STALE_PART_S = 24 * 3600.0
_POLL_S = 0.05
KEPT_BEHIND = 2
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0


class FetchStopped(Exception):  # noqa: N818  # it is no error: the caller asked for it
    """The caller's ``stop`` event was set before the clip was there."""


@dataclass(slots=True)
class _Fetch:
    """One call of ``fetch``: what to get, whom to tell about bytes, when to stop."""

    found: StoredObject
    on_bytes: Callable[[int], None]
    stop: threading.Event

    def check(self) -> None:
        if self.stop.is_set():
            raise FetchStopped(self.found.key)


class ClipCache:
    """Local copies of a store's objects in ``folder``, least recently used ones removed beyond
    ``max_bytes``. Threads and processes may share a folder. Clips in use are never removed, so the
    folder grows beyond ``max_bytes`` rather than stop a playback.
    """

    def __init__(self, folder: Path, store: ObjectStore, max_bytes: int) -> None:
        self._folder = folder
        self._store = store
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._leases: dict[Path, list[int]] = {}
        self._verified: set[Path] = set()
        with self._disk_failures():
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()

    def fetch(
        self,
        key: str,
        *,
        on_bytes: Callable[[int], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> Path:
        """The object as a local file that stays until ``release(path)`` or ``close()``.

        A file of a ``file://`` store is used where it lies. ``on_bytes`` hears how many bytes are
        there so far. Raises MissingRecordingError, InvalidInputError, UnavailableError (the
        store's, or this machine's disk cannot be written) and FetchStopped.
        """
        local = self._store.local_path(key)
        if local is not None:
            on_bytes(self._store.head(key).size)
            return local
        task = _Fetch(self._store.head(key), on_bytes, stop or threading.Event())
        path = self._folder / f"{clip_name(self._store.url, task.found)}.mp4"
        with self._disk_failures():
            while not self._lease(path, task.found):
                task.check()
                self._download(path, task)
        on_bytes(task.found.size)
        return path

    def release(self, path: Path) -> None:
        """Ends one ``fetch`` of ``path``: it may be removed when nobody else uses it."""
        with self._lock:
            leases = self._leases.get(path)
            if not leases:
                return
            os.close(leases.pop())
            if not leases:
                del self._leases[path]

    def close(self) -> None:
        """Releases everything."""
        with self._lock:
            held = [path for path, leases in self._leases.items() for _ in leases]
        for path in held:
            self.release(path)

    def _lease(self, path: Path, found: StoredObject) -> bool:
        """Takes a shared lock on the whole clip; False where there is none."""
        descriptor = open_locked(path, fcntl.LOCK_SH)
        if descriptor is None:
            return False
        if not self._is_whole(path, found):
            path.unlink(missing_ok=True)
            os.close(descriptor)
            return False
        os.utime(path)
        with self._lock:
            self._leases.setdefault(path, []).append(descriptor)
        return True

    def _is_whole(self, path: Path, found: StoredObject) -> bool:
        """Size each time, SHA-256 once per process: disks and people damage files."""
        if path.stat().st_size != found.size:
            return False
        if path not in self._verified:
            try:
                noted = msgspec.json.decode(note_path(path).read_bytes(), type=Checksums)
            except (OSError, msgspec.DecodeError):
                return False
            if Hashes().add_file(path).sha256.hexdigest() != noted.sha256:
                return False
            self._verified.add(path)
        return True

    def _download(self, path: Path, task: _Fetch) -> None:
        """Makes ``path`` whole, or finds that another thread or process has done so."""
        part = path.with_suffix(".part")
        descriptor = self._open_part(part, path, task)
        if descriptor is None:
            return
        with os.fdopen(descriptor, "r+b") as file:
            if path.exists():
                part.unlink(missing_ok=True)
                return
            self._make_room(task.found.size - part.stat().st_size)
            hashes = self._fill(file.fileno(), part, task)
            os.fsync(file.fileno())
            write_note(path, task.found, hashes)
            part.rename(path)
            sync_folder(self._folder)
            self._verified.add(path)

    def _open_part(self, part: Path, path: Path, task: _Fetch) -> int | None:
        """The part file, locked for this download; None once another has finished it."""
        while not path.exists():
            descriptor = open_locked(part, fcntl.LOCK_EX | fcntl.LOCK_NB, create=True)
            if descriptor is not None:
                return descriptor
            task.check()
            time.sleep(_POLL_S)
        return None

    def _fill(self, descriptor: int, part: Path, task: _Fetch) -> Hashes:
        """Downloads what the part lacks; goes on where a break has left it."""
        found = task.found
        if os.fstat(descriptor).st_size > found.size:
            os.ftruncate(descriptor, 0)
        hashes = Hashes().add_file(part)
        for attempts_left in reversed(range(DOWNLOAD_ATTEMPTS)):
            try:
                self._append(descriptor, hashes, task)
                break
            except ObjectStoreUnavailableError:
                if not attempts_left:
                    raise
        if hashes.size != found.size or found.md5 not in {"", hashes.md5.hexdigest()}:
            part.unlink(missing_ok=True)
            raise ObjectStoreUnavailableError(
                f"{found.key} of {self._store.url}: the downloaded bytes do not match its size or "
                "MD5; try again, and upload it again if that does not help"
            )
        return hashes

    def _append(self, descriptor: int, hashes: Hashes, task: _Fetch) -> None:
        task.on_bytes(hashes.size)
        if hashes.size >= task.found.size:
            return
        os.lseek(descriptor, hashes.size, os.SEEK_SET)
        stream = self._store.stream(task.found.key, hashes.size, task.found.etag)
        for chunk in stream:
            task.check()
            write_all(descriptor, chunk)
            hashes.add(chunk)
            task.on_bytes(hashes.size)

    def _make_room(self, wanted_bytes: int) -> None:
        """Removes the least recently used clips and abandoned parts until ``wanted_bytes`` fit."""
        files = sorted(self._files(), key=lambda entry: entry[1])
        total = sum(size for _, _, size in files) + wanted_bytes
        for path, _, size in files:
            if total <= self._max_bytes:
                return
            if remove_unused(path):
                self._verified.discard(path)
                total -= size

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        """(path, last use in seconds since 1970, bytes) of clips and parts."""
        for path in self._folder.iterdir():
            if path.suffix in {".mp4", ".part"}:
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    yield path, stat.st_mtime, stat.st_size

    def _remove_stale(self) -> None:
        before_s = time.time() - STALE_PART_S
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                is_old = path.stat().st_mtime < before_s
                if is_old and path.suffix == ".part":
                    remove_unused(path)
                elif is_old and path.suffix == ".json" and not path.with_suffix(".mp4").exists():
                    path.unlink()

    @contextlib.contextmanager
    def _disk_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnavailableError(
                f"the clip cache {self._folder} cannot be written ({error.strerror or error}): "
                "free space on its disk or check its rights"
            ) from error


class Prefetcher:
    """Downloads each camera's ``sub_videos`` (in order of time) from ``start_ns`` to ``end_ns``.

    Each camera is at most ``ahead`` clips in front of the one asked for; ``workers`` downloads run
    at once. While the object store is away a download is tried again, with growing pauses, for
    ``give_up_after_s``; then the clip is given out with ``path=None`` and the reason, and so are
    the next ones without waiting until the store is back.
    """

    def __init__(
        self,
        cache: ClipCache,
        sub_videos: Mapping[str, Sequence[SubVideo]],
        start_ns: int,
        end_ns: int,
        *,
        ahead: int = 2,
        workers: int = 4,
        give_up_after_s: float = 60.0,
    ) -> None:
        self._cache = cache
        self._ahead = ahead
        self._give_up_after_s = give_up_after_s
        self._wanted = {c: overlapping(s, start_ns, end_ns) for c, s in sub_videos.items()}
        self._ready: dict[str, list[LocalClip]] = {camera: [] for camera in sub_videos}
        self._asked_for = dict.fromkeys(sub_videos, 0)
        self._pinned: set[tuple[str, int]] = set()
        self._bytes_done: dict[str, int] = {}
        self._down_since_s: float | None = None
        self._downloads = threading.Semaphore(workers)
        self._changed = threading.Condition()
        self._stop = threading.Event()
        for camera in sub_videos:
            name = f"prefetch-{camera}"
            threading.Thread(target=self._run, args=(camera,), name=name, daemon=True).start()

    def clips(self, camera_id: str) -> Iterator[LocalClip]:
        """The camera's clips in order of time; each step waits until the clip is there or has
        failed. Ends early at ``close()``. A clip's file stays until the second next is asked for.
        """
        for index in range(len(self._wanted[camera_id])):
            with self._changed:
                self._asked_for[camera_id] = index
                self._changed.notify_all()
                self._release(camera_id, index - KEPT_BEHIND)
                while not self._stop.is_set() and len(self._ready[camera_id]) <= index:
                    self._changed.wait()
                if self._stop.is_set():
                    return
                clip = self._ready[camera_id][index]
            yield clip

    def progress(self) -> tuple[int, int]:
        """(bytes that are there or have failed, bytes of the whole time range)."""
        with self._changed:
            wanted = [s for sub_videos in self._wanted.values() for s in sub_videos]
            done = [min(self._bytes_done.get(s.key, 0), s.size_bytes) for s in wanted]
        return sum(done), sum(s.size_bytes for s in wanted)

    def close(self) -> None:
        """Stops the downloads, ends ``clips`` and releases all files."""
        with self._changed:
            self._stop.set()
            self._changed.notify_all()
            for camera_id, index in list(self._pinned):
                self._release(camera_id, index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _run(self, camera_id: str) -> None:
        """One camera's thread."""
        for index, sub_video in enumerate(self._wanted[camera_id]):
            with self._changed:
                while not self._stop.is_set() and index > self._asked_for[camera_id] + self._ahead:
                    self._changed.wait()
            if self._stop.is_set():
                return
            self._add(camera_id, index, self._get(sub_video))

    def _add(self, camera_id: str, index: int, clip: LocalClip) -> None:
        with self._changed:
            self._ready[camera_id].append(clip)
            self._bytes_done[clip.sub_video.key] = clip.sub_video.size_bytes
            if clip.path is not None:
                self._pinned.add((camera_id, index))
            if self._stop.is_set():
                self._release(camera_id, index)
            self._changed.notify_all()

    def _release(self, camera_id: str, index: int) -> None:
        """Under the lock."""
        if (camera_id, index) in self._pinned:
            self._pinned.remove((camera_id, index))
            path = self._ready[camera_id][index].path
            if path is not None:
                self._cache.release(path)

    def _get(self, sub_video: SubVideo) -> LocalClip:
        """Fetches until it is there, has failed for good, or the store has been away too long."""
        failing_since_s, wait_s = float("inf"), FIRST_WAIT_S
        while True:
            try:
                return self._fetch(sub_video)
            except UnavailableError as error:
                now_s = time.monotonic()
                failing_since_s = min(failing_since_s, self._note_outage(now_s))
                if now_s - failing_since_s >= self._give_up_after_s:
                    return _failed(sub_video, error)
            except (SpotOnError, FetchStopped) as error:
                return _failed(sub_video, error)
            except Exception as error:  # noqa: BLE001  # a camera must not wait for a dead thread
                return _failed(sub_video, error)
            self._stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _fetch(self, sub_video: SubVideo) -> LocalClip:
        def note(bytes_done: int) -> None:
            self._bytes_done[sub_video.key] = bytes_done

        with self._downloads:
            path = self._cache.fetch(sub_video.key, on_bytes=note, stop=self._stop)
        self._down_since_s = None
        return LocalClip(sub_video, path)

    def _note_outage(self, now_s: float) -> float:
        """When the outage began that every camera sees."""
        since_s = self._down_since_s
        if since_s is None:
            self._down_since_s = since_s = now_s
        return since_s


def _failed(sub_video: SubVideo, error: Exception) -> LocalClip:
    line = " ".join(str(error).split()) or type(error).__name__
    return LocalClip(sub_video, None, line)
