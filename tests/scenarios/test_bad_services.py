"""Services that are away, die or come back in the middle of a task.

Each disturbed task must store the very rows of an undisturbed one: nothing is lost, stored twice
or given to another person.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import websockets

from control_plane.postgres_wheel import close_postgres, open_postgres
from tests.media.faulty_proxy import FaultyProxy
from tests.object_server import KEYS, REGION, bucket_of
from tests.scenarios.blob_scenes import make_long_world
from tests.scenarios.stored import events_of, fetch
from tests.scenarios.traces import child, kill, postmaster, processes_of, shared_memory_of
from tests.services import free_port
from tests.stack import (
    ROOT,
    SPOTON,
    Stack,
    data_folder,
    environment,
    last_json,
    running_stack,
    spoton,
)
from tests.triton_fixtures import require_triton
from tests.waiting import PATIENCE_S, wait_until

ROUNDS = 2
SETS = 120 * ROUNDS
MIDDLE = 20
OUTAGE_S = 30.0  # twice as long as a lease
PLAYED = {"environment_id": "blobs", "speed": "max", "seed": 5}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    require_triton()
    return make_long_world(tmp_path_factory.mktemp("long"), ROUNDS)


@pytest.fixture(scope="module")
def stack(world):
    with data_folder() as folder, running_stack(world.settings(), folder) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(stack):
    """What a task stores when nothing happens."""
    task_id = stack.start_task(**PLAYED)
    assert_complete(stack.wait(task_id))
    events = events_of(database(stack), task_id)
    assert len(events) > SETS
    return events


def database(stack: Stack) -> str:
    return stack.urls()["database_url"]


def started(stack: Stack) -> str:
    """A task that is in the middle of its recordings."""
    task_id = stack.start_task(**PLAYED)
    status = stack.wait(task_id, lambda s: s["sets"] >= MIDDLE)
    assert status["status"] == "PROCESSING"
    return task_id


def assert_complete(status) -> None:
    assert (status["status"], status["error"]) == ("COMPLETED", None)
    assert (status["sets"], status["dropped"]) == (SETS, 0)
    assert [camera["missing"] for camera in status["cameras"].values()] == [0] * 4
    assert [camera["error"] for camera in status["cameras"].values()] == [None] * 4


def test_a_task_whose_process_is_killed_goes_on_with_the_same_people(stack, undisturbed):
    """Another process takes over after the last stored set; identities and rows are the same."""
    task_id = started(stack)
    kill(child(stack.data_dir, "--task", task_id))
    assert_complete(stack.wait(task_id))
    assert events_of(database(stack), task_id) == undisturbed


def test_a_killed_triton_is_started_again_and_no_set_is_lost(stack, undisturbed):
    """Its supervisor starts it within seconds; the task waits and drops nothing."""
    task_id = started(stack)
    before = child(stack.data_dir, "bin/tritonserver")
    kill(before)
    assert_complete(stack.wait(task_id))
    assert events_of(database(stack), task_id) == undisturbed
    assert child(stack.data_dir, "bin/tritonserver").pid != before.pid


def test_a_killed_redis_costs_the_history_nothing(stack, undisturbed):
    """Browsers are told, see the task go on when Redis is back, and learn of its end."""
    task_id = stack.start_task(**PLAYED)
    messages = asyncio.run(watch_while_redis_dies(stack, task_id))
    assert_complete(stack.wait(task_id))
    assert events_of(database(stack), task_id) == undisturbed
    told = [m["payload"] for m in messages if m["type"] == "error"]
    assert told
    assert told[0]["code"] == "redis_unavailable"
    assert "REDIS_URL" in told[0]["message"]
    after = messages[messages.index(next(m for m in messages if m["type"] == "error")) :]
    assert any(m["type"] == "tracking_update" for m in after)
    assert after[-1]["payload"]["status"] == "COMPLETED"


async def watch_while_redis_dies(stack: Stack, task_id: str) -> list[dict]:
    messages = []
    port = stack.urls()["redis_url"].rpartition(":")[2].partition("/")[0]
    url = f"{stack.websocket}/ws/tracking/{task_id}"
    async with websockets.connect(url, max_size=None, open_timeout=PATIENCE_S) as browser:
        is_killed = False
        async for text in browser:
            messages.append(json.loads(text))
            is_update = messages[-1]["type"] == "tracking_update"
            if is_update and not is_killed:
                kill(child(stack.data_dir, "redis-server", f":{port}"))
                is_killed = True
    assert browser.close_code == 1000
    return messages


def test_a_killed_postgres_is_started_again_and_nothing_is_lost(stack, undisturbed):
    """Rows wait in the worker until the database has recovered."""
    task_id = started(stack)
    os.kill(postmaster(stack.data_dir), signal.SIGKILL)
    wait_until(lambda: is_stored_complete(stack, task_id))
    assert_complete(stack.status(task_id))
    assert events_of(database(stack), task_id) == undisturbed


def is_stored_complete(stack: Stack, task_id: str) -> bool:
    answer = stack.api.get(f"/processing-tasks/{task_id}/status")
    assert answer.status_code in {200, 503}
    return answer.status_code == 200 and answer.json()["finished_at"] is not None


def test_a_killed_worker_is_started_again_and_takes_the_task_over(stack, undisturbed):
    """Its child ends with it; the next worker waits for the lease to run out."""
    task_id = started(stack)
    orphan = child(stack.data_dir, "--task", task_id)
    kill(child(stack.data_dir, "control_plane worker", without="--task"))
    wait_until(lambda: all(p.pid != orphan.pid for p in processes_of(stack.data_dir)))
    assert_complete(stack.wait(task_id))
    assert events_of(database(stack), task_id) == undisturbed


def test_a_database_away_for_longer_than_a_lease_costs_nothing(world, stack, undisturbed):
    """Requests get 503 with a time to come back, /health names the database; the task ends well."""
    with data_folder() as folder, data_folder() as elsewhere:
        server = open_postgres(elsewhere / "postgres")
        shared = {"REDIS_URL": stack.urls()["redis_url"], "TRITON_URL": stack.urls()["triton_url"]}
        own = shared | {"DATABASE_URL": server.get_uri(), "SPOTON_TASKS_AT_ONCE": "2"}
        try:
            with running_stack(world.settings() | own, folder) as other:
                task_id = started(other)
                server.stop()
                assert_database_is_missed(other)
                time.sleep(OUTAGE_S)
                server.ensure_postgres_running()
                wait_until(lambda: is_stored_complete(other, task_id))
                assert_complete(other.status(task_id))
            assert events_of(server.get_uri(), task_id) == undisturbed
        finally:
            close_postgres(server)


def assert_database_is_missed(stack: Stack) -> None:
    answer = stack.api.get("/processing-tasks")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["error"]["code"] == "database_unavailable"
    assert "DATABASE_URL" in answer.json()["error"]["message"]
    health = httpx.get(f"{stack.address}/health", timeout=PATIENCE_S).json()
    assert (health["status"], health["components"]["database"]["status"]) == ("error", "away")


def services(stack: Stack) -> dict[str, str]:
    """Settings of a command that uses the services of a running stack."""
    urls = {name.upper(): url for name, url in stack.urls().items()}
    # Whoever shares a database needs the key of what is encrypted in it.
    return urls | {"SPOTON_DATA_KEY_FILE": str(stack.data_dir / "data.key")}


def test_recordings_that_come_slowly_and_break_off_are_waited_for(
    world, stack, undisturbed, tmp_path
):
    """A store that trickles, then refuses for a while, costs time and no picture."""
    with (
        bucket_of(world.recordings) as s3,
        FaultyProxy(int(s3["S3_ENDPOINT_URL"].rpartition(":")[2]), trickle_s=0.002) as proxy,
    ):
        settings = world.settings() | services(stack) | s3 | {"S3_ENDPOINT_URL": proxy.url}
        with spoton_run(settings, tmp_path) as run:
            task_id = active_task(stack)
            stack.wait(task_id, lambda s: s["sets"] > 0)
            proxy.refused = s3["SPOTON_OBJECT_STORE_URL"].removeprefix("s3:/")
            refused_from = len(proxy.requests)
            wait_until(lambda: len(proxy.requests) > refused_from + 4)
            assert stack.status(task_id)["status"] == "PROCESSING"
            proxy.refused = ""
            assert run.wait(PATIENCE_S) == 0
        assert_complete(stack.status(task_id))
    assert events_of(database(stack), task_id) == undisturbed


@contextmanager
def spoton_run(settings: Mapping[str, str], data_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with (data_dir / "run.log").open("ab") as output:
        process = subprocess.Popen(
            [*SPOTON, "run", "-e", "blobs", "--seed", "5"],
            env=environment(settings, data_dir),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def active_task(stack: Stack) -> str:
    """The one task that has not ended."""

    def active() -> list[str]:
        items = stack.api.get("/processing-tasks/active").json()["items"]
        return [item["task_id"] for item in items]

    wait_until(lambda: bool(active()))
    [task_id] = active()
    return task_id


def test_an_interrupted_run_is_stopped_and_keeps_what_it_has_played(world, stack, tmp_path):
    """Ctrl-C of ``spoton run``: STOPPED, and every set up to the last one is stored."""
    with spoton_run(world.settings() | services(stack), tmp_path) as run:
        task_id = active_task(stack)
        stack.wait(task_id, lambda s: s["sets"] >= MIDDLE)
        run.send_signal(signal.SIGINT)
        assert run.wait(PATIENCE_S) == 0
    status = stack.status(task_id)
    assert status["status"] == "STOPPED"
    assert MIDDLE <= status["sets"] < SETS
    [stored] = fetch(database(stack), "select frame_index from tasks where task_id = $1", task_id)
    assert stored["frame_index"] == status["sets"] - 1


def test_a_store_that_refuses_from_the_start_is_named(world, stack, tmp_path):
    """FAILED at once, with the endpoint and what to do."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    s3 = {
        "SPOTON_OBJECT_STORE_URL": "s3://recordings",
        "S3_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        **KEYS,
    }
    settings = world.settings() | services(stack) | s3
    done = spoton("run", "-e", "blobs", "--json", settings=settings, data_dir=tmp_path)
    result = last_json(done.stdout)
    assert (done.returncode, result["status"]) == (1, "FAILED")
    assert endpoint in result["error"]
    assert "check that the endpoint runs" in result["error"]


def test_a_triton_that_is_not_there_is_named_after_a_while(world, stack, tmp_path):
    """FAILED when the patience is over, with the address and what to do."""
    away = f"127.0.0.1:{free_port()}"
    settings = services(stack) | {"TRITON_URL": away, "SPOTON_SERVICE_PATIENCE_S": "2"}
    done = spoton(
        "run", "-e", "blobs", "--json", settings=world.settings() | settings, data_dir=tmp_path
    )
    result = last_json(done.stdout)
    assert (done.returncode, result["status"]) == (1, "FAILED")
    assert away in result["error"]
    assert "TRITON_URL" in result["error"]


def test_a_taken_port_is_named_before_anything_starts(world, tmp_path):
    """One line on stderr with the port and the setting; no service has been started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = world.settings() | {"SPOTON_PORT": port}
        done = spoton("up", settings=settings, data_dir=tmp_path / "data")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert port in line
    assert "SPOTON_PORT" in line
    assert not (tmp_path / "data").exists()


def test_without_the_embedded_triton_nothing_stays_up(world):
    """One line says how to set it up; the services that were started before it are ended."""
    with data_folder() as folder:
        settings = world.settings() | {"SPOTON_TRITON_PYTHON": "no-venv/bin/python"}
        done = spoton("run", "-e", "blobs", settings=settings, data_dir=folder)
        assert done.returncode == 1
        [line] = done.stderr.strip().splitlines()
        assert "no-venv/bin/python" in line
        assert "make setup" in line
        assert_nothing_is_left(folder, set())


def test_an_interrupted_installation_leaves_nothing_and_goes_on_later(world, undisturbed):
    """Ctrl-C ends every process and frees all memory; SIGKILL leaves PostgreSQL at most. Either
    way the next start plays the task on, and all three together store what one would have.
    """
    with data_folder() as folder:
        with running_stack(world.settings(), folder) as first:
            task_id = started(first)
            pids = {process.pid for process in processes_of(folder)}
        assert first.process.returncode == 0
        assert_nothing_is_left(folder, pids)
        with running_stack(world.settings(), folder) as second:
            second.wait(task_id, lambda s: s["is_live"] and s["sets"] >= 3 * MIDDLE)
            pids |= {process.pid for process in processes_of(folder)}
            second.process.kill()
            second.process.wait()
            wait_until(lambda: all("postgres" in p.command for p in processes_of(folder)))
        with running_stack(world.settings(), folder) as third:
            assert_complete(third.wait(task_id))
            assert events_of(database(third), task_id) == undisturbed
            pids |= {process.pid for process in processes_of(folder)}
        assert_nothing_is_left(folder, pids)


def assert_nothing_is_left(data_dir: Path, pids: set[int]) -> None:
    assert [process.command for process in processes_of(data_dir)] == []
    assert shared_memory_of(data_dir, pids) == []
