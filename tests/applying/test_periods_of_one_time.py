"""Two periods of a subscription that say the same but for one thing are chosen between alike, whichever was told first."""

from itertools import permutations

import pytest

from stage import Stage, event, invoice, refund, set_stage, subscription

pytestmark = pytest.mark.anyio

ENTITLED = "select status from entitlement where kind = 'feature'"
OWNER = """
select c.gateway_ref from fulfilment_grant g join customer c on c.id = g.customer_id where g.source_kind = 'subscription'
"""


def period(n: str, **more) -> dict:
    return event("invoice.paid", invoice(n, billing_reason="subscription_cycle", **more))


async def told(db, database_url, reports) -> Stage:
    stage = await set_stage(db, database_url)
    for report in reports:
        await stage.tell(report)
    return stage


async def test_of_two_periods_that_differ_only_in_what_was_returned_one_is_the_latest_in_any_order(db, database_url):
    returned = event("refund.created", refund(charge=None, payment_intent="pi_1", amount=2000))
    reports = [event("customer.subscription.created", subscription()), period("1"), period("2"), returned]
    seen = set()

    for order in permutations(reports):
        seen.add(await (await told(db, database_url, order)).value(ENTITLED))

    assert seen == {"revoked"}


async def test_of_two_periods_that_differ_only_in_the_buyer_one_decides_in_any_order(db, database_url):
    reports = [period("1", customer="cus_ann"), period("2", customer="cus_bea")]
    seen = set()

    for order in permutations(reports):
        seen.add(await (await told(db, database_url, order)).value(OWNER))

    assert seen == {"cus_ann"}


async def test_a_payment_of_nothing_for_another_card_does_not_begin_a_subscription(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")
    at = "2026-01-05T09:00:00Z"
    paid = {"payment_id": "pay_1", "total_amount": 0, "currency": "EUR", "subscription_id": "sub_d", "created_at": at}
    buyer = {"customer": {"customer_id": "cus_d"}}
    described = {"subscription_id": "sub_d", "product_id": "price_member", "quantity": 1}

    for kind, data in (
        ("subscription.failed", described),
        ("payment.succeeded", paid | {"is_update_payment_method": True}),
    ):
        await stage.deliver({"type": kind, "timestamp": at, "data": data | buyer}, headers={"webhook-id": kind})
        await stage.apply()

    assert await stage.rows(ENTITLED) == []
