-- What `bursar backup verify` found not to be whole, until it finds it whole or it is gone from the store.
create table backup_damage (
  what text primary key,                       -- a backup's name, or log
  failure text not null check (length(failure) <= 500),
  is_read boolean not null,                    -- whether it takes reading every byte to find it whole again
  found_at timestamptz not null default clock_timestamp()
);

grant select on backup_damage to bursar_engine;
