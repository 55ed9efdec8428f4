"""What the control plane adds to a request: its rate beside a bare Litestar handler's.

``python -m benchmarks.api`` serves both from processes of their own, over the same uvicorn, and
asks them in turn over kept connections. The bare ``live`` answers a constant; the bare ``status``
makes the two reads a task's status needs (its row, its live progress) and hands on what it got;
``status/constant`` is our status beside the bare constant, which reads nothing. Ours check the
token and the role, count requests, measure, and build the whole answer besides. Printed are
requests a second and their ratio, and the processor time of a request and the ratio of that, which
other programs on the machine change less; medians of the rounds; JSON on the last line.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import asyncpg
import httpx
import msgspec
import redis
import redis.asyncio
from litestar import Litestar, get

from benchmarks.processor_time import of_process
from control_plane.app import create_app, make_server, open_listener
from control_plane.settings import Settings
from homography.environment import load_environments
from plugins.messages import CameraProgress, TaskProgress, TaskRequest, progress_key
from tests.control_plane.people import ADMIN_PASSWORD
from tests.control_plane.serving import write_hall
from tests.control_plane.stored_world import run
from tests.services import free_port, postgres_url, redis_url

CONNECTIONS = 8
TASK_ID = str(uuid.UUID(int=7))
STATUS = f"/api/v1/processing-tasks/{TASK_ID}/status"
TARGET = 0.8


def main() -> int:
    """Both questions, in rounds that alternate between the two servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with TemporaryDirectory() as folder, servers(Path(folder)) as (ours, bare, token):
        found = {
            name: compared(
                (*ours, path, token), (*bare, plain, None), args.seconds, args.rounds, name
            )
            for name, path, plain in (
                ("live", "/live", "/live"),
                ("status", STATUS, "/status"),
                ("status/constant", STATUS, "/live"),
            )
        }
    print(json.dumps(found))
    return 0


def compared(ours: Any, bare: Any, seconds: float, rounds: int, name: str) -> dict[str, float]:
    pairs = [(measured(*ours, seconds), measured(*bare, seconds)) for _ in range(rounds)]
    found = {
        "ours_per_s": statistics.median(mine.per_s for mine, _ in pairs),
        "bare_per_s": statistics.median(theirs.per_s for _, theirs in pairs),
        "ratio": statistics.median(mine.per_s / theirs.per_s for mine, theirs in pairs),
        "ours_core_us": statistics.median(mine.core_us for mine, _ in pairs),
        "bare_core_us": statistics.median(theirs.core_us for _, theirs in pairs),
        "core_ratio": statistics.median(theirs.core_us / mine.core_us for mine, theirs in pairs),
    }
    print(
        f"{name:15} ours {found['ours_per_s']:7.0f}/s   bare {found['bare_per_s']:7.0f}/s   ratio "
        f"{found['ratio']:.2f} (target {TARGET})   core-us {found['ours_core_us']:.0f} and "
        f"{found['bare_core_us']:.0f}   ratio {found['core_ratio']:.2f}"
    )
    return {key: round(value, 3) for key, value in found.items()}


class Measured(NamedTuple):
    """Requests a second, and microseconds of the server's processor time for each."""

    per_s: float
    core_us: float


def measured(pid: int, port: int, path: str, token: str | None, seconds: float) -> Measured:
    """One server, asked for a while."""
    before = of_process(pid)
    per_s = rate(port, path, token, seconds)
    return Measured(per_s, (of_process(pid) - before) * 1e3 / (per_s * seconds))


def rate(port: int, path: str, token: str | None, seconds: float) -> float:
    """Answered requests a second."""
    return asyncio.run(_rate(port, path, token, seconds))


async def _rate(port: int, path: str, token: str | None, seconds: float) -> float:
    until = time.perf_counter() + seconds
    counts = await asyncio.gather(*(_client(port, path, token, until) for _ in range(CONNECTIONS)))
    return sum(counts) / seconds


async def _client(port: int, path: str, token: str | None, until: float) -> int:
    """One kept connection; the least a client can do, so that the servers are what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    credentials = f"Authorization: Bearer {token}\r\n" if token else ""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{credentials}\r\n".encode()
    count = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count


@contextmanager
def servers(folder: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Process id and port of both, and a token for ours."""
    ours = Settings(
        port=free_port(),
        data_dir=folder,
        environments_dir=write_hall(folder),
        database_url=postgres_url(),
        redis_url=redis_url(),
        admin_password=ADMIN_PASSWORD,
        requests_per_min=10_000_000,
        log_level="warning",
    )
    store_task(ours)
    bare_port = free_port()
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=serve_ours, args=(ours,)),
        spawn.Process(target=serve_bare, args=(bare_port, ours.database_url, ours.redis_url)),
    ]
    for process in processes:
        process.start()
    try:
        for port in (ours.port, bare_port):
            wait_for(port)
        body = {"username": "admin", "password": ADMIN_PASSWORD}
        login = httpx.post(f"http://127.0.0.1:{ours.port}/api/v1/auth/login", json=body)
        pids = [process.pid or 0 for process in processes]
        token = login.raise_for_status().json()["access_token"]
        yield (pids[0], ours.port), (pids[1], bare_port), token
    finally:
        for process in processes:
            process.terminate()
            process.join()


def store_task(settings: Settings) -> None:
    """A task that plays, as its worker reports it."""
    request = TaskRequest(TASK_ID, "hall", ["h1", "h2", "h3", "h4"])
    run(str(settings.database_url), lambda store: store.create_task(request))
    cameras = {camera_id: CameraProgress(900, 1, 0, 10.0) for camera_id in request.cameras}
    progress = TaskProgress(status="PROCESSING", cameras=cameras)
    client = redis.Redis.from_url(str(settings.redis_url))
    client.set(progress_key(TASK_ID), msgspec.json.encode(progress))
    client.close()


def serve_ours(settings: Settings) -> None:
    """The control plane."""
    app = create_app(settings, load_environments(settings.environment_folders()))
    listener = open_listener("127.0.0.1", settings.port)
    make_server(app).run(sockets=[listener])


def serve_bare(port: int, database: str, redis_address: str) -> None:
    """Two handlers and nothing else."""
    live_state = redis.asyncio.Redis.from_url(redis_address)
    pools: list[Any] = []

    @get("/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @get("/status")
    async def status() -> dict[str, Any]:
        async with pools[0].acquire() as connection:
            row = await connection.fetchrow("select * from tasks where task_id = $1", TASK_ID)
        progress = msgspec.json.decode(await live_state.get(progress_key(TASK_ID)))
        return {"task_id": str(row["task_id"]), "status": row["status"]} | progress

    async def open_pool() -> None:
        pools.append(await asyncpg.create_pool(database, min_size=0, max_size=10))

    app = Litestar([live, status], on_startup=[open_pool], openapi_config=None, logging_config=None)
    listener = open_listener("127.0.0.1", port)
    make_server(app).run(sockets=[listener])


def wait_for(port: int) -> None:
    """Until it answers."""
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/live")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"nothing answers on port {port}")


if __name__ == "__main__":
    raise SystemExit(main())
