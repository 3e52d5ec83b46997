-- The audit trail says from where, and is sealed: what was written is chained, so that nobody can change it unnoticed.

-- Where a record stands in the order of writing: the number of the transaction that wrote it. A transaction that may
-- still commit holds the horizon back, so everything before the horizon is final and can be sealed, and no writer waits
-- for another. After a restore into another server `bursar migrate` adds what its numbers lack to the sealed ones.
create function audit_position(transaction xid8) returns bigint language sql immutable parallel safe
  as 'select $1::text::bigint + 0';

alter table audit_record
  add column address text check (length(address) <= 64),
  add column user_agent text check (length(user_agent) <= 200),
  add column correlation_id text check (length(correlation_id) <= 128),
  add column written_in bigint not null default audit_position(pg_current_xact_id());
create index audit_record_subject on audit_record (tenant_id, subject, id) where actor <> 'gateway';
create index audit_record_written on audit_record (tenant_id, written_in);

create table audit_seal (
  tenant_id uuid not null references tenant,
  sequence bigint not null check (sequence > 0),
  begins bigint not null,                     -- covers the records with begins <= written_in < ends
  ends bigint not null,
  records uuid[] not null check (cardinality(records) > 0),
  digests bytea not null,                     -- sha256 of each record's line, one after another
  previous bytea not null check (length(previous) = 32),
  hash bytea not null check (length(hash) = 32),
  sealed_at timestamptz not null,
  primary key (tenant_id, sequence),
  constraint audit_seal_range check (begins < ends),
  constraint audit_seal_digests check (length(digests) = 32 * cardinality(records))
);

alter table audit_seal enable row level security;
alter table audit_seal force row level security;
create policy tenant_only on audit_seal to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert on audit_seal to bursar_app;

-- The engine finds the tenants whose records are not sealed yet, and reads none of them.
grant select (tenant_id, sequence, ends) on audit_seal to bursar_engine;
grant select (tenant_id, at, written_in) on audit_record to bursar_engine;
create policy engine_finds on audit_seal for select to bursar_engine using (true);
create policy engine_finds on audit_record for select to bursar_engine using (true);
