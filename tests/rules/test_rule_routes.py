"""Rules and policies over HTTP: what a business chooses, and why somebody cannot book."""

from datetime import timedelta

import pytest

from bursar.kernel import ids
from rules.conftest import STARTS

pytestmark = pytest.mark.anyio


async def test_every_rule_is_listed_as_it_holds_and_a_change_is_told_in_the_trail(studio):
    before = {each["rule"]: each for each in await studio.mine.data("/v1/booking-rules")}
    assert before["bookings_per_day"]["is_on"] is False
    assert before["bookings_per_day"]["parameters"][0]["value"] == 1

    await studio.rule("bookings_per_day", bookings_max=2)

    after = {each["rule"]: each for each in await studio.mine.data("/v1/booking-rules")}
    assert after["bookings_per_day"]["is_on"] is True
    assert after["bookings_per_day"]["parameters"][0]["value"] == 2
    record = (await studio.mine.data("/v1/audit-records", action="booking_rule.changed"))[0]
    assert record["changes"] == {
        "is_on": {"before": False, "after": True},
        "bookings_max": {"before": 1, "after": 2},
    }
    theirs = {each["rule"]: each for each in await studio.theirs.data("/v1/booking-rules")}
    assert theirs == before
    await studio.rule("bookings_per_day", is_on=False)


@pytest.mark.parametrize(
    ("rule", "body", "status", "code"),
    [
        ("bookings_per_day", {"is_on": True, "parameters": {"bookings_max": 0}}, 422, "booking_rule_parameter_invalid"),
        (
            "bookings_per_day",
            {"is_on": True, "parameters": {"bookings_max": True}},
            422,
            "booking_rule_parameter_invalid",
        ),
        (
            "bookings_per_day",
            {"is_on": True, "parameters": {"bookings_max": "2"}},
            422,
            "booking_rule_parameter_invalid",
        ),
        ("bookings_per_day", {"is_on": True, "parameters": {"days": 2}}, 422, "booking_rule_parameter_invalid"),
        ("seats_left", {"is_on": False}, 422, "booking_rule_not_switchable"),
        ("bookings_per_moon", {"is_on": True}, 404, "booking_rule_not_found"),
        ("bookings_per_day", {"is_on": "yes"}, 422, "invalid"),
    ],
)
async def test_what_a_rule_does_not_take_is_refused_with_what_it_takes(studio, rule, body, status, code):
    before = await studio.mine.data("/v1/booking-rules")

    answer = await studio.mine.send("PUT", f"/v1/booking-rules/{rule}", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await studio.mine.data("/v1/booking-rules") == before


async def test_what_stands_in_the_way_is_read_from_the_customers_own_rows(studio):
    ann, bob = await studio.customer(), await studio.customer()
    class_id = await studio.a_class(cost=2)
    other = await studio.a_class(STARTS + timedelta(minutes=59))
    before = await studio.a_class(STARTS - timedelta(minutes=60))
    await studio.booked(ann, other, at=STARTS + timedelta(minutes=59))
    await studio.booked(ann, before, at=STARTS - timedelta(minutes=60))
    await studio.rule("bookings_per_day", bookings_max=2)
    await studio.rule("bookings_per_week", bookings_max=2)
    await studio.rule("bookings_to_come", bookings_max=2)

    assert await studio.codes(class_id, ann) == [
        "overlapping_booking",
        "too_many_on_day",
        "too_many_in_week",
        "too_many_to_come",
        "credits_insufficient",
    ]
    assert await studio.codes(class_id, bob) == ["credits_insufficient"]
    assert await studio.codes(other, bob, seats=11) == ["class_full", "too_many_seats"]
    assert (await studio.codes(other, ann))[0] == "already_booked"

    for rule in ("bookings_per_day", "bookings_per_week", "bookings_to_come"):
        await studio.rule(rule, is_on=False)


async def test_a_foreign_class_or_customer_is_not_there(studio):
    class_id, customer = await studio.a_class(), await studio.customer()
    path = f"/v1/classes/{ids.show(ids.CLASS, class_id)}/bookability"
    unknown = ids.show(ids.CUSTOMER, ids.new())

    theirs = await studio.theirs.get(path, customer=ids.show(ids.CUSTOMER, customer))
    nobody = await studio.mine.get(path, customer=unknown)

    assert (theirs.status_code, theirs.json()["code"]) == (404, "class_not_found")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "customer_not_found")
