# ruff: noqa: S608  # only constants are joined; values are parameters
"""The SQL that feeds the answers; parameters begin with a scope's task ids, starts and ends."""

from typing import Any

import numpy as np

from control_plane.analytics.floor import Array
from control_plane.analytics.journey import Track
from control_plane.analytics.occupancy import Stay, stay_in
from control_plane.analytics.scope import Scope

SPANS = "unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) s(task_id, start_at, end_at)"
IN_MINUTES = f"""join {SPANS}
  on m.task_id = s.task_id and m.minute >= s.start_at and m.minute < s.end_at"""
CELLS = f"""
select cell_x, cell_y, sum(samples)::bigint as samples from cell_minutes m {IN_MINUTES}
where camera_id = $4 group by 1, 2"""
DETECTIONS = f"""
select m.camera_id, date_bin($4, m.minute, $5) as bucket, sum(detections)::bigint as detections,
  sum(confidence_sum) as confidence_sum
from camera_minutes m {IN_MINUTES} where $6::text is null or camera_id = $6
group by 1, 2 order by 2, 1"""
PICTURES = f"""
select m.camera_id, date_bin($4, m.minute, $5) as bucket, sum(sets)::bigint as sets,
  sum(frames)::bigint as frames
from processed_minutes m {IN_MINUTES} where $6::text is null or camera_id = $6
group by 1, 2 order by 2, 1"""
VISITS = f"""
select v.place_id, v.global_id::text, extract(epoch from v.entered_at)::float8 as entered_s,
  extract(epoch from v.left_at)::float8 as left_s,
  extract(epoch from s.start_at)::float8 as start_s, extract(epoch from s.end_at)::float8 as end_s
from visits v join {SPANS}
  on v.task_id = s.task_id and v.entered_at < s.end_at and v.left_at >= s.start_at
where v.kind = $4 and ($5::text is null or v.place_id = $5)
order by v.entered_at, v.global_id, v.place_id"""
# One position a second: the first of each.
TRACK = """
select distinct on (date_trunc('second', media_time))
  extract(epoch from media_time)::float8 as at_s, map_x, map_y, uncertainty_m
from trajectories where task_id = $1 and global_id = $2 and cardinality(camera_ids) > 0
  and media_time >= $3
order by date_trunc('second', media_time), frame_index limit $4"""
WAYS = f"""
with chosen as (
  select p.task_id, p.global_id, s.start_at, s.end_at from persons p join {SPANS}
    on p.task_id = s.task_id and p.first_seen < s.end_at and p.last_seen >= s.start_at
  where $5::text is null or $5 = any(p.cameras)
  order by md5(p.global_id::text) limit $4)
select c.global_id::text, extract(epoch from t.media_time)::float8 as at_s, t.map_x, t.map_y
from chosen c cross join lateral (
  select distinct on (date_trunc('second', media_time)) media_time, map_x, map_y
  from trajectories where task_id = c.task_id and global_id = c.global_id
    and media_time >= c.start_at and media_time < c.end_at and cardinality(camera_ids) > 0
  order by date_trunc('second', media_time), frame_index limit 1800) t
order by 1, 2"""
UNIQUE = f"""
select count(distinct (v.task_id, v.global_id)) from visits v join {SPANS}
  on v.task_id = s.task_id and v.entered_at < s.end_at and v.left_at >= s.start_at
where v.kind = 'camera' and ($4::text is null or v.place_id = $4)"""
PLACES_OF = """
select kind, place_id, entered_at, left_at from visits
where task_id = $1 and global_id = $2 order by entered_at, kind, place_id"""


async def cells(connection: Any, scope: Scope, camera_id: str | None) -> list[tuple[int, int, int]]:
    """Half-metre cells with samples; of all cameras each person counts once."""
    rows = await connection.fetch(CELLS, *scope.minutes(), camera_id or "")
    return [(r["cell_x"], r["cell_y"], r["samples"]) for r in rows]


async def stays(
    connection: Any, scope: Scope, kind: str, place_id: str | None = None
) -> dict[str, list[Stay]]:
    """Visits by place, cut to the scope."""
    found: dict[str, list[Stay]] = {}
    for r in await connection.fetch(VISITS, *scope.columns(), kind, place_id):
        span = (r["start_s"], r["end_s"])
        stay = stay_in(r["global_id"], (r["entered_s"], r["left_s"]), span)
        if stay is not None:
            found.setdefault(r["place_id"], []).append(stay)
    return found


async def ways(
    connection: Any, scope: Scope, most: int, camera_id: str | None = None
) -> list[tuple[str, Track]]:
    """Up to ``most`` people's positions, one a second; always the same choice of people."""
    rows = await connection.fetch(WAYS, *scope.columns(), most, camera_id)
    people: dict[str, list[Any]] = {}
    for row in rows:
        people.setdefault(row["global_id"], []).append(row)
    return [(global_id, track_of(own)) for global_id, own in people.items()]


def track_of(rows: Any) -> Track:
    """Rows with at_s, map_x, map_y as a Track."""
    times: Array = np.array([r["at_s"] for r in rows], dtype=np.float64)
    points = np.array([(r["map_x"], r["map_y"]) for r in rows], dtype=np.float64)
    return Track(times, points.reshape(-1, 2))
