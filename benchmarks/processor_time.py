"""Processor time by thread and by process, as Linux accounts for it under ``/proc``."""

import os
import re
import threading
from collections import Counter
from pathlib import Path


def by_thread() -> dict[int, tuple[str, float]]:
    """Name and milliseconds so far of each thread of this process, by its id.

    Python's threads go by their Python name, others by what they call themselves; numbers and
    camera ids at their end are cut off.
    """
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = {}
    for task in Path("/proc/self/task").iterdir():
        thread_id = int(task.name)
        try:
            name = names.get(thread_id) or (task / "comm").read_text().strip()
            found[thread_id] = (re.sub(r"[-_]?(cam)?[\d_]+$", "", name), _ms(task))
        except OSError:  # it has ended meanwhile
            continue
    return found


def by_program(folder: Path) -> dict[str, float]:
    """Milliseconds so far of all other processes that work on ``folder``, by program."""
    spent: Counter[str] = Counter()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) != os.getpid() and _mentions(process, folder):
                tasks = (process / "task").iterdir()
                spent[(process / "comm").read_text().strip()] += sum(_ms(task) for task in tasks)
        except OSError:
            continue
    return dict(spent)


def of_process(pid: int) -> float:
    """Milliseconds so far of all threads that a process has."""
    return sum(_ms(task) for task in Path(f"/proc/{pid}/task").iterdir())


def _ms(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[0]) / 1e6


def _mentions(process: Path, folder: Path) -> bool:
    known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    return str(folder).encode() in known + str((process / "cwd").readlink()).encode()
