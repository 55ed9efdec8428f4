"""A person out of everything that is stored: rows, rollups, pictures, looks, trackers, exports.

What stays is the audit log, which says by the id alone who looked at and who erased whom. Deleted
rows leave the database's files with the next vacuum, and backups when they are thrown away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from control_plane.analytics.floor import Array
from control_plane.errors import EditConflictError
from control_plane.storage.rollups import correct

TASKS = """
select t.task_id, t.environment_id, t.status from tasks t where
  ($2::text[] is null or environment_id = any($2)) and (
    exists (select 1 from persons p where p.task_id = t.task_id and p.global_id = $1)
    or exists (select 1 from tracking_events e where e.task_id = t.task_id and e.global_id = $1))"""
# Whoever was merged into the person is the person.
NAMES = """
with recursive names(id) as (
  select $2::uuid union
  select e.from_id from identity_edits e join names on e.to_id = names.id
  where e.task_id = $1 and e.kind = 'merge' and e.undone_at is null)
select id from names"""
TIMES = """
select min(media_time) as first_at, max(media_time) as last_at from (
  select media_time from tracking_events where task_id = $1 and global_id = any($2::uuid[])
  union all
  select media_time from trajectories where task_id = $1 and global_id = any($2::uuid[])) seen"""
ERASE = {
    "tracking_events": "global_id = any($2::uuid[])",
    "trajectories": "global_id = any($2::uuid[])",
    "persons": "global_id = any($2::uuid[])",
    "person_crops": "global_id = any($2::uuid[])",
    "identity_decisions": "global_id = any($2::uuid[]) or other_global_id = any($2::uuid[])",
    "identity_edits": "from_id = any($2::uuid[]) or to_id = any($2::uuid[])",
    "feedback": "global_id = any($2::uuid[]) or other_global_id = any($2::uuid[])",
    "visits": "global_id = any($2::uuid[])",
}
FORGET_TRACKER = """update tasks set checkpoint = null
  where task_id = $1 and status in ('COMPLETED', 'FAILED', 'STOPPED')"""
WITHDRAW = """update export_jobs set status = 'WITHDRAWN', file_key = null, manifest = null,
    error = 'somebody in it has been erased: export it again'
  where environment_id = $1 and status = 'COMPLETED' and covers_from <= $3 and covers_to >= $2
  returning job_id::text"""
BEGIN_ANEW = """update export_jobs set status = 'QUEUED', lease_owner = null, lease_until = null
  where environment_id = $1 and status = 'RUNNING'"""
FORGET_WISHES = """update export_jobs set query = query - 'global_id', manifest = null,
    file_key = null, status = case when status = 'EXPIRED' then status else 'WITHDRAWN' end,
    lease_owner = null, finished_at = coalesce(finished_at, now()),
    error = 'the person it was about has been erased'
  where query ->> 'global_id' = any($1::text[]) returning job_id::text"""


@dataclass(frozen=True, slots=True)
class Erased:
    """What went: rows by table, exports whose files go, and the tasks whose live streams may still
    hold the person.
    """

    rows: Mapping[str, int]
    exports: Sequence[str]
    task_ids: Sequence[str]


async def erase_person(
    connection: Any,
    global_id: str,
    visible: Sequence[str] | None,
    zones: Mapping[str, Mapping[str, Array]],
) -> Erased:
    """Erases a person from every task of the visible environments (None: all), in the caller's
    transaction. EditConflictError while one of them runs: its tracker would store them again.
    """
    tasks = await connection.fetch(TASKS, UUID(global_id), visible)
    for task in tasks:
        require_ended(task["task_id"], task["status"])
    rows: dict[str, int] = dict.fromkeys(ERASE, 0)
    exports: set[str] = set()
    for task in tasks:
        names = [r["id"] for r in await connection.fetch(NAMES, task["task_id"], UUID(global_id))]
        times = await connection.fetchrow(TIMES, task["task_id"], names)
        for table, count in (await _erase_rows(connection, task["task_id"], names)).items():
            rows[table] += count
        await connection.execute(FORGET_TRACKER, task["task_id"])
        exports |= await _withdraw(connection, task["environment_id"], names, tuple(times))
        if times["first_at"] is not None:
            polygons = zones.get(task["environment_id"], {})
            people = [str(name) for name in names]
            await correct(connection, task["task_id"], people, tuple(times), polygons)
    return Erased(rows, sorted(exports), [str(task["task_id"]) for task in tasks])


def require_ended(task_id: Any, status: str) -> None:
    """EditConflictError for a task whose worker still writes."""
    if status not in {"COMPLETED", "FAILED", "STOPPED"}:
        raise EditConflictError(
            f"task {task_id} is {status} and goes on storing this person: stop it with POST "
            f"/api/v1/processing-tasks/{task_id}/stop, or wait for its end"
        )


async def _erase_rows(connection: Any, task_id: Any, names: Sequence[Any]) -> dict[str, int]:
    counts = {}
    for table, where in ERASE.items():
        sql = f"delete from {table} where task_id = $1 and ({where})"  # noqa: S608  # constants
        tag = await connection.execute(sql, task_id, names, timeout=600)
        counts[table] = int(tag.rpartition(" ")[2])
    return counts


async def _withdraw(
    connection: Any,
    environment_id: str,
    names: Sequence[Any],
    times: tuple[datetime | None, datetime | None],
) -> set[str]:
    """Exports that hold the person, or are about to."""
    asked = await connection.fetch(FORGET_WISHES, [str(name) for name in names])
    held = await connection.fetch(WITHDRAW, environment_id, *times)
    await connection.execute(BEGIN_ANEW, environment_id)
    return {row["job_id"] for row in (*asked, *held)}
