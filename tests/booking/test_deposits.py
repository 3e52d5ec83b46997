"""A deposit: a class asks for a part of its money ahead, that part makes the seat sure, and the rest is paid at the desk."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from booking.studio import Studio, refused, told
from booking.tills import HOUR, asked, back, jobs, pay, soon, state, till
from bursar.apps.booking.schedule.deposits import deposit_of
from bursar.kernel import ids
from stage import add_price


@pytest.fixture
async def desk(db, database_url, admin_url):
    """A studio that sells a seat for 15.00."""
    async with till(db, database_url, admin_url) as made:
        yield made


async def deposited(desk: Studio, percent: int = 33, *, at: int = 0, cost: int = 0, **more: Any) -> str:
    flow = await desk.class_at(soon() + HOUR * at, cost=cost, price="drop-in", **more)
    changed = told(await desk.caller.send("PATCH", f"/v1/classes/{flow}", {"deposit_percent": percent}), 200)
    assert changed["deposit_percent"] == percent
    return flow


def split(booking: dict) -> tuple[int | None, ...]:
    return tuple(booking[name] for name in ("gross_minor", "due_minor", "rest_minor", "deposit_percent"))


@given(amount=st.integers(0, 10**15), percent=st.integers(1, 99))
@settings(max_examples=100, deadline=None)
def test_a_deposit_is_the_nearest_share_and_nothing_only_of_nothing(*, amount: int, percent: int):
    found = deposit_of(amount, percent)

    assert 0 <= found <= amount
    assert (found == 0) == (amount == 0)
    assert abs(found - Fraction(amount * percent, 100)) <= Fraction(1, 2) or found == 1
    assert deposit_of(amount, None) == amount


def test_half_a_cent_is_rounded_to_even_and_a_cent_is_asked_whole():
    assert [deposit_of(amount, 50) for amount in (1, 3, 5, 1001)] == [1, 2, 2, 500]


@pytest.mark.anyio
async def test_the_deposit_makes_the_seat_sure_and_goes_back_by_the_terms_of_what_was_paid(desk: Studio):
    ann = await desk.person("ann")
    flow = await deposited(desk, 33, policy=await desk.policy(money_back=50))
    held = await desk.booked(flow, ann, pays="money", seats=2)
    lines = await asked(desk, held)
    await pay(desk, held, 989)
    short = await state(desk, held)
    await pay(desk, held, 990)
    sure = await desk.booking(held)
    before = told(await desk.caller.get(f"/v1/bookings/{held['id']}/consequence"), 200)
    told(await desk.cancel(held))
    await jobs(desk)

    assert (held["status"], *split(held)) == ("held", 3000, 990, 2010, 33)
    assert [line["amount_minor"] for line in lines] == [990]
    assert (short, sure["status"], split(sure)) == ("held", "booked", split(held))
    assert (before["money_back_minor"], await back(desk)) == (495, [495])


@pytest.mark.anyio
async def test_a_late_deposit_is_seated_again_or_returned_whole(desk: Studio):
    ann, bob, zoe = [await desk.person(name) for name in ("ann", "bob", "zoe")]
    flow, full = await deposited(desk, 40), await deposited(desk, 40, at=3, capacity=1)
    desk.at(datetime.now(UTC) - HOUR)
    late, later = await desk.booked(flow, ann), await desk.booked(full, bob)
    desk.at(datetime.now(UTC))
    await jobs(desk)
    await desk.booked(full, zoe)
    # What is asked of others from now on is not asked of who has booked.
    told(await desk.caller.send("PATCH", f"/v1/classes/{flow}", {"deposit_percent": None}), 200)
    expired = [await state(desk, each) for each in (late, later)]
    await pay(desk, late, 600)
    await pay(desk, later, 600)
    await jobs(desk)

    assert expired == ["expired", "expired"]
    assert [await state(desk, each) for each in (late, later)] == ["booked", "expired"]
    assert split(await desk.booking(late)) == (1500, 600, 900, 40)
    assert await back(desk) == [600]
    assert split(await desk.booked(flow, bob)) == (1500, 1500, 0, None)


@pytest.mark.anyio
async def test_a_deposit_is_of_what_is_left_after_coupon_and_tax_and_never_of_credits(desk: Studio):
    people = [await desk.person(name, owns=1) for name in ("ann", "bob", "zoe", "kim")]
    venue = f"/v1/venues/{ids.show(ids.VENUE, desk.venue)}"
    told(await desk.caller.send("PATCH", venue, {"tax_bp": 2000, "tax_included": False}), 200)
    told(await desk.caller.post("/v1/coupons", {"code": "SPRING", "percent": 10}))
    told(await desk.caller.post("/v1/coupons", {"code": "FREE", "percent": 100}))
    told(await desk.caller.send("PUT", "/v1/booking-rules/paid_with_one_thing", {"is_on": False}), 200)
    flow = await deposited(desk, 25, cost=2)
    one = await deposited(desk, 25, at=3, cost=1)
    less = await desk.booked(flow, people[0], pays="money", coupon="SPRING")
    free = await desk.booked(flow, people[1], pays="money", coupon="FREE")
    both = await desk.booked(flow, people[2], pays="both")
    by_credit = await desk.booked(one, people[3], pays="credits")

    assert split(less) == (1620, 405, 1215, 25)
    assert (free["status"], *split(free)) == ("booked", 0, 0, 0, 25)
    assert split(both) == (900, 900, 0, None)
    assert (by_credit["status"], *split(by_credit)) == ("booked", None, None, None, None)
    assert [(await asked(desk, each))[0]["amount_minor"] for each in (less, both)] == [405, 900]


@pytest.mark.anyio
async def test_a_request_is_confirmed_at_the_price_that_it_was_made_at_whatever_its_class_costs_by_now(desk: Studio):
    await add_price(desk.stage, "dear", 2000, [{"kind": "seat"}], refs=[])
    policy = await desk.policy(needs_approval=True)
    flow = await desk.class_at(soon(), cost=0, price="drop-in", policy=policy)
    wished = [await desk.booked(flow, await desk.person(name), pays="money") for name in ("ann", "bob")]
    confirmed = []
    for one, price in zip(wished, (None, ids.show(ids.PRICE, desk.stage.prices["dear"])), strict=True):
        told(await desk.caller.send("PATCH", f"/v1/classes/{flow}", {"price": price}), 200)
        confirmed.append(told(await desk.caller.post(f"/v1/bookings/{one['id']}/confirmations", {})))

    assert [(each["status"], each["due_minor"]) for each in confirmed] == [("held", 1500)] * 2
    assert [[line["amount_minor"] for line in await asked(desk, each)] for each in confirmed] == [[1500], [1500]]


@pytest.mark.anyio
async def test_a_request_an_offer_and_a_moved_seat_have_the_deposit_they_were_made_with(desk: Studio):
    ann, bob = await desk.person("ann"), await desk.person("bob")
    one = await deposited(desk, 20, policy=await desk.policy(needs_approval=True))
    offers = await desk.policy(waitlist_mode="offer", offer_minutes=60)
    two = await deposited(desk, 50, at=2, policy=offers, capacity=1)
    three = await desk.class_at(soon() + HOUR * 4, cost=0, price="drop-in")
    wished = await desk.booked(one, ann, pays="money")
    confirmed = told(await desk.caller.post(f"/v1/bookings/{wished['id']}/confirmations", {}))
    await pay(desk, confirmed, 300)
    first = await desk.booked(two, ann, pays="money")
    told(await desk.wait(two, bob))
    told(await desk.cancel(first))
    taken = await desk.booked(two, bob, pays="money")
    lines = [(await asked(desk, each))[0]["amount_minor"] for each in (confirmed, taken)]
    await pay(desk, taken, 750)
    moved = told(await desk.caller.post(f"/v1/bookings/{taken['id']}/reschedules", {"class": three}))

    assert (wished["status"], *split(wished)) == ("requested", 1500, 300, 1200, 20)
    assert (confirmed["status"], await state(desk, confirmed)) == ("held", "booked")
    assert (taken["source"], *split(taken)) == ("waitlist", 1500, 750, 750, 50)
    assert (moved["status"], *split(moved)) == ("booked", 1500, 750, 750, 50)
    assert lines == [300, 750]


@pytest.mark.anyio
async def test_classes_have_the_deposit_of_their_template_and_follow_it(desk: Studio):
    new = {
        "venue": ids.show(ids.VENUE, desk.venue),
        "title": "Evening Flow",
        "duration_min": 60,
        "capacity": 5,
        "price": "drop-in",
        "deposit_percent": 30,
        "starts_on": str(soon().date()),
        "local_start": "19:00",
        "rrule": "FREQ=DAILY",
        "is_published": True,
    }
    price = await desk.stage.value("select id from price where lookup_key = 'drop-in'")
    new["price"] = ids.show(ids.PRICE, price)
    made = told(await desk.caller.post("/v1/class-templates", new))
    path = f"/v1/class-templates/{made['id']}"

    async def deposits() -> set[int | None]:
        return {each["deposit_percent"] for each in await desk.caller.data(f"/v1/classes?template={made['id']}")}

    before = await deposits()
    changed = told(await desk.caller.send("PATCH", path, {"deposit_percent": 60}), 200)
    after = await deposits()
    cleared = told(await desk.caller.send("PATCH", path, {"deposit_percent": None}), 200)
    wrong = [await desk.caller.send("PATCH", path, {"deposit_percent": n}) for n in (0, 100, -1, "50", 1.5)]

    assert [each["deposit_percent"] for each in (made, changed, cleared)] == [30, 60, None]
    assert (before, after, await deposits()) == ({30}, {60}, {None})
    assert {refused(each, "invalid", 422)["errors"][0]["field"] for each in wrong} == {"deposit_percent"}
