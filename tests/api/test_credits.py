"""Credits: spent soonest-expiring first, never below zero, once for each reference, returned to where they came from."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.conftest import Caller
from bursar.kernel import ids
from bursar.money.fulfilment.spending import expire_lots
from stage import add_price, charge, event, intent, refund, session

pytestmark = pytest.mark.anyio


@pytest.fixture
async def buyer(world) -> tuple[Caller, str]:
    """A customer who bought ten class credits, and the caller who may spend them."""
    await world.mine.stage.tell(event("checkout.session.completed", session()), event("charge.succeeded", charge()))
    return world.mine, (await world.mine.one("/v1/customers"))["id"]


async def spend(caller: Caller, customer: str, amount: int, reference: str, pool: str = "classes"):
    body = {"customer": customer, "amount": amount, "reference": reference, "pool": pool}
    return await caller.post("/v1/credit-spends", body)


async def adjust(caller: Caller, customer: str, amount: int, *, expires_at: datetime | None = None) -> str:
    body = {"customer": customer, "amount": amount, "pool": "classes", "reason": "for the test"}
    if expires_at:
        body["expires_at"] = expires_at.isoformat()
    answer = await caller.post("/v1/credit-adjustments", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["lot"]


async def balance(caller: Caller, customer: str, pool: str = "classes") -> int:
    pools = (await caller.get(f"/v1/customers/{customer}/credits")).json()["pools"]
    return next(p["balance"] for p in pools if p["pool"] == pool)


async def test_fifty_spends_at_once_of_ten_credits_give_exactly_ten(buyer):
    caller, customer = buyer

    answers = await asyncio.gather(*(spend(caller, customer, 1, f"booking-{n}") for n in range(50)))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] * 10 + [409] * 40
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"credits_insufficient"}
    assert await balance(caller, customer) == 0
    assert await caller.stage.value("select count(*) from credit_movement where kind = 'spent'") == 10


async def test_spends_at_once_over_several_lots_never_take_more_than_there_is(buyer):
    caller, customer = buyer
    for days in (5, 3, 9):
        await adjust(caller, customer, 7, expires_at=datetime.now(UTC) + timedelta(days=days))

    answers = await asyncio.gather(*(spend(caller, customer, 4, f"booking-{n}") for n in range(20)))

    assert sum(a.status_code == 201 for a in answers) == 31 // 4
    assert await balance(caller, customer) == 31 % 4
    assert await caller.stage.value("select count(*) from credit_lot where spent > granted") == 0


async def test_the_same_reference_at_once_spends_once(buyer):
    caller, customer = buyer

    answers = await asyncio.gather(*(spend(caller, customer, 3, "booking-1") for _ in range(20)))

    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    assert await balance(caller, customer) == 7


async def test_a_repeated_reference_gives_the_same_answer_and_another_body_is_refused(buyer):
    caller, customer = buyer
    first = await spend(caller, customer, 3, "booking-1")

    again = await spend(caller, customer, 3, "booking-1")
    other = await spend(caller, customer, 4, "booking-1")

    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (409, "spend_reference_reused")
    assert await balance(caller, customer) == 7


async def test_a_refused_spend_leaves_its_reference_free_and_tells_the_balance(buyer):
    caller, customer = buyer

    refused = await spend(caller, customer, 11, "booking-1")
    later = await spend(caller, customer, 2, "booking-1")

    assert refused.status_code == 409
    assert refused.json()["context"] == {"balance": 10, "amount": 11, "pool": "classes"}
    assert later.status_code == 201
    assert await balance(caller, customer) == 8


async def test_the_soonest_expiring_credits_go_first_and_those_without_expiry_last(buyer):
    caller, customer = buyer
    late = await adjust(caller, customer, 2, expires_at=datetime.now(UTC) + timedelta(days=30))
    soon = await adjust(caller, customer, 2, expires_at=datetime.now(UTC) + timedelta(days=3))

    spent = (await spend(caller, customer, 5, "booking-1")).json()

    bought = (await caller.stage.row("select id from credit_lot where grant_id is not null"))["id"]
    assert [(part["lot"], part["amount"]) for part in spent["parts"]] == [
        (soon, 2),
        (late, 2),
        (ids.show(ids.LOT, bought), 1),
    ]


async def test_expiry_is_judged_at_the_time_of_use_not_by_a_job(buyer, world):
    caller, customer = buyer
    lot = await adjust(caller, customer, 5, expires_at=datetime.now(UTC) + timedelta(hours=1))
    before = await balance(caller, customer)
    world.app.resources.now = lambda: datetime.now(UTC) + timedelta(hours=2)

    spent = (await spend(caller, customer, 1, "booking-1")).json()

    assert before == 15
    assert lot not in {part["lot"] for part in spent["parts"]}
    assert await balance(caller, customer) == 9


async def test_returned_credits_go_to_the_lots_they_came_from_and_only_once(buyer):
    caller, customer = buyer
    soon = await adjust(caller, customer, 2, expires_at=datetime.now(UTC) + timedelta(days=3))
    spent = (await spend(caller, customer, 5, "booking-1")).json()

    answers = await asyncio.gather(*(caller.post(f"/v1/credit-spends/{spent['id']}/returns") for _ in range(5)))

    assert {a.status_code for a in answers} == {201}
    assert all(a.json()["returned"] for a in answers)
    assert await balance(caller, customer) == 12
    lots = (await caller.get(f"/v1/customers/{customer}/credits")).json()["lots"]
    assert [(lot["id"], lot["remaining"], lot["spent"]) for lot in lots if lot["id"] == soon] == [(soon, 2, 0)]
    assert await caller.stage.value("select sum(amount)::int from credit_movement where kind = 'returned'") == 5


async def test_credits_spent_before_their_refund_are_a_visible_shortfall_that_a_return_makes_good(buyer):
    caller, customer = buyer
    spent = (await spend(caller, customer, 10, "booking-1")).json()
    await caller.stage.tell(event("refund.created", refund(amount=5000)))
    short = (await caller.get(f"/v1/customers/{customer}/credits")).json()

    await caller.post(f"/v1/credit-spends/{spent['id']}/returns")

    assert short["pools"] == [{"pool": "classes", "balance": 0, "suspended": 0, "shortfall": 10}]
    healed = (await caller.get(f"/v1/customers/{customer}/credits")).json()
    assert healed["pools"] == [{"pool": "classes", "balance": 0, "suspended": 0, "shortfall": 0}]


async def test_a_return_gives_back_to_the_lot_that_had_made_the_shortfall_good(buyer):
    caller, customer = buyer
    await add_price(
        caller.stage,
        "pack-recovering",
        5000,
        [{"kind": "credits", "amount": 10, "pool": "classes"}],
        refs=["price_r"],
        recovers=True,
    )
    spent = (await spend(caller, customer, 8, "booking-1")).json()
    await caller.stage.tell(event("refund.created", refund(amount=5000)))
    await caller.stage.tell(
        event("checkout.session.completed", session("2", metadata={"bursar_price": "pack-recovering"})),
        event("payment_intent.succeeded", intent("2")),
    )
    recovered = await balance(caller, customer)

    await caller.post(f"/v1/credit-spends/{spent['id']}/returns")

    assert recovered == 2
    assert await balance(caller, customer) == 10
    lots = await caller.stage.rows(
        "select taken, spent, repaid, recovered, remaining, shortfall from credit_lot order by id"
    )
    assert [tuple(lot.values()) for lot in lots] == [(10, 0, 0, 0, 0, 0), (0, 0, 0, 0, 10, 0)]


async def test_suspended_credits_cannot_be_spent(buyer):
    caller, customer = buyer
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "status": "needs_response",
        "amount": 5000,
        "currency": "eur",
        "charge": "ch_1",
        "created": 1_760_000_200,
    }
    await caller.stage.tell(event("charge.dispute.created", dispute))

    refused = await spend(caller, customer, 1, "booking-1")

    assert refused.json()["code"] == "credits_insufficient"
    pools = (await caller.get(f"/v1/customers/{customer}/credits")).json()["pools"]
    assert pools == [{"pool": "classes", "balance": 0, "suspended": 10, "shortfall": 0}]


async def test_a_job_marks_expired_lots_once_and_writes_down_what_they_held(buyer):
    caller, customer = buyer
    await adjust(caller, customer, 5, expires_at=datetime.now(UTC) + timedelta(hours=1))
    now = datetime.now(UTC) + timedelta(days=1)

    async def expire() -> int:
        async with caller.stage.db.tenant(caller.stage.tenant_id) as tx:
            return await expire_lots(tx, tenant_id=caller.stage.tenant_id, now=now, limit=10)

    assert sorted(await asyncio.gather(expire(), expire())) == [0, 1]
    assert await expire() == 0
    assert await caller.stage.rows("select amount from credit_movement where kind = 'expired'") == [{"amount": -5}]
    lots = (await caller.get(f"/v1/customers/{customer}/credits")).json()["lots"]
    assert [(lot["remaining"], lot["status"]) for lot in lots] == [(0, "expired"), (10, "active")]


async def test_credits_that_would_be_expired_already_are_refused(buyer):
    caller, customer = buyer
    body = {
        "customer": customer,
        "amount": 1,
        "pool": "classes",
        "reason": "late",
        "expires_at": "2020-01-01T00:00:00Z",
    }

    answer = await caller.post("/v1/credit-adjustments", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "expiry_past")
    assert await caller.stage.value("select count(*) from credit_lot") == 1


async def test_every_movement_can_be_read_and_sums_to_the_balance(buyer):
    caller, customer = buyer
    spent = (await spend(caller, customer, 3, "booking-1")).json()
    await spend(caller, customer, 2, "booking-2")
    await caller.post(f"/v1/credit-spends/{spent['id']}/returns")

    movements = await caller.data(f"/v1/customers/{customer}/credit-movements")

    assert [(m["kind"], m["amount"]) for m in movements] == [
        ("returned", 3),
        ("spent", -2),
        ("spent", -3),
        ("granted", 10),
    ]
    assert await balance(caller, customer) == sum(m["amount"] for m in movements)


async def test_spending_writes_who_did_it(buyer):
    caller, customer = buyer
    spent = (await spend(caller, customer, 3, "booking-1")).json()

    record = await caller.one("/v1/audit-records", action="credits.spent")

    assert record["subject"] == spent["id"]
    assert record["actor"].startswith("key:key_")
    assert record["changes"] == {"customer": customer, "pool": "classes", "amount": 3, "reference": "booking-1"}
