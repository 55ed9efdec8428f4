"""Live fan-out: many clients in other processes, a stalled and a slow one, and bare servers.

``python -m benchmarks.live`` serves generated sets of four 720p pictures at 10 sets a second from a
real control plane over a real Redis and PostgreSQL, and prints one JSON object on the last line.
Latency is from publishing (stamped into each set) to receiving, by one clock of one machine.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import numpy as np
import redis
import simplejpeg
import websockets

from benchmarks.bare_websocket import (
    bare_server,
    connected,
    echo_cpu_per_megabyte,
    serve_bare,
)
from benchmarks.processor_time import of_process
from plugins.media_time import to_rfc3339
from plugins.messages import frames_stream, tracks_stream
from plugins.wire import encode_set
from tests.control_plane.serving import update_of, write_hall
from tests.services import free_port, postgres_url, redis_url
from tests.stack import environment

SETS_PER_S = 10
SMALL_BUFFER = 16 * 1024
SLOW_BYTES_PER_S = 125_000
ROOT = Path(__file__).parent.parent
Latencies = list[float]
Figures = dict[str, Any]


def main() -> int:
    """Every measurement in turn."""
    args = _arguments().parse_args()
    with control_plane() as server:
        found = {
            name: told(name, measure(clients, args.seconds))
            for name, measure, clients in (
                ("metadata", server.metadata, args.clients),
                ("pictures", server.pictures, args.binary_clients),
                ("processor", server.processor, args.binary_clients),
            )
        }
    print(json.dumps(found))
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=200, help="metadata clients")
    parser.add_argument("--binary-clients", type=int, default=20, help="clients of pictures")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    return parser


def told(name: str, figures: Figures) -> Figures:
    """Prints figures as soon as they are there."""
    print(name, json.dumps(figures), flush=True)
    return figures


class Server:
    """A control plane in a process of its own, and what it is fed with."""

    def __init__(self, port: int, pid: int, redis_at: str) -> None:
        self._port, self._pid = port, pid
        self._redis = redis.Redis.from_url(redis_at)
        self._jpegs = {f"h{k + 1}": picture(k) for k in range(4)}

    def metadata(self, clients: int, seconds: float) -> Figures:
        """So many clients of updates."""
        task_id = self._new_task()
        with listening(self._url("tracking", task_id), clients, seconds) as collect:
            cpu = self._publish(task_id, seconds)
            latencies, received = collect()
        return figures_of(latencies) | {
            "clients": clients,
            "received_share": round(len(latencies) / (clients * seconds * SETS_PER_S), 3),
            "server_cpu_share": round(cpu / seconds, 3),
            "megabytes": round(received / 1e6, 2),
        }

    def pictures(self, clients: int, seconds: float) -> Figures:
        """Clients of pictures alone, then beside one that reads nothing and one of 1 Mbit/s."""
        alone, _, _ = self._pictures(clients, seconds)
        task_id = self._new_task()
        before = self._memory_mb()
        stalled = stalled_client(self._port, task_id)
        slow = multiprocessing.Process(target=slow_client, args=(self._port, task_id, seconds))
        slow.start()
        beside, _, _ = self._pictures(clients, seconds, task_id)
        grown = self._memory_mb() - before
        slow.join()
        stalled.close()
        return {
            "alone": alone,
            "beside_stalled_and_slow": beside,
            "p99_ratio": round(beside["p99_ms"] / alone["p99_ms"], 3),
            "p50_ratio": round(beside["p50_ms"] / alone["p50_ms"], 3),
            "memory_grown_mb": round(grown, 1),
        }

    def processor(self, clients: int, seconds: float) -> Figures:
        """Processor seconds per delivered megabyte: here, and from two bare servers on the same
        WebSocket library. One echoes what its clients send, so that it also receives every
        megabyte; one reads each set once from a local socket, as we do, and broadcasts it.
        """
        _, cpu, received = self._pictures(clients, seconds)
        own = cpu / (received / 1e6)
        message = self._message(0)
        echo = echo_cpu_per_megabyte(message, clients, seconds, SETS_PER_S)
        broadcast = broadcast_cpu_per_megabyte(message, clients, seconds)
        return {
            "cpu_ms_per_mb": round(own * 1e3, 3),
            "echo_cpu_ms_per_mb": round(echo * 1e3, 3),
            "broadcast_cpu_ms_per_mb": round(broadcast * 1e3, 3),
            "ratio_to_echo": round(own / echo, 3),
            "ratio_to_broadcast": round(own / broadcast, 3),
        }

    def _pictures(
        self, clients: int, seconds: float, task_id: str | None = None
    ) -> tuple[dict[str, float], float, int]:
        task_id = task_id or self._new_task()
        with listening(self._url("frames", task_id), clients, seconds) as collect:
            cpu = self._publish(task_id, seconds)
            latencies, received = collect()
        share = round(len(latencies) / (clients * seconds * SETS_PER_S), 3)
        return figures_of(latencies) | {"received_share": share}, cpu, received

    def _publish(self, task_id: str, seconds: float) -> float:
        """Feeds both streams at the rate; returns the server's processor seconds meanwhile."""
        cpu, start = cpu_seconds(self._pid), time.monotonic()
        for index in range(round(seconds * SETS_PER_S)):
            time.sleep(max(start + index / SETS_PER_S - time.monotonic(), 0))
            entry = f"{index + 1}-0"
            message = self._message(index)
            update = stamped(index)
            self._redis.xadd(frames_stream(task_id), {"set": message}, id=entry, maxlen=32)
            self._redis.xadd(tracks_stream(task_id), {"json": update}, id=entry, maxlen=3000)
        time.sleep(0.5)
        return cpu_seconds(self._pid) - cpu

    def _message(self, index: int) -> bytes:
        return encode_set(
            index, time.time_ns(), stamped(index), self._jpegs, 80, is_incomplete=False
        )

    def _new_task(self) -> str:
        body = {"environment_id": "hall"}
        url = f"http://127.0.0.1:{self._port}/api/v1/processing-tasks/start"
        return str(httpx.post(url, json=body).json()["task_id"])

    def _url(self, kind: str, task_id: str) -> str:
        return f"ws://127.0.0.1:{self._port}/ws/{kind}/{task_id}"

    def _memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6


def stamped(index: int) -> bytes:
    """An update that says when it was published."""
    now = to_rfc3339(time.time_ns())
    return msgspec.json.encode(
        msgspec.structs.replace(update_of(index), timestamp_processed_utc=now)
    )


def picture(seed: int) -> bytes:
    """A 720p JPEG of about the size that footage has at quality 80."""
    coarse = np.random.default_rng(seed).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    picture = np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8)))
    encoded: bytes = simplejpeg.encode_jpeg(picture, quality=60, colorsubsampling="420")
    return encoded


@contextmanager
def control_plane() -> Iterator[Server]:
    """``spoton api`` with an environment of its own."""
    port, redis_at = free_port(), redis_url()
    with TemporaryDirectory(prefix="spoton-bench-") as name:
        folder = write_hall(Path(name))
        given = {
            "SPOTON_PORT": str(port),
            "SPOTON_ENVIRONMENTS_DIR": str(folder),
            "SPOTON_ANONYMOUS": "true",
            "SPOTON_LOG_LEVEL": "warning",
            "DATABASE_URL": postgres_url(),
            "REDIS_URL": redis_at,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "control_plane", "api"],
            env=environment(given, folder),
            cwd=ROOT,
        )
        try:
            await_live(port)
            yield Server(port, process.pid, redis_at)
        finally:
            process.terminate()
            process.wait()


def await_live(port: int) -> None:
    for _ in range(600):
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the control plane did not answer on port {port}")


@contextmanager
def listening(url: str, clients: int, seconds: float) -> Iterator[object]:
    """Clients in another process; inside the block call it for latencies and received bytes."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=listen, args=(url, clients, seconds, theirs), daemon=True
    )
    process.start()
    theirs.close()  # so that a listener that dies ends the wait for it
    ours.recv()  # all are connected
    try:
        yield ours.recv
    finally:
        process.join(30)
        process.kill()


def listen(url: str, clients: int, seconds: float, pipe: object) -> None:
    asyncio.run(_listen(url, clients, seconds, pipe))


async def _listen(url: str, clients: int, seconds: float, pipe: object) -> None:
    latencies: Latencies = []
    received = [0]
    sockets = [await websockets.connect(url, max_size=None) for _ in range(clients)]
    pipe.send("connected")  # type: ignore[attr-defined]
    end = time.monotonic() + seconds + 0.3

    async def one(client: websockets.ClientConnection) -> None:
        while (left := end - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    message = await client.recv()
                    received[0] += len(message)
                    if (sent_s := published_s(message)) is not None:
                        latencies.append(time.time() - sent_s)

    await asyncio.gather(*(one(client) for client in sockets))
    pipe.send((latencies, received[0]))  # type: ignore[attr-defined]
    for client in sockets:
        client.transport.abort()


class Stamp(msgspec.Struct):
    """The part of an update that says when it was published."""

    timestamp_processed_utc: str


class Message(msgspec.Struct):
    """A ``tracking_update``."""

    type: str
    payload: msgspec.Raw


def published_s(message: str | bytes) -> float | None:
    """When a set was published; None for other messages. Pictures carry it as media time."""
    if isinstance(message, bytes):
        return int(struct.unpack_from("<q", message, 16)[0]) / 1e9
    decoded = msgspec.json.decode(message, type=Message)
    if decoded.type != "tracking_update":
        return None
    at = message.index('"timestamp_processed_utc":"') + 27
    return to_seconds(message[at : message.index('"', at)])


def to_seconds(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415  # only clients need it

    return datetime.fromisoformat(text).timestamp()


def stalled_client(port: int, task_id: str) -> socket.socket:
    """Asks for pictures and reads nothing."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    client.sendall(
        f"GET /ws/frames/{task_id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return client


def slow_client(port: int, task_id: str, seconds: float) -> None:
    """Reads 1 Mbit/s."""
    with stalled_client(port, task_id) as client:
        client.settimeout(1.0)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(TimeoutError):
                client.recv(SLOW_BYTES_PER_S // 20)
            time.sleep(0.05)


def broadcast_cpu_per_megabyte(message: bytes, clients: int, seconds: float) -> float:
    """Of a server that reads the set from a local socket and broadcasts it, nothing else."""
    port, source = free_port(), free_port()
    with bare_server(serve_bare, port, source) as pid:
        feed = connected(source)
        connected(port).close()
        with listening(f"ws://127.0.0.1:{port}", clients, seconds) as collect:
            cpu, start = cpu_seconds(pid), time.monotonic()
            for index in range(round(seconds * SETS_PER_S)):
                time.sleep(max(start + index / SETS_PER_S - time.monotonic(), 0))
                feed.sendall(struct.pack("<I", len(message)) + message)
            time.sleep(0.5)
            cpu = cpu_seconds(pid) - cpu
            _, received = collect()
        return cpu / (received / 1e6)


def figures_of(latencies: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    in_ms = np.array(latencies) * 1e3
    p50, p95, p99 = np.percentile(in_ms, [50, 95, 99])
    return {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2)}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process's threads so far."""
    return of_process(pid) / 1e3


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main())
