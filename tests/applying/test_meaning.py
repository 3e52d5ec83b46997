"""What a purchase buys, and what it does not."""

import pytest

from stage import PACK, add_price, charge, event, intent, invoice, refund, session, set_stage, subscription

pytestmark = pytest.mark.anyio

BOOKS = "select account, balance_minor from ledger_balance where balance_minor <> 0 order by 1"
FEATURE = "select status from entitlement where kind = 'feature'"


def proration(n: str = "2", *, price: str = "price_member", **more):
    line = invoice()["lines"]["data"][0] | {"id": f"il_{n}", "amount": 700, "proration": True, "price": {"id": price}}
    made = invoice(n, total=700, amount_due=700, amount_paid=700, billing_reason="subscription_update")
    made |= {"created": 1_760_864_000, "period_start": 1_760_864_000, "period_end": 1_760_864_000}
    return made | {"lines": {"object": "list", "data": [line]}, "status_transitions": {"paid_at": 1_760_864_000}} | more


async def test_a_checkout_that_only_saves_a_card_buys_nothing(db, database_url):
    stage = await set_stage(db, database_url)
    saved = session(mode="setup", payment_status="no_payment_required", payment_intent=None, amount_total=None)

    await stage.tell(event("checkout.session.completed", saved | {"currency": None, "setup_intent": "seti_1"}))

    assert await stage.value("select is_paid from purchase") is False
    assert await stage.value("select count(*) from fulfilment_grant") == 0


async def test_a_whole_discount_on_a_single_sale_is_delivered_as_if_paid(db, database_url):
    stage = await set_stage(db, database_url)
    lines = {"data": [{"id": "li_1", "price": {"id": "price_pack"}, "quantity": 1, "amount_total": 0}]}
    free = session(amount_total=0, payment_intent=None, metadata={}, line_items=lines)

    await stage.tell(event("checkout.session.completed", free | {"payment_status": "no_payment_required"}))

    assert await stage.value("select remaining from credit_lot") == 10


async def test_settling_a_change_of_plan_buys_nothing_even_where_metadata_names_the_plan(db, database_url):
    stage = await set_stage(db, database_url)
    named = {"subscription_details": {"metadata": {"bursar_price": "membership"}}}
    await stage.tell(event("customer.subscription.created", subscription()), event("invoice.paid", invoice(**named)))

    await stage.tell(event("invoice.paid", proration(**named), at=1_760_864_000))

    assert await stage.value("select count(*) from credit_lot") == 1
    assert await stage.value("select count(*) from purchase where unmatched_reason is not null") == 0


async def test_a_refund_of_what_settled_a_change_of_plan_does_not_end_the_membership(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.tell(
        event("customer.subscription.created", subscription()),
        event("invoice.paid", invoice()),
        event("invoice.paid", proration(), at=1_760_864_000),
    )

    back = refund(amount=700, charge="ch_2", payment_intent="pi_2", created=1_760_900_000)
    await stage.tell(event("refund.created", back, at=1_760_900_000))

    assert await stage.value(FEATURE) == "active"
    assert await stage.value("select remaining from credit_lot") == 8


async def test_an_authorisation_released_by_a_refund_is_no_money_back(db, database_url):
    stage = await set_stage(db, database_url)
    held = intent(status="requires_capture", amount_received=0, metadata={"bursar_price": PACK})

    await stage.tell(
        event("payment_intent.amount_capturable_updated", held),
        event("charge.succeeded", charge(captured=False, amount_captured=0)),
        event("refund.created", refund(amount=5000)),
    )

    assert await stage.row("select status, refunded_minor from payment") == {
        "status": "processing",
        "refunded_minor": 0,
    }
    assert await stage.rows(BOOKS) == []


async def test_a_payment_proven_by_its_charge_alone_is_worth_what_the_charge_took(db, database_url):
    stage = await set_stage(db, database_url)
    asked = intent(status="requires_capture", amount_received=0, metadata={"bursar_price": PACK})

    await stage.tell(
        event("payment_intent.amount_capturable_updated", asked),
        event("charge.captured", charge(amount_captured=3000, amount_refunded=2000), at=1_760_000_060),
    )

    assert await stage.row("select status, amount_minor, refunded_minor from payment") == {
        "status": "succeeded",
        "amount_minor": 3000,
        "refunded_minor": 0,
    }
    assert (await stage.rows(BOOKS))[0] == {"account": "gateway:stripe", "balance_minor": 3000}


async def test_money_that_came_back_from_a_dispute_had_gone_even_if_nobody_told_so(db, database_url):
    stage = await set_stage(db, database_url)
    won = {"id": "dp_1", "status": "won", "amount": 5000, "currency": "eur", "charge": "ch_1", "payment_intent": "pi_1"}

    await stage.tell(event("charge.succeeded", charge(metadata={"bursar_price": PACK})))
    await stage.tell(event("charge.dispute.funds_reinstated", won, at=1_760_500_000))

    assert await stage.rows(BOOKS) == [
        {"account": "gateway:stripe", "balance_minor": 5000},
        {"account": "sales", "balance_minor": -5000},
    ]


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_checkout_settled_from_the_customers_balance_took_no_money(db, database_url, is_first):
    stage = await set_stage(db, database_url)
    settled = invoice(amount_due=0, amount_paid=0, payment_intent=None, charge=None)
    checkout = session(
        mode="subscription", payment_intent=None, subscription="sub_1", invoice="in_1", amount_total=2000, metadata={}
    )
    reports = [event("invoice.paid", settled), event("checkout.session.completed", checkout)]

    for report in reports if is_first else reversed(reports):
        await stage.tell(report)

    assert await stage.value("select is_paid from purchase") is True
    assert await stage.value("select remaining from credit_lot") == 8
    assert await stage.rows(BOOKS) == []
    assert await stage.rows("select gateway_ref from payment where superseded_by is null") == []


async def test_a_refund_in_another_currency_returns_the_whole_payment(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.tell(event("checkout.session.completed", session()), event("charge.succeeded", charge()))

    await stage.tell(event("refund.created", refund(amount=5600, currency="usd")))

    assert await stage.value("select refunded_minor from payment") == 5000
    assert await stage.value("select remaining from credit_lot") == 0
    assert await add_price(stage, "other", 1, [], refs=[]) is None
