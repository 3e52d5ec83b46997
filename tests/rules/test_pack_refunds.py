"""Packs that are partly used: what is offered, that it is what goes back, and that nothing is left or owed."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.apps.booking.packs import KINDS, Pack, worth
from bursar.kernel import ids
from draining import bring_forward, drain
from rules.conftest import NOW, STARTS, Studio
from stage import add_price

pytestmark = pytest.mark.anyio

_LOT = "select granted, taken, spent, remaining, shortfall from credit_lot where id = $1"
_BOOKED_WITH = (
    "update booking set spend_id = $2, paid_with = 'credits', credit_cost = 1 where tenant_id = $1 and id = $3"
)


@pytest.fixture(scope="module")
async def desk(studio: Studio) -> str:
    await add_price(
        studio.stage, "ten", 10000, [{"kind": "credits", "amount": 10, "pool": "classes"}], refs=["price_ten"]
    )
    answer = await studio.mine.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def bought(studio: Studio, desk: str, *, price: str = "ten", amount: int = 10000) -> tuple[str, UUID, UUID]:
    """A pack that a new customer paid at the desk: the payment, the customer, the lot."""
    studio.count += 1
    reference, email = f"cash-{studio.count}", f"buyer{studio.count}@example.org"
    body = {"amount_minor": amount, "currency": "EUR", "reference": reference, "email": email, "price": price}
    body |= {"gateway_account": desk, "occurred_at": NOW.isoformat(), "method": "cash"}
    answer = await studio.mine.post("/v1/manual-payments", body)
    assert answer.status_code == 202, answer.text
    await studio.stage.apply()
    payment = await studio.mine.one("/v1/payments", gateway_ref=reference)
    customer = ids.parse(ids.CUSTOMER, payment["customer"])
    lot = await studio.stage.value("select id from credit_lot where customer_id = $1", customer)
    return payment["id"], customer, lot


async def spend(studio: Studio, customer: UUID, amount: int, reference: str) -> UUID:
    body = {"customer": ids.show(ids.CUSTOMER, customer), "amount": amount, "reference": reference, "pool": "classes"}
    answer = await studio.mine.post("/v1/credit-spends", body)
    assert answer.status_code == 201, answer.text
    return ids.parse(ids.SPEND, answer.json()["id"])


async def settle(studio: Studio) -> None:
    await studio.stage.apply()
    await bring_forward(studio.stage)
    await drain(studio.stage, KINDS)


async def offered(studio: Studio, payment: str):
    return await studio.mine.get(f"/v1/payments/{payment}/pack-refund")


async def refund(studio: Studio, payment: str, **body: object):
    return await studio.mine.post(f"/v1/payments/{payment}/pack-refunds", body)


async def test_three_of_ten_used_seventy_go_back_nothing_is_left_and_there_is_no_second_time(studio, desk):
    payment, customer, lot = await bought(studio, desk)
    await spend(studio, customer, 3, f"used-{lot}")
    gift = {"customer": ids.show(ids.CUSTOMER, customer), "amount": 5, "pool": "classes", "reason": "gift"}
    assert (await studio.mine.post("/v1/credit-adjustments", gift)).status_code == 201

    offer = (await offered(studio, payment)).json()
    made = await refund(studio, payment, amount_minor=7000)
    taken = await studio.stage.value("select reserved_spend_id from pack_refund where lot_id = $1", lot)
    by_itself = await studio.mine.post(f"/v1/credit-spends/{ids.show(ids.SPEND, taken)}/returns")

    assert (by_itself.status_code, by_itself.json()["code"]) == (409, "spend_reserved")
    assert (offer["amount_minor"], offer["used"], offer["unused"], offer["forfeited"]) == (7000, 3, 7, 0)
    assert made.status_code == 201, made.text
    assert (made.json()["amount_minor"], made.json()["status"]) == (7000, "asked")
    assert (await studio.stage.row(_LOT, lot))["remaining"] == 0
    await settle(studio)
    after = await studio.stage.row(_LOT, lot)
    assert after == {"granted": 10, "taken": 7, "spent": 3, "remaining": 0, "shortfall": 0}
    assert await studio.stage.value("select status from pack_refund where lot_id = $1", lot) == "refunded"
    again = await refund(studio, payment)
    assert (again.status_code, again.json()["code"]) == (409, "pack_refunded_already")
    assert (await studio.mine.get(f"/v1/payments/{payment}")).json()["refunded_minor"] == 7000
    pools = (await studio.mine.get(f"/v1/customers/{gift['customer']}/credits")).json()["pools"]
    assert [pool["balance"] for pool in pools] == [5]
    assert await studio.broken() == {}


async def test_bookings_to_come_stand_in_the_way_and_are_listed(studio, desk):
    payment, customer, lot = await bought(studio, desk)
    spends = [await spend(studio, customer, 1, f"to-come-{n}-{lot}") for n in range(3)]
    numbers = []
    for day, spend_id in zip((-7, 0, 1), spends, strict=True):
        at = STARTS + timedelta(days=day)
        booking = await studio.booked(customer, await studio.a_class(at), at=at + timedelta(days=-2 if day < 0 else 0))
        await studio.write(_BOOKED_WITH, spend_id, booking)
        numbers.append(await studio.stage.value("select number from booking where id = $1", booking))

    offer = (await offered(studio, payment)).json()
    refused = await refund(studio, payment)

    assert [each["number"] for each in offer["bookings"]] == numbers[1:]
    assert (refused.status_code, refused.json()["code"]) == (409, "pack_has_bookings")
    assert [each["message"] for each in refused.json()["errors"]] == numbers[1:]
    assert (await studio.stage.row(_LOT, lot))["remaining"] == 7
    assert await studio.stage.rows("select 1 from pack_refund where lot_id = $1", lot) == []


async def test_of_refunds_and_spends_at_once_one_has_each_credit(studio, desk):
    payment, customer, lot = await bought(studio, desk)
    body = {"customer": ids.show(ids.CUSTOMER, customer), "amount": 1, "pool": "classes"}

    refunds = [refund(studio, payment) for _ in range(4)]
    spends = [studio.mine.post("/v1/credit-spends", body | {"reference": f"race-{n}-{lot}"}) for n in range(12)]
    answers = await asyncio.gather(*refunds, *spends)

    made = [answer.json() for answer in answers[:4] if answer.status_code == 201]
    assert len(made) == 1
    assert {answer.json()["code"] for answer in answers[:4] if answer.status_code != 201} == {"pack_refunded_already"}
    spent = sum(answer.status_code == 201 for answer in answers[4:])
    assert made[0]["used"] == spent
    assert made[0]["amount_minor"] == 1000 * (10 - spent)
    await settle(studio)
    assert (await studio.stage.row(_LOT, lot)) == {
        "granted": 10,
        "taken": 10 - spent,
        "spent": spent,
        "remaining": 0,
        "shortfall": 0,
    }


async def test_a_refund_that_its_gateway_refuses_gives_the_credits_back_and_can_be_asked_for_again(studio, desk):
    payment, customer, lot = await bought(studio, desk)
    await spend(studio, customer, 3, f"refused-{lot}")
    made = (await refund(studio, payment)).json()
    await bring_forward(studio.stage)
    await drain(studio.stage, KINDS)
    assert await studio.stage.value("select status from pack_refund where lot_id = $1", lot) == "asked"

    # As a refusal is recorded (tests/calls/test_refunds.py shows that it is).
    refund_id = ids.parse(ids.REFUND, made["refund"])
    await studio.write("update refund set status = 'failed' where tenant_id = $1 and id = $2", refund_id)
    await studio.write(
        "update payment set promised_minor = 0 where tenant_id = $1 and id = $2", ids.parse(ids.PAYMENT, payment)
    )
    await bring_forward(studio.stage)
    await drain(studio.stage, KINDS)

    assert await studio.stage.row(_LOT, lot) == {"granted": 10, "taken": 0, "spent": 3, "remaining": 7, "shortfall": 0}
    assert await studio.stage.value("select status from pack_refund where lot_id = $1", lot) == "failed"
    assert (await offered(studio, payment)).json()["amount_minor"] == 7000


async def test_by_the_price_of_a_single_class_what_is_worth_nothing_is_forfeited(studio, desk):
    payment, customer, lot = await bought(studio, desk)
    await spend(studio, customer, 3, f"single-{lot}")
    await studio.rule("pack_refund", used_costs="single_price", single_minor=1500)

    offer = (await offered(studio, payment)).json()
    changed = await refund(studio, payment, amount_minor=7000)
    made = await refund(studio, payment, amount_minor=5500)
    await settle(studio)
    await studio.rule("pack_refund")

    assert (offer["amount_minor"], offer["forfeited"]) == (5500, 2)
    assert (changed.status_code, changed.json()["code"]) == (409, "pack_refund_changed")
    assert made.status_code == 201, made.text
    assert (await studio.stage.row(_LOT, lot)) == {
        "granted": 10,
        "taken": 5,
        "spent": 5,
        "remaining": 0,
        "shortfall": 0,
    }


async def test_what_is_no_pack_is_used_up_or_was_paid_too_long_ago_is_refused(studio, desk):
    course, _, _ = await bought_course(studio, desk)
    used_up, customer, lot = await bought(studio, desk)
    await spend(studio, customer, 10, f"all-{lot}")
    old, _, _ = await bought(studio, desk)
    await studio.rule("refund_window", days=1)
    await studio.write(
        "update purchase set paid_at = $2 where tenant_id = $1 and id = (select purchase_id from payment where id = $3)",
        NOW - timedelta(days=1),
        ids.parse(ids.PAYMENT, old),
    )

    told = [await refund(studio, payment) for payment in (course, used_up, old)]
    await studio.rule("refund_window", is_on=False)

    assert [answer.json()["code"] for answer in told] == ["pack_not_refundable", "pack_used_up", "refund_window_over"]
    assert {answer.status_code for answer in told} == {409}
    theirs = await studio.theirs.get(f"/v1/payments/{old}/pack-refund")
    assert (theirs.status_code, theirs.json()["code"]) == (404, "payment_not_found")


async def bought_course(studio: Studio, desk: str) -> tuple[str, UUID, None]:
    studio.count += 1
    body = {"amount_minor": 9900, "currency": "EUR", "reference": f"course-{studio.count}", "price": "course"}
    body |= {"email": "course@example.org", "gateway_account": desk, "method": "cash", "occurred_at": NOW.isoformat()}
    assert (await studio.mine.post("/v1/manual-payments", body)).status_code == 202
    await studio.stage.apply()
    payment = await studio.mine.one("/v1/payments", gateway_ref=body["reference"])
    return payment["id"], ids.parse(ids.CUSTOMER, payment["customer"]), None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_goes_back_is_never_more_than_was_paid_and_takes_what_is_unused(data):
    granted = data.draw(st.integers(1, 200))
    paid = data.draw(st.integers(granted, 10**7))
    used = data.draw(st.integers(0, granted))
    single = data.draw(st.integers(0, 10**6))
    pack = Pack(granted, 0, granted - used, paid, 0, paid)

    by_unit = worth(pack, used_costs="pack_unit", single_minor=0)
    by_single = worth(pack, used_costs="single_price", single_minor=single)

    assert (by_unit.reserved, by_unit.forfeited) == (pack.unused, 0)
    assert granted * by_unit.amount_minor // paid == pack.unused
    assert 0 <= by_single.amount_minor <= by_unit.amount_minor <= paid
    assert by_single.amount_minor <= max(paid - used * single, 0)
    assert by_single.reserved + by_single.forfeited == pack.unused
