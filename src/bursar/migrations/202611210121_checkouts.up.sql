-- Checkouts that we asked a gateway for. What became of one is read from its call and from the session that the gateway reports.
create table checkout (
  tenant_id uuid not null references tenant,
  id uuid not null,
  gateway_account_id uuid not null,
  order_id uuid not null,                       -- what it sells
  customer_id uuid,
  call_id uuid not null,                        -- the gateway call that makes it
  mode text not null check (mode in ('payment', 'subscription', 'setup')),
  expires_at timestamptz,                       -- as it was asked for
  actor text not null check (length(actor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint checkout_call_once unique (tenant_id, call_id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id),
  foreign key (tenant_id, order_id) references customer_order (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
);
create index checkout_customer on checkout (tenant_id, customer_id, id);
create index checkout_order on checkout (tenant_id, order_id);
alter table checkout enable row level security;
alter table checkout force row level security;
create policy tenant_only on checkout to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert on checkout to bursar_app;
