-- Whether calls to the outside go through: one row for each place that has failed, shared by all processes.
create table circuit (
  tenant_id uuid not null references tenant,
  id uuid not null,
  subject text collate "C" not null check (length(subject) between 1 and 100),   -- whom we call, for instance a gateway account
  operation text collate "C" not null check (operation ~ '^[a-z][a-z0-9_.]{0,59}$'),
  state text not null check (state in ('closed', 'open', 'half_open')),
  since timestamptz not null,
  window_begins timestamptz not null,
  calls integer not null check (calls >= 0),                  -- of the half window that has begun
  failures integer not null check (failures between 0 and calls),
  calls_before integer not null check (calls_before >= 0),    -- of the half before it
  failures_before integer not null check (failures_before between 0 and calls_before),
  failures_running integer not null check (failures_running >= 0),   -- since the last that went well
  failing_since timestamptz,                                  -- when the first of those began
  failed_at timestamptz,
  failure text check (length(failure) <= 200),
  openings integer not null check (openings >= 0),            -- in a row, without a call that went well
  not_before timestamptz,                                     -- when the next probe may go out
  probe_until timestamptz,                                    -- until when the probe under way may answer
  fence bigint not null check (fence >= 0),                   -- which probe may
  slot_at timestamptz,                                        -- the last place in the queue of those who wait
  revision bigint not null default 0,
  primary key (tenant_id, id),
  constraint circuit_once unique (tenant_id, subject, operation),
  constraint circuit_waits check (state <> 'open' or not_before is not null),
  constraint circuit_probes check (state <> 'half_open' or probe_until is not null),
  constraint circuit_fails check ((failures_running = 0) = (failing_since is null))
);
alter table circuit enable row level security;
alter table circuit force row level security;
create policy tenant_only on circuit to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on circuit to bursar_app;
