"""What is stored, over a real PostgreSQL: each row once, whatever dies in between."""

import asyncio
import threading
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from control_plane.store import Store
from plugins.errors import LeaseLostError
from plugins.history import Batch, Exchange, History, wait_for_state
from plugins.messages import TaskProgress, TaskRequest
from tests.services import postgres_url
from tests.waiting import PATIENCE_S

START = datetime(2024, 5, 1, 9, tzinfo=UTC)
OWNER = "worker-a"


@pytest.fixture(scope="module")
def database():
    return postgres_url()


@pytest.fixture
def task_id(database):
    """A task that OWNER holds the lease of."""
    request = TaskRequest(str(uuid.uuid4()), "lab", [])
    in_store(database, lambda store: store.create_task(request, owner=OWNER, lease_s=60))
    return request.task_id


def in_store(database, action):
    async def run():
        store = Store(database)
        try:
            return await action(store)
        finally:
            await store.close()

    return asyncio.run(run())


def query(database, sql, *args):
    async def run():
        connection = await asyncpg.connect(database)
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    return asyncio.run(run())


def batch(task_id, first, last, person="00000000-0000-0000-0000-00000000000a"):
    """One track in one camera for each set from ``first`` to ``last``."""
    times = [START + timedelta(seconds=k / 10) for k in range(first, last + 1)]
    rows = Batch(last, f"state after {last}".encode())
    for k, time in zip(range(first, last + 1), times, strict=True):
        box = (1.0, 2.0, 3.0, 4.0)
        rows.events.append((time, "lab", task_id, "c01", k, 1, person, *box, 0.9, 1.0, 2.0, 0.1))
        rows.trajectories.append((time, "lab", task_id, k, person, 1.0, 2.0, 0.5, 0.1, ["c01"]))
    rows.persons.append((person, "lab", task_id, times[0], times[-1], ["c01"], None, None))
    return rows


def stored_indices(database, task_id):
    rows = query(
        database,
        "select frame_index from tracking_events where task_id = $1 order by 1",
        uuid.UUID(task_id),
    )
    return [row["frame_index"] for row in rows]


def test_batches_and_the_final_state_are_stored(database, task_id):
    """Rows, checkpoint, person and status are there after finish; the lease is given back."""
    history = History(database, task_id, OWNER, threading.Event())
    history.add(batch(task_id, 0, 9))
    history.add(batch(task_id, 10, 19))
    history.finish(TaskProgress(status="COMPLETED", sets=20))
    assert stored_indices(database, task_id) == list(range(20))
    state = wait_for_state(database, task_id)
    assert (state.frame_index, state.checkpoint) == (19, b"state after 19")
    assert state.person_ids == {"00000000-0000-0000-0000-00000000000a"}
    [task] = query(database, "select * from tasks where task_id = $1", uuid.UUID(task_id))
    assert (task["status"], task["lease_owner"]) == ("COMPLETED", None)
    assert msgspec.json.decode(task["progress"], type=TaskProgress).sets == 20


def test_a_batch_sent_twice_is_stored_once(database, task_id):
    """As after a commit whose answer was lost."""
    history = History(database, task_id, OWNER, threading.Event())
    history.add(batch(task_id, 0, 9))
    history.add(batch(task_id, 0, 9))
    history.add(batch(task_id, 10, 19))
    history.finish(TaskProgress(status="COMPLETED"))
    assert stored_indices(database, task_id) == list(range(20))


def test_a_worker_that_lost_its_lease_stores_nothing(database, task_id):
    """Its rows would be written a second time by the worker that has the task now."""
    query(database, "update tasks set lease_owner = 'worker-b' where task_id = $1", task_id)
    history = History(database, task_id, OWNER, threading.Event())
    history.add(batch(task_id, 0, 9))
    with pytest.raises(LeaseLostError, match=task_id):
        history.finish(TaskProgress(status="COMPLETED"))
    assert stored_indices(database, task_id) == []
    [task] = query(database, "select status from tasks where task_id = $1", uuid.UUID(task_id))
    assert task["status"] == "QUEUED"


def test_rows_wait_while_connections_break(database, task_id):
    """Every connection is cut several times in the middle; all rows arrive, none twice."""
    history = History(database, task_id, OWNER, threading.Event())
    for first in range(0, 100, 10):
        history.add(batch(task_id, first, first + 9))
        query(
            database,
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where pid <> pg_backend_pid() and datname = current_database()",
        )
    history.finish(TaskProgress(status="COMPLETED"))
    assert stored_indices(database, task_id) == list(range(100))


def test_a_stop_request_reaches_the_worker(database, task_id):
    """It comes with the next heartbeat."""
    stop = threading.Event()
    history = History(database, task_id, OWNER, stop)
    in_store(database, lambda store: store.request_stop(task_id))
    assert stop.wait(PATIENCE_S)
    history.finish(TaskProgress(status="STOPPED"))


def test_a_merged_person_becomes_the_older_one_everywhere(database, task_id):
    """Events, trajectory and the person's row; where both were seen at once, one row stays."""
    kept, merged = str(uuid.uuid4()), str(uuid.uuid4())
    history = History(database, task_id, OWNER, threading.Event())
    history.add(batch(task_id, 0, 4, kept))
    both = batch(task_id, 5, 9, merged)
    both.merges.append((merged, kept))
    history.add(both)
    history.finish(TaskProgress(status="COMPLETED"))
    for table in ("tracking_events", "trajectories", "persons"):
        rows = query(
            database,
            f"select distinct global_id::text from {table} where task_id = $1",  # noqa: S608
            uuid.UUID(task_id),
        )
        assert [row["global_id"] for row in rows] == [kept], table
    [person] = query(database, "select * from persons where task_id = $1", uuid.UUID(task_id))
    assert person["last_seen"] - person["first_seen"] == timedelta(seconds=0.9)


def test_exchanged_people_are_each_other_in_the_sets_named(database, task_id):
    """Across two batches, from the first set to before the last named, and nowhere else."""
    ann, bob = str(uuid.uuid4()), str(uuid.uuid4())
    history = History(database, task_id, OWNER, threading.Event())
    history.add(batch(task_id, 0, 4, ann))
    late = batch(task_id, 5, 9, bob)
    late.exchanges.append(Exchange(ann, bob, 3, 7, 0))
    history.add(late)
    history.finish(TaskProgress(status="COMPLETED"))
    for table in ("tracking_events", "trajectories"):
        rows = query(
            database,
            f"select frame_index, global_id::text from {table} "  # noqa: S608 - one of two names
            "where task_id = $1 order by 1",
            uuid.UUID(task_id),
        )
        expected = [ann] * 3 + [bob] * 2 + [ann] * 2 + [bob] * 3
        assert [row["global_id"] for row in rows] == expected, table


def test_a_final_status_whose_answer_was_lost_is_no_lost_lease(database, task_id):
    """The connection dies right after the status was written; the worker learns it and ends."""
    history = History(database, task_id, OWNER, threading.Event())

    async def finish_and_lose_the_answer(connection):
        await History._finish(history, connection)
        history._finish = lambda c: History._finish(history, c)
        raise ConnectionResetError("the answer is lost")

    history._finish = finish_and_lose_the_answer
    history.add(batch(task_id, 0, 9))
    history.finish(TaskProgress(status="COMPLETED"))
    [task] = query(database, "select * from tasks where task_id = $1", uuid.UUID(task_id))
    assert (task["status"], task["frame_index"]) == ("COMPLETED", 9)


def test_the_same_person_of_two_tasks_is_two_rows(database):
    """Tasks with one seed name people alike; their times and cameras stay apart."""
    requests = [TaskRequest(str(uuid.uuid4()), "lab", []) for _ in range(2)]
    for k, request in enumerate(requests):
        in_store(database, lambda store, r=request: store.create_task(r, owner=OWNER, lease_s=60))
        history = History(database, request.task_id, OWNER, threading.Event())
        history.add(batch(request.task_id, 10 * k, 10 * k + 9))
        history.finish(TaskProgress(status="COMPLETED"))
    for k, request in enumerate(requests):
        [person] = query(
            database, "select * from persons where task_id = $1", uuid.UUID(request.task_id)
        )
        assert person["first_seen"] == START + timedelta(seconds=k)


def test_what_was_dropped_before_a_crash_is_remembered(database, task_id):
    """A resumed worker goes on counting where the last one stood."""
    history = History(database, task_id, OWNER, threading.Event())
    history.add(batch(task_id, 0, 9))
    history.finish(TaskProgress(status="PROCESSING", dropped=4))
    assert wait_for_state(database, task_id).dropped == 4
