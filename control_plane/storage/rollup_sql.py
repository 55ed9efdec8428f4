"""The statements of rollups.py."""

from control_plane.analytics.floor import CELL_M

BEHIND = """
select t.task_id, t.environment_id, part,
  coalesce(p.frame_index, -1) as done, coalesce(p.fingerprint, '') as fingerprint
from tasks t cross join unnest(array['minutes', 'visits']) part
left join rollup_progress p using (task_id, part)
where t.frame_index > -1 and (coalesce(p.frame_index, -1) < t.frame_index
  or (part = 'visits' and p.fingerprint <> ($1::jsonb ->> t.environment_id)))
order by t.created_at, t.task_id, part"""
# How far a task's rows are complete: an ended task's to its end; of a running one the sets up to
# the newest row, since rows come in order.
STORED = """
select case when t.status in ('COMPLETED', 'FAILED', 'STOPPED') then t.frame_index
  else greatest(t.frame_index - $2, (
    select max(newest) from (select distinct camera_id from processed_minutes where task_id = $1) c
    cross join lateral (select max(e.frame_index) as newest from tracking_events e
      where e.task_id = $1 and e.camera_id = c.camera_id) n)) end
from tasks t where task_id = $1"""
NEXT_MINUTES = """
select minute, max(last_frame) as last_frame, min(first_at) as first_at, max(last_at) as last_at,
  array_agg(distinct camera_id) as cameras
from processed_minutes where task_id = $1 and last_frame > $2
group by minute order by minute limit $3"""
CLAIM = "select * from rollup_progress where task_id = $1 and part = $2 for update skip locked"
ADVANCE = """update rollup_progress set frame_index = $3, last_at = $4, fingerprint = $5, state = $6
  where task_id = $1 and part = $2"""
FORGET_MINUTES = (
    "delete from camera_minutes where task_id = $1 and minute between $2 and $3",
    "delete from cell_minutes where task_id = $1 and minute between $2 and $3",
)
FORGET_VISITS = "delete from visits where task_id = $1"
FORGET_VISITS_OF = "delete from visits where task_id = $1 and global_id = any($2::uuid[])"
SEEN = "select first_seen, last_seen from persons where task_id = $1 and global_id = $2"
# $1 task, $2 and $3 frames after and up to, $4 and $5 media time from and to, $6 cameras
ADD_CAMERAS = """
insert into camera_minutes as m (task_id, camera_id, minute, detections, confidence_sum)
select task_id, camera_id, date_trunc('minute', media_time, 'UTC'), count(*),
  sum(confidence::float8)
from tracking_events
where task_id = $1 and frame_index > $2 and frame_index <= $3
  and media_time between $4 and $5 and camera_id = any($6::text[])
group by 1, 2, 3
on conflict (task_id, camera_id, minute) do update set
  detections = m.detections + excluded.detections,
  confidence_sum = m.confidence_sum + excluded.confidence_sum"""
ADD_CELLS = f"""
insert into cell_minutes as m (task_id, camera_id, minute, cell_x, cell_y, samples)
select task_id, seen_by, date_trunc('minute', media_time, 'UTC'),
  floor(map_x / {CELL_M}), floor(map_y / {CELL_M}), count(*)
from trajectories cross join lateral unnest(camera_ids || array['']) seen_by
where task_id = $1 and frame_index > $2 and frame_index <= $3 and media_time between $4 and $5
  and cardinality(camera_ids) > 0 and abs(map_x) < 16000 and abs(map_y) < 16000
group by 1, 2, 3, 4, 5
on conflict (task_id, camera_id, minute, cell_x, cell_y) do update set
  samples = m.samples + excluded.samples"""  # noqa: S608  # a constant
POSITIONS = """
select global_id::text, extract(epoch from media_time)::float8 as at_s, map_x, map_y, camera_ids
from trajectories where task_id = $1 and frame_index > $2 and frame_index <= $3
  and media_time between $4 and $5 order by global_id, frame_index"""
POSITIONS_OF = """
select global_id::text, extract(epoch from media_time)::float8 as at_s, map_x, map_y, camera_ids
from trajectories where task_id = $1 and frame_index <= $2 and global_id = any($3::uuid[])
order by global_id, frame_index"""
REWRITTEN = """
select verdict, global_id::text, other_global_id::text from identity_decisions
where task_id = $1 and frame_index > $2 and frame_index <= $3
  and verdict in ('merged', 'corrected')
  and global_id is not null and other_global_id is not null"""
PUT_VISIT = """
insert into visits (task_id, kind, place_id, global_id, entered_at, left_at, environment_id)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (task_id, kind, place_id, global_id, entered_at) do update set
  left_at = excluded.left_at"""
