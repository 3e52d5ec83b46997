"""A subscription that never began never granted anything; one that began keeps what it had, until it ended."""

from itertools import permutations

import pytest

from stage import event, invoice, set_stage, subscription

pytestmark = pytest.mark.anyio

T = 1_760_000_000
EXPIRED = {"canceled_at": T + 82_800, "ended_at": T + 82_800}
GRANTED = "select count(*) from outbox where topic like 'feature.%'"
ENTITLEMENTS = "select status, ends_at is not null as is_ended from entitlement"


def expiring() -> list[dict]:
    """A first payment that never came: Stripe gives the subscription up after 23 hours."""
    return [
        event("customer.subscription.created", subscription("incomplete"), at=T),
        event("invoice.payment_failed", invoice(status="open", amount_paid=0, paid=False, charge=None), at=T + 1),
        event("customer.subscription.updated", subscription("incomplete_expired", **EXPIRED), at=T + 82_800),
    ]


async def test_a_subscription_that_expired_incomplete_never_granted_anything(db, database_url):
    for order in permutations(expiring()):
        stage = await set_stage(db, database_url)
        for report in order:
            await stage.tell(report)

        assert await stage.rows(ENTITLEMENTS) == []
        assert await stage.value(GRANTED) == 0
        assert await stage.value("select status from subscription") == "canceled"


async def test_a_subscription_of_which_only_the_end_was_told_grants_nothing(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(event("customer.subscription.deleted", subscription("canceled", **EXPIRED), at=T + 82_800))

    assert await stage.rows(ENTITLEMENTS) == []


async def test_one_that_began_and_ended_keeps_its_entitlement_of_the_past_in_any_order(db, database_url):
    reports = [
        event("customer.subscription.created", subscription("incomplete"), at=T),
        event("customer.subscription.updated", subscription("trialing", trial_end=T + 9), at=T + 5),
        event("customer.subscription.deleted", subscription("canceled", **EXPIRED), at=T + 82_800),
    ]

    for order in permutations(reports):
        stage = await set_stage(db, database_url)
        for report in order:
            await stage.tell(report)

        assert await stage.rows(ENTITLEMENTS) == [{"status": "active", "is_ended": True}]


async def test_a_paid_period_entitles_even_if_the_subscription_is_said_to_have_expired(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(event("invoice.paid", invoice(), at=T), expiring()[-1])

    assert await stage.rows(ENTITLEMENTS) == [{"status": "active", "is_ended": True}]
