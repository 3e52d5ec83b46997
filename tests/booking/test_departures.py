"""A customer who is deleted or erased has nothing ahead any more: everything goes back, and who waits has the seats."""

from datetime import UTC, datetime
from typing import Any

import pytest

from booking.studio import Studio, refused, told
from booking.tills import HOUR, KINDS, back, pay, soon, state, till
from bursar.apps.booking import bookings
from bursar.money.customers import ending
from draining import drain

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(db, database_url, admin_url):
    async with till(db, database_url, admin_url) as made:
        yield made


async def ahead_of(desk: Studio, who: str) -> dict[str, Any]:
    """Book a customer a class in an hour, one that has begun, and one for money; let him wait for a full one."""
    ann, now = await desk.person(who, owns=3), datetime.now(UTC)
    late, begun = await desk.class_at(now + HOUR), await desk.class_at(now - HOUR / 4)
    dear, full = await desk.class_at(soon(), cost=0, price="drop-in"), await desk.class_at(soon() + HOUR, capacity=1)
    made = {
        "late": await desk.booked(late, ann),
        "begun": await desk.booked(begun, ann, source="desk"),
        "paid": await desk.booked(dear, ann, pays="money"),
    }
    await pay(desk, made["paid"], 1500)
    await desk.booked(full, await desk.person(f"bob-{who}", owns=1))
    told(await desk.wait(full, ann))
    return made | {"ann": ann, "full": full}


async def leave(desk: Studio) -> None:
    await drain(desk.stage, [ending([bookings.end_ahead]), *KINDS])


async def states(desk: Studio, made: dict[str, Any]) -> list[str]:
    return [await state(desk, made[name]) for name in ("late", "paid")]


async def test_what_lies_ahead_of_who_is_erased_or_deleted_is_cancelled_and_goes_back(desk: Studio):
    erased, deleted, back_again = [await ahead_of(desk, who) for who in ("ann", "eve", "kim")]
    letters = len(await desk.letters())

    told(await desk.caller.post(f"/v1/customers/{erased['ann']}/erasures", {"ground": "requested"}), 202)
    path = f"/v1/customers/{deleted['ann']}"
    refusal = refused(await desk.caller.send("DELETE", path), "customer_has_credits")
    untouched = await states(desk, deleted)
    told(await desk.caller.send("DELETE", path, force="true", reason="moved"), 200)
    kim = f"/v1/customers/{back_again['ann']}"
    told(await desk.caller.send("DELETE", kim, force="true", reason="a slip"), 200)
    told(await desk.caller.post(f"{kim}/restorations", {}))
    for _ in range(2):
        await leave(desk)

    assert refusal["context"]["credits"] == 1
    assert untouched == ["booked", "booked"]
    assert [await states(desk, made) for made in (erased, deleted, back_again)] == [
        ["cancelled", "cancelled"],
        ["cancelled", "cancelled"],
        ["booked", "booked"],
    ]
    assert [await state(desk, made["begun"]) for made in (erased, deleted)] == ["booked", "booked"]
    assert [await desk.balance(made["ann"]) for made in (erased, deleted, back_again)] == [2, 2, 1]
    assert sorted(await back(desk)) == [1500, 1500]
    assert [await desk.seats(made["full"]) for made in (erased, deleted, back_again)] == [
        (0, 1, 0),
        (0, 1, 0),
        (0, 1, 1),
    ]
    assert (await desk.letters())[letters:].count("booking.cancelled") == 2  # of the deleted one only


async def test_a_customer_who_is_only_booked_is_not_deleted_by_the_way(desk: Studio):
    ann = await desk.person("ann")
    booked = await desk.booked(await desk.class_at(soon(), cost=0), ann)

    refusal = refused(await desk.caller.send("DELETE", f"/v1/customers/{ann}"), "customer_has_bookings")

    assert refusal["context"]["bookings"] == 1
    assert await state(desk, booked) == "booked"
