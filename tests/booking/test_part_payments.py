"""Who has too few credits pays the missing ones with money: both or nothing is taken, and both go back."""

import asyncio
from datetime import UTC, datetime

import pytest

from booking.studio import Studio, refused, told
from booking.tills import HOUR, asked, back, jobs, pay, soon, state, till
from bursar.apps.booking.bookings import money_for

pytestmark = pytest.mark.anyio

LET = {"is_on": False}


@pytest.fixture
async def desk(db, database_url, admin_url):
    """A studio that takes credits and money together."""
    async with till(db, database_url, admin_url) as made:
        told(await made.caller.send("PUT", "/v1/booking-rules/paid_with_one_thing", LET), 200)
        yield made


async def test_missing_credits_are_paid_with_money_and_both_come_back_as_the_terms_say(desk: Studio):
    ann, half = await desk.person("ann", owns=1), await desk.policy(money_back=50)
    flow = await desk.class_at(soon(), cost=2, price="drop-in", policy=half)
    held = await desk.booked(flow, ann, pays="both")
    meanwhile = await desk.balance(ann)
    await pay(desk, held, 750)
    sure = await desk.booking(held)
    before = told(await desk.caller.get(f"/v1/bookings/{held['id']}/consequence"), 200)
    gone = told(await desk.cancel(held))
    await jobs(desk)

    assert (held["status"], held["paid_with"], meanwhile) == ("held", "credits_and_money", 0)
    assert (held["credit_cost"], held["missing_credits"], held["price_minor"], held["due_minor"]) == (1, 1, 750, 750)
    assert [line["amount_minor"] for line in await asked(desk, held)] == [750]
    assert (sure["status"], before["credits_back"], before["money_back_minor"]) == ("booked", "same_lot", 375)
    assert (gone["status"], gone["credits_back"], await desk.balance(ann), await back(desk)) == (
        "cancelled",
        "same_lot",
        1,
        [375],
    )


async def test_a_hold_that_nobody_pays_gives_its_credits_back_to_their_lot(desk: Studio):
    ann, flow = await desk.person("ann", owns=1), await desk.class_at(soon(), cost=2, price="drop-in")
    lots = await desk.lots(ann)
    desk.at(datetime.now(UTC) - HOUR)
    held = await desk.booked(flow, ann, pays="both")
    desk.at(datetime.now(UTC))
    await jobs(desk)

    assert (await state(desk, held), await desk.lots(ann), await desk.seats(flow)) == ("expired", lots, (0, 0, 0))


async def test_late_money_is_seated_with_the_credits_taken_anew_or_goes_back_when_those_are_gone(desk: Studio):
    ann, bob = await desk.person("ann", owns=1), await desk.person("bob", owns=1)
    flow, other = [await desk.class_at(soon() + HOUR * n, cost=cost, price="drop-in") for n, cost in ((0, 2), (3, 1))]
    desk.at(datetime.now(UTC) - HOUR)
    hers, his = await desk.booked(flow, ann, pays="both"), await desk.booked(flow, bob, pays="both")
    desk.at(datetime.now(UTC))
    await jobs(desk)
    await desk.booked(other, bob, pays="credits")

    await pay(desk, hers, 750)
    await pay(desk, his, 750)
    await jobs(desk)

    assert (await state(desk, hers), await desk.balance(ann)) == ("booked", 0)
    assert (await state(desk, his), await desk.balance(bob), await back(desk)) == ("expired", 0, [750])
    told(await desk.caller.post(f"/v1/classes/{flow}/cancellations", {}))
    await jobs(desk)
    assert (await desk.balance(ann), await back(desk)) == (1, [750, 750])


async def test_two_bookings_at_once_take_the_one_credit_once(desk: Studio):
    ann = await desk.person("ann", owns=1)
    flows = [await desk.class_at(soon() + HOUR * 2 * n, cost=2, price="drop-in") for n in range(4)]

    answers = await asyncio.gather(*(desk.book(flow, ann, pays="both") for flow in flows))
    made = [told(answer) for answer in answers]

    assert (
        sorted((each["paid_with"], each["due_minor"]) for each in made)
        == [("credits_and_money", 750)] + [("money", 1500)] * 3
    )
    assert await desk.balance(ann) == 0


async def test_it_is_taken_where_the_business_takes_it_and_by_whom(desk: Studio):
    ann, rich = await desk.person("ann", owns=1), await desk.person("rich", owns=2)
    flow, no_price = [await desk.class_at(soon(), cost=2, price=price) for price in ("drop-in", None)]
    await desk.caller.send("PUT", "/v1/booking-rules/paid_with_one_thing", {"is_on": True})
    asked_before = told(await desk.caller.get(f"/v1/classes/{flow}/bookability", customer=ann, pays="both"), 200)
    refused(await desk.book(flow, ann, pays="both"), "part_payment_not_taken")
    but = {"is_on": True, "parameters": {"but_staff": True}}
    await desk.caller.send("PUT", "/v1/booking-rules/paid_with_one_thing", but)
    refused(await desk.book(flow, ann, pays="both"), "part_payment_not_taken")
    by_staff = await desk.booked(flow, ann, pays="both", source="desk")
    await desk.caller.send("PUT", "/v1/booking-rules/paid_with_one_thing", LET)

    assert [each["code"] for each in asked_before["failures"]] == ["part_payment_not_taken"]
    assert by_staff["paid_with"] == "credits_and_money"
    refused(await desk.book(no_price, rich, pays="both"), "payment_missing")
    # Who has enough pays with credits alone.
    enough = await desk.booked(flow, rich, pays="both")
    assert (enough["status"], enough["paid_with"], enough["missing_credits"]) == ("booked", "credits", 0)
    await pay(desk, by_staff, 750)
    later = await desk.class_at(soon() + HOUR * 3, cost=2, price="drop-in")
    moved = await desk.caller.post(f"/v1/bookings/{by_staff['id']}/reschedules", {"class": later})
    refused(moved, "reschedule_unfit")


def test_missing_credits_cost_their_share_of_the_price_half_to_even_and_never_nothing():
    assert [money_for(missing, 2, 1501) for missing in (1, 2, 3)] == [750, 1501, 2252]
    assert sum(money_for(1, 3, 1000) for _ in range(3)) == 999
    assert (money_for(1, 3, 1), money_for(3, 3, 1)) == (1, 1)
