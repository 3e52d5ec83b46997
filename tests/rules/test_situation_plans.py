"""What a situation costs: how many statements, and that each reads what is the customer's own, by index, however much others book."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from bursar.apps.booking import rules
from bursar.apps.booking.passes import memberships
from bursar.apps.booking.rules import situations
from databases import url_of
from rules.conftest import NOW, STARTS, Studio

pytestmark = pytest.mark.anyio

CUSTOMERS = 40
CLASSES = 100
"""Each customer is in each: 4,000 bookings."""

_CLASSES = """
insert into class_instance (tenant_id, id, venue_id, title, credit_cost, local_date, local_start, time_zone, starts_at, ends_at,
  is_published, capacity, booked)
select $1, gen_random_uuid(), $2, 'Filled', 1, (starts_at at time zone 'Europe/Berlin')::date, '09:00', 'Europe/Berlin', starts_at,
  starts_at + interval '1 hour', true, $4, $4
from (select $3::timestamptz + make_interval(hours => 12 * (n - $5 / 2)) as starts_at from generate_series(1, $5::int) as n) as at
"""

_BOOKINGS = """
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source,
  paid_with, credit_cost, terms, snapshot, cancel_by, booked_by)
select $1, gen_random_uuid(),
  (select string_agg(substr('ABCDEFGHJKLMNPQRSTUVWXYZ3789', 1 + (n / (28 ^ d)::bigint % 28)::int, 1), '' order by d)
   from generate_series(0, 6) as d),
  customer_id, 'class', class_id, $2, case when n % 9 = 0 then 'late_cancelled' else 'booked' end, starts_at, ends_at, local_date,
  'online', 'credits', 1, '{}', '{}', starts_at, 'operator'
from (select u.id as customer_id, c.id as class_id, c.starts_at, c.ends_at, c.local_date,
        50000000 + row_number() over (order by c.starts_at, u.id) as n
      from customer u join class_instance c on c.tenant_id = u.tenant_id and c.title = 'Filled' where u.tenant_id = $1) as each
"""

_LOTS = """
insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, expires_at)
select $1, gen_random_uuid(), id, 'default', 10, $2::timestamptz, $2::timestamptz + interval '1 year' from customer where tenant_id = $1
"""


@pytest.fixture(scope="module")
async def busy(studio: Studio, cluster: dict[str, str]) -> tuple[Studio, UUID, UUID]:
    """A studio with many bookings; one customer of it, and a class that nobody is in."""
    for _ in range(CUSTOMERS):
        customer = await studio.customer()
    await studio.write(_CLASSES, studio.venue, NOW, CUSTOMERS, CLASSES)
    await studio.write(_BOOKINGS, studio.venue)
    await studio.write(_LOTS, NOW)
    admin = await asyncpg.connect(url_of(cluster["admin"], urlsplit(studio.stage.url).path.removeprefix("/")))
    await admin.execute("vacuum analyze")
    await admin.close()
    return studio, customer, await studio.a_class(STARTS + timedelta(minutes=30), cost=1)


def statements(tenant: UUID, customer: UUID, a_class: UUID) -> dict[str, tuple[str, tuple[Any, ...]]]:
    starts_at, ends_at = STARTS + timedelta(minutes=30), STARTS + timedelta(minutes=90)
    own = (tenant, customer, a_class, starts_at, ends_at, STARTS.date(), NOW, True, NOW - timedelta(days=30), None)
    used = ([0], ["default"], [NOW], [NOW + timedelta(days=31)], None)
    return {
        "class": (situations.CLASS, (tenant, a_class, customer, NOW)),
        "own": (situations.OWN, own),
        "credits": (situations.CREDITS, (tenant, customer, ["default"], starts_at, NOW, [])),
        "returned": (situations.CREDITS_AND_RETURNED, (tenant, customer, ["default"], starts_at, NOW, [], a_class)),
        "features": (memberships.FEATURES, (tenant, customer, starts_at)),
        "used": (memberships.USED, (tenant, customer, *used)),
    }


@pytest.mark.parametrize("name", ["class", "own", "credits", "returned", "features", "used"])
async def test_each_statement_reads_the_customers_own_by_index(busy, name):
    studio, customer, a_class = busy
    sql, values = statements(studio.stage.tenant_id, customer, a_class)[name]
    async with studio.stage.db.tenant(studio.stage.tenant_id) as tx:
        text = await tx.fetchval(f"explain (analyze, format json) {sql}", *values)

    big = [
        each for each in nodes(json.loads(text)[0]["Plan"]) if each.get("Relation Name") in ("booking", "credit_lot")
    ]

    assert {each["Node Type"] for each in big} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, name
    read = sum((each["Actual Rows"] + each.get("Rows Removed by Filter", 0)) * each["Actual Loops"] for each in big)
    assert read <= 4 * CLASSES, (name, read)


async def test_a_situation_is_read_in_as_many_statements_whatever_is_asked(busy):
    studio, customer, a_class = busy
    said: list[str] = []
    for rule in (
        "bookings_per_day",
        "bookings_per_week",
        "bookings_to_come",
        "offences",
        "walk_in_reserve",
        "credits_ahead",
    ):
        await studio.rule(rule)
    async with studio.stage.db.tenant(studio.stage.tenant_id) as tx:
        tx._con.add_query_logger(lambda record: said.append(record.query))

        found = await rules.situation(
            tx,
            tenant_id=studio.stage.tenant_id,
            class_id=a_class,
            customer_id=customer,
            seats=1,
            source="online",
            now=NOW,
        )

    assert len([each for each in said if each.lstrip().startswith("select")]) == 4
    ahead = "select count(*) from booking where customer_id = $1 and starts_at > $2 and is_live"
    assert found.own.to_come == await studio.stage.value(ahead, customer, NOW) > 30
    assert [each.code for each in rules.failures(found)] == [
        "too_many_on_day",
        "too_many_in_week",
        "too_many_to_come",
        "too_many_credits_ahead",
        "too_many_offences",
    ]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan] + [node for child in plan.get("Plans", ()) for node in nodes(child)]
