"""Bare servers on our WebSocket library.

One reads sets from a socket and sends them to all, the least that can be done; one sends back what
it is sent, so that it receives every byte that it sends.
"""

import asyncio
import multiprocessing
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import uvicorn
import websockets
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from benchmarks.processor_time import of_process
from tests.services import free_port


class PlainProtocol(WebSocketsSansIOProtocol):
    """Pictures do not shrink: without deflate, as our own server sends them."""

    def handle_connect(self, event: Any) -> None:
        """Offers no extension."""
        self.conn.available_extensions = []
        super().handle_connect(event)


def serve_bare(port: int, source_port: int) -> None:
    """Until it is terminated: uvicorn on ``port``, length-prefixed sets in on ``source_port``."""
    queues: set[asyncio.Queue[bytes]] = set()

    async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while True:
            (length,) = struct.unpack("<I", await reader.readexactly(4))
            message = await reader.readexactly(length)
            for queue in queues:
                queue.put_nowait(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            source = await asyncio.start_server(read, "127.0.0.1", source_port, limit=2**22)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            source.close()
            return
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)
        while True:
            await send({"type": "websocket.send", "bytes": await queue.get()})

    uvicorn.run(app, port=port, ws=PlainProtocol, log_level="critical")


def serve_echo(port: int) -> None:
    """Until it is terminated: uvicorn on ``port``, each message back to whoever sent it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": event["bytes"]})

    uvicorn.run(app, port=port, ws=PlainProtocol, log_level="critical")


def echo_cpu_per_megabyte(
    message: bytes, clients: int, seconds: float, messages_per_s: float
) -> float:
    """Processor seconds of a server that sends back what it is sent, per megabyte sent back. Each
    client sends ``message`` at that rate, or as fast as the two keep up.
    """
    port = free_port()
    url, turns = f"ws://127.0.0.1:{port}", round(seconds * messages_per_s)
    with bare_server(serve_echo, port) as pid:
        connected(port).close()
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(
            target=echoed, args=(url, [message] * clients, turns, 1 / messages_per_s, theirs)
        )
        process.start()
        theirs.close()
        ours.recv()  # all are connected
        cpu = of_process(pid)
        received: int = ours.recv()
        cpu = of_process(pid) - cpu
        process.join()
        return cpu / 1e3 / (received / 1e6)


def echoed(
    url: str, messages: Sequence[bytes], turns: int, every_s: float, pipe: "Connection[Any, Any]"
) -> None:
    """A client for each message; through ``pipe`` first a word, then the bytes that came back."""
    asyncio.run(_echoed(url, messages, turns, every_s, pipe))


async def _echoed(
    url: str, messages: Sequence[bytes], turns: int, every_s: float, pipe: "Connection[Any, Any]"
) -> None:
    clients = [await websockets.connect(url, max_size=None, compression=None) for _ in messages]
    pipe.send("connected")
    start = time.monotonic()

    async def one(client: websockets.ClientConnection, message: bytes) -> int:
        received = 0
        for turn in range(turns):
            await asyncio.sleep(start + turn * every_s - time.monotonic())
            await client.send(message)
            received += len(await client.recv())
        return received

    pairs = zip(clients, messages, strict=True)
    pipe.send(sum(await asyncio.gather(*(one(*pair) for pair in pairs))))
    for client in clients:
        client.transport.abort()


@contextmanager
def bare_server(serve: Callable[..., None], *ports: int) -> Iterator[int]:
    """The process id of one in a process of its own."""
    process = multiprocessing.Process(target=serve, args=ports, daemon=True)
    process.start()
    try:
        yield process.pid or 0
    finally:
        process.kill()  # asked politely it would wait for its clients to leave
        process.join()


def connected(port: int) -> socket.socket:
    for _ in range(200):
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")
