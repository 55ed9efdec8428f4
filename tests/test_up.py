"""``spoton up`` as people use it in a terminal: what it shows, and how it ends."""

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.commands.up import Parts, address_of, wait_for_api
from control_plane.settings import Settings
from plugins.errors import SpotOnError
from tests.blob_world import FRAMES, BlobWorld, make_blob_world
from tests.services import free_port
from tests.stack import ROOT, SPOTON, data_folder, environment, spoton
from tests.triton_fixtures import require_triton
from tests.waiting import PATIENCE_S, wait_until

PLAY = ("up", "--play", "blobs", "--speed")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> BlobWorld:
    require_triton()
    return make_blob_world(tmp_path_factory.mktemp("up"))


@contextmanager
def started(*arguments: str, settings: dict[str, str], data_dir: Path) -> Iterator["Shown"]:
    """The command in the background; ended in any case."""
    path = data_dir / "shown.txt"
    with path.open("wb") as output:
        process = subprocess.Popen(
            [*SPOTON, *arguments],
            env=environment(settings, data_dir),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield Shown(process, path)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


class Shown:
    """A command that runs, and what it has printed."""

    def __init__(self, process: "subprocess.Popen[bytes]", path: Path) -> None:
        self.process, self._path = process, path

    @property
    def text(self) -> str:
        return self._path.read_text(encoding="utf-8")

    def shows(self, words: str) -> bool:
        assert self.process.poll() is None, self.text
        return words in self.text


def on_a_free_port(world: BlobWorld) -> tuple[dict[str, str], str]:
    port = free_port()
    return world.settings() | {"SPOTON_PORT": str(port)}, f"http://127.0.0.1:{port}"


def claimed(data_dir: Path) -> int:
    """How often a worker has taken a task."""
    return (data_dir / "logs" / "worker.log").read_text().count("task_claimed")


def test_playing_shows_where_to_watch_and_what_was_achieved(world) -> None:
    """The page's address on one line, the closing table, status 0; nothing goes on after it."""
    settings, address = on_a_free_port(world)
    with data_folder() as folder:
        done = spoton(*PLAY, "max", "--exit", settings=settings, data_dir=folder)
        assert not (folder / "services.json").exists()
    assert done.returncode == 0, done.stderr
    assert f"SpotOn is up: {address} (logs: {folder}/logs)" in done.stderr
    assert f"Watch it live: {address}/?task=" in done.stderr
    [totals] = [line for line in done.stderr.splitlines() if "COMPLETED" in line]
    assert [cell.strip() for cell in totals.split("│")[1:4]] == ["COMPLETED", str(FRAMES), "0"]
    for camera_id in ("north", "east", "south", "west"):
        assert camera_id in done.stderr


def test_ctrl_c_stops_the_task_so_that_the_next_one_is_played_at_once(world) -> None:
    """Nothing failed, so the status is 0; what was begun is not played again."""
    settings, _ = on_a_free_port(world)
    with data_folder() as folder:
        with started(*PLAY, "0.25", settings=settings, data_dir=folder) as up:
            wait_until(lambda: up.shows("Watch it live"))
            wait_until(lambda: claimed(folder) == 1)
            up.process.send_signal(signal.SIGINT)
            assert up.process.wait(PATIENCE_S) == 0, up.text
        assert "STOPPED" in up.text
        after = spoton(*PLAY, "max", "--exit", settings=settings, data_dir=folder)
        assert claimed(folder) == 2
    assert after.returncode == 0, after.stderr
    assert "COMPLETED" in after.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:3847"),
        ("localhost", "http://localhost:3847"),
        ("0.0.0.0", "http://127.0.0.1:3847"),  # noqa: S104
        ("::1", "http://[::1]:3847"),
        ("::", "http://[::1]:3847"),
    ],
)
def test_the_address_shown_is_one_that_a_browser_can_open(host: str, expected: str) -> None:
    """Whatever is listened on."""
    assert address_of(host, 3847) == expected


BAD_PLACES = {
    "an address of another machine": ({"SPOTON_HOST": "203.0.113.7"}, "cannot listen", "HOST"),
    "no data directory": ({"SPOTON_DATA_DIR": "/proc/nope"}, "/proc/nope", "SPOTON_DATA_DIR"),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_place_that_cannot_be_used_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    """With the setting to change, before any service starts."""
    settings, *words = BAD_PLACES[name]
    data_dir = Path(settings.get("SPOTON_DATA_DIR", tmp_path))
    port = {"SPOTON_PORT": str(free_port())}
    done = spoton("up", settings=settings | port, data_dir=data_dir)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    for word in words:
        assert word in line


def test_a_port_that_is_taken_is_no_bad_host(tmp_path: Path) -> None:
    """It says which, and which setting gives another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = spoton("up", settings={"SPOTON_PORT": str(port)}, data_dir=tmp_path)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert "SPOTON_PORT" in done.stderr


def test_a_control_plane_that_cannot_start_is_given_up_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    """After a few deaths, not a minute of them; here its port is taken behind its back."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as taken:
        port = taken.getsockname()[1]
        away = free_port()
        settings = Settings(
            port=port,
            data_dir=tmp_path,
            database_url=f"postgresql://127.0.0.1:{away}/spoton",
            redis_url=f"redis://127.0.0.1:{away}/0",
            triton_url=f"127.0.0.1:{away}",
        )
        parts = Parts(settings)
        try:
            with pytest.raises(SpotOnError, match=f"port {port} of 127.0.0.1 is taken"):
                wait_for_api(address_of("127.0.0.1", away), parts, threading.Event())
        finally:
            parts.stop()
