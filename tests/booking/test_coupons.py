"""Coupons lessen the price of a seat once, as often as they say and no oftener; what is asked is what is left of the price."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from booking.studio import Studio, refused, told
from booking.tills import HOUR, asked, back, jobs, pay, soon, state, till
from bursar.apps.booking.coupons import discount_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(db, database_url, admin_url):
    async with till(db, database_url, admin_url) as made:
        yield made


async def coupon(desk: Studio, code: str = "SPRING", **terms: Any) -> dict[str, Any]:
    return told(await desk.caller.post("/v1/coupons", {"code": code} | (terms or {"percent": 50})))


async def insistent(desk: Studio, flow: str, person: str, **more: Any) -> Any:
    """Book, and ask again while the server has too much to do to answer: nothing was taken then."""
    answer = await desk.book(flow, person, **more)
    while answer.status_code == 503:
        answer = await desk.book(flow, person, **more)
    return answer


async def redemption(desk: Studio, becomes: str) -> None:
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        await tx.execute(f"update coupon_redemption set {becomes}")


async def used(desk: Studio, made: dict[str, Any]) -> int:
    return told(await desk.caller.get(f"/v1/coupons/{made['id']}"), 200)["used"]


async def test_a_hundred_who_redeem_a_coupon_for_ten_at_once_redeem_it_ten_times(desk: Studio):
    ten = await coupon(desk, percent=50, uses_max=10)
    flows = [await desk.class_at(soon(), capacity=100, cost=0, price="drop-in") for _ in range(10)]
    people = [await desk.person(f"p{n}") for n in range(100)]

    asking = (insistent(desk, flow, person, coupon="spring") for flow, person in zip(flows * 10, people, strict=True))
    answers = await asyncio.gather(*asking)

    assert Counter((each.status_code, each.json().get("code")) for each in answers) == {
        (201, None): 10,
        (409, "coupon_used_up"): 90,
    }
    assert (await used(desk, ten), sum([(await desk.seats(flow))[0] for flow in flows])) == (10, 10)
    assert await desk.stage.value("select count(*) from coupon_redemption where released_at is null") == 10
    lower = await desk.caller.send("PATCH", f"/v1/coupons/{ten['id']}", {"uses_max": 9})
    refused(lower, "coupon_limit_too_low")


async def test_one_customer_redeems_it_as_often_as_one_may_also_at_once(desk: Studio):
    mine = await coupon(desk, percent=10, uses_per_customer=2)
    ann = await desk.person("ann")
    flows = [await desk.class_at(soon() + HOUR * 2 * n, cost=0, price="drop-in") for n in range(5)]

    answers = await asyncio.gather(*(desk.book(flow, ann, coupon="SPRING") for flow in flows))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409]
    assert await used(desk, mine) == 2


async def test_what_is_asked_is_the_price_less_the_discount_and_paying_that_is_enough(desk: Studio):
    third = await coupon(desk, percent=33)
    ann, flow = await desk.person("ann"), await desk.class_at(soon(), cost=1, price="drop-in")
    held = await desk.booked(flow, ann, coupon="spring", seats=2)
    order = told(await desk.caller.get(f"/v1/orders/{held['order']}"), 200)

    money = (held["price_minor"], held["discount_minor"], held["due_minor"], held["coupon"], held["paid_with"])
    assert money == (3000, 990, 2010, "SPRING", "money")
    assert [(line["amount_minor"], line.get("quantity", 1)) for line in await asked(desk, held)] == [(2010, 1)]
    assert (order["lines"][0]["quantity"], order["lines"][0]["asks_minor"]) == (2, 2010)
    await pay(desk, held, 2010)
    assert (await state(desk, held), await back(desk)) == ("booked", [])
    story = await desk.caller.data(f"/v1/customers/{ann}/history")
    assert [each["amount_minor"] for each in story if each["kind"] == "booking"] == [2010]
    # What goes back is what was paid, and with all of it the coupon.
    gone = told(await desk.cancel(held))
    await jobs(desk)
    assert (gone["status"], await back(desk), await used(desk, third)) == ("cancelled", [2010], 0)


async def test_a_hold_that_ends_gives_its_coupon_back_and_late_money_has_it_again_or_returns(desk: Studio):
    once = await coupon(desk, amount_minor=500, currency="EUR", uses_max=1)
    ann, bob = await desk.person("ann"), await desk.person("bob")
    flow, other = [await desk.class_at(soon() + HOUR * n, cost=0, price="drop-in") for n in (0, 3)]
    desk.at(datetime.now(UTC) - HOUR)
    late, later = await desk.booked(flow, ann, coupon="SPRING"), flow
    desk.at(datetime.now(UTC))
    await jobs(desk)
    freed = (await state(desk, late), await used(desk, once))

    await pay(desk, late, 1000)
    assert (freed, await state(desk, late), await used(desk, once)) == (("expired", 0), "booked", 1)

    refused(await desk.book(other, bob, coupon="SPRING"), "coupon_used_up")
    told(await desk.cancel(late))
    assert await used(desk, once) == 0
    desk.at(datetime.now(UTC) - HOUR)
    late = await desk.booked(later, bob, coupon="SPRING")
    desk.at(datetime.now(UTC))
    await jobs(desk)
    await desk.booked(other, ann, coupon="SPRING")
    await pay(desk, late, 1000)
    await jobs(desk)
    assert (await state(desk, late), await used(desk, once)) == ("expired", 1)
    assert sorted(await back(desk)) == [1000, 1000]


async def test_a_coupon_for_all_of_it_needs_no_payment_and_waits_for_staff_where_staff_confirms(desk: Studio):
    gift = await coupon(desk, "GIFT", percent=100, uses_max=2)
    ann, bob = await desk.person("ann"), await desk.person("bob")
    flow = await desk.class_at(soon(), cost=0, price="drop-in")
    asking = await desk.class_at(soon(), cost=0, price="drop-in", policy=await desk.policy(needs_approval=True))

    free = await desk.booked(flow, ann, coupon="gift")
    wished = await desk.booked(asking, bob, coupon="gift")
    sure = told(await desk.caller.post(f"/v1/bookings/{wished['id']}/confirmations", {}))

    assert (free["status"], free["due_minor"], free["discount_minor"], free["order"]) == ("booked", 0, 1500, None)
    assert (wished["status"], sure["status"], sure["order"]) == ("requested", "booked", None)
    assert (await used(desk, gift), await desk.seats(flow), await desk.seats(asking)) == (2, (0, 1, 0), (0, 1, 0))
    told(await desk.caller.post(f"/v1/classes/{flow}/cancellations", {}))
    assert await used(desk, gift) == 1


async def test_a_request_with_a_coupon_asks_for_what_is_left_when_staff_confirms_and_a_moved_seat_keeps_it(
    desk: Studio,
):
    half = await coupon(desk)
    ann = await desk.person("ann")
    first, second = [
        await desk.class_at(soon() + HOUR * n, cost=0, price="drop-in", policy=policy)
        for n, policy in ((0, await desk.policy(needs_approval=True)), (3, None))
    ]
    wished = await desk.booked(first, ann, coupon="SPRING")
    held = told(await desk.caller.post(f"/v1/bookings/{wished['id']}/confirmations", {}))
    await pay(desk, held, 750)
    moved = told(await desk.caller.post(f"/v1/bookings/{held['id']}/reschedules", {"class": second}))

    assert (held["status"], [line["amount_minor"] for line in await asked(desk, moved)]) == ("held", [750])
    assert (moved["status"], moved["coupon"], moved["discount_minor"]) == ("booked", "SPRING", 750)
    assert (await used(desk, half), await back(desk)) == (1, [])
    told(await desk.cancel(moved))
    assert await used(desk, half) == 0


async def test_a_redemption_that_is_not_as_its_booking_is_found(desk: Studio):
    await coupon(desk)
    await desk.booked(await desk.class_at(soon(), cost=0, price="drop-in"), await desk.person("ann"), coupon="SPRING")
    found = []
    for wrong, right in (
        ("discount_minor = 751", "discount_minor = 750"),
        ("released_at = now()", "released_at = null"),
    ):
        await redemption(desk, wrong)
        found.append(sorted(await desk.broken()))
        await redemption(desk, right)

    assert found == [["discounts_are_of_coupons"], ["coupons_counted_are_redeemed", "discounts_are_of_coupons"]]


async def test_an_offered_seat_is_taken_up_with_a_coupon(desk: Studio):
    half = await coupon(desk)
    ann, bob = await desk.person("ann", owns=1), await desk.person("bob")
    flow = await desk.class_at(soon(), capacity=1, price="drop-in")
    seat = await desk.booked(flow, ann)
    told(await desk.wait(flow, bob))
    told(await desk.cancel(seat))

    held = await desk.booked(flow, bob, coupon="SPRING", pays="money")

    assert (held["status"], held["due_minor"], held["source"]) == ("held", 750, "waitlist")
    assert [line["amount_minor"] for line in await asked(desk, held)] == [750]
    assert await used(desk, half) == 1


async def test_what_a_coupon_cannot_be_taken_for_is_told_before_and_refused_and_nothing_is_taken(desk: Studio):
    ann = await desk.person("ann", owns=5)
    flow, other, credits_only = [
        await desk.class_at(soon() + HOUR * n, price=price) for n, price in ((0, "drop-in"), (3, "drop-in"), (6, None))
    ]
    await coupon(desk, "OTHER", percent=10, classes=[other])
    await coupon(desk, "DOLLARS", amount_minor=100, currency="USD")
    await coupon(desk, "ENDED", percent=10, valid_until=(desk.clock.now - HOUR).isoformat())
    await coupon(desk, "EARLY", percent=10, valid_from=(desk.clock.now + HOUR).isoformat())
    off = await coupon(desk, "OFF", percent=10)
    told(await desk.caller.send("PATCH", f"/v1/coupons/{off['id']}", {"is_on": False}), 200)
    fine = await coupon(desk, "FINE", percent=10)

    for code in ("NONE", "OTHER", "DOLLARS", "ENDED", "EARLY", "OFF"):
        why = told(await desk.caller.get(f"/v1/classes/{flow}/bookability", customer=ann, coupon=code), 200)
        assert [each["code"] for each in why["failures"]] == ["coupon_invalid"], code
        body = refused(await desk.book(flow, ann, coupon=code), "coupon_invalid")
        assert body["detail"] == why["failures"][0]["message"].capitalize() or why["failures"][0]["message"] in str(
            body
        )
    refused(await desk.book(flow, ann, coupon="FINE", pays="credits"), "coupon_invalid")
    assert "coupon_invalid" in str(refused(await desk.book(credits_only, ann, coupon="FINE"), "payment_missing"))
    told(await desk.caller.send("PUT", "/v1/booking-rules/coupons_stopped", {"is_on": True}), 200)
    refused(await desk.book(flow, ann, coupon="FINE"), "coupons_stopped")

    assert (await used(desk, fine), await desk.balance(ann), await desk.seats(flow)) == (0, 5, (0, 0, 0))
    refused(await desk.caller.post("/v1/coupons", {"code": "fine", "percent": 5}), "coupon_code_taken")
    for wrong in (
        {},
        {"percent": 5, "amount_minor": 5, "currency": "EUR"},
        {"amount_minor": 5},
        {"percent": 5, "currency": "EUR"},
    ):
        refused(await desk.caller.post("/v1/coupons", {"code": "WRONG"} | wrong), "coupon_terms_invalid", 422)
    assert (await desk.caller.post("/v1/coupons", {"code": "a b", "percent": 5})).status_code == 422


def test_a_share_is_rounded_half_to_even_and_nothing_takes_more_than_the_price():
    halves = [discount_of(price, percent=50, amount_minor=None) for price in (1, 3, 5, 1500)]

    assert halves == [0, 2, 2, 750]
    assert (
        discount_of(1500, percent=100, amount_minor=None) == discount_of(1500, percent=None, amount_minor=9000) == 1500
    )


async def test_an_instant_at_the_ends_of_the_calendar_is_refused_and_the_first_and_the_last_are_taken(desk: Studio):
    ann, flow = await desk.person("ann"), await desk.class_at(soon(), cost=0, price="drop-in")
    ends = {"valid_from": "1899-12-31T23:59:59Z", "valid_until": "9999-12-31T23:59:59Z"}

    answers = [
        await desk.caller.post("/v1/coupons", {"code": "EVER", "percent": 100, name: at}) for name, at in ends.items()
    ]
    await coupon(desk, percent=100, valid_from="1900-01-01T00:00:00Z", valid_until="2999-12-31T23:59:59.999999Z")
    booked = await desk.booked(flow, ann, coupon="SPRING")

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "invalid")] * 2
    assert booked["status"] == "booked"
