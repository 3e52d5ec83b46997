-- How long a tenant's answers to Idempotency-Keys are kept, where it chose that itself.
create table idempotency_retention (
  tenant_id uuid not null references tenant,
  class text not null check (class in ('general', 'payment', 'checkout', 'subscription_change')),
  seconds integer not null check (seconds between 60 and 2592000),
  set_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, class)
);
alter table idempotency_retention enable row level security;
alter table idempotency_retention force row level security;
create policy tenant_only on idempotency_retention to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update, delete on idempotency_retention to bursar_app;
