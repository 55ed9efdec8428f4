"""How long what is stored is kept, environment by environment.

A row goes when both its media time and the making of its task are longer ago than the environment
keeps: recordings of long ago that are played today are not deleted while they play.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.audit import record
from control_plane.environments import API, EnvironmentId
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.store import Store
from plugins.errors import DatabaseUnavailableError, UnknownEnvironmentError

RETENTION_LOCK = 7_305_115
DUE = """
select t.task_id, make_interval(days => coalesce(r.keep_days, $1::int)) as keep
from tasks t left join retention r using (environment_id)
where coalesce(r.keep_days, $1::int) is not null
  and t.created_at < $2::timestamptz - make_interval(days => coalesce(r.keep_days, $1::int))"""
EXPIRE = (
    "delete from tracking_events where task_id = $1 and media_time < $2",
    "delete from trajectories where task_id = $1 and media_time < $2",
    "delete from identity_decisions where task_id = $1 and media_time < $2",
    "delete from person_crops where task_id = $1 and media_time < $2",
    "delete from persons where task_id = $1 and last_seen < $2",
    "delete from positions_set_aside where task_id = $1 and media_time < $2",
    "delete from persons_set_aside where task_id = $1 and last_seen < $2",
    "delete from visits where task_id = $1 and left_at < $2",
    "delete from camera_minutes where task_id = $1 and minute < $2",
    "delete from cell_minutes where task_id = $1 and minute < $2",
    "delete from processed_minutes where task_id = $1 and minute < $2",
)
FORGET_TASKS = """
delete from tasks t where task_id = any($1::uuid[]) and status in ('COMPLETED','FAILED','STOPPED')
  and not exists (select 1 from processed_minutes m where m.task_id = t.task_id)"""
FORGET_REST = tuple(
    f"delete from {table} r where task_id = any($1::uuid[]) "  # noqa: S608  # constants
    "and not exists (select 1 from tasks t where t.task_id = r.task_id)"
    for table in ("rollup_progress", "identity_edits", "feedback")
)
PUT = """
insert into retention (environment_id, keep_days) values ($1, $2)
on conflict (environment_id) do update set keep_days = excluded.keep_days, updated_at = now()"""


class Retention(msgspec.Struct, frozen=True):
    """``keep_days`` null keeps everything; ``is_default`` where only the setting says so."""

    environment_id: str
    keep_days: int | None
    is_default: bool


class NewRetention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days of media time to keep; null goes back to the default."""

    keep_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None


EXAMPLE = Retention("campus", 30, is_default=False)
ERRORS = (UnknownEnvironmentError, DatabaseUnavailableError)


async def expire(store: Store, default_days: int | None, now: datetime | None = None) -> int:
    """Deletes what is older than its environment keeps; returns how many rows went.

    One replica at a time does it; each task is a transaction of its own.
    """
    moment = now or datetime.now(UTC)
    async with store.connection() as connection:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", RETENTION_LOCK):
            return 0
        try:
            due = await connection.fetch(DUE, default_days, moment)
            counts = [await _expire_task(connection, r["task_id"], moment - r["keep"]) for r in due]
            await _forget(connection, [row["task_id"] for row in due])
        finally:
            await connection.execute("select pg_advisory_unlock($1)", RETENTION_LOCK)
    return sum(counts)


async def _expire_task(connection: Any, task_id: Any, before: datetime) -> int:
    async with connection.transaction():
        done = [
            await connection.execute(statement, task_id, before, timeout=600)
            for statement in EXPIRE
        ]
    return sum(int(tag.rpartition(" ")[2]) for tag in done)


async def _forget(connection: Any, task_ids: Sequence[Any]) -> None:
    async with connection.transaction():
        await connection.execute(FORGET_TASKS, task_ids)
        for statement in FORGET_REST:
            await connection.execute(statement, task_ids)


@get(f"{API}/{{environment_id:str}}/retention", tags=["environments"], opt={"role": "viewer"},
     responses=documented(200, Retention, EXAMPLE, *ERRORS))  # fmt: skip
async def read_retention(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
) -> Retention:
    """How long an environment's rows are kept."""
    visible_environment(services, caller, environment_id)
    async with services.store.connection() as connection:
        days = await connection.fetchval(
            "select keep_days from retention where environment_id = $1", environment_id
        )
    default = services.settings.retention_days
    return Retention(environment_id, default if days is None else days, is_default=days is None)


@put(f"{API}/{{environment_id:str}}/retention", tags=["environments"], opt={"role": "admin"},
     responses=documented(200, Retention, EXAMPLE, *ERRORS))  # fmt: skip
async def change_retention(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
    data: JSONBody[NewRetention],
) -> Retention:
    """Change it; what is older goes within the hour, or with POST system/maintenance."""
    visible_environment(services, caller, environment_id)
    details = {"keep_days": data.keep_days}
    async with services.store.connection() as connection, connection.transaction():
        if data.keep_days is None:
            sql = "delete from retention where environment_id = $1"
            await connection.execute(sql, environment_id)
        else:
            await connection.execute(PUT, environment_id, data.keep_days)
        audited = (services, caller, "retention.change", environment_id, details)
        await record(*audited, connection=connection)
    default = services.settings.retention_days
    is_default = data.keep_days is None
    return Retention(environment_id, default if is_default else data.keep_days, is_default)


HANDLERS: list[ControllerRouterHandler] = [read_retention, change_retention]
