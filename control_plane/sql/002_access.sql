-- Who may do what, and who did what. Times are the computer's.

create table users (
  user_id       uuid primary key,
  name          text not null unique,         -- lower case
  password_hash text not null,                -- argon2id, with its parameters
  role          text not null check (role in ('viewer','operator','admin')),
  environments  text[],                       -- null: all of them
  is_active     boolean not null default true,
  preferences   jsonb not null default '{}',
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now()
);

-- One login and everything that follows from it: the family of its refresh tokens.
create table login_sessions (
  session_id uuid primary key,
  user_id    uuid not null references users on delete cascade,
  address    text not null default '',
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at   timestamptz
);
create index login_sessions_by_user on login_sessions (user_id);

-- Only the tokens' SHA-256 is kept. A used token stays until its family expires: seen again, it
-- was stolen.
create table refresh_tokens (
  token_hash bytea primary key,
  session_id uuid not null references login_sessions on delete cascade,
  created_at timestamptz not null default now(),
  used_at    timestamptz
);
create index refresh_tokens_by_session on refresh_tokens (session_id);

-- What signs access tokens where no setting does; here, so that all replicas agree.
create table signing_keys (
  purpose    text primary key,
  secret     bytea not null,
  created_at timestamptz not null default now()
);

create table audit_log (
  entry_id   bigint generated always as identity primary key,
  at         timestamptz not null default now(),
  user_id    uuid,                            -- null: the anonymous caller; outlives its user
  user_name  text not null,
  role       text not null,
  address    text not null default '',
  request_id text not null default '',
  action     text not null,                   -- "tasks.start", "persons.read"
  target     text not null,                   -- id of what was written or looked at
  details    jsonb not null default '{}'
);
create index audit_log_by_time on audit_log using brin (at);
create index audit_log_by_target on audit_log (target, entry_id);
create index audit_log_by_user on audit_log (user_name, entry_id);
