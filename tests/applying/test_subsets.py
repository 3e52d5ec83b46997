"""Any subset of a purchase's reports that proves payment, in any order, ends in one payment and one set of grants."""

import random
from itertools import combinations

import pytest

from stage import charge, event, intent, invoice, session, set_stage, subscription

pytestmark = pytest.mark.anyio


def subscribed(layout: str) -> dict[str, dict]:
    """The reports of one membership's first payment."""
    money = {"amount": 2000, "amount_received": 2000}
    links = {"invoice": "in_1"} if layout == "old" else {"payment_details": {"order_reference": "in_1"}}
    return {
        "session": event(
            "checkout.session.completed",
            session(
                mode="subscription",
                payment_intent=None,
                subscription="sub_1",
                invoice="in_1",
                amount_total=2000,
                metadata={},
            ),
        ),
        "intent": event("payment_intent.succeeded", intent(**money, **links), at=1_760_000_001),
        "charge": event("charge.succeeded", charge(amount=2000, amount_captured=2000, **links), at=1_760_000_001),
        "paid": event("invoice.paid", invoice(layout=layout), at=1_760_000_002),
        "payment_succeeded": event("invoice.payment_succeeded", invoice(layout=layout), at=1_760_000_002),
    }


@pytest.mark.parametrize("layout", ["old", "new"])
async def test_every_subset_of_a_subscription_payment_is_one_payment(db, database_url, layout):
    shuffled = random.Random(layout)
    wrong = []
    reports = subscribed(layout)
    names_everything = {"paid", "payment_succeeded"}
    for size in range(1, 6):
        for chosen in combinations(reports, size):
            stage = await set_stage(db, database_url)
            order = shuffled.sample(chosen, size)
            for name in order:
                await stage.tell(reports[name])
            payments = await stage.rows(
                "select gateway_ref, amount_minor from payment where status = 'succeeded' and superseded_by is null"
            )
            lots = await stage.value("select count(*) from credit_lot")
            sales = await stage.value(
                "select coalesce(-sum(balance_minor), 0)::bigint from ledger_balance where account in ('sales', 'unmatched')"
            )
            # Only the invoice (or the subscription's items) says what was bought.
            expected = int(bool(names_everything & set(chosen)))
            if len(payments) != 1 or lots != expected or sales != 2000:
                wrong.append((order, payments, lots, sales))

    assert not wrong


async def test_with_the_subscription_known_a_checkout_alone_says_what_was_bought(db, database_url):
    stage = await set_stage(db, database_url)
    reports = subscribed("new")

    await stage.tell(reports["session"])
    before = await stage.value("select unmatched_reason is not null from purchase")
    await stage.tell(event("customer.subscription.created", subscription()))

    assert before
    assert await stage.value("select unmatched_reason from purchase") is None
    assert await stage.value("select count(*) from credit_lot") == 1
    assert await stage.value("select key from entitlement where kind = 'feature'") == "unlimited_likes"


async def test_a_lone_payment_of_an_invoice_waits_unmatched_until_the_invoice_is_told(db, database_url):
    stage = await set_stage(db, database_url)
    reports = subscribed("new")

    await stage.tell(reports["intent"])
    waiting = await stage.row("select unmatched_reason, paid_minor from purchase")
    await stage.tell(reports["paid"])

    assert waiting == {"unmatched_reason": "no report so far names what was bought", "paid_minor": 2000}
    assert await stage.value("select unmatched_reason from purchase") is None
    assert await stage.rows(
        "select account, balance_minor from ledger_balance where balance_minor <> 0 order by 1"
    ) == [
        {"account": "gateway:stripe", "balance_minor": 2000},
        {"account": "sales", "balance_minor": -2000},
    ]


async def test_reports_that_are_linked_late_become_one_purchase(db, database_url):
    stage = await set_stage(db, database_url)
    loose = intent(amount=2000, amount_received=2000)

    await stage.tell(event("payment_intent.succeeded", loose), event("invoice.paid", invoice(layout="new")))
    apart = await stage.value("select count(*) from payment where superseded_by is null")
    link = {
        "id": "inpay_1",
        "object": "invoice_payment",
        "invoice": "in_1",
        "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
    }
    await stage.tell(event("invoice_payment.paid", link | {"status": "paid", "amount_paid": 2000, "currency": "eur"}))

    assert apart == 2
    assert await stage.rows("select gateway_ref from payment where superseded_by is null") == [{"gateway_ref": "pi_1"}]
    assert await stage.value("select count(*) from credit_lot where granted > taken") == 1
    assert await stage.rows(
        "select account, balance_minor from ledger_balance where balance_minor <> 0 order by 1"
    ) == [
        {"account": "gateway:stripe", "balance_minor": 2000},
        {"account": "sales", "balance_minor": -2000},
    ]
