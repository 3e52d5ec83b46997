"""Cases of clocks that others got wrong: slots on the days of a change, notice that ends on one, weeks around one, rules of rare days.

Sources: reports to Cal.com (working hours after noon on the day of a change are offered an hour late; a single half hour a week is offered
an hour off in the week of a change; notice that ends on the day of a change shifts what is offered; the last start before the end of the
day is not offered) and to pretix; RFC 5545 3.3.10 for days that a month does not have.
"""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from booking.salon import Salon, salon
from booking.studio import refused, studio, told
from booking.test_recurrence import template
from bursar.apps.booking.schedule.materialising import slots_of
from bursar.kernel.db import Database

pytestmark = pytest.mark.anyio

ANY_DAY = range(1, 8)


@pytest.fixture
async def shop(db: Database, database_url: str) -> AsyncIterator[Salon]:
    async with salon(db, database_url) as made:
        yield made


async def service(
    shop: Salon, zone: str, hours: list[tuple[int, str, str]], *, minutes: int = 60, **more: Any
) -> dict[str, str]:
    """Offer something at a place of its own, given by one person in these hours."""
    venue = (await shop.post("/v1/venues", {"name": zone, "time_zone": zone}))["id"]
    staff = (await shop.post("/v1/staff", {"name": zone}))["id"]
    made = (await shop.post("/v1/services", {"name": zone, "slot_min": 30, **more}))["id"]
    tier = (await shop.post(f"/v1/services/{made}/tiers", {"name": "One", "duration_min": minutes}))["tiers"][0]["id"]
    for weekday, begin, end in hours:
        new = {
            "staff": staff,
            "venue": venue,
            "weekday": weekday,
            "from": begin,
            "until": end,
            "valid_from": "2026-01-01",
        }
        await shop.post("/v1/staff-hours", new)
    told(await shop.caller.send("PUT", f"/v1/services/{made}/staff/{staff}", {"tiers": []}), 200)
    return {"service": made, "tier": tier}


async def offered(shop: Salon, what: dict[str, str], zone: str, day: date) -> list[datetime]:
    """Return the instants that are offered on a day of a place."""
    begin = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)
    found = await shop.caller.data("/v1/availability", **what, **{"from": begin.isoformat(), "to": end.isoformat()})
    return [datetime.fromisoformat(slot["starts_at"]) for slot in found]


CHANGES = {
    "America/New_York": date(2026, 3, 8),
    "Europe/Lisbon": date(2026, 3, 29),
    "Australia/Lord_Howe": date(2026, 4, 5),  # half an hour
    "America/Sao_Paulo": date(2026, 3, 15),  # its clocks are not set any more
    "Pacific/Apia": date(2026, 4, 5),  # nor are these, beyond the date line
}


async def test_hours_after_noon_are_the_hours_of_the_wall_on_the_day_of_a_change_and_around_it(shop: Salon):
    for zone, change in CHANGES.items():
        what = await service(shop, zone, [(day, "13:00", "18:00") for day in ANY_DAY])
        for day in (change - timedelta(days=1), change, change + timedelta(days=1)):
            there = [each.astimezone(ZoneInfo(zone)) for each in await offered(shop, what, zone, day)]

            assert [f"{each:%H:%M}" for each in there] == [
                f"{minute // 60}:{minute % 60:02}" for minute in range(13 * 60, 17 * 60 + 1, 30)
            ], (zone, day)
            assert {each.date() for each in there} == {day}
    new_york = await offered(
        shop, await service(shop, "America/New_York", [(7, "13:00", "18:00")]), "America/New_York", date(2026, 3, 8)
    )
    assert (new_york[0], new_york[-1]) == (datetime(2026, 3, 8, 17, tzinfo=UTC), datetime(2026, 3, 8, 21, tzinfo=UTC))


async def test_the_only_half_hour_of_a_week_is_the_same_every_week_and_can_be_booked(shop: Salon):
    zone = ZoneInfo("America/New_York")
    what = await service(shop, zone.key, [(7, "12:30", "13:00")], minutes=30, horizon_days=300)
    for day in (
        date(2026, 3, 1),
        date(2026, 3, 8),
        date(2026, 3, 15),
        date(2026, 10, 25),
        date(2026, 11, 1),
        date(2026, 11, 8),
    ):
        shop.clock.now = datetime.combine(day - timedelta(days=2), time(), UTC)
        (slot,) = await offered(shop, what, zone.key, day)
        booked = await shop.book(slot.isoformat(), **what)

        assert f"{slot.astimezone(zone):%H:%M}" == "12:30", day
        assert booked["local"].startswith(f"{day}T12:30")
        assert await offered(shop, what, zone.key, day) == []


async def test_notice_that_ends_on_the_day_of_a_change_leaves_the_hours_where_they_are(shop: Salon):
    zone = ZoneInfo("America/New_York")
    what = await service(shop, zone.key, [(day, "09:00", "17:00") for day in ANY_DAY], lead_min=7 * 24 * 60)
    shop.clock.now = datetime(
        2026, 10, 25, 16, tzinfo=UTC
    )  # noon there; a week of elapsed hours ends at eleven on 1 November

    ends = await offered(shop, what, zone.key, date(2026, 11, 1))
    after = await offered(shop, what, zone.key, date(2026, 11, 2))

    assert [f"{each.astimezone(zone):%H:%M}" for each in (ends[0], ends[-1], after[0], after[-1])] == [
        "11:00",
        "16:00",
        "09:00",
        "16:00",
    ]


async def test_the_last_start_is_as_late_as_the_hours_allow(shop: Salon):
    zone = ZoneInfo("Europe/Vienna")
    what = await service(shop, zone.key, [(5, "09:00", "20:00")], minutes=90)

    slots = await offered(shop, what, zone.key, date(2026, 3, 27))

    assert f"{slots[-1].astimezone(zone):%H:%M}" == "18:30"


async def test_a_limit_of_bookings_a_day_counts_the_days_of_the_wall_also_one_of_23_hours(
    db: Database, database_url: str
):
    async with studio(db, database_url) as desk:
        rule = {"is_on": True, "parameters": {"bookings_max": 1}}
        told(await desk.caller.send("PUT", "/v1/booking-rules/bookings_per_day", rule), 200)
        ann = await desk.person("ann", owns=5)
        zone = ZoneInfo("America/New_York")
        saturday, first, last, monday = [
            await desk.class_at(datetime(2026, 3, day, hour, 30, tzinfo=zone).astimezone(UTC))
            for day, hour in ((7, 22), (8, 0), (8, 22), (9, 0))
        ]

        told(await desk.book(first, ann))
        refused(await desk.book(last, ann), "too_many_on_day")
        for each in (saturday, monday):
            told(await desk.book(each, ann))


async def test_who_gives_up_a_promoted_seat_leaves_the_class_with_all_its_seats(db: Database, database_url: str):
    """As it was reported of pretix: the seat of who had waited, booked and cancelled stayed taken, by his entry."""
    async with studio(db, database_url) as desk:
        flow = await desk.class_at(datetime(2026, 3, 6, 23, tzinfo=UTC), capacity=1)
        first, ann = await desk.person("first", owns=1), await desk.person("ann", owns=1)
        taken = await desk.booked(flow, first)
        told(await desk.wait(flow, ann))
        told(await desk.caller.post(f"/v1/classes/{flow}/changes", {"capacity": 12}))
        hers = await desk.caller.one("/v1/bookings", customer=ann)

        told(await desk.cancel(hers))
        told(await desk.cancel(taken))

        assert (await desk.seats(flow), await desk.of(ann, flow)) == ((0, 0, 0), ["cancelled"])
        pairs = [await desk.person(f"p{n}", owns=1) for n in range(12)]
        for each in pairs:
            told(await desk.book(flow, each))
        assert (await desk.seats(flow), await desk.broken()) == ((0, 12, 0), {})


def days(rrule: str, zone: str, first: date, *, years: int = 1) -> list[str]:
    shape = template(rrule, zone, time(9), first)
    began = datetime.combine(first, time(), UTC) - timedelta(days=3)
    return [str(slot.day) for slot in slots_of(shape, first + timedelta(days=366 * years), began)]


def test_a_rule_of_a_day_that_not_every_month_has_leaves_the_others_out():
    assert days("FREQ=MONTHLY;BYMONTHDAY=31", "Europe/Lisbon", date(2026, 1, 31)) == [
        *(
            "2026-01-31",
            "2026-03-31",
            "2026-05-31",
            "2026-07-31",
            "2026-08-31",
            "2026-10-31",
            "2026-12-31",
            "2027-01-31",
        ),
    ]
    assert days("FREQ=MONTHLY;BYMONTHDAY=29", "Pacific/Apia", date(2027, 12, 29))[1:4] == [
        "2028-01-29",
        "2028-02-29",
        "2028-03-29",
    ]
    assert days("FREQ=MONTHLY;BYMONTHDAY=29", "Pacific/Apia", date(2026, 12, 29))[1:3] == ["2027-01-29", "2027-03-29"]
    assert days("FREQ=MONTHLY;BYMONTHDAY=-1", "Australia/Lord_Howe", date(2028, 1, 31))[:3] == [
        "2028-01-31",
        "2028-02-29",
        "2028-03-31",
    ]
    assert days("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "America/Sao_Paulo", date(2024, 2, 29), years=8) == [
        "2024-02-29",
        "2028-02-29",
        "2032-02-29",
    ]
