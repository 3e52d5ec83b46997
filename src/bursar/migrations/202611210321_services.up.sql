-- Services that staff give by appointment: what is offered, who gives it, and when they work.
create table service (
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text not null check (length(name) between 1 and 120),
  about text not null default '' check (length(about) <= 4000),
  category text collate "C" not null default '' check (length(category) <= 64),
  policy_id uuid,                                -- null: the default one
  slot_min integer not null default 15,          -- appointments begin at such minutes of the wall's clock, counted from midnight
  lead_min integer not null default 0 check (lead_min between 0 and 525600),       -- not sooner than this from now
  horizon_days integer not null default 90 check (horizon_days between 1 and 730), -- not later than this from now
  is_published boolean not null default true,
  version integer not null default 1,
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint service_slot check (slot_min in (5, 10, 15, 20, 30, 60)),
  foreign key (tenant_id, policy_id) references booking_policy (tenant_id, id)
);

create table tier (                              -- a way to have a service: how long, and for how much
  tenant_id uuid not null references tenant,
  id uuid not null,
  service_id uuid not null,
  name text not null check (length(name) between 1 and 120),
  duration_min integer not null check (duration_min between 5 and 1440),
  before_min integer not null default 0 check (before_min between 0 and 240),
  after_min integer not null default 0 check (after_min between 0 and 240),
  price_id uuid,                                 -- null: it costs nothing
  deposit_price_id uuid,                         -- what has to be paid before it is booked, where that is not all
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint tier_deposit_of_a_price check (deposit_price_id is null or price_id is not null),
  foreign key (tenant_id, service_id) references service (tenant_id, id),
  foreign key (tenant_id, price_id) references price (tenant_id, id),
  foreign key (tenant_id, deposit_price_id) references price (tenant_id, id)
);
create index tier_service on tier (tenant_id, service_id, id);

create table staff_skill (                       -- who gives a service
  tenant_id uuid not null references tenant,
  id uuid not null,
  staff_id uuid not null,
  service_id uuid not null,
  tier_ids uuid[] not null default '{}' check (cardinality(tier_ids) <= 50),  -- empty: all of them
  ended_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint staff_skill_once unique (tenant_id, service_id, staff_id),
  foreign key (tenant_id, staff_id) references staff (tenant_id, id),
  foreign key (tenant_id, service_id) references service (tenant_id, id)
);

create table staff_hours (                       -- when somebody works, as the clock on the venue's wall shows it
  tenant_id uuid not null references tenant,
  id uuid not null,
  staff_id uuid not null,
  venue_id uuid not null,
  weekday smallint check (weekday between 1 and 7),    -- 1 is Monday; null: on the one date valid_from
  from_minute smallint not null check (from_minute between 0 and 1439),
  to_minute smallint not null check (to_minute between 1 and 1440),
  valid_from date not null,
  valid_until date,                              -- the last day; null: without an end
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint staff_hours_order check (from_minute < to_minute and (valid_until is null or valid_until >= valid_from)),
  constraint staff_hours_one_date check (weekday is not null or valid_until = valid_from),
  foreign key (tenant_id, staff_id) references staff (tenant_id, id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id)
);
create index staff_hours_staff on staff_hours (tenant_id, staff_id, id) where deleted_at is null;

create table staff_time_off (                    -- when somebody does not work, or nobody does
  tenant_id uuid not null references tenant,
  id uuid not null,
  staff_id uuid,                                 -- null: all
  venue_id uuid,                                 -- null: everywhere
  time_zone text collate "C" not null check (length(time_zone) between 1 and 64),
  local_from timestamp not null,
  local_until timestamp not null,
  reason text not null default '' check (length(reason) <= 500),
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint staff_time_off_order check (local_from < local_until),
  constraint staff_time_off_of_something check (staff_id is not null or venue_id is not null),
  foreign key (tenant_id, staff_id) references staff (tenant_id, id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id)
);
create index staff_time_off_until on staff_time_off (tenant_id, local_until) where deleted_at is null;

alter table booking add foreign key (tenant_id, service_id) references service (tenant_id, id);
alter table booking add foreign key (tenant_id, tier_id) references tier (tenant_id, id);
create index booking_service on booking (tenant_id, service_id, starts_at) where service_id is not null;

alter table service enable row level security;
alter table service force row level security;
create policy tenant_only on service to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on service to bursar_app;

alter table tier enable row level security;
alter table tier force row level security;
create policy tenant_only on tier to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on tier to bursar_app;

alter table staff_skill enable row level security;
alter table staff_skill force row level security;
create policy tenant_only on staff_skill to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on staff_skill to bursar_app;

alter table staff_hours enable row level security;
alter table staff_hours force row level security;
create policy tenant_only on staff_hours to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on staff_hours to bursar_app;

alter table staff_time_off enable row level security;
alter table staff_time_off force row level security;
create policy tenant_only on staff_time_off to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on staff_time_off to bursar_app;
