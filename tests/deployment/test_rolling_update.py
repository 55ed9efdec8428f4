"""A worker is replaced while its task runs: nothing is lost, stored twice, or another person."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest

from control_plane.embedded import running_services
from control_plane.settings import Settings, as_environment, read_settings
from control_plane.store import Store
from plugins.messages import TaskRequest
from tests.blob_world import FRAMES
from tests.scenarios.blob_scenes import make_long_world
from tests.scenarios.stored import events_of
from tests.stack import data_folder
from tests.waiting import PATIENCE_S

ROUNDS = 2
SETS = FRAMES * ROUNDS


@pytest.fixture(scope="module")
def services() -> Iterator[Settings]:
    with data_folder() as folder:
        world = make_long_world(folder / "world", ROUNDS)
        own = world.settings() | {"SPOTON_DATA_DIR": str(folder / "data")}
        with running_services(read_settings(own)) as complete:
            yield complete


@pytest.fixture
def workers(services: Settings) -> Iterator["Workers"]:
    started = Workers(services)
    yield started
    started.end_all()


class Workers:
    """Processes of ``spoton worker`` over the same services."""

    def __init__(self, settings: Settings) -> None:
        self._environ = os.environ | as_environment(settings)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "control_plane", "worker"]
        self._processes.append(subprocess.Popen(command, env=self._environ))
        return self._processes[-1]

    def end_all(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(PATIENCE_S)


def in_store(settings: Settings, action):
    async def run():
        store = Store(settings.database_url or "")
        try:
            return await action(store)
        finally:
            await store.close()

    return asyncio.run(run())


def queued(settings: Settings) -> str:
    """As fast as it goes, so that nothing is dropped however busy the machine is."""
    request = TaskRequest(str(uuid.uuid4()), "blobs", [], speed=None, seed=3)
    in_store(settings, lambda store: store.create_task(request))
    return request.task_id


def progress_reaches(settings: Settings, task_id: str, is_there) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        row = in_store(settings, lambda store: store.get_task(task_id))
        if is_there(row):
            return
        time.sleep(0.05)
    raise AssertionError(f"task {task_id} did not get there: {row}")


def test_task_of_a_worker_that_is_told_to_end_goes_on_in_the_next(services, workers):
    """As in a rolling update: the events are those of a task that nobody disturbed."""
    old = workers.start()
    disturbed = queued(services)
    progress_reaches(services, disturbed, lambda row: row.progress.frame_index >= 10)

    workers.start()
    old.send_signal(signal.SIGTERM)
    assert old.wait(PATIENCE_S) == 0
    row = in_store(services, lambda store: store.get_task(disturbed))
    assert row.progress.frame_index < SETS - 1, "it had ended before it could be disturbed"
    progress_reaches(services, disturbed, lambda row: row.status == "COMPLETED")

    undisturbed = queued(services)
    progress_reaches(services, undisturbed, lambda row: row.status == "COMPLETED")
    url = services.database_url or ""
    assert events_of(url, disturbed) == events_of(url, undisturbed)
    assert len(events_of(url, disturbed)) > SETS
