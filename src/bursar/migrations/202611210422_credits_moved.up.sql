-- Credits that go to another customer, and where the credits of a pool are good.
create table credit_transfer (
  tenant_id uuid not null references tenant,
  id uuid not null,
  from_lot_id uuid not null,
  into_lot_id uuid not null,                     -- a lot of its own: same pool, same end
  spend_id uuid not null,                        -- what took them out of the first lot
  from_customer_id uuid not null,
  to_customer_id uuid not null,
  amount bigint not null check (amount > 0),
  actor text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint credit_transfer_to_another check (from_customer_id <> to_customer_id),
  foreign key (tenant_id, from_lot_id) references credit_lot (tenant_id, id),
  foreign key (tenant_id, into_lot_id) references credit_lot (tenant_id, id),
  foreign key (tenant_id, spend_id) references credit_spend (tenant_id, id),
  foreign key (tenant_id, from_customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, to_customer_id) references customer (tenant_id, id)
);
create unique index credit_transfer_into_once on credit_transfer (tenant_id, into_lot_id);
create unique index credit_transfer_spend_once on credit_transfer (tenant_id, spend_id);
create index credit_transfer_from on credit_transfer (tenant_id, from_customer_id, id);
create index credit_transfer_to on credit_transfer (tenant_id, to_customer_id, id);
create index credit_transfer_lot on credit_transfer (tenant_id, from_lot_id);

create table credit_pool_venue (                 -- a pool without rows is good at every venue
  tenant_id uuid not null references tenant,
  pool text collate "C" not null check (length(pool) between 1 and 64),
  venue_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, pool, venue_id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id)
);

alter table credit_transfer enable row level security;
alter table credit_transfer force row level security;
create policy tenant_only on credit_transfer to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert on credit_transfer to bursar_app;

alter table credit_pool_venue enable row level security;
alter table credit_pool_venue force row level security;
create policy tenant_only on credit_pool_venue to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, delete on credit_pool_venue to bursar_app;
