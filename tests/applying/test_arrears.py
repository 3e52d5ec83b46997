"""How long a membership outlives its money: the grace, counted from the start of the first unpaid period."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from stage import event, invoice, set_stage, subscription

pytestmark = pytest.mark.anyio

START = 1_760_000_000
MONTH = 2_592_000
DAY = 86_400
ENDS = "select ends_at from entitlement where kind = 'feature'"


def instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def stripe(status: str, n: int) -> dict:
    """The membership as Stripe tells it in its nth period."""
    return subscription(status, current_period_start=START + n * MONTH, current_period_end=START + (n + 1) * MONTH)


async def test_each_further_unpaid_period_gives_no_further_grace(db, database_url):
    reports = [
        event("customer.subscription.created", stripe("active", 0), at=START),
        event("customer.subscription.updated", stripe("past_due", 1), at=START + MONTH + 3600),
        event("customer.subscription.updated", stripe("past_due", 2), at=START + 2 * MONTH + 3600),
        event("customer.subscription.updated", stripe("unpaid", 2), at=START + 2 * MONTH + 9 * DAY),
    ]
    seen = set()

    for order in permutations(reports):
        stage = await set_stage(db, database_url)
        await stage.tell(event("invoice.paid", invoice()))
        for report in order:
            await stage.tell(report)
        seen.add(await stage.value(ENDS))

    assert seen == {instant(START + MONTH) + timedelta(days=7)}


async def test_arrears_after_a_paid_period_have_a_grace_of_their_own(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(
        event("customer.subscription.created", stripe("active", 0), at=START),
        event("customer.subscription.updated", stripe("past_due", 1), at=START + MONTH),
        event("customer.subscription.updated", stripe("active", 1), at=START + MONTH + DAY),
    )
    paid = await stage.value(ENDS)
    await stage.tell(event("customer.subscription.updated", stripe("past_due", 2), at=START + 2 * MONTH))

    assert paid is None
    assert await stage.value(ENDS) == instant(START + 2 * MONTH) + timedelta(days=7)


async def test_dodo_leaves_the_period_at_the_one_that_was_paid_and_the_grace_follows_it(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")

    def told(kind: str, at: datetime) -> dict:
        data = {"subscription_id": "sub_1", "product_id": "price_member", "quantity": 1, "status": "active"}
        data |= {"customer": {"customer_id": "cus_1"}, "created_at": instant(START).isoformat()}
        data |= {"previous_billing_date": instant(START).isoformat()}
        data |= {"next_billing_date": instant(START + MONTH).isoformat()}
        return {"type": f"subscription.{kind}", "timestamp": at.isoformat(), "data": data}

    await stage.deliver(told("active", instant(START)), headers={"webhook-id": "a"})
    await stage.deliver(told("on_hold", instant(START + MONTH + 60)), headers={"webhook-id": "b"})
    await stage.apply()

    assert await stage.value(ENDS) == instant(START + MONTH) + timedelta(days=7)
