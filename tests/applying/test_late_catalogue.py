"""What the catalogue learns late ends as if it had been known from the start."""

import pytest

from bursar.money.applying import revisits
from stage import add_price, event, invoice, session, set_stage, subscription

pytestmark = pytest.mark.anyio

VIP = [{"kind": "feature", "feature": "vip"}, {"kind": "credits", "amount": 3}]
DELIVERED = """
select (select sum(granted - taken)::int from credit_lot) as credits,
  (select count(*)::int from entitlement where key = 'vip' and status = 'active') as features,
  (select count(*)::int from purchase where unmatched_reason is not null and merged_into is null) as unmatched
"""


async def define(stage, key: str, refs: list[str], *, interval: str | None = "month") -> None:
    await add_price(stage, key, 4000, VIP, interval=interval, refs=refs)
    await stage.say("bursar.catalog.changed", {"refs": refs, "names": [key]})
    await stage.apply()


def of_unknown_price(**more):
    lines = invoice()["lines"]["data"][0] | {"price": {"id": "price_vip"}}
    return invoice(lines={"object": "list", "data": [lines]}, **more)


def with_items(*prices: str, **more):
    items = [{"id": f"si_{price}", "quantity": 1, "price": {"id": price}} for price in prices]
    return subscription(items={"object": "list", "data": items}, **more)


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_free_purchase_is_delivered_when_its_price_is_defined(db, database_url, is_late):
    stage = await set_stage(db, database_url)
    free = session(amount_total=0, payment_intent=None, payment_status="no_payment_required")
    free["metadata"] = {"bursar_price": "vip"}

    if not is_late:
        await define(stage, "vip", [], interval=None)
    await stage.tell(event("checkout.session.completed", free))
    if is_late:
        await define(stage, "vip", [], interval=None)

    assert await stage.row(DELIVERED) == {"credits": 3, "features": 1, "unmatched": 0}


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_subscription_that_names_its_price_by_metadata_is_delivered_when_the_name_is_defined(
    db, database_url, is_late
):
    stage = await set_stage(db, database_url)

    if not is_late:
        await define(stage, "vip", [])
    await stage.tell(
        event("customer.subscription.created", with_items("price_x", metadata={"bursar_price": "vip"})),
        event("invoice.paid", of_unknown_price()),
    )
    if is_late:
        await define(stage, "vip", [])

    assert await stage.row(DELIVERED) == {"credits": 3, "features": 1, "unmatched": 0}


@pytest.mark.parametrize("is_late", [False, True])
async def test_the_second_item_of_a_subscription_is_delivered_when_its_price_is_defined(db, database_url, is_late):
    stage = await set_stage(db, database_url)

    if not is_late:
        await define(stage, "vip", ["price_vip"])
    await stage.tell(event("customer.subscription.created", with_items("price_member", "price_vip")))
    if is_late:
        await define(stage, "vip", ["price_vip"])

    assert await stage.value("select count(*) from entitlement where key = 'vip'") == 1
    assert await stage.value("select unmatched_refs from subscription") == []


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_subscription_told_after_its_invoice_says_what_the_invoice_does_not(db, database_url, is_first):
    stage = await set_stage(db, database_url)
    reports = [
        event("customer.subscription.created", subscription(metadata={"bursar_price": "membership"})),
        event("invoice.paid", of_unknown_price()),
    ]

    for report in reports if is_first else reversed(reports):
        await stage.tell(report)

    assert await stage.value("select unmatched_reason from purchase") is None
    assert await stage.value("select granted from credit_lot") == 8


async def test_more_waiting_purchases_than_a_batch_reads_again_follow_in_further_batches(db, database_url, monkeypatch):
    monkeypatch.setattr(revisits, "REVISITS_MAX", 3)
    stage = await set_stage(db, database_url)
    await stage.tell(
        *(event("checkout.session.completed", session(str(n), metadata={"bursar_price": "vip"})) for n in range(10)),
        *(
            event("customer.subscription.created", with_items("price_vip", id=f"sub_{n}", metadata={}))
            for n in range(7)
        ),
    )

    await define(stage, "vip", ["price_vip"])

    assert await stage.row(DELIVERED) == {"credits": 30, "features": 17, "unmatched": 0}
    assert await stage.value("select count(*) from gateway_event where type = 'bursar.catalog.changed'") == 4


async def test_an_update_of_a_subscription_reads_only_the_purchases_that_it_may_concern(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")
    start = 1_760_000_000

    def dodo(kind: str, at: int, data: dict) -> dict:
        buyer = {"customer": {"customer_id": "cus_d"}}
        return {"type": kind, "timestamp": f"2026-01-{at:02d}T00:00:00Z", "data": data | buyer}

    def paid(n: int) -> dict:
        told = {"payment_id": f"pay_{n}", "total_amount": 2000, "currency": "EUR", "subscription_id": "sub_d"}
        return dodo("payment.succeeded", n, told | {"created_at": f"2026-01-{n:02d}T00:00:00Z"})

    def renewed(at: int, price: str) -> dict:
        return dodo("subscription.renewed", at, {"subscription_id": "sub_d", "product_id": price, "quantity": 1})

    for n in (2, 3, 4):
        await stage.deliver(paid(n), headers={"webhook-id": f"p{n}"})
    await stage.deliver(renewed(1, "price_member"), headers={"webhook-id": "r1"})
    await stage.apply()
    before = await stage.rows("select id, touched_at from purchase order by paid_at")
    await stage.deliver(renewed(4, "price_pack"), headers={"webhook-id": "r4"})
    await stage.apply()
    after = await stage.rows("select id, touched_at from purchase order by paid_at")

    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]
    assert start
