"""What a worker stores: rows into PostgreSQL, each exactly once, over crash and resume.

One transaction holds the rows of a stretch of sets, the tracker's checkpoint after the last of
them, and the advance of ``tasks.frame_index``. The advance happens only while this worker holds
the task's lease and only forward, so a batch whose commit was cut off is either whole or absent,
and sending it again is a no-op. While PostgreSQL is away, rows wait in memory.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import structlog

from plugins.encryption import Cipher, MasterKey, open_cipher
from plugins.errors import DatabaseUnavailableError, LeaseLostError
from plugins.messages import TERMINAL_STATUSES, TaskProgress, TaskStatus
from plugins.person_crops import MERGE_CROPS, store_crops
from plugins.processed_minutes import UPSERT as MINUTE_UPSERT
from plugins.service_urls import without_password

log = structlog.get_logger()
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asyncpg's own confusion when a connection is cut mid-COPY
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down, not up yet, query cancelled
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.TransactionRollbackError,  # deadlock
    asyncpg.ReadOnlySQLTransactionError,  # a replica answers while another becomes the primary
)
LEASE_S = 15.0
BEAT_S = 1.0
MAX_BATCHES_WAITING = 600
COMMAND_TIMEOUT_S = 10.0

EVENT_COLUMNS = (
    "media_time environment_id task_id camera_id frame_index track_id global_id "
    "x1 y1 x2 y2 confidence map_x map_y map_uncertainty_m"
).split()
TRAJECTORY_COLUMNS = (
    "media_time environment_id task_id frame_index global_id "
    "map_x map_y speed_mps uncertainty_m camera_ids"
).split()
DECISION_COLUMNS = (
    "task_id frame_index ordinal media_time camera_id track_id verdict global_id other_global_id "
    "cosine metres seconds threshold log_likelihood reason"
).split()
PERSON_UPSERT = """
insert into persons as p (global_id, environment_id, task_id, first_seen, last_seen, cameras,
                          embedding_model, embedding)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (task_id, global_id) do update set
  first_seen = least(p.first_seen, excluded.first_seen),
  last_seen = greatest(p.last_seen, excluded.last_seen),
  cameras = (select array_agg(distinct c order by c) from unnest(p.cameras || excluded.cameras) c),
  embedding_model = coalesce(excluded.embedding_model, p.embedding_model),
  embedding = coalesce(excluded.embedding, p.embedding)"""
ADVANCE = """
update tasks set frame_index = $3, checkpoint = $4, attempts = 0,
                 lease_until = now() + make_interval(secs => $5)
where task_id = $1 and lease_owner = $2 and frame_index < $3"""
RENEW = """
update tasks set lease_until = now() + make_interval(secs => $3), progress = $4
where task_id = $1 and lease_owner = $2 returning stop_requested"""
FINISH = """
update tasks set status = $3, error = $4, progress = $5, lease_owner = null, lease_until = null,
                 started_at = coalesce(started_at, now()),
                 finished_at = case when $6 then now() end
where task_id = $1 and lease_owner = $2"""
SET_STATUS = """
update tasks set status = $3, error = $4, progress = $5, started_at = coalesce(started_at, now())
where task_id = $1 and lease_owner = $2"""
STATE = """
select frame_index, checkpoint, progress,
       array(select global_id::text from persons p where p.task_id = t.task_id) as person_ids
from tasks t where task_id = $1"""
# A merged person's rows become the older person's.
MERGE_STATEMENTS = (
    "update tracking_events set global_id = $2 where task_id = $3 and global_id = $1",
    """delete from trajectories t where task_id = $3 and global_id = $1 and exists
       (select 1 from trajectories o where o.task_id = $3 and o.global_id = $2
        and o.frame_index = t.frame_index)""",
    "update trajectories set global_id = $2 where task_id = $3 and global_id = $1",
    """insert into persons as p select task_id, $2, environment_id, first_seen, last_seen, cameras,
         embedding_model, embedding from persons where global_id = $1 and task_id = $3
       on conflict (task_id, global_id) do update set
         first_seen = least(p.first_seen, excluded.first_seen),
         last_seen = greatest(p.last_seen, excluded.last_seen),
         cameras = (select array_agg(distinct c order by c)
                    from unnest(p.cameras || excluded.cameras) c)""",
    "delete from persons where global_id = $1 and global_id <> $2 and task_id = $3",
    *MERGE_CROPS,
)

# Two exchanged people's rows of some sets become each other's; $6 keeps them apart meanwhile.
EXCHANGE_STATEMENTS = tuple(
    f"""update {table} set global_id = {new} where task_id = $3 and global_id = {old}
        and frame_index >= $4 and frame_index < $5 and $1::uuid <> $2 and $6::uuid is not null"""  # noqa: S608 - no foreign text in it
    for table in ("tracking_events", "trajectories", "person_crops")
    for old, new in (("$1", "$6"), ("$2", "$1"), ("$6", "$2"))
)
NOBODY = "00000000-0000-0000-0000-000000000000"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Two people are each other in the sets from ``since_index`` to before ``until_index``, once
    the first ``merges_before`` merges of the batch are done.
    """

    first_id: str
    second_id: str
    since_index: int
    until_index: int
    merges_before: int


@dataclass(slots=True)
class Batch:
    """The rows of consecutive sets up to and including ``frame_index``, and the state after it.

    Rows are tuples in the order of the column lists above; ``merges`` are (merged, kept) ids,
    ``minutes`` and ``crops`` are as ``processed_minutes`` and ``person_crops`` have them.
    ``exchanges`` may reach back into batches stored before.
    """

    frame_index: int
    checkpoint: bytes
    events: list[Row] = field(default_factory=list)
    trajectories: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    persons: list[Row] = field(default_factory=list)
    merges: list[tuple[str, str]] = field(default_factory=list)
    minutes: list[Row] = field(default_factory=list)
    crops: list[Row] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)


class History:
    """One task's writer: a thread with a connection of its own, and a bounded queue before it.

    ``stop`` is set when the task's row asks for it.
    """

    def __init__(self, database_url: str, task_id: str, owner: str, stop: threading.Event) -> None:
        self.failure: BaseException | None = None
        self.committed_index = -1
        self._url, self._task_id, self._owner = database_url, task_id, owner
        self._stop = stop
        self._batches: list[Batch] = []
        self._changed = threading.Condition()
        self._progress = TaskProgress()
        self._reported: TaskStatus = "QUEUED"
        self._status_due: tuple[TaskStatus, str | None] | None = None
        self._range: tuple[datetime, datetime] | None = None
        self._closing = self._is_finishing = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def add(self, batch: Batch) -> None:
        """Hands a batch over; waits when too many wait already. Raises what ended the writer."""
        with self._changed:
            while len(self._batches) >= MAX_BATCHES_WAITING and self.failure is None:
                self._changed.wait(1.0)
            self._raise_failure()
            self._batches.append(batch)
            self._changed.notify_all()

    def expect(self, first: datetime, last: datetime) -> None:
        """Makes room for rows of this media-time range before they come."""
        with self._changed:
            self._range = (first, last)

    def report(self, progress: TaskProgress) -> None:
        """The state that goes into the task's row with the next heartbeat."""
        with self._changed:
            self._raise_failure()
            if progress.status != self._reported:
                self._reported = progress.status
                self._status_due = (progress.status, progress.error)
                self._changed.notify_all()
            self._progress = progress

    def finish(self, progress: TaskProgress, timeout_s: float = 120.0) -> None:
        """Commits what waits and writes the final status; DatabaseUnavailableError when
        PostgreSQL stays away for ``timeout_s`` (the lease then expires and the task is resumed).
        """
        with self._changed:
            self._progress = progress
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._raise_failure()
        if self._thread.is_alive():
            raise DatabaseUnavailableError(
                f"PostgreSQL at {without_password(self._url)[0]} has been away for "
                f"{timeout_s:.0f} s: the last {len(self._batches)} batches are not stored; the "
                "task resumes from the last stored set once a worker finds the database again"
            )

    def abandon(self) -> None:
        """Ends without a final status: another worker goes on from the last commit."""
        with self._changed:
            self.failure = self.failure or LeaseLostError(f"task {self._task_id} was given up")
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            asyncio.run(self._write())
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            with self._changed:
                self.failure = error
                self._changed.notify_all()

    async def _write(self) -> None:
        connection: asyncpg.Connection | None = None
        while True:
            batches, is_last = await asyncio.to_thread(self._wait)
            if self.failure is not None:
                return
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(
                        self._url, timeout=5.0, command_timeout=COMMAND_TIMEOUT_S
                    )
                if await self._write_once(connection, batches, is_last=is_last):
                    connection.terminate()
                    return
            except AWAY as error:
                log.warning("database_away", waiting=len(self._batches), error=str(error))
                if connection is not None:
                    connection.terminate()
                connection = None
                await asyncio.sleep(0.5)

    async def _write_once(
        self, connection: asyncpg.Connection, batches: list[Batch], *, is_last: bool
    ) -> bool:
        """Whether everything is written, the final status too."""
        if self._is_finishing and await self._has_ended(connection):
            return True
        if self._range is not None:
            await connection.execute("select ensure_partitions($1, $2)", *self._range)
            self._range = None
        for batch in batches:
            await self._commit(connection, batch)
        await self._beat(connection)
        if is_last and not self._batches:
            await self._finish(connection)
            return True
        return False

    def _wait(self) -> tuple[list[Batch], bool]:
        with self._changed:
            if not self._batches and not self._closing and self._status_due is None:
                self._changed.wait(BEAT_S)
            return list(self._batches), self._closing

    async def _commit(self, connection: asyncpg.Connection, batch: Batch) -> None:
        async with connection.transaction():
            advanced = await connection.execute(
                ADVANCE, self._task_id, self._owner, batch.frame_index, batch.checkpoint, LEASE_S
            )
            if advanced == "UPDATE 1":
                await _copy_rows(connection, self._task_id, batch)
            elif not await self._is_stored(connection, batch):
                raise LeaseLostError(f"another worker has taken task {self._task_id} over")
        self.committed_index = batch.frame_index
        with self._changed:
            self._batches.remove(batch)
            self._changed.notify_all()

    async def _is_stored(self, connection: asyncpg.Connection, batch: Batch) -> bool:
        row = await connection.fetchrow(
            "select lease_owner, frame_index from tasks where task_id = $1", self._task_id
        )
        return bool(
            row and row["lease_owner"] == self._owner and row["frame_index"] >= batch.frame_index
        )

    async def _beat(self, connection: asyncpg.Connection) -> None:
        progress = msgspec.json.encode(self._progress).decode()
        due = self._status_due
        if due is not None:
            await connection.execute(SET_STATUS, self._task_id, self._owner, *due, progress)
            with self._changed:
                if self._status_due is due:
                    self._status_due = None
        row = await connection.fetchrow(RENEW, self._task_id, self._owner, LEASE_S, progress)
        if row is None:
            raise LeaseLostError(f"another worker has taken task {self._task_id} over")
        if row["stop_requested"]:
            self._stop.set()

    async def _has_ended(self, connection: asyncpg.Connection) -> bool:
        """Whether a final status whose answer was lost has been written after all."""
        return bool(
            await connection.fetchval(
                "select finished_at is not null from tasks where task_id = $1", self._task_id
            )
        )

    async def _finish(self, connection: asyncpg.Connection) -> None:
        self._is_finishing = True
        progress = self._progress
        await connection.execute(
            FINISH,
            self._task_id,
            self._owner,
            progress.status,
            progress.error,
            msgspec.json.encode(progress).decode(),
            progress.status in TERMINAL_STATUSES,
        )


async def _copy_rows(connection: asyncpg.Connection, task_id: str, batch: Batch) -> None:
    tables: Sequence[tuple[str, list[Row], list[str]]] = (
        ("tracking_events", batch.events, EVENT_COLUMNS),
        ("trajectories", batch.trajectories, TRAJECTORY_COLUMNS),
        ("identity_decisions", batch.decisions, DECISION_COLUMNS),
    )
    for table, rows, columns in tables:
        if rows:
            await connection.copy_records_to_table(table, records=rows, columns=columns)
    if batch.persons:
        await connection.executemany(PERSON_UPSERT, batch.persons)
    if batch.minutes:
        await connection.executemany(MINUTE_UPSERT, batch.minutes)
    await store_crops(connection, task_id, batch.crops)
    await _rewrite(connection, task_id, batch)


async def _rewrite(connection: asyncpg.Connection, task_id: str, batch: Batch) -> None:
    """Exchanges and merges people in the order in which that was decided."""
    for done in range(len(batch.merges) + 1):
        for each in [e for e in batch.exchanges if e.merges_before == done]:
            sets = each.since_index, each.until_index
            for statement in EXCHANGE_STATEMENTS:
                await connection.execute(
                    statement, each.first_id, each.second_id, task_id, *sets, NOBODY
                )
        for merged, kept in batch.merges[done : done + 1]:
            for statement in MERGE_STATEMENTS:
                await connection.execute(statement, merged, kept, task_id)


@dataclass(frozen=True, slots=True)
class StoredState:
    """Where a task stands in the database: go on after ``frame_index`` with ``checkpoint``."""

    frame_index: int
    checkpoint: bytes | None
    person_ids: frozenset[str] = frozenset()
    dropped: int = 0


async def read_state(database_url: str, task_id: str) -> StoredState:
    """The last commit of a task; DatabaseUnavailableError when PostgreSQL does not answer."""
    try:
        row = await _fetch_state(database_url, task_id)
    except AWAY as error:
        raise _unavailable(database_url, error) from error
    if row is None:
        return StoredState(-1, None)
    progress = msgspec.json.decode(row["progress"], type=TaskProgress)
    return StoredState(
        row["frame_index"], row["checkpoint"], frozenset(row["person_ids"]), progress.dropped
    )


async def read_cipher(database_url: str, master: MasterKey) -> Cipher:
    """The data keys; DatabaseUnavailableError, or EncryptionKeyError for another master key."""
    try:
        connection = await asyncpg.connect(database_url, timeout=5.0)
        try:
            return await open_cipher(connection, master)
        finally:
            connection.terminate()
    except AWAY as error:
        raise _unavailable(database_url, error) from error


def _unavailable(database_url: str, error: Exception) -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        f"PostgreSQL at {without_password(database_url)[0]} does not answer ({error}): start it, "
        "or set DATABASE_URL"
    )


async def _fetch_state(database_url: str, task_id: str) -> asyncpg.Record | None:
    connection = await asyncpg.connect(database_url, timeout=5.0)
    try:
        return await connection.fetchrow(STATE, task_id, timeout=COMMAND_TIMEOUT_S)
    finally:
        connection.terminate()


def wait_for_state(database_url: str, task_id: str, patience_s: float = 60.0) -> StoredState:
    """read_state, tried again for a while."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return asyncio.run(read_state(database_url, task_id))
        except DatabaseUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
