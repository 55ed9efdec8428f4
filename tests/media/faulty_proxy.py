"""A TCP proxy on 127.0.0.1 in front of an HTTP server, which breaks on purpose."""

import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

from tests.waiting import PATIENCE_S

_BUFFER = 16 * 1024


@dataclass
class FaultyProxy:
    """Passes bytes on to ``target_port``.

    ``cut_after`` bytes of answers the connection dies; after ``stall_after`` it goes silent until
    ``close``; with ``trickle_s`` each 100 bytes take that long. Only the next ``faults_left``
    connections suffer. It hangs up on requests that name ``refused``. ``answer`` replaces the
    server's. ``requests`` are the heads that came in.
    """

    target_port: int
    cut_after: int | None = None
    stall_after: int | None = None
    trickle_s: float = 0.0
    refused: str = ""
    answer: bytes = b""
    faults_left: int = 1_000_000
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._end.set()
        # Closing alone does not wake accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for opened in self._sockets:
            _hang_up(opened)
        self._thread.join(PATIENCE_S)

    def ranges(self) -> list[int]:
        """First byte of each range that was asked for with GET."""
        heads = [head for head in self.requests if head.startswith("GET")]
        found = [re.search(r"(?i)\r\nrange: bytes=(\d+)-", head) for head in heads]
        return [int(match[1]) for match in found if match]

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.answer:
                self._serve_answer(client)
                return
            server = socket.create_connection(("127.0.0.1", self.target_port))
            self._sockets.append(server)
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            self._give_back(server, client)

    def _serve_answer(self, client: socket.socket) -> None:
        while head := client.recv(_BUFFER):
            self.requests.append(head.decode("latin-1"))
            client.sendall(self.answer)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := client.recv(_BUFFER):
                if content[:5] in {b"GET /", b"HEAD ", b"PUT /", b"POST "}:
                    self.requests.append(content.decode("latin-1"))
                if self.refused and self.refused in content.decode("latin-1"):
                    _hang_up(client)
                    break
                server.sendall(content)
        _hang_up(server)

    def _give_back(self, server: socket.socket, client: socket.socket) -> None:
        given = 0
        while content := server.recv(100 if self.trickle_s else _BUFFER):
            client.sendall(content)
            given += len(content)
            if self.trickle_s:
                self._end.wait(self.trickle_s)
            if self.stall_after is not None and given > self.stall_after and self._is_faulty():
                self._end.wait()
            if self.cut_after is not None and given > self.cut_after and self._is_faulty():
                break
        _hang_up(client)

    def _is_faulty(self) -> bool:
        self.faults_left -= 1
        return self.faults_left >= 0


def _hang_up(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()
