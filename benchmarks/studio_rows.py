"""A studio with years of classes and bookings, filled by the server itself: rows as booking writes them, but for their credits."""

from uuid import UUID

_FILL = """
set session_replication_role = replica;
insert into venue (tenant_id, id, name, time_zone)
  select '{tenant}', md5('{tenant}v' || n)::uuid, 'Venue ' || n, 'Europe/Berlin' from generate_series(0, 1) n;
insert into staff (tenant_id, id, name) select '{tenant}', md5('{tenant}s' || n)::uuid, 'Instructor ' || n from generate_series(0, 9) n;
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, name, created_at)
  select '{tenant}', md5('{tenant}c' || n)::uuid, '{account}', 'cus_s' || n, 'Customer ' || n, now() from generate_series(0, {customers} - 1) n
  on conflict do nothing;
create temp table class_made as
  select n, n / {a_day} as d, timestamptz '{first} 05:00+00' + n / {a_day} * interval '1 day' + n % {a_day} * interval '1 hour' as at,
    date '{first}' + n / {a_day} as day, md5('{tenant}v' || n % 2)::uuid as venue, md5('{tenant}s' || n % 10)::uuid as staff
  from generate_series(0, {classes} - 1) n;
create temp table made as
  select c.n, k, c.at, c.day, c.venue, (c.n * 37 + k * 131) % {customers} as customer, (c.n * 13 + k * 7) % 100 as dice,
    (extract(epoch from c.at) * 1000)::bigint - 86400000 * 3 + k * 60000 as ms, md5('{tenant}b' || c.n || '-' || k) as h
  from class_made c, generate_series(0, {seats} - 1) k;
alter table made add status text;
update made set status = case when dice < 8 then 'cancelled' when dice < 12 then 'late_cancelled'
  when at > timestamptz '{now}' then 'booked' when dice < 17 then 'no_show' else 'attended' end;
insert into class_instance (tenant_id, id, venue_id, staff_id, title, category, credit_cost, pools, local_date, local_start, time_zone,
    starts_at, ends_at, is_published, capacity, booked, waited)
  select '{tenant}', md5('{tenant}k' || c.n)::uuid, c.venue, c.staff, 'Class ' || c.n % 12, 'yoga', 1, '{{classes}}', c.day,
    (c.at at time zone 'Europe/Berlin')::time, 'Europe/Berlin', c.at, c.at + interval '1 hour', true, {seats} + 2,
    coalesce(m.booked, 0), 0
  from class_made c
  left join (select n, count(*) as booked from made where status in ('booked', 'attended', 'no_show') group by n) as m on m.n = c.n;
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source, paid_with,
    credit_cost, terms, snapshot, cancel_by, booked_by, created_at)
  select '{tenant}', (lpad(to_hex(ms), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid,
    (select string_agg(substr('ABCDEFGHJKLMNPQRSTUVWXYZ3789', (((n * 1000 + k)::bigint * 7919 / (28 ^ p)::bigint) % 28)::int + 1, 1), '')
      from generate_series(0, 6) p),
    md5('{tenant}c' || customer)::uuid, 'class', md5('{tenant}k' || n)::uuid, venue, status, at, at + interval '1 hour', day, 'online', 'nothing', 0,
    '{{}}', '{{"title": "Class", "venue": "Venue", "staff": null, "time_zone": "Europe/Berlin"}}', at - interval '12 hours', 'benchmark', to_timestamp(ms / 1000.0)
  from made order by ms, k;
drop table class_made, made;
"""


LAY_ASIDE = """
create table laid_aside as
  select i.indexdef, i.indexname from pg_indexes i
  where i.tablename in ('booking', 'class_instance') and not exists (select from pg_constraint c where c.conname = i.indexname);
do $$ declare each record; begin
  for each in select indexname from laid_aside loop execute 'drop index ' || quote_ident(each.indexname); end loop;
end $$
"""
"""Take the indexes of bookings and classes away while millions of rows are filled in; they are made afterwards, each in one pass."""

TAKE_UP = """
do $$ declare each record; begin
  set local maintenance_work_mem = '1GB';
  for each in select indexdef from laid_aside loop execute each.indexdef; end loop;
end $$;
drop table laid_aside
"""


def statements(
    *,
    tenant_id: UUID,
    account_id: UUID,
    first: str = "2025-01-01",
    now: str = "2026-11-21",
    classes: int = 7_300,
    a_day: int = 10,
    seats: int = 14,
    customers: int = 2_000,
) -> str:
    """Return what fills a business with `classes` × `seats` bookings. To be run by the superuser. seats: of each class, two more are left."""
    given = {"first": first, "now": now, "classes": classes, "a_day": a_day, "seats": seats, "customers": customers}
    return _FILL.format(tenant=tenant_id, account=account_id, **given)
