"""The task queue and the schema, over a real PostgreSQL."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from control_plane.errors import TaskNotFoundError
from control_plane.store import MAX_ATTEMPTS, Store
from plugins.errors import DatabaseUnavailableError, InvalidInputError
from plugins.messages import TaskProgress, TaskRequest
from tests.services import free_port, postgres_url


@asynccontextmanager
async def opened_store(url: str | None = None) -> AsyncIterator[Store]:
    store = Store(url or postgres_url())
    try:
        yield store
    finally:
        await store.close()


def run(test: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    async def with_store() -> None:
        async with opened_store() as store:
            await test(store)

    asyncio.run(with_store())


def a_request(environment_id: str = "campus") -> TaskRequest:
    return TaskRequest(str(uuid.uuid4()), environment_id, ["c01", "c02"], seed=7)


async def expire_lease(store: Store, task_id: str) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "update tasks set lease_until = now() - interval '1 s' where task_id = $1",
            uuid.UUID(task_id),
        )


async def _execute(store: Store, statement: str, request: TaskRequest) -> None:
    async with store.connection() as connection:
        await connection.execute(statement, uuid.UUID(request.task_id))


async def _fetch(store: Store, query: str, request: TaskRequest) -> list[Any]:
    async with store.connection() as connection:
        return list(await connection.fetch(query, uuid.UUID(request.task_id)))


def test_two_replicas_migrate_the_same_database_at_once() -> None:
    """Each migration is applied exactly once, and neither replica fails."""

    async def scenario() -> None:
        url = postgres_url()
        async with opened_store(url) as one, opened_store(url) as two:
            await asyncio.gather(one.open(), two.open(), one.open(), two.open())
            async with one.connection() as connection:
                names = await connection.fetch("select name from schema_migrations")
            assert next(r["name"] for r in names) == "001_initial.sql"

    asyncio.run(scenario())


def test_a_created_task_reads_back_as_it_was_asked_for() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        created = await store.create_task(request)
        assert created == await store.get_task(request.task_id)
        assert created.request == request
        assert (created.status, created.frame_index) == ("QUEUED", -1)
        with pytest.raises(InvalidInputError, match="exists already"):
            await store.create_task(request)

    run(scenario)


@pytest.mark.parametrize("task_id", [str(uuid.UUID(int=404)), "not-a-uuid", "'; drop table tasks"])
def test_an_unknown_task_is_named_in_the_error(task_id: str) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(TaskNotFoundError, match="no task"):
            await store.get_task(task_id)

    run(scenario)


def test_a_queued_task_is_claimed_by_exactly_one_of_many_workers() -> None:
    async def scenario(store: Store) -> None:
        requests = [a_request() for _ in range(3)]
        for request in requests:
            await store.create_task(request)
        claims = await asyncio.gather(*(store.claim_task(f"w{i}", 30) for i in range(8)))
        taken = [claim.task_id for claim in claims if claim]
        assert sorted(taken) == sorted(r.task_id for r in requests)

    run(scenario)


def test_tasks_are_claimed_oldest_first() -> None:
    async def scenario(store: Store) -> None:
        first, second = a_request(), a_request("factory")
        await store.create_task(first)
        await store.create_task(second)
        assert await store.claim_task("w", 30) == first
        assert await store.claim_task("w", 30) == second
        assert await store.claim_task("w", 30) is None

    run(scenario)


def test_a_task_whose_worker_died_goes_to_another_and_the_old_one_cannot_release_it() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        await store.claim_task("dead", 30)
        assert await store.claim_task("next", 30) is None
        await expire_lease(store, request.task_id)
        assert await store.claim_task("next", 30) == request
        await store.release_lease(request.task_id, "dead", has_crashed=True)
        assert await store.claim_task("third", 30) is None

    run(scenario)


def test_a_task_that_kills_its_workers_fails_in_the_end() -> None:
    """Without any stored set in between, MAX_ATTEMPTS deaths are enough."""

    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        for _ in range(MAX_ATTEMPTS):
            assert await store.claim_task("w", 30) == request
            await expire_lease(store, request.task_id)
        assert await store.claim_task("w", 30) is None
        task = await store.get_task(request.task_id)
        assert task.status == "FAILED"
        assert "died 5 times" in (task.error or "")

    run(scenario)


def test_a_task_made_by_a_worker_is_its_own_from_the_start() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request, owner="mine", lease_s=30)
        assert await store.claim_task("other", 30) is None

    run(scenario)


def test_a_released_task_can_be_claimed_at_once() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        await store.claim_task("one", 30)
        await store.release_lease(request.task_id, "two", has_crashed=True)
        assert await store.claim_task("two", 30) is None
        await store.release_lease(request.task_id, "one", has_crashed=True)
        assert await store.claim_task("two", 30) == request

    run(scenario)


def test_a_worker_that_ends_on_purpose_is_no_crash() -> None:
    """However often workers are replaced, the task goes on."""

    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        for _ in range(2 * MAX_ATTEMPTS):
            assert await store.claim_task("w", 30) == request
            await store.release_lease(request.task_id, "w", has_crashed=False)

    run(scenario)


def test_a_worker_that_stored_and_then_left_gives_no_attempts_away() -> None:
    """A stored set has set the count to nought; leaving does not take it below."""

    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        await store.claim_task("w", 30)
        await _execute(store, "update tasks set attempts = 0 where task_id = $1", request)
        await store.release_lease(request.task_id, "w", has_crashed=False)
        [row] = await _fetch(store, "select attempts from tasks where task_id = $1", request)
        assert row["attempts"] == 0

    run(scenario)


@pytest.mark.parametrize("ending", ["STOPPED", "FAILED"])
def test_whoever_returns_to_a_task_that_was_ended_meanwhile_holds_it_no_more(ending: str) -> None:
    """A worker writes only where its name is in the row; the end takes it out."""

    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        await store.claim_task("away", 30)
        await expire_lease(store, request.task_id)
        if ending == "STOPPED":
            await store.request_stop(request.task_id)
        else:
            attempts = f"update tasks set attempts = {MAX_ATTEMPTS} where task_id = $1"  # noqa: S608  # a constant
            await _execute(store, attempts, request)
            assert await store.claim_task("next", 30) is None
        assert (await store.get_task(request.task_id)).status == ending
        lease = "select lease_owner, lease_until from tasks where task_id = $1"
        assert [tuple(row) for row in await _fetch(store, lease, request)] == [(None, None)]

    run(scenario)


def test_a_queued_task_stops_at_once_and_is_never_claimed() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        stopped = await store.request_stop(request.task_id)
        assert (stopped.status, stopped.stop_requested) == ("STOPPED", True)
        assert stopped.finished_at is not None
        assert await store.claim_task("w", 30) is None

    run(scenario)


def test_a_running_task_is_asked_to_stop_and_stops_with_its_lease() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        await store.claim_task("w", 30)
        assert (await store.request_stop(request.task_id)).status == "QUEUED"
        assert (await store.get_task(request.task_id)).stop_requested
        await expire_lease(store, request.task_id)
        assert await store.claim_task("next", 30) is None
        assert (await store.get_task(request.task_id)).status == "STOPPED"

    run(scenario)


def test_an_ended_task_is_never_rewritten() -> None:
    async def scenario(store: Store) -> None:
        request = a_request()
        await store.create_task(request)
        await store.claim_task("w", 30)
        assert await store.set_status(request.task_id, "PROCESSING")
        done = TaskProgress(status="COMPLETED", progress=1.0, sets=268)
        assert await store.set_status(request.task_id, "COMPLETED", None, done)
        assert not await store.set_status(request.task_id, "FAILED", "too late")
        task = await store.request_stop(request.task_id)
        assert (task.status, task.error, task.progress) == ("COMPLETED", None, done)
        assert not task.stop_requested
        assert task.started_at is not None
        assert task.finished_at is not None
        assert await store.active_tasks() == []

    run(scenario)


def test_pages_show_every_task_once_newest_first() -> None:
    async def scenario(store: Store) -> None:
        made = [a_request("campus" if i % 2 else "factory") for i in range(7)]
        for request in made:
            await store.create_task(request)
        seen, cursor = [], None
        while True:
            page = await store.list_tasks(limit=3, cursor=cursor)
            seen += [task.task_id for task in page.items]
            assert page.total == 7
            if not page.has_next:
                break
            cursor = page.next_cursor
        assert seen == [request.task_id for request in reversed(made)]
        assert (await store.list_tasks(environment="campus")).total == 3
        assert (await store.list_tasks(status="COMPLETED")).items == []
        with pytest.raises(InvalidInputError, match="cursor"):
            await store.list_tasks(cursor="bm9uc2Vuc2U=")

    run(scenario)


async def _ensure_partitions(store: Store, first: datetime, last: datetime) -> None:
    async with store.connection() as connection:
        await connection.execute("select ensure_partitions($1, $2)", first, last)


async def _partitions(store: Store, table: str) -> set[str]:
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select inhrelid::regclass::text as name from pg_inherits"
            " where inhparent = $1::text::regclass",
            table,
        )
    return {row["name"] for row in rows}


def test_every_month_of_a_range_gets_a_partition_however_often_it_is_asked() -> None:
    async def scenario(store: Store) -> None:
        start, end = datetime(2024, 12, 31, 23, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
        await asyncio.gather(*(_ensure_partitions(store, start, end) for _ in range(4)))
        expected = {f"trajectories_{m}" for m in ("default", "y2024m12", "y2025m01")}
        assert await _partitions(store, "trajectories") == expected
        assert "tracking_events_y2025m01" in await _partitions(store, "tracking_events")

    run(scenario)


def test_rows_in_the_default_partition_stay_where_they_are() -> None:
    """A month that has rows there gets no partition; the next month does."""

    async def scenario(store: Store) -> None:
        async with store.connection() as connection:
            await connection.execute(
                "insert into trajectories values ('2024-05-05', 'campus', $1, 1, $2,"
                " 0, 0, 0, 0.1, '{c01}')",
                uuid.uuid4(),
                uuid.uuid4(),
            )
        await _ensure_partitions(
            store, datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 2, tzinfo=UTC)
        )
        names = await _partitions(store, "trajectories")
        assert names == {"trajectories_default", "trajectories_y2024m06"}
        async with store.connection() as connection:
            assert await connection.fetchval("select count(*) from trajectories") == 1

    run(scenario)


def test_an_absent_database_is_an_error_that_says_what_to_do() -> None:
    async def scenario() -> None:
        async with opened_store(f"postgresql://127.0.0.1:{free_port()}/spoton") as store:
            with pytest.raises(DatabaseUnavailableError, match="DATABASE_URL"):
                await store.open()

    asyncio.run(scenario())


def test_the_store_goes_on_after_its_connections_were_cut() -> None:
    async def scenario(store: Store) -> None:
        await store.open()
        with pytest.raises(DatabaseUnavailableError):
            async with store.connection() as connection:
                await connection.fetchval("select pg_terminate_backend(pg_backend_pid())")
        assert await store.active_tasks() == []

    run(scenario)
