"""A business without a gateway is paid at its desk: what is booked for money waits for the cash, which makes it sure once."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from api.conftest import running
from booking.studio import Clock, Studio, refused, studio_of, told
from booking.tills import HOUR, jobs, soon, state
from bursar.apps.booking import bookings
from bursar.kernel import ids
from bursar.operations.verify import verify
from stage import add_price

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(db, database_url, admin_url):
    """A studio that sells a seat for 15.00, and takes only cash."""
    clock = Clock(datetime.now(UTC))
    async with running(database_url, clock=clock) as (_, http), studio_of(db, database_url, http, clock) as made:
        await add_price(made.stage, "drop-in", 1500, [{"kind": "seat"}], refs=[])
        told(await made.caller.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Counter"}))
        yield made
        connection = await asyncpg.connect(admin_url)
        verified = await verify(connection, made.stage.tenant_id, standing_kinds=[])
        await connection.close()
        assert not [(check.name, check.offending) for check in verified.invariants if not check.ok]


async def payments(desk: Studio) -> list[int]:
    return [row["amount_minor"] for row in await desk.caller.data("/v1/payments", status="succeeded")]


async def test_cash_makes_a_seat_sure_in_one_act_or_right_after_and_once(desk: Studio):
    ann, bob, eve = [await desk.person(name) for name in ("ann", "bob", "eve")]
    flow = await desk.class_at(soon(), cost=0, price="drop-in", capacity=3)
    cash = {"method": "cash"}

    at_once = told(await desk.book(flow, ann, source="desk", seats=2, desk_payment=cash, once="k-1"))
    again = told(await desk.book(flow, ann, source="desk", seats=2, desk_payment=cash, once="k-1"))
    held = told(await desk.book(flow, bob, source="desk"))
    seats = await desk.seats(flow)
    full = await desk.book(flow, eve, source="desk", desk_payment=cash)
    path = f"/v1/bookings/{held['id']}/desk-payments"
    told(await desk.caller.post(path, {"method": "other"}), 202)
    twice = await desk.caller.post(path, cash)
    await desk.stage.apply()
    late = await desk.caller.post(path, cash)

    assert (at_once["status"], at_once["checkout"], at_once["due_minor"]) == ("held", None, 3000)
    assert again["id"] == at_once["id"]
    assert (held["status"], held["checkout"], seats) == ("held", None, (3, 0, 0))
    refused(full, "class_full")
    refused(twice, "manual_reference_reused")
    refused(late, "booking_owes_nothing")
    assert [await state(desk, each) for each in (at_once, held)] == ["booked", "booked"]
    assert (await desk.seats(flow), sorted(await payments(desk))) == ((0, 3, 0), [1500, 3000])


async def test_a_hold_that_nobody_pays_at_the_desk_ends_as_any_other(desk: Studio):
    ann = await desk.person("ann")
    flow = await desk.class_at(soon(), cost=0, price="drop-in", capacity=1)
    held = told(await desk.book(flow, ann))

    desk.at(desk.clock.now + HOUR)
    told(await desk.book(flow, await desk.person("bob"), source="desk", desk_payment={}))

    assert await state(desk, held) == "expired"
    refused(await desk.caller.post(f"/v1/bookings/{held['id']}/desk-payments", {}), "booking_owes_nothing")
    await desk.stage.apply()
    await jobs(desk)
    assert (await desk.seats(flow), await payments(desk)) == ((0, 1, 0), [1500])


async def test_cash_is_taken_for_nothing_that_is_not_due(desk: Studio):
    ann = await desk.person("ann", owns=1)
    flow = await desk.class_at(soon(), cost=1, price="drop-in")

    by_credits = await desk.book(flow, ann, source="desk", desk_payment={})
    by_money = told(await desk.book(flow, ann, source="desk", pays="money", desk_payment={}))
    await desk.stage.apply()

    refused(by_credits, "booking_owes_nothing")
    assert (await state(desk, by_money), await desk.balance(ann), await payments(desk)) == ("booked", 1, [1500])


async def to_hand_back(desk: Studio) -> list[tuple[str, int]]:
    return [(each["number"], each["amount_minor"]) for each in await desk.caller.data("/v1/desk-returns")]


async def test_cash_that_comes_when_the_seat_is_gone_is_listed_until_it_was_handed_back(desk: Studio):
    ann, bob = await desk.person("ann"), await desk.person("bob")
    flow = await desk.class_at(soon(), cost=0, price="drop-in", capacity=1)
    late = told(await desk.book(flow, ann))
    desk.at(desk.clock.now + HOUR)
    sure = told(await desk.book(flow, bob, source="desk", desk_payment={}))
    cash = {"amount_minor": 1500, "currency": "EUR", "order": late["order"], "customer": ann, "reference": "receipt-1"}

    for _ in range(2):
        told(await desk.caller.post("/v1/manual-payments", cash), 202)
        await desk.stage.apply()
        await jobs(desk)
    listed = await to_hand_back(desk)
    rest = await desk.stage.rows("select kind, state from job where state = 'dead'")
    (due,) = await desk.caller.data("/v1/desk-returns", booking=late["id"])
    handed = {"payment": due["id"], "amount_minor": due["amount_minor"], "reference": "back-1"}
    told(await desk.caller.post("/v1/manual-refunds", handed), 202)
    await desk.stage.apply()

    assert [await state(desk, each) for each in (late, sure)] == ["expired", "booked"]
    assert (listed, rest) == ([(late["number"], 1500)], [])
    assert due["reason"] == "it came when its booking had expired, and the seat was gone"
    assert (await to_hand_back(desk), await desk.seats(flow)) == ([], (0, 1, 0))


async def test_cash_that_comes_late_takes_the_seat_again_while_there_is_one(desk: Studio):
    ann = await desk.person("ann")
    flow = await desk.class_at(soon(), cost=0, price="drop-in", capacity=1)
    late = told(await desk.book(flow, ann))
    desk.at(desk.clock.now + HOUR)
    await desk.stage.rows(
        "update booking set held_until = now() - interval '1 minute' where id is not null returning 1"
    )
    await jobs(desk)
    assert await state(desk, late) == "expired"

    cash = {"amount_minor": 1500, "currency": "EUR", "order": late["order"], "customer": ann, "reference": "receipt-1"}
    told(await desk.caller.post("/v1/manual-payments", cash), 202)
    await desk.stage.apply()
    await jobs(desk)

    assert (await state(desk, late), await desk.seats(flow), await to_hand_back(desk)) == ("booked", (0, 1, 0), [])


async def test_cash_of_a_cancelled_class_is_owed_until_somebody_says_that_it_was_handed_back(desk: Studio):
    ann, bob = await desk.person("ann"), await desk.person("bob")
    flow = await desk.class_at(soon(), cost=0, price="drop-in")
    booked = [told(await desk.book(flow, each, source="desk", desk_payment={})) for each in (ann, bob)]
    await desk.stage.apply()

    told(await desk.caller.post(f"/v1/classes/{flow}/cancellations", {"reason": "The pipes burst."}))
    for _ in range(2):
        await jobs(desk)
    listed = await to_hand_back(desk)
    refunds = await desk.caller.data("/v1/refunds")
    for each in await desk.caller.data("/v1/desk-returns"):
        told(await desk.caller.post("/v1/manual-refunds", {"payment": each["id"], "amount_minor": 500}), 202)
        await desk.stage.apply()
    left = await to_hand_back(desk)

    assert sorted(listed) == sorted((each["number"], 1500) for each in booked)
    assert refunds == []  # nobody has handed anything back
    assert sorted(left) == sorted((each["number"], 1000) for each in booked)


async def test_of_cash_that_was_partly_handed_back_before_cancelling_owes_the_rest(desk: Studio):
    flow = await desk.class_at(soon(), cost=0, price="drop-in")
    booked = told(await desk.book(flow, await desk.person("ann"), source="desk", seats=2, desk_payment={}))
    await desk.stage.apply()
    payment = await desk.caller.one("/v1/payments")
    told(await desk.caller.post("/v1/manual-refunds", {"payment": payment["id"], "amount_minor": 1000}), 202)
    await desk.stage.apply()

    told(await desk.cancel(booked))
    await jobs(desk)

    assert await to_hand_back(desk) == [(booked["number"], 2000)]


async def test_cash_is_taken_and_handed_back_once_however_often_it_is_said_at_once(desk: Studio):
    ann = await desk.person("ann")
    held = told(await desk.book(await desk.class_at(soon(), cost=0, price="drop-in"), ann))
    path = f"/v1/bookings/{held['id']}/desk-payments"

    taken = await asyncio.gather(*(desk.caller.post(path, {"method": "cash"}) for _ in range(5)))
    await desk.stage.apply()
    paid = await payments(desk)
    told(await desk.cancel(held, by="business"))
    await jobs(desk)
    (due,) = await desk.caller.data("/v1/desk-returns")
    handed = await asyncio.gather(*(hand_back(desk, due["id"]) for _ in range(5)), return_exceptions=True)
    await desk.stage.apply()

    assert {each.status_code for each in taken} == {202}
    assert paid == [1500]
    assert sum(isinstance(each, bookings.NothingToHandBack) for each in handed) == 4
    refunds = await desk.caller.data("/v1/refunds")
    assert [(each["amount_minor"], each["status"]) for each in refunds] == [(1500, "succeeded")]


async def hand_back(desk: Studio, payment: str) -> None:
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        place = {"tenant_id": desk.stage.tenant_id, "payment_id": ids.parse(ids.PAYMENT, payment)}
        await bookings.hand_back(tx, **place, actor="user:ann", now=desk.clock.now)
