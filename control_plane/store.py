"""PostgreSQL: connections to a migrated database, and the tasks' rows.

The pool connects when first needed and migrates then, so a process may start before its database
and goes on when the database comes back. Whenever PostgreSQL does not answer, every method raises
DatabaseUnavailableError.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from control_plane.errors import TaskNotFoundError
from control_plane.migrations import migrate, read_migrations
from control_plane.pages import Page, decode_cursor, encode_cursor
from control_plane.streaming.together import Together
from plugins.errors import DatabaseUnavailableError, InvalidInputError
from plugins.history import AWAY
from plugins.messages import TERMINAL_STATUSES, TaskProgress, TaskRequest, TaskStatus

CONNECT_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 30.0
MAX_ATTEMPTS = 5

COLUMNS = """task_id, environment_id, request, status, error, stop_requested, created_at,
  started_at, finished_at, frame_index, progress"""
UNFINISHED = "status not in ('COMPLETED','FAILED','STOPPED')"
NOBODY_HOLDS = "(lease_until is null or lease_until < now())"
INSERT = f"""insert into tasks
    (task_id, environment_id, request, progress, lease_owner, lease_until)
  values ($1, $2, $3::jsonb, $4::jsonb, $5, now() + make_interval(secs => $6))
  returning {COLUMNS}"""  # noqa: S608  # constants only
SELECT_SOME = f"select {COLUMNS} from tasks where task_id = any($1::uuid[])"  # noqa: S608
SELECT_PAGE = f"""select {COLUMNS} from tasks
  where ($1::text is null or status = $1) and ($2::text is null or environment_id = $2)
    and ($3::timestamptz is null or created_at < $3 or (created_at = $3 and task_id > $4))
    and ($6::text[] is null or environment_id = any($6))
  order by created_at desc, task_id limit $5"""  # noqa: S608
COUNT = """select count(*) from tasks
  where ($1::text is null or status = $1) and ($2::text is null or environment_id = $2)
    and ($3::text[] is null or environment_id = any($3))"""
STOP_ABANDONED = f"""update tasks set status = 'STOPPED', finished_at = now(),
    lease_owner = null, lease_until = null
  where {UNFINISHED} and stop_requested and {NOBODY_HOLDS}"""  # noqa: S608
FAIL_HOPELESS = f"""update tasks set status = 'FAILED', finished_at = now(),
    lease_owner = null, lease_until = null,
    error = 'the worker died ' || attempts || ' times after set ' || frame_index ||
            ' without storing another: see the worker''s log, then start the task again'
  where {UNFINISHED} and attempts >= $1 and {NOBODY_HOLDS}"""  # noqa: S608
CLAIM = f"""update tasks set lease_owner = $1, lease_until = now() + make_interval(secs => $2),
    attempts = attempts + 1
  where task_id = (
    select task_id from tasks where {UNFINISHED} and not stop_requested and {NOBODY_HOLDS}
    order by created_at, task_id limit 1 for update skip locked)
  returning request"""  # noqa: S608
RELEASE = """update tasks set lease_owner = null, lease_until = null,
    attempts = greatest(attempts - $3, 0)
  where task_id = $1 and lease_owner = $2"""
SET_STATUS = f"""update tasks set status = $2, error = $3,
    progress = coalesce($4::jsonb, progress),
    started_at = case when $2 <> 'QUEUED' then coalesce(started_at, now()) else started_at end,
    finished_at = case when $5 then now() end,
    lease_owner = case when not $5 then lease_owner end,
    lease_until = case when not $5 then lease_until end
  where task_id = $1 and {UNFINISHED}"""  # noqa: S608


class TaskRow(msgspec.Struct, frozen=True):
    """A task as stored. ``progress`` is the newest state its worker has written here."""

    task_id: str
    environment_id: str
    request: TaskRequest
    status: TaskStatus
    error: str | None
    stop_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    frame_index: int
    progress: TaskProgress


class Store:
    """All queries of the control plane; one per process, bound to the running event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._migrations = read_migrations()
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._is_migrated = False
        self._migrating = asyncio.Lock()
        self._tasks: Together[uuid.UUID, TaskRow] = Together(self._read_tasks)

    async def open(self) -> None:
        """Connects and migrates, as the first query would; several processes may at once."""
        async with self.connection():
            pass

    async def close(self) -> None:
        """Closes the pool; queries after it open a new one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection to a migrated database, for one handler's queries."""
        try:
            async with (await self._opened()).acquire(timeout=CONNECT_TIMEOUT_S * 2) as connection:
                async with self._migrating:
                    if not self._is_migrated:
                        await migrate(connection, self._migrations)
                        self._is_migrated = True
                yield connection
        except AWAY as error:
            what = str(error) or type(error).__name__
            raise DatabaseUnavailableError(
                f"PostgreSQL does not answer ({what}): start it, or set DATABASE_URL; the request "
                "may be sent again"
            ) from error

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                # min_size 0: no connection is made before one is needed.
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=10,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=COMMAND_TIMEOUT_S,
                )
            return self._pool

    @asynccontextmanager
    async def transaction(self, connection: Any = None) -> AsyncIterator[Any]:
        """The transaction of whoever gives its ``connection``, else one of its own."""
        if connection is not None:
            yield connection
            return
        async with self.connection() as own, own.transaction():
            yield own

    async def create_task(
        self,
        request: TaskRequest,
        *,
        owner: str | None = None,
        lease_s: float = 0.0,
        connection: Any = None,
    ) -> TaskRow:
        """Queues a task, or with ``owner`` gives it to that worker at once.

        An id that is there already raises InvalidInputError.
        """
        encoded = msgspec.json.encode(request).decode()
        progress = msgspec.json.encode(TaskProgress()).decode()
        values = (uuid.UUID(request.task_id), request.environment_id, encoded, progress)
        async with self.transaction(connection) as own:
            try:
                row = await own.fetchrow(INSERT, *values, owner, float(lease_s))
            except asyncpg.UniqueViolationError as error:
                raise InvalidInputError(f"task {request.task_id} exists already") from error
        return _task(row)

    async def get_task(self, task_id: str) -> TaskRow:
        """One task; TaskNotFoundError when there is none."""
        task = await self._tasks.get(parse_task_id(task_id))
        if task is None:
            raise unknown_task(task_id)
        return task

    async def _read_tasks(self, task_ids: list[uuid.UUID]) -> dict[uuid.UUID, TaskRow]:
        async with self.connection() as connection:
            rows = await connection.fetch(SELECT_SOME, task_ids)
        return {row["task_id"]: _task(row) for row in rows}

    async def list_tasks(
        self,
        limit: int = 50,
        cursor: str | None = None,
        status: str | None = None,
        environment: str | None = None,
        *,
        visible: Collection[str] | None = None,
    ) -> Page[TaskRow]:
        """Newest first, of the ``visible`` environments (None: all).

        A cursor that is not ours raises InvalidInputError.
        """
        after = _position(cursor)
        async with self.connection() as connection:
            rows = await connection.fetch(
                SELECT_PAGE, status, environment, *after, limit + 1, visible
            )
            total = await connection.fetchval(COUNT, status, environment, visible)
        tasks = [_task(row) for row in rows[:limit]]
        has_next = len(rows) > limit
        return Page(tasks, total, _cursor(tasks[-1]) if has_next else None, has_next)

    async def active_tasks(self) -> list[TaskRow]:
        """Every task that has not ended, newest first."""
        query = f"""select {COLUMNS} from tasks where {UNFINISHED}
          order by created_at desc, task_id limit 500"""  # noqa: S608  # constants only
        async with self.connection() as connection:
            return [_task(row) for row in await connection.fetch(query)]

    async def request_stop(self, task_id: str, *, connection: Any = None) -> TaskRow:
        """Asks the worker to stop; a task nobody works on is STOPPED at once. Idempotent."""
        key = parse_task_id(task_id)
        async with self.transaction(connection) as own:
            await own.execute(
                f"update tasks set stop_requested = true where task_id = $1 and {UNFINISHED}",  # noqa: S608  # constants only
                key,
            )
            await own.execute(f"{STOP_ABANDONED} and task_id = $1", key)
            rows = await own.fetch(SELECT_SOME, [key])
        if not rows:
            raise unknown_task(task_id)
        return _task(rows[0])

    async def claim_task(self, owner: str, lease_s: float) -> TaskRequest | None:
        """Gives ``owner`` the oldest task nobody works on, for ``lease_s`` seconds; None if none.

        Tasks whose worker died are claimed again once their lease has run out, and go on after
        the last stored set; after MAX_ATTEMPTS deaths without progress they are FAILED.
        """
        async with self.connection() as connection, connection.transaction():
            await connection.execute(STOP_ABANDONED)
            await connection.execute(FAIL_HOPELESS, MAX_ATTEMPTS)
            row = await connection.fetchrow(CLAIM, owner, float(lease_s))
        return msgspec.json.decode(row["request"], type=TaskRequest) if row else None

    async def release_lease(self, task_id: str, owner: str, *, has_crashed: bool) -> None:
        """Lets another worker take an unfinished task over at once; only crashes count as such."""
        async with self.connection() as connection:
            await connection.execute(RELEASE, parse_task_id(task_id), owner, int(not has_crashed))

    async def set_status(
        self,
        task_id: str,
        status: TaskStatus,
        error: str | None = None,
        progress: TaskProgress | None = None,
    ) -> bool:
        """Writes a status; False when the task had ended already (an end is never rewritten)."""
        encoded = None if progress is None else msgspec.json.encode(progress).decode()
        is_terminal = status in TERMINAL_STATUSES
        async with self.connection() as connection:
            done = await connection.execute(
                SET_STATUS, parse_task_id(task_id), status, error, encoded, is_terminal
            )
        return bool(done == "UPDATE 1")


def parse_task_id(task_id: str) -> uuid.UUID:
    """The id as a UUID; anything else is TaskNotFoundError."""
    try:
        return uuid.UUID(task_id)
    except ValueError as error:
        raise unknown_task(task_id) from error


def unknown_task(task_id: str) -> TaskNotFoundError:
    """No such task, and where to look."""
    return TaskNotFoundError(
        f"there is no task {task_id!r}; GET /api/v1/processing-tasks lists those there are"
    )


def _task(row: Any) -> TaskRow:
    values = dict(row)
    values["task_id"] = str(values["task_id"])
    values["request"] = msgspec.json.decode(values["request"], type=TaskRequest)
    values["progress"] = msgspec.json.decode(values["progress"], type=TaskProgress)
    return TaskRow(**values)


def _cursor(task: TaskRow) -> str:
    return encode_cursor(task.created_at.isoformat(), task.task_id)


def _position(cursor: str | None) -> tuple[datetime | None, uuid.UUID | None]:
    if cursor is None:
        return None, None
    created_at, task_id = decode_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(created_at), uuid.UUID(task_id)
    except ValueError as error:
        raise InvalidInputError(f"cursor {cursor!r} is not one of ours: leave it out") from error
