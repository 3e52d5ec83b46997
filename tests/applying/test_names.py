"""Gateways' names: objects of different kinds may share one, and an operator may name what stands in for a payment."""

from itertools import permutations

import pytest

from stage import PACK, charge, event, invoice, set_stage

pytestmark = pytest.mark.anyio

BOOKS = "select account, balance_minor from ledger_balance where balance_minor <> 0 order by 1"
WHOLE = [{"account": "gateway:stripe", "balance_minor": 5000}, {"account": "sales", "balance_minor": -5000}]


def desk(kind: str, **data) -> tuple[str, dict]:
    return f"manual.{kind}.recorded", {"currency": "EUR"} | data


async def test_a_refund_that_shares_its_name_with_another_payment_leaves_that_one_booked(db, database_url):
    stage = await set_stage(db, database_url, gateway="manual")
    for ref in ("1000", "1001"):
        await stage.say(*desk("payment", ref=ref, amount_minor=5000, method="cash", price=PACK))
    await stage.apply()

    await stage.say(*desk("refund", ref="1001", payment="1000", amount_minor=2000))
    await stage.apply()

    assert await stage.rows(BOOKS) == [
        {"account": "gateway:manual", "balance_minor": 8000},
        {"account": "refunds", "balance_minor": 2000},
        {"account": "sales", "balance_minor": -10000},
    ]


@pytest.mark.parametrize("is_late", [False, True])
async def test_an_operator_assigns_a_charge_that_has_no_payment_intent(db, database_url, is_late):
    stage = await set_stage(db, database_url)
    told = event("charge.succeeded", charge(payment_intent=None))
    assigned = ("bursar.payment.assigned", {"payment": "ch_1", "price": PACK, "quantity": 2})

    if is_late:
        await stage.say(*assigned)
        await stage.apply()
        await stage.tell(told)
    else:
        await stage.tell(told)
        await stage.say(*assigned)
        await stage.apply()

    assert await stage.rows("select gateway_ref, status, amount_minor from payment where superseded_by is null") == [
        {"gateway_ref": "ch_1", "status": "succeeded", "amount_minor": 5000}
    ]
    assert await stage.value("select granted from credit_lot") == 20
    assert await stage.rows(BOOKS) == WHOLE


async def test_an_assignment_of_an_invoice_that_stands_in_for_its_payment_survives_the_payment(db, database_url):
    stage = await set_stage(db, database_url)
    unknown = invoice(layout="new", total=5000, amount_due=5000, amount_paid=5000, parent=None, billing_reason="manual")
    unknown["lines"]["data"][0] |= {"amount": 5000, "pricing": {"price_details": {"price": "price_x"}}, "parent": None}
    link = {"id": "inpay_1", "invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}

    await stage.tell(event("invoice.paid", unknown))
    await stage.say("bursar.payment.assigned", {"payment": "in_1", "price": PACK, "quantity": 1})
    await stage.apply()
    await stage.tell(event("invoice_payment.paid", link), event("charge.succeeded", charge()))

    assert await stage.rows("select gateway_ref from payment where superseded_by is null") == [{"gateway_ref": "pi_1"}]
    assert await stage.value("select granted - taken from credit_lot") == 10
    assert await stage.rows(BOOKS) == WHOLE


async def test_a_payment_first_known_by_its_charge_is_booked_once_when_its_own_name_is_told(db, database_url):
    seen = []
    old = invoice(payment_intent=None, billing_reason="manual")
    events = [
        event("invoice.paid", old),
        event("invoice_payment.paid", {"id": "inpay_1", "invoice": "in_1", "payment": {"payment_intent": "pi_1"}}),
    ]
    for order in permutations(events):
        stage = await set_stage(db, database_url)
        for each in order:
            await stage.tell(each)
        seen.append(await stage.rows(BOOKS))

    expected = [{"account": "gateway:stripe", "balance_minor": 2000}, {"account": "sales", "balance_minor": -2000}]
    assert seen == [expected, expected]


async def test_an_assignment_of_no_pieces_assigns_nothing(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(event("charge.succeeded", charge(payment_intent=None)))
    await stage.say("bursar.payment.assigned", {"payment": "ch_1", "price": PACK, "quantity": 0})
    await stage.apply()

    assert await stage.value("select count(*) from gateway_event_queue") == 0
    assert await stage.value("select count(*) from credit_lot") == 0
