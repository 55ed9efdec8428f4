"""Rollups over a real PostgreSQL: exactly once, in any pieces, right after corrections too."""

import asyncio
import uuid
from datetime import timedelta

import numpy as np
import pytest

from control_plane.storage.rollups import correct, roll_up
from control_plane.store import Store
from plugins.history import DECISION_COLUMNS, Exchange, _copy_rows
from plugins.messages import TaskRequest
from tests.control_plane.stored_world import START, World, person_id, query, rolled_up, run
from tests.services import postgres_url

ZONES = {"hall": {"west": np.array([[0.0, 0.0], [5, 0], [5, 10], [0, 10]])}}
WAYS = {
    "ada": [(0, 1.0, 5.0), (20, 9.0, 5.0), (40, 1.0, 5.0), (100, 1.0, 5.0)],
    "bob": [(5, 9.0, 2.0), (70, 9.0, 2.0)],
}
TABLES = {
    "camera_minutes": "camera_id, minute, detections, round(confidence_sum::numeric, 3)",
    "cell_minutes": "camera_id, minute, cell_x, cell_y, samples",
    "visits": "kind, place_id, global_id, entered_at, left_at",
}


@pytest.fixture
def url():
    return postgres_url()


def contents(url, task_id):
    return {
        table: [
            tuple(row)
            for row in query(
                url,
                f"select {columns} from {table} where task_id = $1 order by {columns}",  # noqa: S608
                uuid.UUID(task_id),
            )
        ]
        for table, columns in TABLES.items()
    }


def test_rollups_say_what_the_rows_say(url):
    """Counted by hand: 2 cameras see ada for 100 s and bob for 65 s, at ten sets a second."""
    task_id = World(WAYS, 100).store(url)
    rolled_up(url, ZONES)
    found = contents(url, task_id)
    assert sum(row[2] for row in found["camera_minutes"]) == 2 * 10 * (100 + 65)
    assert sum(row[4] for row in found["cell_minutes"] if row[0] == "") == 10 * (100 + 65)
    west = [row for row in found["visits"] if row[0] == "zone"]
    # 0.4 m/s over the border at x = 5, and a quarter of a metre of hysteresis either side.
    times = [((a - START).total_seconds(), (b - START).total_seconds()) for *_, a, b in west]
    assert times == [
        (0.0, pytest.approx((5.25 - 1) / 0.4, abs=0.15)),
        (pytest.approx(20 + (9 - 4.75) / 0.4, abs=0.15), 99.9),
    ]
    assert {row[2] for row in west} == {uuid.UUID(person_id("ada"))}


def test_rolling_up_in_pieces_gives_the_same_as_at_once(url):
    """A task followed as it runs ends with the rollups of one that is looked at when it is done."""
    whole, pieces = World(WAYS, 100), World(WAYS, 100, task_id=str(uuid.uuid4()))
    whole.store(url)
    rolled_up(url, ZONES)
    follow(url, pieces)
    assert contents(url, pieces.task_id) == contents(url, whole.task_id)
    assert rolled_up(url, ZONES) == 0


def follow(url, world):
    """Stores a running task batch by batch, rolled up now and then."""
    request = TaskRequest(world.task_id, world.environment_id, list(world.cameras))
    run(url, lambda store: store.create_task(request))

    async def play(store):
        for first in range(0, 1000, 20):
            async with store.connection() as connection, connection.transaction():
                await _copy_rows(connection, world.task_id, world.rows(first, first + 19))
                await connection.execute(
                    "update tasks set frame_index = $2, status = 'PROCESSING' where task_id = $1",
                    uuid.UUID(world.task_id),
                    first + 19,
                )
            if first % 140 == 0:
                await roll_up(store, ZONES)
        await store.set_status(world.task_id, "COMPLETED")
        await roll_up(store, ZONES)

    run(url, play)


def test_two_replicas_at_once_count_nothing_twice(url):
    task_id = World(WAYS, 100).store(url)

    async def both():
        stores = Store(url), Store(url)
        await asyncio.gather(*(roll_up(store, ZONES) for store in stores for _ in range(3)))
        for store in stores:
            await roll_up(store, ZONES)
            await store.close()

    asyncio.run(both())
    found = contents(url, task_id)
    assert sum(row[2] for row in found["camera_minutes"]) == 2 * 10 * (100 + 65)
    assert sum(row[4] for row in found["cell_minutes"] if row[0] == "") == 10 * (100 + 65)


def test_a_changed_zone_changes_visits_already_stored(url):
    task_id = World(WAYS, 100).store(url)
    rolled_up(url, ZONES)
    east = {"hall": {"east": np.array([[8.0, 0.0], [10, 0], [10, 4], [8, 4]])}}
    rolled_up(url, east)
    zone_visits = [row for row in contents(url, task_id)["visits"] if row[0] == "zone"]
    assert [(row[1], row[2]) for row in zone_visits] == [("east", uuid.UUID(person_id("bob")))]


@pytest.mark.parametrize("change", ["merge", "erase"])
def test_corrected_people_are_folded_anew(url, change):
    """After a merge or an erasure the rollups are those of a task that was stored so."""
    ada, bob = uuid.UUID(person_id("ada")), uuid.UUID(person_id("bob"))
    task_id = World(WAYS, 100).store(url)
    rolled_up(url, ZONES)
    times = (START, START + timedelta(seconds=100))

    async def edit(store):
        async with store.connection() as connection, connection.transaction():
            for table in ("tracking_events", "trajectories"):
                sql = f"delete from {table} where global_id = $1"  # noqa: S608
                await connection.execute(sql, bob)
            if change == "merge":
                for table in ("tracking_events", "trajectories"):
                    sql = f"update {table} set global_id = $2 where global_id = $1"  # noqa: S608
                    await connection.execute(sql, ada, bob)
            ids = [str(ada), str(bob)]
            await correct(connection, uuid.UUID(task_id), ids, times, ZONES["hall"])

    run(url, edit)
    kept = "bob" if change == "merge" else "ada"
    alone = World({kept: WAYS["ada"]}, 100)
    alone.store(url)
    rolled_up(url, ZONES)
    assert contents(url, task_id) == contents(url, alone.task_id)


def test_people_exchanged_by_the_tracker_exchange_their_visits(url):
    """Rows stored and rolled up before are each other's from set 100 to 200."""
    names = {"ada": [(0, 1, 5), (30, 1, 5)], "bob": [(0, 9, 2), (30, 9, 2)]}
    world = World(names, 30)
    task_id = world.store(url, 20)
    rolled_up(url, ZONES)
    ada, bob = person_id("ada"), person_id("bob")
    more = world.rows(200, 219)
    more.exchanges.append(Exchange(ada, bob, 100, 200, 0))
    decision = {
        "task_id": task_id, "frame_index": 210, "ordinal": 0, "media_time": START,
        "camera_id": "h1", "track_id": 1, "verdict": "corrected", "global_id": ada,
        "other_global_id": bob, "reason": "",
    }  # fmt: skip
    more.decisions.append(tuple(decision.get(name) for name in DECISION_COLUMNS))
    run(url, lambda store: _append(store, task_id, more))
    rolled_up(url, ZONES)
    found = [row for row in contents(url, task_id)["visits"] if row[0] == "zone"]
    seconds = sorted((str(r[2]), (r[3] - START).total_seconds()) for r in found)
    assert seconds == sorted([(ada, 0.0), (bob, 10.0), (ada, 20.0)])


def test_a_person_merged_by_the_tracker_has_one_visit(url):
    """The decision that a tracker stores while the task runs is enough."""
    ada, bob = person_id("ada"), person_id("bob")
    world = World({"ada": [(0, 1, 5), (10, 1, 5)], "bob": [(10, 1, 5), (30, 1, 5)]}, 30)
    task_id = world.store(url, 20)
    rolled_up(url, ZONES)
    assert len([r for r in contents(url, task_id)["visits"] if r[0] == "zone"]) == 2
    for table in ("tracking_events", "trajectories"):
        query(url, f"update {table} set global_id = '{ada}' where global_id = '{bob}'")  # noqa: S608
    query(
        url,
        """insert into identity_decisions (task_id, frame_index, ordinal, media_time, camera_id,
             track_id, verdict, global_id, other_global_id)
           values ($1, 205, 0, $2, 'h1', 1, 'merged', $3, $4)""",
        uuid.UUID(task_id),
        START,
        uuid.UUID(ada),
        uuid.UUID(bob),
    )
    more = world.rows(200, 219)
    run(url, lambda store: _append(store, task_id, more, ada))
    rolled_up(url, ZONES)
    [visit] = [row for row in contents(url, task_id)["visits"] if row[0] == "zone"]
    assert (visit[3] - START).total_seconds() == 0
    assert (visit[4] - START).total_seconds() == pytest.approx(21.9)


async def _append(store, task_id, batch, global_id=None):
    if global_id is not None:
        batch.events = [(*r[:6], global_id, *r[7:]) for r in batch.events]
        batch.trajectories = [(*r[:4], global_id, *r[5:]) for r in batch.trajectories]
    batch.persons = []
    async with store.connection() as connection, connection.transaction():
        await _copy_rows(connection, task_id, batch)
        await connection.execute(
            "update tasks set frame_index = 219 where task_id = $1", uuid.UUID(task_id)
        )
