"""One purchase, told by several events: one payment, one set of grants."""

from itertools import permutations

import pytest

from stage import charge, event, intent, refund, session, set_stage

pytestmark = pytest.mark.anyio

LOT = "select granted, taken, spent, remaining, shortfall from credit_lot"


async def test_a_checkout_told_by_three_events_grants_once(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(
        event("checkout.session.completed", session()),
        event("payment_intent.succeeded", intent()),
        event("charge.succeeded", charge()),
    )

    assert await stage.row("select gateway_ref, charge_ref, status, amount_minor, currency from payment") == {
        "gateway_ref": "pi_1",
        "charge_ref": "ch_1",
        "status": "succeeded",
        "amount_minor": 5000,
        "currency": "EUR",
    }
    assert await stage.row(LOT) == {"granted": 10, "taken": 0, "spent": 0, "remaining": 10, "shortfall": 0}
    assert await stage.rows("select account, balance_minor from ledger_balance order by account") == [
        {"account": "gateway:stripe", "balance_minor": 5000},
        {"account": "sales", "balance_minor": -5000},
    ]
    assert await stage.value("select count(*) from audit_record") == 3


@pytest.mark.parametrize("size", [1, 2])
async def test_a_partial_refund_takes_back_its_share_and_a_full_one_all(db, database_url, size):
    stage = await set_stage(db, database_url)
    await stage.tell(event("checkout.session.completed", session()))

    await stage.tell(event("refund.created", refund("1", amount=1200)))
    after_one = await stage.value("select taken from credit_lot")
    await stage.tell(event("refund.created", refund("2", amount=3800)))

    assert after_one == 2
    assert (await stage.row(LOT))["remaining"] == 0
    assert await stage.value("select status from fulfilment_grant") == "revoked"


async def test_any_order_ends_alike(db, database_url):
    events = [
        event("checkout.session.completed", session()),
        event("payment_intent.succeeded", intent(), at=1_760_000_001),
        event("charge.succeeded", charge(), at=1_760_000_001),
        event("charge.refunded", charge(amount_refunded=2500), at=1_760_000_100),
        event("refund.created", refund(), at=1_760_000_100),
    ]
    seen = set()
    for order in list(permutations(events))[::11]:
        stage = await set_stage(db, database_url)
        for each in order:
            await stage.tell(each)
        lot = await stage.row(LOT)
        payment = await stage.row(
            "select gateway_ref, status, amount_minor, refunded_minor from payment where superseded_by is null"
        )
        books = await stage.rows(
            "select account, balance_minor from ledger_balance where balance_minor <> 0 order by account"
        )
        seen.add(repr((lot, payment, books)))

    assert len(seen) == 1, seen
