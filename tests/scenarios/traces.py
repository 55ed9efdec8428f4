"""What a ``spoton up`` has running, and what it leaves behind in memory."""

import os
import signal
from pathlib import Path

from plugins.inference.triton_runtime import SHARED_MEMORY, shared_memory_prefix
from tests.inference.processes import Process, processes


def processes_of(data_dir: Path) -> list[Process]:
    """Everything that was started over this data directory and lives."""
    return [p for p in processes() if str(data_dir) in p.command or _is_of(p.pid, data_dir)]


def child(data_dir: Path, *words: str, without: str = "\0") -> Process:
    """The process whose command has these words."""
    [found] = [
        p
        for p in processes_of(data_dir)
        if all(word in p.command for word in words) and without not in p.command
    ]
    return found


def kill(process: Process) -> None:
    """As the kernel does when memory runs out."""
    os.kill(process.pid, signal.SIGKILL)


def postmaster(data_dir: Path) -> int:
    """Process id of the embedded PostgreSQL."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def shared_memory_of(data_dir: Path, pids: set[int]) -> list[str]:
    """Regions of its Triton, and of workers that had these process ids."""
    own = (shared_memory_prefix(data_dir / "triton"), *(f"spoton-input-{pid}-" for pid in pids))
    return [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith(own)]


def _is_of(pid: int, data_dir: Path) -> bool:
    """By its settings or its working directory; redis-server writes over its own environment."""
    folder = Path(f"/proc/{pid}")
    try:
        environ = folder.joinpath("environ").read_bytes().split(b"\0")
        return f"SPOTON_DATA_DIR={data_dir}".encode() in environ or _is_in(folder, data_dir)
    except OSError:
        return False


def _is_in(folder: Path, data_dir: Path) -> bool:
    return folder.joinpath("cwd").readlink().is_relative_to(data_dir)
