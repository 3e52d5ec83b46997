-- Fees for not coming and for cancelling late: a debt of a customer, raised once for a booking.
create table booking_fee (
  tenant_id uuid not null references tenant,
  id uuid not null,
  booking_id uuid not null,
  customer_id uuid not null,
  kind text not null check (kind in ('no_show', 'late_cancel')),
  amount_minor bigint not null check (amount_minor > 0),   -- as the booking's own terms say
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  -- withdrawn: what it was raised for was undone; refunded: it was paid, and the money was given back.
  status text not null default 'open' check (status in ('open', 'paid', 'waived', 'withdrawn', 'refunded')),
  grant_id uuid,                                 -- what was paid for it
  reason text check (length(reason) <= 500),     -- why it was waived
  raised_by text not null,
  opened_at timestamptz not null,                -- since when it is owed
  ended_at timestamptz,
  ended_by text,
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint booking_fee_paid_by check (status not in ('paid', 'refunded') or grant_id is not null),
  constraint booking_fee_waived_why check (status <> 'waived' or reason is not null),
  constraint booking_fee_ended check ((status = 'open') = (ended_at is null)),
  foreign key (tenant_id, booking_id) references booking (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, grant_id) references fulfilment_grant (tenant_id, id)
);
create unique index booking_fee_once on booking_fee (tenant_id, booking_id) where status <> 'withdrawn';
create unique index booking_fee_grant_once on booking_fee (tenant_id, grant_id) where grant_id is not null;
create index booking_fee_booking on booking_fee (tenant_id, booking_id, id);
create index booking_fee_customer on booking_fee (tenant_id, customer_id, id);
create index booking_fee_status on booking_fee (tenant_id, status, id);
create index booking_fee_open on booking_fee (tenant_id, customer_id, created_at) where status = 'open';

-- What it is paid by: an order for each time that its payment was asked for.
create table booking_fee_order (
  tenant_id uuid not null,
  order_id uuid not null,
  fee_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, order_id),
  foreign key (tenant_id, order_id) references customer_order (tenant_id, id),
  foreign key (tenant_id, fee_id) references booking_fee (tenant_id, id)
);
create index booking_fee_order_fee on booking_fee_order (tenant_id, fee_id, order_id);

alter table booking_fee enable row level security;
alter table booking_fee force row level security;
create policy tenant_only on booking_fee to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on booking_fee to bursar_app;

alter table booking_fee_order enable row level security;
alter table booking_fee_order force row level security;
create policy tenant_only on booking_fee_order to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert on booking_fee_order to bursar_app;
