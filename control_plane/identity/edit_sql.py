"""The statements of edits.py. Frames go in and come out as multiranges written as text."""

# ruff: noqa: S608  # only constants are joined; values are parameters

SETS = "media_time, environment_id, task_id, frame_index, global_id, map_x, map_y, speed_mps, "
PLACES = SETS + "uncertainty_m, camera_ids"

# Stretches of rows of one track that follow each other and belong to the person.
PIECES = """
with own as (select distinct camera_id, track_id from tracking_events
    where task_id = $1 and global_id = $2),
  rows as (
    select e.camera_id, e.track_id, e.frame_index, e.global_id,
      row_number() over (partition by e.camera_id, e.track_id order by e.frame_index)
      - row_number() over (
          partition by e.camera_id, e.track_id, e.global_id order by e.frame_index) as stretch
    from tracking_events e join own using (camera_id, track_id) where e.task_id = $1)
select camera_id, track_id, min(frame_index), max(frame_index) from rows
where global_id = $2 group by camera_id, track_id, stretch order by 1, 2, 3"""
FIRST_FRAME = """select min(frame_index) from tracking_events
  where task_id = $1 and global_id = $2 and media_time >= $3"""
SPAN = """select min(media_time), max(media_time) from (
  select media_time from tracking_events where task_id = $1 and global_id = any($2::uuid[])
  union all
  select media_time from trajectories where task_id = $1 and global_id = any($2::uuid[])) seen"""
INSERT = """insert into identity_edits (edit_id, kind, task_id, environment_id, from_id, to_id,
    by_name, pieces, crops, moved_frames, made_frames)
  values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, '[]', '{}', '{}')"""
FIND = """select *, moved_frames::text as moved, made_frames::text as made
  from identity_edits where edit_id = $1"""
NEWER = """select edit_id from identity_edits where task_id = $1 and at >= $2 and edit_id <> $4
    and undone_at is null and (from_id = any($3::uuid[]) or to_id = any($3::uuid[]))
  order by at desc limit 1"""
MARK_UNDONE = "update identity_edits set undone_at = now() where edit_id = $1"

# $1 task, $2 whose rows, $3 whose they become, $4 to $7 the pieces
MOVE_EVENTS = """update tracking_events e set global_id = $3
  from unnest($4::text[], $5::int[], $6::bigint[], $7::bigint[]) p(camera, track, first, last)
  where e.task_id = $1 and e.global_id = $2 and e.camera_id = p.camera and e.track_id = p.track
    and e.frame_index between p.first and p.last"""
# A picture goes with the box it shows; where both have one of that moment, both stay.
MOVE_CROPS = """update person_crops c set global_id = $3
  where c.task_id = $1 and c.global_id = $2
    and not exists (select 1 from person_crops o where o.task_id = $1 and o.global_id = $3
      and o.camera_id = c.camera_id and o.frame_index = c.frame_index)
    and exists (select 1
      from unnest($4::text[], $5::int[], $6::bigint[], $7::bigint[]) p(camera, track, first, last)
      join tracking_events e on e.task_id = $1 and e.global_id = $2 and e.camera_id = p.camera
        and e.track_id = p.track and e.frame_index = c.frame_index
      where p.camera = c.camera_id and c.frame_index between p.first and p.last)
  returning camera_id, frame_index"""
MOVE_BACK_CROPS = """update person_crops c set global_id = $3
  from jsonb_array_elements($4::jsonb) m(crop)
  where c.task_id = $1 and c.global_id = $2 and c.camera_id = crop ->> 0
    and c.frame_index = (crop ->> 1)::bigint"""

# $1 edit, $2 task, $3 whose places, $4 whose they become, $5 frames. Sets in which both are now
# seen: the old place is set aside, and both get new ones.
SET_ASIDE_SHARED = f"""
with still as (select distinct frame_index from tracking_events
    where task_id = $2 and global_id = $3 and frame_index <@ $5::text::int8multirange),
  shared as (select distinct frame_index from tracking_events join still using (frame_index)
    where task_id = $2 and global_id = $4)
insert into positions_set_aside (edit_id, {PLACES})
select $1, {PLACES} from trajectories join shared using (frame_index)
where task_id = $2 and global_id in ($3, $4)"""
DROP_SHARED = """
with gone as (
  delete from trajectories t using positions_set_aside a
  where a.edit_id = $1 and t.task_id = $2 and t.global_id = a.global_id
    and t.frame_index = a.frame_index and t.media_time = a.media_time
  returning t.frame_index)
update identity_edits set made_frames = coalesce(
    (select range_agg(int8range(frame_index, frame_index, '[]')) from gone), '{}')
where edit_id = $1"""
# Sets in which the other had a place of their own already.
SET_ASIDE_CLASHES = f"""
insert into positions_set_aside (edit_id, {PLACES})
select $1, {PLACES} from trajectories t
where task_id = $2 and global_id = $3 and frame_index <@ $5::text::int8multirange
  and exists (select 1 from trajectories o where o.task_id = $2 and o.global_id = $4
    and o.frame_index = t.frame_index)
  and not frame_index <@ (select made_frames from identity_edits where edit_id = $1)"""
DROP_CLASHES = """
delete from trajectories t using positions_set_aside a
where a.edit_id = $1 and t.task_id = $2 and t.global_id = $3 and a.global_id = $3
  and t.frame_index = a.frame_index and t.media_time = a.media_time"""
MOVE_PLACES = """
with moved as (
  update trajectories set global_id = $4
  where task_id = $2 and global_id = $3 and frame_index <@ $5::text::int8multirange
    and $1::uuid is not null and frame_index not in (
      select frame_index from tracking_events where task_id = $2 and global_id = $3)
  returning frame_index)
update identity_edits set moved_frames = coalesce(
    (select range_agg(int8range(frame_index, frame_index, '[]')) from moved), '{}')
where edit_id = $1"""
# The mean of the boxes' places, each by its certainty; speed is the old place's.
MAKE_PLACES = """
insert into trajectories (media_time, environment_id, task_id, frame_index, global_id, map_x, map_y,
  speed_mps, uncertainty_m, camera_ids)
select a.media_time, a.environment_id, a.task_id, a.frame_index, e.global_id,
  sum(e.map_x / v) / sum(1 / v), sum(e.map_y / v) / sum(1 / v), a.speed_mps, sqrt(1 / sum(1 / v)),
  array_agg(distinct e.camera_id order by e.camera_id)
from positions_set_aside a
join identity_edits i on i.edit_id = a.edit_id and a.frame_index <@ i.made_frames
join tracking_events e on e.task_id = a.task_id and e.frame_index = a.frame_index
  and e.global_id = any($3::uuid[]) and e.map_x is not null
  and e.media_time between a.media_time - interval '1 s' and a.media_time + interval '1 s'
cross join lateral (select greatest(coalesce(e.map_uncertainty_m, 1), 0.01) ^ 2 as v) w
where a.edit_id = $1 and a.task_id = $2
group by a.media_time, a.environment_id, a.task_id, a.frame_index, a.speed_mps, e.global_id"""
DROP_MADE = """delete from trajectories where task_id = $1 and global_id = any($2::uuid[])
  and frame_index <@ $3::text::int8multirange"""
MOVE_BACK_PLACES = """update trajectories set global_id = $3 where task_id = $1 and global_id = $2
  and frame_index <@ $4::text::int8multirange"""
PUT_BACK_PLACES = f"""with back as (
    delete from positions_set_aside where edit_id = $1 returning {PLACES})
  insert into trajectories ({PLACES}) select {PLACES} from back"""

PERSON = (
    "task_id, global_id, environment_id, first_seen, last_seen, cameras, embedding_model, embedding"
)
SET_ASIDE_PERSON = f"""insert into persons_set_aside (edit_id, {PERSON})
  select $1, {PERSON} from persons where task_id = $2 and global_id = $3
    and not exists (select 1 from tracking_events where task_id = $2 and global_id = $3)"""
PUT_BACK_PERSONS = f"""with back as (
    delete from persons_set_aside where edit_id = $1 returning {PERSON})
  insert into persons ({PERSON}) select {PERSON} from back on conflict do nothing"""
ADD_PERSON = """
insert into persons (task_id, global_id, environment_id, first_seen, last_seen, cameras)
select task_id, global_id, min(environment_id), min(media_time), max(media_time), '{}'
from tracking_events where task_id = $1 and global_id = $2 group by 1, 2
on conflict do nothing"""
RECOUNT_PERSON = """
update persons p set first_seen = s.first_at, last_seen = s.last_at, cameras = s.cameras
from (select min(media_time) as first_at, max(media_time) as last_at,
    array_agg(distinct camera_id order by camera_id) as cameras
  from tracking_events where task_id = $1 and global_id = $2) s
where p.task_id = $1 and p.global_id = $2 and s.first_at is not null"""
DROP_EMPTY = """delete from persons where task_id = $1 and global_id = $2 and not exists (
    select 1 from tracking_events where task_id = $1 and global_id = $2)"""
