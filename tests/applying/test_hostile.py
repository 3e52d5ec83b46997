"""A body that is signed and yet hostile, or merely absurd, fails alone and says why."""

import asyncpg
import pytest

from bursar.worker import applier
from stage import event, refund, session, set_stage, subscription

pytestmark = pytest.mark.anyio

LAST_SECOND = 253_402_300_799
WAITING = "select tries, error from gateway_event_queue"


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
