-- What analytics read, and what is kept beside the rows: zones, calibrations, sessions, keys, crops.
-- Rollups are derived: they may be deleted at any time and are made again (rollups.py).

-- How far each task got, minute by minute and camera by camera; written with the rows themselves.
create table processed_minutes (
  task_id        uuid not null,
  camera_id      text not null,
  minute         timestamptz not null,
  environment_id text not null,
  sets           integer not null,            -- synchronised sets that were tracked
  frames         integer not null,            -- of those, in which this camera gave a picture
  first_frame    bigint not null,
  last_frame     bigint not null,
  first_at       timestamptz not null,
  last_at        timestamptz not null,
  primary key (task_id, camera_id, minute)
);
create index processed_minutes_time on processed_minutes (environment_id, minute);

create table rollup_progress (
  task_id     uuid not null,
  part        text not null check (part in ('minutes', 'visits')),
  frame_index bigint not null default -1,     -- sets up to this one are in the rollup
  last_at     timestamptz,                    -- their media time
  fingerprint text not null default '',       -- of the zones that visits were made with
  state       bytea,                          -- visits that may go on
  primary key (task_id, part)
);

create table camera_minutes (
  task_id        uuid not null,
  camera_id      text not null,
  minute         timestamptz not null,
  detections     bigint not null,
  confidence_sum double precision not null,
  primary key (task_id, camera_id, minute)
);

-- Samples of people on the floor by half-metre cell; camera '' counts each person once.
create table cell_minutes (
  task_id   uuid not null,
  camera_id text not null,
  minute    timestamptz not null,
  cell_x    smallint not null,
  cell_y    smallint not null,
  samples   integer not null,
  primary key (task_id, camera_id, minute, cell_x, cell_y)
);

-- One person's stay in a zone, or in a camera's view.
create table visits (
  task_id        uuid not null,
  kind           text not null check (kind in ('zone', 'camera')),
  place_id       text not null,
  global_id      uuid not null,
  entered_at     timestamptz not null,
  left_at        timestamptz not null,
  environment_id text not null,
  primary key (task_id, kind, place_id, global_id, entered_at)
);
create index visits_person on visits (global_id, entered_at);
create index visits_time on visits (task_id, kind, entered_at);

-- Zones made or changed here; those of the environments' files hold unless one of these does.
create table zones (
  environment_id text not null,
  zone_id        text not null,
  name           text not null,
  zone_type      text not null,
  polygon_m      jsonb not null,              -- [[x, y], ...] in metres
  capacity       integer,
  is_deleted     boolean not null default false,
  updated_at     timestamptz not null default now(),
  primary key (environment_id, zone_id)
);

create table camera_settings (
  environment_id text not null,
  camera_id      text not null,
  name           text,
  location       text,
  is_active      boolean,
  updated_at     timestamptz not null default now(),
  primary key (environment_id, camera_id)
);

-- Every calibration ever given; a task uses the newest that is older than itself.
create table camera_calibrations (
  environment_id text not null,
  camera_id      text not null,
  created_at     timestamptz not null default now(),
  point_pairs    jsonb not null,              -- [{"image_px": [x, y], "ground_m": [x, y]}, ...]
  primary key (environment_id, camera_id, created_at)
);

create table sessions (
  session_id     uuid primary key,
  environment_id text not null,
  name           text not null,
  start_time     timestamptz not null,
  end_time       timestamptz not null,
  created_by     text,
  created_at     timestamptz not null default now(),
  check (start_time < end_time)
);
create index sessions_by_age on sessions (environment_id, created_at desc, session_id);

-- Keys that encrypt crops and embeddings, themselves encrypted with a key that is not stored here.
create table data_keys (
  key_id     integer primary key check (key_id between 1 and 65535),
  wrapped    bytea not null,
  wrapped_by text not null,                   -- fingerprint of the key that opens it
  created_at timestamptz not null default now(),
  is_current boolean not null default false
);
create unique index data_keys_current on data_keys (is_current) where is_current;

create table person_crops (
  task_id     uuid not null,
  global_id   uuid not null,
  camera_id   text not null,
  frame_index bigint not null,
  media_time  timestamptz not null,
  quality     real not null,                  -- 0 to 1, see plugins/tracking/crops.py
  width       smallint not null,
  height      smallint not null,
  jpeg        bytea not null,                 -- encrypted, see plugins/encryption.py
  primary key (task_id, global_id, camera_id, frame_index)
);
create index person_crops_person on person_crops (global_id, quality desc);

create table retention (
  environment_id text primary key,
  keep_days      integer not null check (keep_days > 0),
  updated_at     timestamptz not null default now()
);
