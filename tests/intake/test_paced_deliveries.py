"""Refused deliveries are counted, and then refused before they are read; what is validly signed is not held up."""

import asyncio
import json

import pytest

from bursar.kernel import ids
from bursar.money.gateways import stripe
from serving import serving, set_receiver
from stage import event, intent

pytestmark = pytest.mark.anyio

STORED = "select count(*) from gateway_event"


def body_of(n: int) -> bytes:
    return json.dumps(event("payment_intent.succeeded", intent(str(n)), id=f"evt_paced_{n}")).encode()


async def test_a_source_that_is_refused_too_often_must_wait_and_no_signature_is_computed_for_it(
    db, database_url, monkeypatch
):
    receiver, other = await set_receiver(db, database_url), await set_receiver(db, database_url)
    async with serving(database_url, rate_webhook=3) as server:
        bad = [await server.send(receiver.path, body_of(n), {"stripe-signature": "t=1,v1=00"}) for n in range(4)]
        computed = []
        monkeypatch.setattr(stripe.Stripe, "verify", lambda self, **given: computed.append(given))
        more = [await server.send(receiver.path, body_of(n), {"stripe-signature": "t=1,v1=00"}) for n in range(5)]
        monkeypatch.undo()
        elsewhere = await server.send(other.path, body_of(9), other.signed(body_of(9)))

    assert [a.status for a in bad] == [400, 400, 400, 429]
    assert [(a.status, a.json["code"]) for a in more] == [(429, "rate_limited")] * 5
    assert all(1 <= int(a.headers["retry-after"]) <= 61 for a in more)
    assert computed == []
    assert elsewhere.status == 200
    assert await receiver.stage.value(STORED) == 0


async def test_behind_one_address_a_stranger_cannot_shut_the_gateway_out(db, database_url):
    """A proxy that nobody configured makes all sources look alike."""
    receiver = await set_receiver(db, database_url)
    async with serving(database_url, rate_webhook=2) as server:
        first = await server.send(receiver.path, body_of(0), receiver.signed(body_of(0)))
        bad = [await server.send(receiver.path, body_of(n), {"stripe-signature": "t=1,v1=00"}) for n in range(5)]
        good = [await server.send(receiver.path, body_of(n), receiver.signed(body_of(n))) for n in range(1, 6)]

    assert [a.status for a in bad] == [400, 400, 429, 429, 429]
    assert [a.status for a in (first, *good)] == [200] * 6
    assert await receiver.stage.value(STORED) == 6


async def test_addresses_that_no_account_has_are_counted_together(db, database_url):
    await set_receiver(db, database_url)
    async with serving(database_url, rate_webhook=3) as server:
        unknown = [await server.send(f"/v1/webhooks/nothing{n}", b"{}") for n in range(5)]
        invented = [
            await server.send(f"/v1/webhooks/{ids.show(ids.GATEWAY_ACCOUNT, ids.new())}", b"{}") for _ in range(2)
        ]

    assert [a.status for a in unknown] == [404, 404, 404, 429, 429]
    assert [a.status for a in invented] == [404, 404]


async def test_validly_signed_deliveries_are_limited_only_where_the_account_says_so(db, database_url):
    free, limited = await set_receiver(db, database_url), await set_receiver(db, database_url)
    async with db.tenant(limited.stage.tenant_id) as tx:
        await tx.execute(
            "update gateway_account set deliveries_per_minute = 3 where tenant_id = $1", limited.stage.tenant_id
        )
    async with serving(database_url, rate_webhook=1) as server:
        unlimited = await asyncio.gather(
            *(server.send(free.path, body_of(n), free.signed(body_of(n))) for n in range(20))
        )
        counted = [await server.send(limited.path, body_of(n), limited.signed(body_of(n))) for n in range(5)]

    assert {a.status for a in unlimited} == {200}
    assert [a.status for a in counted] == [200, 200, 200, 429, 429]
    assert counted[4].json["code"] == "rate_limited"
    assert await limited.stage.value(STORED) == 3


async def test_a_store_that_is_away_holds_no_delivery_up(db, database_url):
    receiver = await set_receiver(db, database_url)
    async with serving(database_url, rate_webhook=1, rate_limit_url="redis://127.0.0.1:1") as server:
        bad = [await server.send(receiver.path, body_of(n), {"stripe-signature": "t=1,v1=00"}) for n in range(4)]
        good = await server.send(receiver.path, body_of(1), receiver.signed(body_of(1)))

    assert [a.status for a in bad] == [400] * 4
    assert good.status == 200
