-- What backups say about themselves: a row that is written to be found again after a restore, and how they stand.
create table backup_canary (
  is_only boolean primary key default true check (is_only),
  number bigint not null check (number >= 0),
  at timestamptz not null
);
insert into backup_canary (number, at) values (0, clock_timestamp());

create table backup_standing (
  is_only boolean primary key default true check (is_only),
  is_wanted boolean not null,                 -- whether a store is configured
  log_kept_at timestamptz,                    -- the newest mark that is in the store, and everything before it
  log_proven_at timestamptz,                  -- when the log was last found whole from the oldest backup to its end
  backed_up_at timestamptz,                   -- when the newest backup was finished and proven
  failure text check (length(failure) <= 500),
  failed_at timestamptz,
  constraint backup_standing_fails check ((failure is null) = (failed_at is null))
);
insert into backup_standing (is_wanted) values (false);

grant select on backup_standing to bursar_engine;
