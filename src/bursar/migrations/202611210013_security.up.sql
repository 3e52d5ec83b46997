-- What was tried that should not have been: counted per hour, so that no flood of it can fill the table.
create table security_event (
  tenant_id uuid not null references tenant,
  id uuid not null,
  kind text collate "C" not null check (kind ~ '^[a-z_]{3,40}$'),
  actor text collate "C" not null check (length(actor) <= 100),      -- '' where nobody was recognised
  address text collate "C" not null check (length(address) <= 64),   -- '' where unknown, 'many' where too many were to be told apart
  hour timestamptz not null,
  count bigint not null check (count > 0),
  detail text not null check (length(detail) <= 200),                -- of the last one
  first_at timestamptz not null,
  last_at timestamptz not null,
  primary key (tenant_id, id),
  constraint security_event_once unique (tenant_id, kind, actor, address, hour)
);
create index security_event_hour on security_event (tenant_id, hour);

alter table security_event enable row level security;
alter table security_event force row level security;
create policy tenant_only on security_event to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);

-- A tenant reads them. The engine counts them, for all tenants in one statement.
grant select on security_event to bursar_app;
grant select, insert, update on security_event to bursar_engine;
create policy engine_counts on security_event to bursar_engine using (true) with check (true);
