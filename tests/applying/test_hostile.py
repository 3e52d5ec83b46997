"""A body that is signed and yet hostile, or merely absurd, fails alone and says why."""

import asyncpg
import pytest
import structlog

from bursar.worker import applier
from stage import add_price, event, refund, session, set_stage, subscription

pytestmark = pytest.mark.anyio

LAST_SECOND = 253_402_300_799
WAITING = "select tries, error from gateway_event_queue"


@pytest.fixture(autouse=True)
def logs():
    """Without it the log draws each traceback for a developer, which takes seconds."""
    with structlog.testing.capture_logs() as told:
        yield told


async def test_a_date_beyond_the_calendar_fails_its_event_and_no_other(db, database_url):
    stage = await set_stage(db, database_url)
    absurd = subscription("past_due", current_period_start=LAST_SECOND, current_period_end=LAST_SECOND)

    await stage.tell(event("customer.subscription.updated", absurd), event("checkout.session.completed", session("2")))

    assert await stage.row(WAITING) == {"tries": 1, "error": "OverflowError: date value out of range"}
    assert await stage.value("select count(*) from credit_lot") == 1
    assert await stage.value("select sum(crashes)::int from gateway_event_queue") == 0


async def test_a_trial_beyond_the_calendar_fails_its_event_and_no_other(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")
    told = {"type": "subscription.active", "timestamp": "2026-01-01T00:00:00Z"}
    absurd = {"subscription_id": "sub_1", "status": "active", "product_id": "price_member", "quantity": 1}
    absurd |= {"created_at": "9999-12-31T00:00:00Z", "trial_period_days": 300}
    good = {"payment_id": "pay_1", "total_amount": 5000, "currency": "EUR", "customer": {"customer_id": "cus_1"}}
    good["product_cart"] = [{"product_id": "price_pack", "quantity": 1}]

    await stage.deliver(told | {"data": absurd}, headers={"webhook-id": "a"})
    await stage.deliver(told | {"type": "payment.succeeded", "data": good}, headers={"webhook-id": "b"})
    await stage.apply()

    assert await stage.row(WAITING) == {"tries": 1, "error": "OverflowError: date value out of range"}
    assert await stage.value("select count(*) from credit_lot") == 1


async def test_a_row_that_somebody_holds_delays_the_event_that_needs_it_and_no_other(
    db, database_url, admin_url, monkeypatch
):
    monkeypatch.setitem(applier.SESSION_SETTINGS, "lock_timeout", "300")
    stage = await set_stage(db, database_url)
    await stage.tell(event("checkout.session.completed", session()))
    holder = await asyncpg.connect(admin_url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("select id from credit_lot for update")

    await stage.tell(event("refund.created", refund()), event("checkout.session.completed", session("2")))
    waiting = await stage.row(WAITING)
    await transaction.rollback()
    await holder.close()

    assert waiting["tries"] == 1
    assert waiting["error"].startswith("LockNotAvailableError: ")
    assert await stage.value("select count(*) from credit_lot") == 2


def key(n: int, **more) -> dict:
    told = {"id": f"lic_{n}", "key": "AAAA-BBBB", "status": "active", "customer_id": "cus_1", "product_id": "prod_1"}
    return {"type": "license_key.created", "timestamp": "2026-01-01T00:00:00Z", "data": told | more}


async def test_a_gateway_may_tell_one_licence_key_twice_and_with_any_limit(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")

    await stage.deliver(key(1, activations_limit=2**53 - 1), headers={"webhook-id": "a"})
    await stage.deliver(key(2, activations_limit=None), headers={"webhook-id": "b"})
    await stage.deliver(key(3, activations_limit=-1), headers={"webhook-id": "c"})
    await stage.apply()

    assert (await stage.row(WAITING))["error"].startswith("data.activations_limit: ")
    assert await stage.rows("select gateway_ref, activations_max from licence order by 1") == [
        {"gateway_ref": "lic_1", "activations_max": 2**53 - 1},
        {"gateway_ref": "lic_2", "activations_max": None},
    ]


async def test_the_most_of_everything_that_a_price_may_grant_can_be_bought(db, database_url):
    stage = await set_stage(db, database_url)
    most = [
        {"kind": "credits", "amount": 10**12},
        {"kind": "feature", "feature": "calls", "limit": 10**12},
        {"kind": "quota", "meter": "calls", "amount": 10**12},
        {"kind": "licence", "course": "python", "activations": 10**6},
    ]
    await add_price(stage, "most", 1, most, refs=[])
    claim = {"bursar_price": "most", "bursar_quantity": "1000000"}

    await stage.tell(event("checkout.session.completed", session(metadata=claim)))

    assert await stage.value("select granted from credit_lot") == 10**18
    assert await stage.rows("select amount_max from entitlement order by kind") == [
        {"amount_max": 10**18},
        {"amount_max": 10**12},
        {"amount_max": 10**18},
    ]
    assert await stage.value("select activations_max from licence") == 10**12


async def test_a_refund_from_a_customers_cash_balance_is_of_no_payment(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(event("refund.created", refund(charge=None, payment_intent=None)))

    assert await stage.value("select outcome from gateway_event_outcome") == "applied"
    assert await stage.value("select count(*) from payment") == 0
