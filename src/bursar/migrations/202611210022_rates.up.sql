-- A tenant's own numbers in place of the installation's: requests a minute, of one user or key.
create table rate_limit (
  tenant_id uuid not null references tenant,
  class text not null check (class in ('general', 'checkout', 'subscription_read', 'subscription_change')),
  holder text not null check (holder in ('user', 'key')),
  per_minute integer not null check (per_minute between 1 and 1000000),
  set_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, class, holder)
);
alter table rate_limit enable row level security;
alter table rate_limit force row level security;
create policy tenant_only on rate_limit to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update, delete on rate_limit to bursar_app;

-- Null: as many as are validly signed.
alter table gateway_account add column deliveries_per_minute integer check (deliveries_per_minute between 1 and 1000000);
