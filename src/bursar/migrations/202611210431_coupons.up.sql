-- Coupons of a business: what lessens the price of a seat, how often, and which bookings it lessened.
create table coupon (
  tenant_id uuid not null references tenant,
  id uuid not null,
  code text collate "C" not null check (code ~ '^[A-Z0-9][A-Z0-9_-]{1,31}$'),
  percent integer check (percent between 1 and 100),
  amount_minor bigint check (amount_minor > 0),
  currency text,
  valid_from timestamptz,
  valid_until timestamptz,                       -- from then on it is taken no more
  uses_max integer check (uses_max between 1 and 1000000),          -- of all customers together; null: as often as one likes
  uses_per_customer integer check (uses_per_customer between 1 and 1000),
  class_ids uuid[] not null default '{}' check (cardinality(class_ids) <= 50),         -- with the templates: what it is for; both empty: all
  template_ids uuid[] not null default '{}' check (cardinality(template_ids) <= 50),
  used integer not null default 0 check (used >= 0),
  is_on boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint coupon_code_once unique (tenant_id, code),
  constraint coupon_takes_one_thing_off check ((percent is null) <> (amount_minor is null) and (amount_minor is null) = (currency is null)),
  constraint coupon_ends_after_it_begins check (valid_until > valid_from),
  constraint coupon_never_over check (used <= uses_max)
) with (fillfactor = 80);

create table coupon_redemption (                 -- one for each booking at most; released: the booking gave it back
  tenant_id uuid not null,
  booking_id uuid not null,
  coupon_id uuid not null,
  customer_id uuid not null,
  discount_minor bigint not null check (discount_minor > 0),
  currency text not null,
  released_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, booking_id),
  foreign key (tenant_id, booking_id) references booking (tenant_id, id),
  foreign key (tenant_id, coupon_id) references coupon (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);
create index coupon_redemption_customer on coupon_redemption (tenant_id, coupon_id, customer_id) where released_at is null;

alter table booking add column coupon_id uuid;
alter table booking add column discount_minor bigint not null default 0;   -- what the coupon takes off the price
alter table booking add constraint booking_discount_of_a_price
  check (discount_minor = 0 or (coupon_id is not null and discount_minor between 1 and price_minor));
alter table booking add foreign key (tenant_id, coupon_id) references coupon (tenant_id, id);

alter table coupon enable row level security;
alter table coupon force row level security;
create policy tenant_only on coupon to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on coupon to bursar_app;

alter table coupon_redemption enable row level security;
alter table coupon_redemption force row level security;
create policy tenant_only on coupon_redemption to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on coupon_redemption to bursar_app;
