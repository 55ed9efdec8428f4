"""Reports made again and again: when one is due, exactly one replica queues it."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from control_plane.errors import ScheduleNotFoundError
from control_plane.exports.jobs import enqueue
from control_plane.exports.orders import Every, ReportOrder
from control_plane.store import Store

PERIODS: dict[Every, timedelta] = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
}
INSERT = """insert into report_schedules
  (schedule_id, environment_id, every, format, created_by, next_due)
  values ($1, $2, $3, $4, $5, $6) returning *"""
PAGE = """select * from report_schedules where ($1::text[] is null or environment_id = any($1))
  order by created_at, schedule_id limit 500"""
FIND = "select * from report_schedules where schedule_id = $1"
DELETE = "delete from report_schedules where schedule_id = $1"
DUE = """select * from report_schedules where next_due <= now()
  order by next_due limit 20 for update skip locked"""
NEXT = "update report_schedules set next_due = $2 where schedule_id = $1"


class Schedule(msgspec.Struct, frozen=True):
    """A report of the newest hour, day or week that is stored, made at ``next_due`` and then every
    so often.
    """

    schedule_id: str
    environment_id: str
    every: Every
    format: Literal["html", "json"]
    created_at: datetime
    next_due: datetime


async def add_schedule(
    connection: Any, environment_id: str, every: Every, form: str, created_by: str | None
) -> Schedule:
    """The first report is due at the next full hour, midnight or Monday, UTC."""
    who = None if created_by is None else uuid.UUID(created_by)
    due = next_due(every, datetime.now(UTC))
    values = (uuid.uuid4(), environment_id, every, form, who, due)
    return as_schedule(await connection.fetchrow(INSERT, *values))


async def list_schedules(connection: Any, visible: Collection[str] | None) -> list[Schedule]:
    """Oldest first."""
    return [as_schedule(row) for row in await connection.fetch(PAGE, visible)]


async def find_schedule(
    connection: Any, schedule_id: str, visible: Collection[str] | None
) -> Schedule:
    """ScheduleNotFoundError for one that is not there or not visible."""
    try:
        row = await connection.fetchrow(FIND, uuid.UUID(schedule_id))
    except ValueError as error:
        raise unknown_schedule(schedule_id) from error
    if row is None or (visible is not None and row["environment_id"] not in visible):
        raise unknown_schedule(schedule_id)
    return as_schedule(row)


async def delete_schedule(connection: Any, schedule_id: str) -> None:
    """Reports made already stay."""
    await connection.execute(DELETE, uuid.UUID(schedule_id))


async def enqueue_due(store: Store) -> int:
    """Queues what is due, once however many replicas ask; reports missed meanwhile are not made
    up for. Returns how many.
    """
    async with store.connection() as connection, connection.transaction():
        rows = await connection.fetch(DUE)
        for row in rows:
            order = ReportOrder(row["environment_id"], row["format"], last=row["every"])
            await enqueue(
                connection, order, row["environment_id"], None, schedule_id=row["schedule_id"]
            )
            due = next_due(row["every"], datetime.now(UTC))
            await connection.execute(NEXT, row["schedule_id"], due)
    return len(rows)


def next_due(every: Every, now: datetime) -> datetime:
    """The full hour, midnight or Monday's midnight (UTC) after ``now``."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if every == "hourly":
        return hour + timedelta(hours=1)
    midnight = hour.replace(hour=0)
    days = 1 if every == "daily" else 7 - midnight.weekday()
    return midnight + timedelta(days=days)


def as_schedule(row: Any) -> Schedule:
    """A row of report_schedules."""
    return Schedule(
        str(row["schedule_id"]),
        row["environment_id"],
        row["every"],
        row["format"],
        row["created_at"],
        row["next_due"],
    )


def unknown_schedule(schedule_id: str) -> ScheduleNotFoundError:
    """No such schedule, and where to look."""
    return ScheduleNotFoundError(
        f"there is no schedule {schedule_id!r}; GET /api/v1/analytics/reports/schedules lists them"
    )
