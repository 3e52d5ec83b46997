"""Services are offered with tiers, staff and hours, and availability says when they can be booked."""

import pytest

from booking.salon import MONDAY, Salon, salon

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(db, database_url):
    async with salon(db, database_url) as made:
        yield made


async def test_what_is_free_follows_from_hours_skills_time_off_and_classes(shop: Salon):
    names = shop.names
    both = await shop.free()
    await shop.post("/v1/staff-time-off", {"staff": names["mia"], "venue": names["venue"], "from": f"{MONDAY}T09:00", "until": f"{MONDAY}T10:30", "reason": "dentist"})  # fmt: skip
    without_mia = await shop.free()
    named = await shop.free(staff=names["noa"])
    await shop.stage.rows(
        """insert into class_instance (tenant_id, id, venue_id, staff_id, title, credit_cost, local_date, local_start, time_zone, starts_at,
          ends_at, capacity) select s.tenant_id, gen_random_uuid(), v.id, s.id, 'Flow', 1, '2026-03-09', '10:00', 'America/New_York',
          '2026-03-09T14:00Z', '2026-03-09T15:00Z', 5 from staff s join venue v on v.tenant_id = s.tenant_id where s.name = 'Noa'
        returning id"""
    )
    beside_a_class = await shop.free(staff=names["noa"])

    assert both == ["09:00", "09:30", "10:00", "10:00", "10:30", "10:30", "11:00", "11:00"]
    assert without_mia == ["10:00", "10:30", "10:30", "11:00", "11:00"]
    assert named == ["10:00", "10:30", "11:00"]
    assert beside_a_class == ["11:00"]


async def test_a_slot_is_told_with_its_end_its_zone_and_who_is_free(shop: Salon):
    first = (await shop.slots())[0]

    assert first == {
        "starts_at": "2026-03-09T13:00:00Z",
        "ends_at": "2026-03-09T14:00:00Z",
        "local": "2026-03-09T09:00-04:00[America/New_York]",
        "venue": shop.names["venue"],
        "venue_name": "Pier",
        "staff": [shop.names["mia"]],
    }


async def test_nothing_is_offered_too_soon_or_too_late(shop: Salon):
    names = shop.names
    answer = await shop.caller.send(
        "PUT",
        f"/v1/services/{names['massage']}",
        {"name": "Massage", "slot_min": 30, "lead_min": 60, "horizon_days": 14},
    )
    today = await shop.free("2026-03-02")  # it is 7:00 in New York
    shop.later(hours=3)
    at_ten = await shop.free("2026-03-02")
    last = await shop.free("2026-03-16")
    beyond = await shop.free("2026-03-23")

    assert answer.status_code == 200, answer.text
    assert today == ["09:00", "09:30", "10:00", "10:00", "10:30", "10:30", "11:00", "11:00"]
    assert at_ten == ["11:00", "11:00"]
    assert last == ["09:00", "09:30", "10:00", "10:00", "10:30", "10:30"]  # fourteen days from now it is 11:00
    assert beyond == []


async def test_hours_hold_from_their_first_day_to_their_last_and_on_one_date(shop: Salon):
    names = shop.names
    of_noa = {"staff": names["noa"], "venue": names["venue"], "from": "22:00", "until": "24:00"}
    await shop.post("/v1/staff-hours", of_noa | {"date": "2026-03-10"})
    on_tuesday = await shop.post("/v1/staff-hours", of_noa | {"weekday": 2, "valid_from": "2026-03-17", "valid_until": "2026-03-17"})  # fmt: skip

    assert await shop.free("2026-03-10", staff=names["noa"]) == ["22:00", "22:30", "23:00"]
    assert await shop.free("2026-03-17", staff=names["noa"]) == ["22:00", "22:30", "23:00"]
    assert await shop.free("2026-03-24", staff=names["noa"]) == []
    gone = await shop.caller.send("DELETE", f"/v1/staff-hours/{on_tuesday['id']}")
    assert (gone.status_code, gone.json()["until"]) == (200, "24:00")
    assert await shop.free("2026-03-17", staff=names["noa"]) == []


async def test_a_closed_day_and_opening_hours_of_the_venue_are_those_of_its_staff_too(shop: Salon):
    await shop.stage.rows(
        "insert into venue_closed_day (tenant_id, venue_id, day, name) select tenant_id, id, '2026-03-09', 'Fair' from venue returning venue_id"
    )
    await shop.stage.rows(
        "insert into venue_hours (tenant_id, venue_id, weekday, opens_min, closes_min) select tenant_id, id, 1, 600, 690 from venue returning weekday"
    )

    assert await shop.free() == []
    assert await shop.free("2026-03-16") == ["10:00", "10:00", "10:30", "10:30"]


async def test_a_month_is_searched_and_no_more(shop: Salon):
    found = await shop.slots(days=31)

    assert len(found) == 5 * 5
    refused = await shop.caller.get(
        "/v1/availability",
        service=shop.names["massage"],
        tier=shop.names["hour"],
        **{"from": "2026-03-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"},
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "window_invalid")


@pytest.mark.parametrize(
    ("tier", "code"),
    [
        ({"price": "pack-10"}, "tier_price_invalid"),  # paying it grants credits, and no seat
        ({"price": "membership"}, "tier_price_invalid"),
        ({"price": "nobody-knows"}, "price_not_found"),
        ({"deposit_percent": 10}, "tier_price_invalid"),
        ({"price": "massage", "deposit_price": "massage"}, "tier_price_invalid"),
        ({"duration_min": 0}, "invalid"),
    ],
)
async def test_a_tier_that_could_not_be_paid_is_refused(shop: Salon, tier, code):
    path = f"/v1/services/{shop.names['massage']}"
    answer = await shop.caller.post(f"{path}/tiers", {"name": "New", "duration_min": 30} | tier)

    assert answer.json()["code"] == code, answer.text
    assert len((await shop.caller.get(path)).json()["tiers"]) == 3


async def test_a_deposit_in_per_cent_has_a_price_that_grants_the_seat(shop: Salon):
    tiers = {t["name"]: t for t in (await shop.caller.get(f"/v1/services/{shop.names['massage']}")).json()["tiers"]}
    deposit = (await shop.caller.get(f"/v1/prices/{tiers['One hour']['deposit_price']}")).json()

    assert (tiers["One hour"]["price_minor"], tiers["One hour"]["due_minor"]) == (8000, 2000)
    assert (tiers["Paid ahead"]["due_minor"], tiers["Trial"]["due_minor"]) == (8000, None)
    assert (deposit["amount_minor"], deposit["currency"], deposit["grants"]) == (2000, "EUR", [{"kind": "seat"}])
