-- When a venue is open, and what a business keeps about its schedule.
create table venue_hours (                       -- when a venue is open; one without any is open at all times
  tenant_id uuid not null,
  venue_id uuid not null,
  weekday integer not null check (weekday between 1 and 7),   -- ISO: 1 is Monday
  opens_min integer not null check (opens_min between 0 and 1439),    -- minutes after midnight by the clock on the wall
  closes_min integer not null check (closes_min between 1 and 2880),  -- beyond 1440: of the next day
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, venue_id, weekday, opens_min),
  constraint venue_hours_open check (closes_min > opens_min),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id)
);

create table venue_closed_day (                  -- a holiday: rules make no classes on it
  tenant_id uuid not null,
  venue_id uuid not null,
  day date not null,
  name text not null default '' check (length(name) <= 120),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, venue_id, day),
  foreign key (tenant_id, venue_id) references venue (tenant_id, id)
);

create table schedule_setting (                  -- without a row a business has the usual ones
  tenant_id uuid not null references tenant,
  weeks_ahead integer not null default 8 check (weeks_ahead between 1 and 52),
  zone_version text check (length(zone_version) <= 64),       -- of the zone database by which classes were last placed
  changed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id)
);

create index class_instance_place on class_instance (tenant_id, venue_id, starts_at, id);
drop index class_instance_venue;
drop index class_instance_date;

alter table venue_hours enable row level security;
alter table venue_hours force row level security;
create policy tenant_only on venue_hours to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update, delete on venue_hours to bursar_app;

alter table venue_closed_day enable row level security;
alter table venue_closed_day force row level security;
create policy tenant_only on venue_closed_day to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update, delete on venue_closed_day to bursar_app;

alter table schedule_setting enable row level security;
alter table schedule_setting force row level security;
create policy tenant_only on schedule_setting to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on schedule_setting to bursar_app;
