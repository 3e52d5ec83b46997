"""The tax of a venue: kept with each booking, in its price or on top of it, and net and tax are gross to the last cent."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from booking.studio import Studio, refused, told
from booking.tills import HOUR, asked, back, jobs, pay, soon, till
from bursar.apps.booking.schedule.taxes import Tax
from bursar.kernel import ids


@pytest.fixture
async def desk(db, database_url, admin_url):
    """A studio that sells a seat for 15.00."""
    async with till(db, database_url, admin_url) as made:
        yield made


async def taxed(desk: Studio, rate_bp: int, *, is_included: bool) -> dict:
    venue = ids.show(ids.VENUE, desk.venue)
    changed = {"tax_bp": rate_bp, "tax_included": is_included}
    return told(await desk.caller.send("PATCH", f"/v1/venues/{venue}", changed), 200)


def split(booking: dict) -> tuple[int, int, int, int]:
    return tuple(booking[name] for name in ("net_minor", "tax_minor", "gross_minor", "due_minor"))


@given(amount=st.integers(0, 10**15), rate=st.integers(0, 10_000), is_included=st.booleans())
@settings(max_examples=200, deadline=None)
def test_net_and_tax_are_gross_always_and_the_tax_is_the_nearest_share(*, amount: int, rate: int, is_included: bool):
    found = Tax(rate, is_included).of(amount)
    share = Fraction(amount * rate, 10_000 + (rate if is_included else 0))

    assert found.net_minor + found.tax_minor == found.gross_minor
    assert (found.gross_minor if is_included else found.net_minor) == amount
    assert abs(found.tax_minor - share) <= Fraction(1, 2)
    assert 0 <= found.net_minor <= found.gross_minor


def test_half_a_cent_is_rounded_to_even():
    assert [Tax(1000, is_included=False).of(amount).tax_minor for amount in (5, 15, 25)] == [0, 2, 2]
    assert [Tax(10_000).of(amount).tax_minor for amount in (1, 3, 5)] == [0, 2, 2]
    assert [Tax(bp).told for bp in (1900, 825, 10_000, 5)] == ["19 %", "8.25 %", "100 %", "0.05 %"]


@pytest.mark.anyio
async def test_tax_that_is_not_in_the_price_raises_what_is_asked_and_the_payment_of_that_seats(desk: Studio):
    ann, venue = await desk.person("ann"), await taxed(desk, 825, is_included=False)
    flow = await desk.class_at(soon(), cost=0, price="drop-in", policy=await desk.policy(money_back=100))
    held = await desk.booked(flow, ann, pays="money", seats=2)
    lines = await asked(desk, held)
    await pay(desk, held, 3000)
    short = await desk.booking(held)
    await pay(desk, held, 3248)
    sure = await desk.booking(held)
    told(await desk.cancel(held))
    await jobs(desk)

    assert (venue["tax_bp"], venue["tax_included"]) == (825, False)
    # 247.5 goes to the even one.
    assert split(held) == (3000, 248, 3248, 3248)
    assert [line["amount_minor"] for line in lines] == [3248]
    assert (short["status"], sure["status"]) == ("held", "booked")
    assert await back(desk) == [3248]


@pytest.mark.anyio
async def test_tax_in_the_price_is_split_off_it_and_later_edits_change_no_booking(desk: Studio):
    ann, bob, zoe = [await desk.person(name, owns=1) for name in ("ann", "bob", "zoe")]
    await taxed(desk, 1900, is_included=True)
    flow, other = [await desk.class_at(soon() + HOUR * n, cost=1, price="drop-in") for n in (0, 2)]
    hers = await desk.booked(flow, ann, pays="money")
    await taxed(desk, 700, is_included=False)
    his, by_credits = await desk.booked(flow, bob, pays="money"), await desk.booked(flow, zoe, pays="credits")
    lines = await asked(desk, hers)
    await pay(desk, hers, 1500)
    moved = told(await desk.caller.post(f"/v1/bookings/{hers['id']}/reschedules", {"class": other}))

    assert split(hers) == (1261, 239, 1500, 1500)
    assert [line["amount_minor"] for line in lines] == [1500]
    assert split(his) == (1500, 105, 1605, 1605)
    assert split(by_credits) == (None, 0, None, None)
    assert (moved["tax_bp"], moved["tax_included"], *split(moved)) == (1900, True, 1261, 239, 1500, 1500)


@pytest.mark.anyio
async def test_what_a_coupon_takes_off_is_not_taxed_nor_what_credits_pay(desk: Studio):
    ann, bob = await desk.person("ann"), await desk.person("bob", owns=1)
    await taxed(desk, 2000, is_included=False)
    told(await desk.caller.post("/v1/coupons", {"code": "SPRING", "percent": 10}))
    told(await desk.caller.post("/v1/coupons", {"code": "FREE", "percent": 100}))
    told(await desk.caller.send("PUT", "/v1/booking-rules/paid_with_one_thing", {"is_on": False}), 200)
    flow, later = [await desk.class_at(soon() + HOUR * n, cost=2, price="drop-in") for n in (0, 2)]
    less = await desk.booked(flow, ann, pays="money", coupon="SPRING")
    free = await desk.booked(later, ann, pays="money", coupon="FREE")
    both = await desk.booked(flow, bob, pays="both")
    lines = [(await asked(desk, each))[0]["amount_minor"] for each in (less, both)]

    assert (less["discount_minor"], *split(less)) == (150, 1350, 270, 1620, 1620)
    assert (free["status"], *split(free)) == ("booked", 0, 0, 0, 0)
    assert (both["missing_credits"], *split(both)) == (1, 750, 150, 900, 900)
    assert lines == [1620, 900]


@pytest.mark.anyio
async def test_an_offered_seat_and_a_requested_one_are_taxed_when_their_price_is_known(desk: Studio):
    ann, bob = await desk.person("ann"), await desk.person("bob")
    await taxed(desk, 1000, is_included=False)
    asks = await desk.policy(needs_approval=True)
    offers = await desk.policy(waitlist_mode="offer", offer_minutes=60)
    one = await desk.class_at(soon(), cost=0, price="drop-in", policy=asks)
    two = await desk.class_at(soon() + HOUR * 2, cost=0, price="drop-in", policy=offers, capacity=1)
    wished = await desk.booked(one, ann, pays="money")
    await taxed(desk, 0, is_included=True)
    confirmed = told(await desk.caller.post(f"/v1/bookings/{wished['id']}/confirmations", {}))
    await taxed(desk, 500, is_included=False)
    first = await desk.booked(two, ann, pays="money")
    told(await desk.wait(two, bob))
    told(await desk.cancel(first))
    taken = await desk.booked(two, bob, pays="money")

    assert (wished["status"], *split(wished)) == ("requested", 1500, 150, 1650, 1650)
    assert (confirmed["status"], *split(confirmed)) == ("held", 1500, 150, 1650, 1650)
    assert [line["amount_minor"] for line in await asked(desk, confirmed)] == [1650]
    assert (taken["source"], *split(taken)) == ("waitlist", 1500, 75, 1575, 1575)
    assert [line["amount_minor"] for line in await asked(desk, taken)] == [1575]


@pytest.mark.anyio
async def test_a_rate_out_of_bounds_is_refused(desk: Studio):
    venue = f"/v1/venues/{ids.show(ids.VENUE, desk.venue)}"
    before = told(await desk.caller.get(venue), 200)

    wrong = ({"tax_bp": -1}, {"tax_bp": 10_001}, {"tax_bp": "19"}, {"tax_bp": 1.5}, {"tax_included": "yes"})
    answers = [await desk.caller.send("PATCH", venue, each) for each in wrong]

    assert [refused(answer, "invalid", 422)["errors"][0]["field"] for answer in answers] == [
        *["tax_bp"] * 4,
        "tax_included",
    ]
    assert told(await desk.caller.get(venue), 200) == before
