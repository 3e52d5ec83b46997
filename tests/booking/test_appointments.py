"""A staff member's time is given once, whatever the race, and moves and ends by its terms."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from booking.salon import MONDAY, Salon, salon

pytestmark = pytest.mark.anyio

NINE, TEN, ELEVEN = (
    f"{MONDAY}T{hour}:00:00Z" for hour in (13, 14, 15)
)  # in New York, whose clocks were set the day before


@pytest.fixture
async def shop(db, database_url):
    async with salon(db, database_url) as made:
        yield made


async def test_an_appointment_is_given_by_whoever_is_free_and_takes_his_time(shop: Salon):
    first = await shop.book(TEN)
    second = await shop.book(TEN, customer=shop.names["bob"])
    third = await shop.book(TEN, customer=shop.names["cal"], status=409)
    still = await shop.free(tier=shop.names["free"])

    assert {first["staff"], second["staff"]} == {shop.names["mia"], shop.names["noa"]}
    assert (first["status"], first["payment_status"], first["local"]) == (
        "booked",
        "none",
        "2026-03-09T10:00-04:00[America/New_York]",
    )
    assert third["code"] == "staff_busy"
    assert still == []  # what is left before and after is too short with half an hour to tidy up
    assert len({first["number"], second["number"]}) == 2


async def test_a_time_that_is_not_offered_is_refused_and_given_by_staff_with_a_reason(shop: Salon):
    refused = await shop.book(f"{MONDAY}T20:00:00Z", status=409)
    off_grid = await shop.book(f"{MONDAY}T13:10:00Z", status=409)
    by_staff = {"staff": shop.names["mia"], "venue": shop.names["venue"], "override_reason": "a regular"}
    given = await shop.book(f"{MONDAY}T20:00:00Z", **by_staff)
    again = await shop.book(f"{MONDAY}T20:30:00Z", customer=shop.names["bob"], **by_staff, status=409)

    assert (refused["code"], off_grid["code"], again["code"]) == ("slot_not_offered", "slot_not_offered", "staff_busy")
    assert given["override_reason"] == "a regular"


async def test_twelve_who_want_one_hour_of_two_people_get_two_appointments(shop: Salon):
    added = [
        (await shop.caller.post("/v1/customers", {"email": f"c{n}@example.org", "name": "C"})).json()["id"]
        for n in range(12)
    ]
    body = {"service": shop.names["massage"], "tier": shop.names["free"], "starts_at": TEN}

    answers = await asyncio.gather(*(shop.caller.post("/v1/appointments", body | {"customer": c}) for c in added))

    assert sorted(a.status_code for a in answers) == [201] * 2 + [409] * 10
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"staff_busy"}
    assert len({a.json()["staff"] for a in answers if a.status_code == 201}) == 2


async def test_one_customer_who_asks_twice_at_once_has_one_appointment(shop: Salon):
    body = {
        "service": shop.names["massage"],
        "tier": shop.names["free"],
        "customer": shop.names["ann"],
        "starts_at": TEN,
    }

    answers = await asyncio.gather(*(shop.caller.post("/v1/appointments", body) for _ in range(4)))

    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"customer_busy"}


async def test_the_database_refuses_an_overlap_though_nobody_looked(shop: Salon):
    made = await shop.book(NINE)

    with pytest.raises(asyncpg.ExclusionViolationError, match="booking_staff_once"):
        await shop.stage.rows(
            """insert into booking (tenant_id, id, number, customer_id, kind, service_id, tier_id, staff_id, venue_id, status, starts_at,
              ends_at, local_date, busy, source, paid_with, terms, snapshot, cancel_by, booked_by)
            select tenant_id, gen_random_uuid(), 'ABCDEFG', customer_id, kind, service_id, tier_id, staff_id, venue_id, 'requested',
              starts_at, ends_at, local_date, tstzrange(upper(busy) - interval '1 second', upper(busy) + interval '1 hour'), source,
              paid_with, terms, snapshot, cancel_by, booked_by from booking where number = $1 returning id""",
            made["number"],
        )


_CLASS = """
insert into class_instance (tenant_id, id, venue_id, staff_id, title, credit_cost, local_date, local_start, time_zone, starts_at, ends_at,
  capacity)
select s.tenant_id, gen_random_uuid(), v.id, s.id, 'Flow', 1, '2026-03-09', '10:30', 'America/New_York', '2026-03-09T14:30Z',
  '2026-03-09T15:30Z', 5 from staff s join venue v on v.tenant_id = s.tenant_id where s.name = $1
returning id
"""


async def test_no_appointment_is_made_over_a_class_that_is_written_at_the_same_moment(shop: Salon):
    body = {"service": shop.names["massage"], "tier": shop.names["free"], "customer": shop.names["ann"]}
    asked = body | {"starts_at": TEN, "staff": shop.names["noa"]}
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        await tx.fetch(_CLASS, "Noa")
        booking = asyncio.create_task(shop.caller.post("/v1/appointments", asked))
        await asyncio.sleep(0.3)  # it has computed that Noa is free, and waits for her row
        waited = not booking.done()
    answer = await booking

    assert waited
    assert (answer.status_code, answer.json()["code"]) == (409, "staff_busy")


async def test_an_appointment_moves_to_the_same_person_and_its_old_time_is_free(shop: Salon):
    made = await shop.book(NINE)
    path = f"/v1/appointments/{made['id']}/reschedules"
    moved = await shop.post(path, {"starts_at": f"{MONDAY}T13:30:00Z"})  # over its own old time
    back = await shop.post(path, {"starts_at": f"{MONDAY}T20:00:00Z"}, 409)
    shop.later(days=7)
    late = await shop.post(path, {"starts_at": NINE}, 409)
    by_staff = await shop.post(path, {"starts_at": TEN, "staff": shop.names["noa"], "venue": shop.names["venue"], "override_reason": "ill"})  # fmt: skip

    assert (moved["id"], moved["staff"], moved["moves"], moved["number"]) == (
        made["id"],
        shop.names["mia"],
        1,
        made["number"],
    )
    assert moved["cancel_by"] == "2026-03-08T13:30:00Z"
    assert (back["code"], late["code"]) == ("slot_not_offered", "reschedule_too_late")
    assert (by_staff["staff"], by_staff["starts_at"], by_staff["moves"]) == (shop.names["noa"], TEN, 2)


async def test_two_appointments_that_swap_their_people_at_once_are_both_somewhere(shop: Salon):
    first = await shop.book(TEN, staff=shop.names["mia"])
    second = await shop.book(TEN, staff=shop.names["noa"], customer=shop.names["bob"])

    answers = await asyncio.gather(
        shop.caller.post(f"/v1/appointments/{first['id']}/reschedules", {"starts_at": TEN, "staff": shop.names["noa"]}),
        shop.caller.post(
            f"/v1/appointments/{second['id']}/reschedules", {"starts_at": TEN, "staff": shop.names["mia"]}
        ),
    )

    assert [(a.status_code, a.json()["code"]) for a in answers] == [(409, "staff_busy")] * 2
    assert await shop.stage.value("select count(distinct staff_id) from booking where status = 'booked'") == 2


async def test_what_needs_approval_is_requested_and_two_who_confirm_it_do_so_once(shop: Salon):
    await shop.stage.rows(
        """insert into booking_policy (tenant_id, id, name, is_default, terms)
        select tenant_id, gen_random_uuid(), 'House', true, '{"needs_approval": true}' from tenant returning id"""
    )
    made = await shop.book(NINE)
    path = f"/v1/appointments/{made['id']}/confirmations"
    rival = await shop.book(NINE, customer=shop.names["bob"], staff=made["staff"], status=409)
    answers = await asyncio.gather(shop.caller.post(path, {}), shop.caller.post(path, {}))

    assert (made["status"], rival["code"]) == ("requested", "staff_busy")
    assert sorted(a.status_code for a in answers) == [201, 409]
    assert {a.json().get("code") for a in answers} == {None, "booking_not_requested"}


async def test_a_staff_member_sees_his_day(shop: Salon):
    await shop.stage.rows(_CLASS, "Mia")
    await shop.book(NINE, staff=shop.names["mia"])
    await shop.book(TEN, staff=shop.names["noa"], customer=shop.names["bob"])
    of_mia = (await shop.caller.get(f"/v1/staff/{shop.names['mia']}/day", date=MONDAY)).json()
    of_noa = (await shop.caller.get(f"/v1/staff/{shop.names['noa']}/day", date=MONDAY)).json()

    # The half hour to tidy up after the appointment ends where the class begins.
    assert [(b["kind"], b["title"], b["seats"], b["customer_name"]) for b in of_mia["data"]] == [
        ("appointment", "Massage", None, "Ann"),
        ("class", "Flow", 0, None),
    ]
    assert [(b["kind"], b["customer_name"]) for b in of_noa["data"]] == [("appointment", "Bob")]


async def test_what_has_appointments_to_come_is_not_deleted(shop: Salon):
    made = await shop.book(NINE)
    path = f"/v1/services/{shop.names['massage']}"
    refused = [await shop.caller.send("DELETE", p) for p in (path, f"{path}/tiers/{shop.names['free']}")]
    other = await shop.caller.send("DELETE", f"{path}/tiers/{shop.names['full']}")
    shop.later(days=10)
    gone = await shop.caller.send("DELETE", path)

    assert [(r.status_code, r.json()["code"], r.json()["context"]) for r in refused] == [
        (409, "service_has_appointments", {"appointments": 1})
    ] * 2
    assert (other.status_code, gone.status_code) == (200, 200)
    assert gone.json()["deleted_at"] is not None
    assert await shop.caller.data("/v1/services") == []
    assert (await shop.caller.get(f"/v1/appointments/{made['id']}")).json()["title"] == "Massage"


async def test_a_venue_with_an_appointment_this_evening_is_neither_deleted_nor_given_another_zone(shop: Salon):
    names = shop.names
    evening = {"staff": names["mia"], "venue": names["venue"], "weekday": 1, "from": "19:00", "until": "23:00"}
    await shop.post("/v1/staff-hours", evening)
    await shop.book("2026-03-10T01:00:00Z")  # nine in the evening of the ninth
    shop.clock.now = datetime(2026, 3, 10, 0, 30, tzinfo=UTC)

    deleting = await shop.caller.send("DELETE", f"/v1/venues/{names['venue']}")
    moving = await shop.caller.send("PATCH", f"/v1/venues/{names['venue']}", {"time_zone": "Europe/Rome"})

    assert (deleting.status_code, deleting.json()["code"]) == (409, "has_future_bookings")
    assert (moving.status_code, moving.json()["code"]) == (409, "has_future_classes")
    assert moving.json()["detail"] == "The zone cannot be changed: 1 bookings are still to come"
