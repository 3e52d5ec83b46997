"""The desk: unmatched money is assigned by a person, cash is taken and handed back, each exactly once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from stage import event, intent, invoice, session

pytestmark = pytest.mark.anyio


@pytest.fixture
async def unmatched(world) -> dict:
    """A payment that names nothing we sell."""
    await world.mine.stage.tell(event("payment_intent.succeeded", intent()))
    return await world.mine.one("/v1/unmatched-payments")


@pytest.fixture
async def desk(world):
    answer = await world.mine.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Front desk"})
    assert answer.status_code == 201, answer.text
    return world.mine


def cash(**more) -> dict:
    return {
        "amount_minor": 5000,
        "currency": "EUR",
        "method": "cash",
        "email": "ada@example.org",
        "price": "pack-10",
    } | more


async def test_unmatched_money_says_why_and_alarms_only_after_the_grace(world, unmatched):
    world.app.resources.now = lambda: datetime.now(UTC) + timedelta(seconds=901)
    later = await world.mine.one("/v1/unmatched-payments")

    assert (unmatched["amount_minor"], unmatched["currency"], unmatched["gateway_ref"]) == (5000, "EUR", "pi_1")
    assert unmatched["reason"] == "no report so far names what was bought"
    assert (unmatched["is_alarming"], later["is_alarming"]) == (False, True)
    assert await world.mine.data("/v1/unmatched-payments", is_alarming=False) == []


async def test_assigned_money_grants_what_it_was_assigned_to(world, unmatched):
    answer = await world.mine.post(
        f"/v1/unmatched-payments/{unmatched['id']}/assignments", {"price": "pack-10", "quantity": 2}
    )
    await world.mine.stage.apply()

    assert answer.status_code == 202, answer.text
    assert (answer.json()["type"], answer.json()["origin"]) == ("bursar.payment.assigned", "operator")
    assert await world.mine.data("/v1/unmatched-payments") == []
    assert await world.mine.stage.value("select remaining from credit_lot") == 20
    record = await world.mine.one("/v1/audit-records", action="payment.assigned")
    assert (record["subject"], record["event"]) == (unmatched["id"], answer.json()["id"])


async def test_an_assignment_can_be_corrected_by_another(world, unmatched):
    path = f"/v1/unmatched-payments/{unmatched['id']}/assignments"
    await world.mine.post(path, {"price": "pack-10", "quantity": 2})
    await world.mine.stage.apply()

    again = await world.mine.post(path, {"price": "course"})
    await world.mine.stage.apply()

    assert again.status_code == 202
    told = (await world.mine.data("/v1/audit-records", action="payment.assigned"))[0]["changes"]["assignment"]
    assert (told["before"]["quantity"], told["after"]["quantity"]) == (2, 1)
    assert told["before"]["price"] != told["after"]["price"]
    assert await world.mine.stage.value("select count(*) from licence where status = 'active'") == 1
    assert await world.mine.stage.value("select coalesce(sum(remaining), 0)::int from credit_lot") == 0


async def test_money_can_be_assigned_to_another_customer(world, unmatched):
    await world.mine.stage.tell(event("customer.created", {"id": "cus_bob", "email": "bob@example.org"}))
    bob = (await world.mine.one("/v1/customers", gateway_ref="cus_bob"))["id"]

    await world.mine.post(
        f"/v1/unmatched-payments/{unmatched['id']}/assignments", {"price": "pack-10", "customer": bob}
    )
    await world.mine.stage.apply()

    held = (await world.mine.get(f"/v1/customers/{bob}/credits")).json()
    assert held["pools"][0]["balance"] == 10


async def test_matched_money_cannot_be_assigned(world):
    await world.mine.stage.tell(event("checkout.session.completed", session()))
    payment = (await world.mine.one("/v1/payments"))["id"]

    answer = await world.mine.post(f"/v1/unmatched-payments/{payment}/assignments", {"price": "course"})

    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_unmatched")


async def test_money_known_only_by_its_invoice_can_be_assigned(world):
    unknown = invoice("5", billing_reason="manual", subscription=None, charge=None, payment_intent=None)
    unknown["lines"]["data"][0] |= {"price": {"id": "price_unknown"}, "subscription": None}
    await world.mine.stage.tell(event("invoice.paid", unknown))
    waiting = await world.mine.one("/v1/unmatched-payments")

    answer = await world.mine.post(f"/v1/unmatched-payments/{waiting['id']}/assignments", {"price": "pack-10"})
    await world.mine.stage.apply()

    assert answer.status_code == 202
    assert await world.mine.data("/v1/unmatched-payments") == []
    assert await world.mine.stage.value("select sum(remaining)::int from credit_lot") == 10


async def test_an_unknown_price_is_refused_before_anything_is_filed(world, unmatched):
    answer = await world.mine.post(f"/v1/unmatched-payments/{unmatched['id']}/assignments", {"price": "nothing"})

    assert (answer.status_code, answer.json()["code"]) == (404, "price_not_found")
    assert await world.mine.stage.value("select count(*) from gateway_event where origin = 'operator'") == 0


async def test_cash_taken_at_the_desk_is_a_payment_that_grants(desk):
    answer = await desk.post("/v1/manual-payments", cash(reference="receipt-1", quantity=2))
    await desk.stage.apply()

    assert answer.status_code == 202, answer.text
    payment = await desk.one("/v1/payments", gateway_ref="receipt-1")
    assert (payment["status"], payment["amount_minor"]) == ("succeeded", 5000)
    held = (await desk.get(f"/v1/customers/{payment['customer']}/credits")).json()
    assert held["pools"][0]["balance"] == 20


async def test_a_repeated_reference_is_the_same_payment_and_another_amount_is_refused(desk):
    first = await desk.post("/v1/manual-payments", cash(reference="receipt-1"))

    again = await asyncio.gather(*(desk.post("/v1/manual-payments", cash(reference="receipt-1")) for _ in range(5)))
    other = await desk.post("/v1/manual-payments", cash(reference="receipt-1", amount_minor=1))
    await desk.stage.apply()

    assert {a.json()["id"] for a in again} == {first.json()["id"]}
    assert (other.status_code, other.json()["code"]) == (409, "manual_reference_reused")
    assert len(await desk.data("/v1/payments")) == 1
    assert len(await desk.data("/v1/audit-records", action="manual_payment.recorded")) == 1


async def test_cash_handed_back_takes_credits_back_and_never_exceeds_what_was_taken(desk):
    await desk.post("/v1/manual-payments", cash(reference="receipt-1"))
    await desk.stage.apply()
    payment = (await desk.one("/v1/payments"))["id"]

    answers = await asyncio.gather(
        *(desk.post("/v1/manual-refunds", {"payment": payment, "amount_minor": 2000}) for _ in range(5))
    )
    await desk.stage.apply()

    assert sorted(a.status_code for a in answers) == [202, 202, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"refund_exceeds_payment"}
    assert (await desk.one("/v1/payments"))["refunded_minor"] == 4000
    assert await desk.stage.value("select remaining from credit_lot") == 2


async def test_a_refund_without_an_amount_hands_back_all_that_is_left_and_repeats_alike(desk):
    await desk.post("/v1/manual-payments", cash(reference="receipt-1"))
    await desk.stage.apply()
    body = {"payment": (await desk.one("/v1/payments"))["id"], "reference": "back-1"}

    first = await desk.post("/v1/manual-refunds", body)
    await desk.stage.apply()
    again = await desk.post("/v1/manual-refunds", body)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert (await desk.one("/v1/refunds"))["amount_minor"] == 5000


async def test_a_payment_of_a_gateway_is_not_refunded_at_the_desk(desk):
    await desk.stage.tell(event("checkout.session.completed", session()))
    payment = (await desk.one("/v1/payments"))["id"]

    answer = await desk.post("/v1/manual-refunds", {"payment": payment})

    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_manual")


async def test_without_a_desk_there_is_no_cash_and_with_two_it_must_be_named(world, desk):
    theirs = await world.theirs.post("/v1/manual-payments", cash())
    second = (await desk.post("/v1/gateway-accounts", {"gateway": "manual"})).json()["id"]

    unnamed = await desk.post("/v1/manual-payments", cash())
    named = await desk.post("/v1/manual-payments", cash(gateway_account=second))

    assert (theirs.status_code, theirs.json()["code"]) == (409, "manual_account_missing")
    assert (unnamed.status_code, unnamed.json()["code"]) == (422, "manual_account_ambiguous")
    assert named.status_code == 202
