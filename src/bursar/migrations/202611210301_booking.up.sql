-- The booking app: what takes place when and where, and who has a seat in it.
-- Seats are counted on the class, and appointments exclude one another by staff: nothing is sold twice, whatever the code does.
create extension if not exists btree_gist;

create table venue (
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text not null check (length(name) between 1 and 120),
  time_zone text collate "C" not null check (length(time_zone) between 1 and 64),
  address text not null default '' check (length(address) <= 500),
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);

create table room (
  tenant_id uuid not null,
  id uuid not null,
  venue_id uuid not null,
  name text not null check (length(name) between 1 and 120),
  capacity integer not null check (capacity between 1 and 100000),
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint room_in_venue unique (tenant_id, id, venue_id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id)
);
create index room_venue on room (tenant_id, venue_id);

create table staff (                             -- who instructs classes and who gives services
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text not null check (length(name) between 1 and 120),
  about text not null default '' check (length(about) <= 2000),
  user_id uuid,                                  -- who of the business's users this is; null: they do not sign in
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);

create table booking_policy (                    -- terms of bookings; each booking keeps the terms under which it was made
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text not null check (length(name) between 1 and 120),
  is_default boolean not null default false,
  terms jsonb not null,                          -- apps/booking/policies/terms.py says which
  version integer not null default 1,
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
create unique index booking_policy_default on booking_policy (tenant_id) where is_default and deleted_at is null;

create table class_template (
  tenant_id uuid not null references tenant,
  id uuid not null,
  venue_id uuid not null,
  room_id uuid,
  staff_id uuid,
  policy_id uuid,                                -- null: the default one
  price_id uuid,                                 -- what one seat costs who pays with money; null: not sold for money
  title text not null check (length(title) between 1 and 120),
  about text not null default '' check (length(about) <= 4000),
  category text collate "C" not null default '' check (length(category) <= 64),
  duration_min integer not null check (duration_min between 1 and 1440),
  capacity integer not null check (capacity between 1 and 100000),
  credit_cost integer not null check (credit_cost between 0 and 1000),      -- of one seat; 0 with no price: it is free
  pools text[] not null default '{}' check (cardinality(pools) <= 10),      -- which credits pay for it, the most special first
  -- The rule is of local wall time: RFC 5545, without a DTSTART; null: only the one date.
  rrule text check (length(rrule) <= 500),
  starts_on date not null,
  local_start time not null,
  time_zone text collate "C" not null,
  is_published boolean not null default false,
  materialised_through date,
  requirements jsonb not null default '{}',      -- what rules ask of who comes: age, level, membership, …
  ends_on date,                                  -- the last day, where "this and following" or an end cut it off
  follows_id uuid,                               -- the template that this one took over from
  version integer not null default 1,
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id),
  foreign key (tenant_id, room_id, venue_id) references room (tenant_id, id, venue_id),
  foreign key (tenant_id, staff_id) references staff (tenant_id, id),
  foreign key (tenant_id, policy_id) references booking_policy (tenant_id, id),
  foreign key (tenant_id, price_id) references price (tenant_id, id)
);

create index class_template_venue on class_template (tenant_id, venue_id);

create table class_instance (
  tenant_id uuid not null references tenant,
  id uuid not null,
  template_id uuid,                              -- null: a class of its own
  venue_id uuid not null,
  room_id uuid,
  staff_id uuid,
  policy_id uuid,
  price_id uuid,
  title text not null check (length(title) between 1 and 120),
  about text not null default '' check (length(about) <= 4000),
  category text collate "C" not null default '',
  credit_cost integer not null check (credit_cost between 0 and 1000),
  pools text[] not null default '{}',
  requirements jsonb not null default '{}',
  slot date,                                     -- which day of its template's rule it is, also after it was moved alone
  local_date date not null,
  local_start time not null,                     -- as wished; starts_at is later where the clock jumped over it
  time_zone text collate "C" not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  is_shifted boolean not null default false,     -- the clock jumped over its local time
  status text not null default 'scheduled' check (status in ('scheduled', 'cancelled', 'deleted')),  -- deleted: so that its rule does not make it again
  is_published boolean not null default false,
  is_edited boolean not null default false,      -- edited alone: what the template says no longer reaches it
  capacity integer not null check (capacity between 0 and 100000),
  -- How many seats are given out beyond the capacity: knowingly by staff, or because the capacity was lowered. Nothing is sold by it:
  -- who sells compares with the capacity alone, and who releases takes it back to greatest(0, held + booked - capacity).
  overbook integer not null default 0 check (overbook between 0 and 100000),
  held integer not null default 0 check (held >= 0),
  booked integer not null default 0 check (booked >= 0),
  waiting integer not null default 0 check (waiting >= 0),
  waited integer not null default 0,             -- the number of the next who waits
  cancelled_at timestamptz,
  cancel_reason text check (length(cancel_reason) <= 500),
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint class_instance_once unique (tenant_id, template_id, slot),
  constraint class_instance_slot check ((template_id is null) = (slot is null)),
  constraint class_instance_ends check (ends_at > starts_at),
  constraint class_instance_never_over check (held + booked <= capacity + overbook),
  foreign key (tenant_id, template_id) references class_template (tenant_id, id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id),
  foreign key (tenant_id, room_id, venue_id) references room (tenant_id, id, venue_id),
  foreign key (tenant_id, staff_id) references staff (tenant_id, id),
  foreign key (tenant_id, policy_id) references booking_policy (tenant_id, id),
  foreign key (tenant_id, price_id) references price (tenant_id, id)
) with (fillfactor = 80);
create index class_instance_start on class_instance (tenant_id, starts_at, id);
create index class_instance_venue on class_instance (tenant_id, venue_id, local_date, starts_at, id);
create index class_instance_date on class_instance (tenant_id, local_date, starts_at, id);
create index class_instance_template on class_instance (tenant_id, template_id, starts_at, id);
create index class_instance_status on class_instance (tenant_id, status, starts_at, id);
create index class_instance_room on class_instance (tenant_id, room_id, starts_at) where status = 'scheduled' and room_id is not null;
create index class_instance_staff on class_instance (tenant_id, staff_id, starts_at) where status = 'scheduled' and staff_id is not null;

create table booking (                           -- a seat in a class, or an appointment for a service
  tenant_id uuid not null references tenant,
  id uuid not null,
  number text collate "C" not null check (number ~ '^[ABCDEFGHJKLMNPQRSTUVWXYZ3789]{7}$'),
  customer_id uuid not null,
  kind text not null check (kind in ('class', 'service')),
  class_id uuid,
  service_id uuid,
  tier_id uuid,
  staff_id uuid,                                 -- who gives the service; of a class it is the class's
  venue_id uuid not null,
  status text not null check (status in
    ('requested', 'held', 'booked', 'attended', 'no_show', 'cancelled', 'late_cancelled', 'expired')),
  is_live boolean not null generated always as (status in ('requested', 'held', 'booked', 'attended', 'no_show')) stored,  -- it has its seat
  seats integer not null default 1 check (seats between 1 and 100),
  starts_at timestamptz not null,                -- the class's or the appointment's, kept equal by whoever moves it
  ends_at timestamptz not null,
  local_date date not null,                      -- in the venue's zone
  busy tstzrange,                                -- of a service: from when to when its staff is taken, with buffers
  source text not null check (source in ('online', 'desk', 'walk_in', 'waitlist', 'reschedule', 'import')),
  paid_with text not null check (paid_with in ('credits', 'money', 'membership', 'nothing')),
  credit_cost integer not null default 0 check (credit_cost >= 0),
  spend_id uuid,                                 -- the credits it cost
  order_id uuid,                                 -- what is bought of it with money
  price_minor bigint check (price_minor >= 0),   -- of the whole booking
  due_minor bigint check (due_minor >= 0),       -- what has to be paid before it is booked: a deposit, or all
  currency text,
  terms jsonb not null,                          -- the policy as it was
  snapshot jsonb not null,                       -- what was booked, as it was: title, venue, staff, time, zone
  cancel_by timestamptz not null,                -- until then cancelling costs nothing
  held_until timestamptz,
  override_reason text check (length(override_reason) <= 500),   -- why staff did what a rule forbids
  overbooked integer not null default 0 check (overbooked >= 0), -- how many of its seats are beyond the capacity
  moved_from uuid,                               -- the booking that this one took over from
  moves integer not null default 0,
  booked_by text not null,
  cancelled_at timestamptz,
  cancelled_by text,
  cancel_reason text check (length(cancel_reason) <= 500),
  credits_back text check (credits_back in ('same_lot', 'new_lot', 'kept', 'none')),
  attended_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint booking_number_once unique (tenant_id, number),
  constraint booking_of_one_thing check ((kind = 'class') = (class_id is not null) and (kind = 'service') = (service_id is not null)),
  constraint booking_service_is_busy check (kind = 'class' or (staff_id is not null and tier_id is not null and busy is not null)),
  constraint booking_hold_ends check (status <> 'held' or held_until is not null),
  constraint booking_staff_once exclude using gist (tenant_id with =, staff_id with =, busy with &&)
    where (kind = 'service' and status in ('requested', 'held', 'booked', 'attended')),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, class_id) references class_instance (tenant_id, id),
  foreign key (tenant_id, staff_id) references staff (tenant_id, id),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id),
  foreign key (tenant_id, spend_id) references credit_spend (tenant_id, id),
  foreign key (tenant_id, order_id) references customer_order (tenant_id, id)
) with (fillfactor = 85);
create unique index booking_seat_once on booking (tenant_id, class_id, customer_id)
  where kind = 'class' and status in ('requested', 'held', 'booked', 'attended', 'no_show');
create unique index booking_order_once on booking (tenant_id, order_id) where order_id is not null;
create unique index booking_spend_once on booking (tenant_id, spend_id) where spend_id is not null;
create index booking_class on booking (tenant_id, class_id, status, id) where class_id is not null;
create index booking_date on booking (tenant_id, local_date, id);
create index booking_status on booking (tenant_id, status, local_date, id);
create index booking_customer on booking (tenant_id, customer_id, id);
create index booking_customer_status on booking (tenant_id, customer_id, status, id);
create index booking_customer_start on booking (tenant_id, customer_id, starts_at, id);
create index booking_venue on booking (tenant_id, venue_id, local_date, id);
create index booking_staff on booking (tenant_id, staff_id, starts_at) where staff_id is not null;
create index booking_held on booking (tenant_id, held_until) where status = 'held';

create table waitlist_entry (
  tenant_id uuid not null references tenant,
  id uuid not null,
  class_id uuid not null,
  customer_id uuid not null,
  seq integer not null,                          -- strict: who came first is served first
  seats integer not null default 1 check (seats between 1 and 100),
  status text not null check (status in ('waiting', 'offered', 'promoted', 'skipped', 'left', 'closed')),
  offered_until timestamptz,
  booking_id uuid,                               -- what it became
  told text check (length(told) <= 500),         -- why it was skipped
  joined_by text not null,
  ended_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint waitlist_entry_seq unique (tenant_id, class_id, seq),
  foreign key (tenant_id, class_id) references class_instance (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, booking_id) references booking (tenant_id, id)
);
create unique index waitlist_entry_once on waitlist_entry (tenant_id, class_id, customer_id) where status in ('waiting', 'offered');
create index waitlist_entry_customer on waitlist_entry (tenant_id, customer_id, id);

create table booking_rule (                      -- what a business changed of the rules; without a row a rule is as the catalogue says
  tenant_id uuid not null references tenant,
  rule text collate "C" not null check (length(rule) between 1 and 64),
  is_on boolean not null,
  parameters jsonb not null default '{}',
  changed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, rule)
);

create table attendee (                          -- what rules ask about a customer
  tenant_id uuid not null references tenant,
  customer_id uuid not null,
  is_banned boolean not null default false,
  banned_reason text check (length(banned_reason) <= 500),
  waiver_signed_at timestamptz,
  born_on date,
  level text collate "C" check (length(level) <= 64),
  gender text collate "C" check (length(gender) <= 32),
  is_active boolean not null default true,
  dues_unpaid_since timestamptz,
  notes text not null default '' check (length(notes) <= 4000),
  changed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, customer_id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);

alter table venue enable row level security;
alter table venue force row level security;
create policy tenant_only on venue to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on venue to bursar_app;

alter table room enable row level security;
alter table room force row level security;
create policy tenant_only on room to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on room to bursar_app;

alter table staff enable row level security;
alter table staff force row level security;
create policy tenant_only on staff to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on staff to bursar_app;

alter table booking_policy enable row level security;
alter table booking_policy force row level security;
create policy tenant_only on booking_policy to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on booking_policy to bursar_app;

alter table class_template enable row level security;
alter table class_template force row level security;
create policy tenant_only on class_template to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on class_template to bursar_app;

alter table class_instance enable row level security;
alter table class_instance force row level security;
create policy tenant_only on class_instance to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on class_instance to bursar_app;

alter table booking enable row level security;
alter table booking force row level security;
create policy tenant_only on booking to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on booking to bursar_app;

alter table waitlist_entry enable row level security;
alter table waitlist_entry force row level security;
create policy tenant_only on waitlist_entry to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on waitlist_entry to bursar_app;

alter table booking_rule enable row level security;
alter table booking_rule force row level security;
create policy tenant_only on booking_rule to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on booking_rule to bursar_app;

alter table attendee enable row level security;
alter table attendee force row level security;
create policy tenant_only on attendee to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on attendee to bursar_app;
