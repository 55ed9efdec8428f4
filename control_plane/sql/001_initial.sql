-- Tasks, their history, and what was decided about identities.
-- Media time is the time of the recording; created_at and the like are the computer's.

create table tasks (
  task_id        uuid primary key,
  environment_id text not null,
  request        jsonb not null,              -- TaskRequest, as the worker reads it
  status         text not null default 'QUEUED' check (status in
    ('QUEUED','INITIALIZING','DOWNLOADING','EXTRACTING','PROCESSING','COMPLETED','FAILED','STOPPED')),
  error          text,
  stop_requested boolean not null default false,
  created_at     timestamptz not null default now(),
  started_at     timestamptz,
  finished_at    timestamptz,
  -- One worker at a time: whoever holds the lease may write; each commit checks it.
  lease_owner    text,
  lease_until    timestamptz,
  -- Where to go on after a crash: written in the same transaction as the rows it covers.
  frame_index    bigint not null default -1,
  checkpoint     bytea,
  attempts       smallint not null default 0,  -- claims since the last stored set
  progress       jsonb not null default '{}'  -- last TaskProgress, so that Redis may be lost
);
create index tasks_by_age on tasks (created_at desc, task_id);
create index tasks_unfinished on tasks (environment_id)
  where status not in ('COMPLETED','FAILED','STOPPED');

create table tracking_events (
  media_time     timestamptz not null,
  environment_id text not null,
  task_id        uuid not null,
  camera_id      text not null,
  frame_index    bigint not null,
  track_id       integer not null,
  global_id      uuid,
  x1 real not null, y1 real not null, x2 real not null, y2 real not null,   -- pixels
  confidence     real not null,
  map_x real, map_y real, map_uncertainty_m real,                            -- metres
  primary key (task_id, camera_id, frame_index, track_id, media_time)
) partition by range (media_time);
create table tracking_events_default partition of tracking_events default;
create index tracking_events_time on tracking_events using brin (media_time);
create index tracking_events_person on tracking_events (global_id, media_time);

create table trajectories (
  media_time     timestamptz not null,
  environment_id text not null,
  task_id        uuid not null,
  frame_index    bigint not null,
  global_id      uuid not null,
  map_x real not null, map_y real not null,            -- metres, fused over cameras, smoothed
  speed_mps      real not null,
  uncertainty_m  real not null,
  camera_ids     text[] not null,
  primary key (task_id, global_id, frame_index, media_time)
) partition by range (media_time);
create table trajectories_default partition of trajectories default;
create index trajectories_time on trajectories using brin (media_time);

create table persons (
  task_id         uuid not null,
  global_id       uuid not null,
  environment_id  text not null,
  first_seen      timestamptz not null,
  last_seen       timestamptz not null,
  cameras         text[] not null,
  embedding_model text,                                -- vectors of two models are never compared
  embedding       bytea,                               -- float32, little endian
  primary key (task_id, global_id)
);
create index persons_by_time on persons (environment_id, last_seen desc);

create table identity_decisions (
  task_id         uuid not null,
  frame_index     bigint not null,
  ordinal         integer not null,                    -- within the set
  media_time      timestamptz not null,
  camera_id       text not null,
  track_id        integer not null,
  verdict         text not null,
  global_id       uuid,
  other_global_id uuid,
  cosine real, metres real, seconds real, threshold real,
  reason          text not null default '',
  primary key (task_id, frame_index, ordinal)
);
create index identity_decisions_person on identity_decisions (global_id, media_time);

-- Gives every month of a media-time range a partition of its own; a month that already has rows in
-- the default partition keeps them there. Safe however often and from wherever it is called.
create function ensure_partitions(first timestamptz, last timestamptz) returns void
language plpgsql as $$
declare
  month timestamptz := date_trunc('month', first, 'UTC');
  following timestamptz;
  parent text;
  name text;
begin
  perform pg_advisory_xact_lock(7305113);
  while month <= last loop
    following := (month at time zone 'UTC' + interval '1 month') at time zone 'UTC';
    foreach parent in array array['tracking_events', 'trajectories'] loop
      name := parent || to_char(month at time zone 'UTC', '"_y"YYYY"m"MM');
      if to_regclass(name) is null then
        begin
          execute format('create table %I partition of %I for values from (%L) to (%L)',
                         name, parent, month, following);
        exception when check_violation then null;
        end;
      end if;
    end loop;
    month := following;
  end loop;
end $$;
