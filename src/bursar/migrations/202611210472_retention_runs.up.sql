-- What the daily clean-up did that only the tables' owner can: months of raw bodies made ahead, and those that went.
create table retention_run (
  id uuid primary key,
  began_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  made text[] not null default '{}',
  dropped text[] not null default '{}',
  rows bigint not null default 0 check (rows >= 0),     -- as PostgreSQL had estimated them
  bytes bigint not null default 0 check (bytes >= 0),
  failure text check (length(failure) <= 500)
);
create index retention_run_newest on retention_run (began_at desc);
grant select on retention_run to bursar_engine;
