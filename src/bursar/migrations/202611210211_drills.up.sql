-- What drills found, and which backups the store listed when it was last looked at, for those who cannot ask the store.
create table backup_drill (
  id uuid primary key,
  began_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  state text not null default 'running' check (state in ('running', 'passed', 'failed', 'broken_off')),
  backup text,                                 -- the newest backup that was restored
  point text,                                  -- the recovery target
  mark bigint,                                 -- the newest mark that was found in it
  rto_s double precision,                      -- from the beginning to the application's first right answer
  rto_target_s double precision,
  rpo_s double precision,                      -- how much older the newest mark in it was than that of the living database
  rpo_target_s double precision not null,
  checks jsonb not null default '[]',          -- name, ok, found
  failure text check (length(failure) <= 500),
  constraint backup_drill_ends check ((state = 'running') = (ended_at is null)),
  constraint backup_drill_says_why check ((failure is not null) = (state in ('failed', 'broken_off')))
);
create index backup_drill_newest on backup_drill (began_at desc);
create unique index backup_drill_alone on backup_drill ((true)) where state = 'running';

create table backup_listed (
  name text primary key,
  kind text,                                   -- null where it does not open
  parent text,
  began_at timestamptz,
  ended_at timestamptz,
  plain_bytes bigint,
  stored_bytes bigint,
  failure text check (length(failure) <= 500),
  constraint backup_listed_opens check ((failure is null) = (kind is not null))
);

-- Since when backups are wanted: nothing is late before that.
alter table backup_standing add column wanted_at timestamptz;
update backup_standing set wanted_at = clock_timestamp() where is_wanted;

grant select on backup_drill, backup_listed to bursar_engine;
