-- Persons are erased, what the law wants kept is kept without them: decision 0015.
create table erasure (                          -- persons who were erased, or are being erased
  tenant_id uuid not null references tenant,
  id uuid not null,
  customers uuid[] not null check (cardinality(customers) between 1 and 1000),   -- every row that is the same person
  actor text not null check (length(actor) <= 100),
  ground text not null check (ground in ('requested', 'unneeded', 'unlawful', 'obliged')),   -- no free text: it could name the person
  requested_at timestamptz not null,
  primary key (tenant_id, id)
);

create table erasure_lane (                   -- how far it has come with each gateway account
  tenant_id uuid not null,
  erasure_id uuid not null,
  gateway_account_id uuid not null,
  erased_at timestamptz,                      -- merged facts and rows; from here on whatever comes is redacted
  swept_to uuid,                              -- older events whose bodies have been read: up to this one …
  sweeps_until uuid,                          -- … of those up to this one
  swept_at timestamptz,
  primary key (tenant_id, erasure_id, gateway_account_id),
  foreign key (tenant_id, erasure_id) references erasure (tenant_id, id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
);
create index erasure_lane_open on erasure_lane (tenant_id, erasure_id) where swept_at is null;

create table erasure_key (                    -- there is one where anybody was ever erased
  tenant_id uuid primary key references tenant,
  key bytea not null check (length(key) = 32),
  dead_read_to timestamptz not null default '2000-01-01 00:00:00+00'   -- events that came to rest as dead up to here have been read for marks
);

create table erased_mark (                      -- by which erased persons are known when they come again
  tenant_id uuid not null references tenant,
  mark bytea not null check (length(mark) = 16),   -- of an e-mail address, or of a gateway id within its account
  primary key (tenant_id, mark)
);

create table audit_note (                       -- what somebody wrote in an audit record: the record, which is sealed, holds only the hash of it
  tenant_id uuid not null references tenant,
  record_id uuid not null,
  salt bytea not null check (length(salt) = 16),
  told jsonb not null,
  primary key (tenant_id, record_id)
);

do $$
declare t text;
begin
  foreach t in array array['erasure', 'erasure_lane', 'erasure_key', 'erased_mark', 'audit_note'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;
grant select, insert on erasure, erasure_lane, erasure_key, erased_mark, audit_note to bursar_app;
grant update (dead_read_to) on erasure_key to bursar_app;
grant update (erased_at, swept_to, sweeps_until, swept_at) on erasure_lane to bursar_app;
grant delete on audit_note to bursar_app;

alter table customer add column erased_at timestamptz;
alter table gateway_event_body add column erased_at timestamptz;   -- set: the body is our own writing of what is left of it
grant update (body, erased_at) on gateway_event_body to bursar_app;
grant update (body) on gateway_event_differing to bursar_app;
grant update (error) on gateway_event_attempt to bursar_app;
grant update (reason) on gateway_event_replay to bursar_app;
grant update (fingerprint, name) on licence_activation to bursar_app;

-- What repeats an event that was erased cannot be compared any more, and must not bring the person back.
do $$
begin
  execute replace(pg_get_functiondef('file_gateway_events'::regproc),
    'where g.body_sha256 <> sha256(u.body)', 'where b.erased_at is null and g.body_sha256 <> sha256(u.body)');
end $$;
