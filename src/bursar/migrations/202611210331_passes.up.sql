-- Passes: what is left of a membership's period goes into the next one, and packs that are partly used are refunded by a stated rule.
create index credit_lot_expired on credit_lot (tenant_id, expires_at) where is_expired;

create table credit_rollover (                   -- a lot that expired and what was given in its place: once
  tenant_id uuid not null,
  lot_id uuid not null,
  into_lot_id uuid not null,
  amount bigint not null check (amount > 0),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, lot_id),
  foreign key (tenant_id, lot_id) references credit_lot (tenant_id, id),
  foreign key (tenant_id, into_lot_id) references credit_lot (tenant_id, id)
);

create table pack_refund (                       -- what was unused of a pack, and the money that goes back for it
  tenant_id uuid not null,
  refund_id uuid not null,
  payment_id uuid not null,
  lot_id uuid not null,
  status text not null check (status in ('asked', 'refunded', 'failed')),
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null,
  granted bigint not null check (granted > 0),
  used bigint not null check (used >= 0),
  unused bigint not null check (unused > 0),     -- taken out of the lot at once, so that nobody books with it meanwhile
  reserved_spend_id uuid,                        -- those that the refund takes back when it is reported; given back to the lot then
  forfeited_spend_id uuid,                       -- those that are worth nothing by the rule; gone for good
  asked_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  primary key (tenant_id, refund_id),
  constraint pack_refund_takes check (reserved_spend_id is not null or forfeited_spend_id is not null),
  constraint pack_refund_settled check ((status = 'asked') = (settled_at is null)),
  foreign key (tenant_id, payment_id) references payment (tenant_id, id),
  foreign key (tenant_id, refund_id) references refund (tenant_id, id),
  foreign key (tenant_id, lot_id) references credit_lot (tenant_id, id),
  foreign key (tenant_id, reserved_spend_id) references credit_spend (tenant_id, id),
  foreign key (tenant_id, forfeited_spend_id) references credit_spend (tenant_id, id)
);
create unique index pack_refund_once on pack_refund (tenant_id, payment_id) where status <> 'failed';

alter table credit_rollover enable row level security;
alter table credit_rollover force row level security;
create policy tenant_only on credit_rollover to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert on credit_rollover to bursar_app;

alter table pack_refund enable row level security;
alter table pack_refund force row level security;
create policy tenant_only on pack_refund to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on pack_refund to bursar_app;
