-- Exports, the reports made on a schedule, corrections of identities, and what people say of them.

create table export_jobs (
  job_id          uuid primary key,
  kind            text not null check (kind in ('tracking-data', 'analytics-report', 'video')),
  environment_id  text not null,
  query           jsonb not null,               -- what was asked; see exports/queries.py
  status          text not null default 'QUEUED' check (status in
    ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'EXPIRED', 'WITHDRAWN')),
  progress        real not null default 0,
  error           text,
  created_by      uuid,                         -- null: the anonymous caller, or a schedule
  schedule_id     uuid,
  created_at      timestamptz not null default now(),
  started_at      timestamptz,
  finished_at     timestamptz,
  expires_at      timestamptz,
  -- One process at a time: whoever holds the lease may finish the job.
  lease_owner     text,
  lease_until     timestamptz,
  attempts        smallint not null default 0,
  -- Media time that the file covers, so that it is found when somebody in it is erased.
  covers_from     timestamptz,
  covers_to       timestamptz,
  has_objects     boolean not null default false,  -- something of it may lie in the object store
  file_key        text,                         -- set together with status COMPLETED
  manifest        jsonb
);
create index export_jobs_by_age on export_jobs (created_at desc, job_id);
create index export_jobs_open on export_jobs (created_at) where status in ('QUEUED', 'RUNNING');

create table report_schedules (
  schedule_id    uuid primary key,
  environment_id text not null,
  every          text not null check (every in ('hourly', 'daily', 'weekly')),
  format         text not null,
  created_by     uuid,
  created_at     timestamptz not null default now(),
  next_due       timestamptz not null
);

-- Merges and splits of people by hand. A piece is a stretch of one track in one camera.
create table identity_edits (
  edit_id        uuid primary key,
  kind           text not null check (kind in ('merge', 'split')),
  task_id        uuid not null,
  environment_id text not null,
  from_id        uuid not null,                 -- whose rows became to_id's
  to_id          uuid not null,
  at             timestamptz not null default now(),
  by_name        text not null,
  undone_at      timestamptz,
  pieces         jsonb not null,                -- [[camera, track, first frame, last frame], ...]
  crops          jsonb not null,                -- [[camera, frame], ...] that moved along
  moved_frames   int8multirange not null,       -- positions that changed hands
  made_frames    int8multirange not null        -- positions made for to_id, since from_id kept its own
);
create index identity_edits_task on identity_edits (task_id, at desc);

-- What a merge would lose: positions where both had one, and the looks of whoever is no more.
create table positions_set_aside (
  edit_id uuid not null references identity_edits on delete cascade,
  like trajectories
);
create index positions_set_aside_edit on positions_set_aside (edit_id);
create table persons_set_aside (
  edit_id uuid not null references identity_edits on delete cascade,
  like persons,
  primary key (edit_id, task_id, global_id)
);

create table feedback (
  feedback_id     uuid primary key,
  task_id         uuid not null,
  environment_id  text not null,
  global_id       uuid not null,
  other_global_id uuid,
  camera_id       text,
  frame_index     bigint,
  verdict         text not null check (verdict in ('up', 'down')),
  note            text not null default '',
  given_by        text not null,
  given_at        timestamptz not null default now()
);
create index feedback_by_age on feedback (given_at desc, feedback_id);
create index feedback_person on feedback (task_id, global_id);
