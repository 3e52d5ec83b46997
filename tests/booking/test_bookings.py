"""Seats are booked, paid and given up as the studio's terms say: the acceptance list, through HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from booking.studio import Studio, refused, studio, told
from bursar.kernel.db import Database

pytestmark = pytest.mark.anyio

SIX = datetime(2026, 3, 5, 23, tzinfo=UTC)  # six in the evening of a Thursday, before the clocks are set


@pytest.fixture
async def desk(db: Database, database_url: str) -> AsyncIterator[Studio]:
    async with studio(db, database_url) as made:
        yield made


async def test_a_seat_costs_a_credit_once_and_is_told_of_with_its_zone(desk: Studio):
    ann = await desk.person("ann", owns=3)
    flow = await desk.class_at(SIX)

    first = await desk.book(flow, ann, once="k-1")
    again = await desk.book(flow, ann, once="k-1")
    other_body = await desk.book(flow, ann, once="k-1", seats=2)
    second = await desk.book(flow, ann, once="k-2")

    booked = told(first)
    assert (again.status_code, again.content) == (201, first.content)
    refused(other_body, "idempotency_key_reused", 422)
    refused(second, "already_booked")
    assert (booked["status"], booked["paid_with"], booked["credit_cost"]) == ("booked", "credits", 1)
    assert booked["local"] == "2026-03-05T18:00-05:00[America/New_York]"
    assert (await desk.balance(ann), await desk.seats(flow)) == (2, (0, 1, 0))
    assert await desk.letters() == ["booking.booked"]
    assert await desk.broken() == {}


async def test_who_has_too_few_credits_is_refused_and_nothing_is_taken(desk: Studio):
    ann = await desk.person("ann", owns=1)
    flow = await desk.class_at(SIX, cost=2)

    refusal = refused(await desk.book(flow, ann), "credits_insufficient")

    assert refusal["context"]["balance"] == 1
    assert (await desk.balance(ann), await desk.seats(flow), await desk.of(ann, flow)) == (1, (0, 0, 0), [])


async def test_credits_that_end_soonest_pay_if_they_are_good_when_the_class_begins(desk: Studio):
    february, march = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    ann = await desk.person("ann", owns=5, expires_at=march)
    await desk.person("ann", owns=5, expires_at=february)
    soon = await desk.class_at(SIX)
    later = await desk.class_at(datetime(2026, 4, 15, 22, tzinfo=UTC))

    await desk.booked(soon, ann)
    assert [left for left, _ in await desk.lots(ann)] == [5, 4]
    await desk.booked(later, ann)

    assert [left for left, _ in await desk.lots(ann)] == [4, 4]


async def test_of_several_pools_the_most_special_pays_when_they_end_together(desk: Studio):
    end = datetime(2026, 6, 1, tzinfo=UTC)
    ann = await desk.person("ann", owns=1, expires_at=end, pool="any")
    await desk.person("ann", owns=1, expires_at=end, pool="yoga")
    flow = await desk.class_at(SIX, pools=("yoga", "any"))
    both = await desk.class_at(SIX + timedelta(hours=2), pools=("yoga", "any"), cost=2)

    await desk.booked(flow, ann)
    assert (await desk.balance(ann, "yoga"), await desk.balance(ann, "any")) == (0, 1)
    refused(await desk.book(both, ann), "credits_insufficient")
    await desk.person("ann", owns=1, pool="yoga")
    await desk.booked(both, ann)

    assert (await desk.balance(ann, "yoga"), await desk.balance(ann, "any")) == (0, 0)
    assert await desk.broken() == {}


async def test_a_minute_before_the_cutoff_the_credit_goes_back_and_a_minute_after_it_does_not(desk: Studio):
    # Nine in the morning after the clocks were set: 24 elapsed hours before it were eight.
    nine = datetime(2026, 3, 8, 13, tzinfo=UTC)
    cutoff = datetime(2026, 3, 7, 13, tzinfo=UTC)
    ann = await desk.person("ann", owns=1, expires_at=datetime(2026, 6, 1, tzinfo=UTC))
    bob = await desk.person("bob", owns=1)
    flow = await desk.class_at(nine)
    hers, his = await desk.booked(flow, ann), await desk.booked(flow, bob)

    desk.at(cutoff - timedelta(minutes=1))
    before = told(await desk.caller.get(f"/v1/bookings/{hers['id']}/consequence"), 200)
    in_time = told(await desk.cancel(hers))
    desk.at(cutoff + timedelta(minutes=1))
    after = told(await desk.caller.get(f"/v1/bookings/{his['id']}/consequence"), 200)
    late = told(await desk.cancel(his))

    assert hers["cancel_by_local"] == "2026-03-07T08:00-05:00[America/New_York]"
    assert (before["credits_back"], before["is_late"]) == ("same_lot", False)
    assert (in_time["status"], in_time["credits_back"]) == ("cancelled", "same_lot")
    assert (after["credits_back"], after["is_late"], after["text"]) == (
        "kept",
        True,
        "It is too late to cancel at no cost. You do not get 1 credit back. Your seat is given up.",
    )
    assert (late["status"], late["credits_back"]) == ("late_cancelled", "kept")
    assert [left for left, _ in await desk.lots(ann)] == [1]
    assert (await desk.balance(bob), await desk.seats(flow)) == (0, (0, 0, 0))
    refused(await desk.cancel(his), "booking_not_live")
    assert await desk.broken() == {}
