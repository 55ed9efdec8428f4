"""A day of one environment, made with SQL: three cameras that see four people at all times."""

import time
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg

DAY = datetime(2024, 5, 1, tzinfo=UTC)
EVENTS_PER_SET = 12
STAY_SETS = 2000
PERSON = "md5(s || ' ' || f / {stay})::uuid"
X = "10 + 8 * sin((f % {stay}) / 330.0 + s)"
Y = "7.5 + 6 * sin((f % {stay}) / 210.0 + 2 * s)"
MAKE = (
    """insert into tracking_events
select $2::timestamptz + f * interval '100 ms', 'campus', $1, 'c0' || c, f, s, {person},
  100, 100, 160, 300, 0.8, {x}, {y}, 0.2
from generate_series($3::int, $4::int) f, generate_series(1, 4) s, generate_series(1, 3) c""",
    """insert into trajectories
select $2::timestamptz + f * interval '100 ms', 'campus', $1, f, {person}, {x}, {y}, 1.0, 0.2,
  array['c01', 'c02', 'c03']
from generate_series($3::int, $4::int) f, generate_series(1, 4) s""",
    """insert into persons (task_id, global_id, environment_id, first_seen, last_seen, cameras)
select $1, {person}, 'campus', $2::timestamptz + min(f) * interval '100 ms',
  $2::timestamptz + max(f) * interval '100 ms', array['c01', 'c02', 'c03']
from generate_series($3::int, $4::int) f, generate_series(1, 4) s group by {person}
on conflict (task_id, global_id) do update set last_seen = excluded.last_seen""",
    """insert into processed_minutes
select $1, 'c0' || c, $2::timestamptz + f / 600 * interval '1 minute', 'campus', count(*),
  count(*), min(f), max(f), $2::timestamptz + min(f) * interval '100 ms',
  $2::timestamptz + max(f) * interval '100 ms'
from generate_series($3::int, $4::int) f, generate_series(1, 3) c group by f / 600, c""",
)


async def make_day(url: str, task_id: str, sets: int) -> float:
    """Rows of a task's sets, not yet rolled up; returns how many seconds it took."""
    connection = await asyncpg.connect(url, command_timeout=3600)
    began = time.perf_counter()
    await connection.execute("set synchronous_commit = off")
    await connection.execute("select ensure_partitions($1, $2)", DAY, DAY + timedelta(days=1))
    await connection.execute(
        """insert into tasks (task_id, environment_id, request, status, frame_index)
           values ($1, 'campus', '{}', 'COMPLETED', $2)""",
        uuid.UUID(task_id),
        sets - 1,
    )
    names = {"stay": STAY_SETS}
    parts = {"person": PERSON.format(**names), "x": X.format(**names), "y": Y.format(**names)}
    for first in range(0, sets, 60_000):
        for statement in MAKE:
            last = min(first + 60_000, sets) - 1
            await connection.execute(
                statement.format(**parts), uuid.UUID(task_id), DAY, first, last
            )
    for table in ("tracking_events", "trajectories", "persons", "processed_minutes"):
        await connection.execute(f"analyze {table}")
    await connection.close()
    return time.perf_counter() - began
