"""A studio with fourteen thousand bookings: figures are what counting by hand gives, and what is asked all day is read by index."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from benchmarks.studio_rows import statements

from api.conftest import Caller, two_businesses
from bursar.apps.booking.bookings.queries import BOOKINGS
from bursar.apps.booking.live import days as days_module
from bursar.apps.booking.live.attendance import STATEMENTS
from bursar.apps.booking.services.appointment_queries import APPOINTMENTS
from bursar.kernel import ids
from bursar.kernel.zones import earliest_of, latest_of
from bursar.web.pages.reads import timetable
from databases import fresh_database, opened
from stage import event, intent, session

pytestmark = pytest.mark.anyio

FIRST, DAY = date(2026, 9, 1), date(2026, 11, 20)
CLASSES, A_DAY, SEATS = 1_000, 10, 14
GIVEN_OUT = ("booked", "attended", "no_show")


@dataclass
class Filled:
    """Two businesses; mine has fourteen thousand bookings over 100 days, theirs a few."""

    mine: Caller
    theirs: Caller


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def urls(cluster: dict[str, str]) -> Iterator[dict[str, str]]:
    with fresh_database(cluster) as made:
        yield made


@pytest.fixture(scope="module")
async def filled(urls: dict[str, str]) -> AsyncIterator[Filled]:
    async with opened(urls["app"]) as db, two_businesses(db, urls["app"]) as world:
        admin = await asyncpg.connect(urls["admin"])
        for caller, classes in ((world.mine, CLASSES), (world.theirs, 20)):
            of = {"tenant_id": caller.stage.tenant_id, "account_id": caller.stage.account_id}
            size = {"classes": classes, "a_day": A_DAY, "seats": SEATS, "customers": 700}
            await admin.execute(statements(**of, first=str(FIRST), now="2026-11-20", **size))
        await admin.execute("vacuum analyze")
        await admin.close()
        yield Filled(world.mine, world.theirs)


async def bookings_of(caller: Caller) -> list[dict[str, Any]]:
    return await caller.stage.rows(
        """select b.class_id, b.status, b.seats, b.local_date, c.title, s.name as staff, v.name as venue
        from booking b join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id
        join staff s on s.tenant_id = c.tenant_id and s.id = c.staff_id join venue v on v.tenant_id = c.tenant_id and v.id = c.venue_id"""
    )


@pytest.mark.parametrize(
    ("by", "column"), [("day", "local_date"), ("title", "title"), ("staff", "staff"), ("venue", "venue")]
)
async def test_attendance_is_what_counting_by_hand_gives(filled: Filled, by: str, column: str):
    first, last = date(2026, 10, 1), date(2026, 11, 25)
    answer = await filled.mine.get("/v1/booking-reports/attendance", first_day=str(first), last_day=str(last), by=by)
    told = answer.json()
    assert answer.status_code == 200, answer.text

    seats: dict[str, Counter[str]] = defaultdict(Counter)
    classes: dict[str, set[UUID]] = defaultdict(set)
    for row in await bookings_of(filled.mine):
        if first <= row["local_date"] <= last:
            seats[str(row[column])][row["status"]] += row["seats"]
            classes[str(row[column])].add(row["class_id"])

    assert len(told["data"]) == len(seats) > 1
    for row in told["data"]:
        by_hand, of = seats[row["key"]], classes[row["key"]]
        given_out = sum(by_hand[name] for name in GIVEN_OUT)
        assert row == {
            "key": row["key"],
            "classes": len(of),
            "cancelled_classes": 0,
            "capacity": len(of) * (SEATS + 2),
            "booked": given_out,
            "attended": by_hand["attended"],
            "missed": by_hand["no_show"],
            "open": by_hand["booked"],
            "late": by_hand["late_cancelled"],
            "in_time": by_hand["cancelled"],
            "occupancy": f"{given_out / (len(of) * (SEATS + 2)):.4f}",
        }
    assert told["total"]["booked"] == sum(row["booked"] for row in told["data"])
    assert told["is_cut"] is False


async def test_a_day_shows_its_classes_in_order_with_their_seats_and_nothing_of_another_business(filled: Filled):
    told = (await filled.mine.get("/v1/day", date=str(DAY))).json()
    venue = told["classes"][0]["venue"]
    at_one = (await filled.mine.get("/v1/day", date=str(DAY), venue=venue)).json()
    foreign = await filled.theirs.get("/v1/day", date=str(DAY), venue=venue)
    elsewhere = (await filled.theirs.get("/v1/day", date=str(DAY))).json()
    roster = (await filled.mine.get(f"/v1/classes/{told['classes'][0]['id']}/roster")).json()
    hidden = await filled.theirs.get(f"/v1/classes/{told['classes'][0]['id']}/roster")

    counted = Counter(row["status"] for row in await bookings_of(filled.mine) if row["local_date"] == DAY)
    starts = [each["starts_at"] for each in told["classes"]]
    assert (len(starts), starts) == (A_DAY, sorted(starts))
    assert told["booked"] == sum(counted[name] for name in GIVEN_OUT)
    assert (told["attended"], told["capacity"], told["is_cut"]) == (counted["attended"], A_DAY * (SEATS + 2), False)
    assert {each["venue"] for each in at_one["classes"]} == {venue}
    assert 0 < len(at_one["classes"]) < A_DAY
    assert (foreign.status_code, elsewhere["classes"]) == (404, [])
    assert told["classes"][0]["local"] == f"{DAY}T06:00+01:00[Europe/Berlin]"
    assert len(roster["seats"]) + len(roster["gone"]) == SEATS
    assert len(roster["seats"]) == told["classes"][0]["booked"]
    assert (hidden.status_code, hidden.json()["code"]) == (404, "class_not_found")


async def test_a_day_that_does_not_exist_is_refused_in_words(filled: Filled):
    days = ("2026-02-30", "0001-01-01", "9999-12-31", "yesterday")
    refused = [await filled.mine.get("/v1/day", date=day) for day in days]
    refused.append(await filled.mine.get("/v1/booking-reports/attendance", by="luck"))
    refused.append(
        await filled.mine.get("/v1/booking-reports/attendance", first_day="2026-11-02", last_day="2026-11-01")
    )

    assert [each.status_code for each in refused] == [422] * 6, [each.text for each in refused]


async def test_credits_are_owed_at_what_was_paid_for_them(filled: Filled):
    caller = filled.theirs
    await caller.stage.tell(
        event("checkout.session.completed", session()), event("payment_intent.succeeded", intent("1"))
    )
    customer = (await caller.one("/v1/customers", gateway_ref=session()["customer"]))["id"]
    spent = await caller.post(
        "/v1/credit-spends", {"customer": customer, "pool": "classes", "amount": 3, "reference": "a"}
    )
    given = {"customer": customer, "pool": "guest", "amount": 2, "reason": "sorry"}
    gift = await caller.post("/v1/credit-adjustments", given)
    price = await caller.one("/v1/prices", lookup_key="pack-10")

    told = (await caller.get("/v1/booking-reports/credit-liability")).json()

    assert (spent.status_code, gift.status_code) == (201, 201), (spent.text, gift.text)
    rows = {row["pool"]: row for row in told["data"]}
    assert (rows["classes"]["credits"], rows["classes"]["value_minor"]) == (7, price["amount_minor"] * 7 // 10)
    assert (rows["guest"]["credits"], rows["guest"]["value_minor"], rows["guest"]["currency"]) == (2, None, None)


_BOOKED = """
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source, paid_with,
  terms, snapshot, cancel_by, booked_by)
select tenant_id, $2, $3, customer_id, kind, class_id, venue_id, 'cancelled', starts_at, ends_at, local_date, source, paid_with, terms, snapshot,
  cancel_by, booked_by
from booking where tenant_id = $1 order by id limit 1
"""


async def test_pages_neither_repeat_nor_skip_while_bookings_pour_in(filled: Filled):
    stage = filled.theirs.stage
    there = {ids.show(ids.BOOKING, row["id"]) for row in await stage.rows("select id from booking")}
    walked: list[str] = []
    cursor: dict[str, str] = {}
    for page in range(len(there)):
        answer = (await filled.theirs.get("/v1/bookings", limit=20, **cursor)).json()
        walked += [row["id"] for row in answer["data"]]
        async with stage.db.tenant(stage.tenant_id) as tx:
            for n in range(10):
                number = f"ZZZ{''.join('ABCDEFGHJK'[int(digit)] for digit in f'{page * 10 + n:04}')}"
                await tx.execute(_BOOKED, stage.tenant_id, ids.new(), number)
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}

    assert len(there) > 200
    assert len(walked) == len(set(walked))
    assert there <= set(walked)


# What the requirement asks for of bookings, by index: the filters, and how many rows a page of 50 may read at most.
LISTS = {
    "all": ({}, 60),
    "by status and date": ({"status": "attended", "since": DAY, "until": DAY + timedelta(days=1)}, 300),
    "by venue and date": ({"venue": "venue", "since": DAY, "until": DAY + timedelta(days=1)}, 300),
    "by date": ({"since": DAY, "until": DAY + timedelta(days=1)}, 300),
    "by customer": ({"customer": "customer"}, 300),
    "by customer and status": ({"customer": "customer", "status": "attended"}, 300),
    "by customer and date": ({"customer": "customer", "since": DAY, "until": DAY + timedelta(days=30)}, 300),
    "by class and status": ({"class": "class", "status": "booked"}, 100),
    "by number": ({"number": "AAAAAAA"}, 5),
}


@pytest.mark.parametrize("name", LISTS)
async def test_what_lists_of_bookings_read_they_read_by_index(filled: Filled, name: str):
    given, most = LISTS[name]
    row = await filled.mine.stage.row(
        "select customer_id as customer, class_id as class, venue_id as venue from booking order by id desc limit 1"
    )
    values = [row.get(value, value) for value in given.values()]

    plan = await explained(
        filled, BOOKINGS.statement(tuple(given), is_first=True), filled.mine.stage.tenant_id, 51, *values
    )

    big = [node for node in nodes(plan) if node.get("Relation Name") == "booking"]
    assert {node["Node Type"] for node in big} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, big
    assert sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in big) <= most, plan


@pytest.mark.parametrize("names", [(), ("customer",), ("status",), ("until",)])
async def test_appointments_are_not_looked_for_among_all_seats_in_classes(filled: Filled, names: tuple[str, ...]):
    customer = await filled.mine.stage.value("select customer_id from booking limit 1")
    values = [{"customer": customer, "status": "booked", "until": DAY}[name] for name in names]

    plan = await explained(
        filled, APPOINTMENTS.statement(names, is_first=True), filled.mine.stage.tenant_id, 51, *values
    )

    big = [node for node in nodes(plan) if node.get("Relation Name") == "booking"]
    assert big
    assert sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in big) <= 60, plan


WEEK = DAY - timedelta(days=6)
BEGUN = datetime(2026, 11, 20, 12, tzinfo=UTC)
# How many rows each may touch: those of its days and of the days around them, by ten classes and 140 bookings a day.
HOT = {
    "day": (days_module._CLASSES, (DAY, None, 501, earliest_of(DAY), latest_of(DAY)), 180),
    "appointments": (days_module._APPOINTMENTS, (DAY, None, 1001), 140),
    "public week": (timetable._WEEK, (WEEK, DAY, None, BEGUN, earliest_of(WEEK), latest_of(DAY)), 90),
    **{
        f"attendance by {by}": (sql, (WEEK, DAY, None, 2002, earliest_of(WEEK), latest_of(DAY)), 1_080)
        for by, sql in STATEMENTS.items()
    },
}


@pytest.mark.parametrize("name", HOT)
async def test_what_is_read_all_day_is_read_by_index(filled: Filled, name: str):
    sql, values, most = HOT[name]
    plan = await explained(filled, sql, filled.mine.stage.tenant_id, *values)

    big = [node for node in nodes(plan) if node.get("Relation Name") in ("booking", "class_instance")]
    assert big
    assert {node["Node Type"] for node in big} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, big
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in big)
    assert read <= most, (name, read)


async def explained(filled: Filled, sql: str, *values: Any) -> dict[str, Any]:
    """Return the plan as the application's role has it, under row-level security."""
    async with filled.mine.stage.db.tenant(filled.mine.stage.tenant_id) as tx:
        text = await tx.fetchval(f"explain (analyze, format json) {sql}", *values)
    return json.loads(text)[0]["Plan"]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan] + [node for child in plan.get("Plans", ()) for node in nodes(child)]
