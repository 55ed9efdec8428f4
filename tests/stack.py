"""SpotOn as its users start it: ``spoton up`` and ``spoton run`` in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from plugins.messages import TERMINAL_STATUSES
from tests.services import free_port
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
SPOTON = (sys.executable, "-m", "control_plane")


@dataclass(frozen=True)
class Stack:
    """A running ``spoton up``."""

    process: "subprocess.Popen[bytes]"
    address: str
    data_dir: Path

    @property
    def api(self) -> httpx.Client:
        """A client of its REST interface."""
        return httpx.Client(base_url=f"{self.address}/api/v1", timeout=PATIENCE_S)

    @property
    def websocket(self) -> str:
        """The address its WebSockets begin with."""
        return self.address.replace("http", "ws")

    def urls(self) -> dict[str, str]:
        """Of the services it has started."""
        announced = json.loads((self.data_dir / "services.json").read_text())
        return dict(announced["urls"])

    def start_task(self, **body: Any) -> str:
        """The new task's id."""
        answer = self.api.post("/processing-tasks/start", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def status(self, task_id: str) -> dict[str, Any]:
        """The task's status resource."""
        answer = self.api.get(f"/processing-tasks/{task_id}/status")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(
        self,
        task_id: str,
        until: Callable[[dict[str, Any]], bool] = lambda s: s["status"] in TERMINAL_STATUSES,
    ) -> dict[str, Any]:
        """The first status that fulfils ``until``; by default the final one."""
        deadline = time.monotonic() + PATIENCE_S
        while not until(status := self.status(task_id)):
            assert time.monotonic() < deadline, f"still {status}"
            time.sleep(0.1)
        return status


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder that the embedded PostgreSQL, which never runs as root, may reach too."""
    with tempfile.TemporaryDirectory(prefix="spoton-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def running_stack(settings: Mapping[str, str], data_dir: Path) -> Iterator[Stack]:
    """``spoton up`` until the block ends; everything it started must end with it."""
    port = free_port()
    with (data_dir / "up.log").open("ab") as output:
        process = subprocess.Popen(
            [*SPOTON, "up"],
            env=environment(settings, data_dir) | {"SPOTON_PORT": str(port)},
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    stack = Stack(process, f"http://127.0.0.1:{port}", data_dir)
    try:
        _wait_until_live(stack)
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()


def environment(settings: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """Variables of this process less SpotOn's own, and those given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SPOTON_")}
    return inherited | dict(settings) | {"SPOTON_DATA_DIR": str(data_dir)}


def spoton(
    *arguments: str, settings: Mapping[str, str], data_dir: Path
) -> "subprocess.CompletedProcess[str]":
    """A command to its end."""
    return subprocess.run(
        [*SPOTON, *arguments],
        env=environment(settings, data_dir),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def last_json(output: str) -> Any:
    """The object on the last line."""
    return msgspec.json.decode(output.splitlines()[-1])


def _wait_until_live(stack: Stack) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert stack.process.poll() is None, (stack.data_dir / "up.log").read_text()
        try:
            if httpx.get(f"{stack.address}/live").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError((stack.data_dir / "up.log").read_text())
