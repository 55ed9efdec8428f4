"""Memory that this process and a Triton server on the same machine both see."""

import contextlib
import fcntl
import mmap
import os
import re
import secrets
from pathlib import Path

import numpy as np
import numpy.typing as npt

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where POSIX shared memory lives on Linux
NAME_PREFIX = "spoton-input"
_NAME = re.compile(NAME_PREFIX + r"-(\d+)-[\w-]+")


class SharedRegion:
    """A POSIX shared memory region that is locked and named by its owner's pid.

    Raises OSError where /dev/shm is full or absent: space is taken now, so that a write later
    cannot end the process. ``pixels`` is uint8 of shape (byte_size,).
    """

    def __init__(self, label: str, byte_size: int) -> None:
        self.name = f"{NAME_PREFIX}-{os.getpid()}-{label}-{secrets.token_hex(4)}"
        self.byte_size = byte_size
        self._path = SHARED_MEMORY / self.name
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._descriptor, 0, byte_size)
            memory = mmap.mmap(self._descriptor, byte_size)
        except OSError:
            self.close()
            raise
        self.pixels: npt.NDArray[np.uint8] = np.frombuffer(memory, np.uint8)

    def close(self) -> None:
        """Unlink the region; the memory itself goes with the last array that views it."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sweep_regions() -> int:
    """Unlink regions of processes that are gone; returns how many.

    A region is left alone while its owner lives or holds its lock: an owner in another container
    has a pid that says nothing here.
    """
    names = [path for path in SHARED_MEMORY.glob(f"{NAME_PREFIX}-*") if _NAME.fullmatch(path.name)]
    return sum(_remove_if_stale(path) for path in names)


def _remove_if_stale(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if match is None or Path("/proc", match[1]).exists():
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
