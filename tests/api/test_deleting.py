"""What is deleted is hidden, kept, brought back, and never in the way of money; nobody deletes a row."""

import asyncpg
import pytest

from stage import PACK, event, intent, session

pytestmark = pytest.mark.anyio


async def delete(caller, path, **params):
    return await caller.send("DELETE", path, **params)


async def ids_of(caller, path, **params):
    return [row["id"] for row in await caller.data(path, limit=200, **params)]


async def product_with_price(caller):
    product = (await caller.post("/v1/products", {"name": "Short-lived"})).json()["id"]
    body = {"product": product, "lookup_key": "short", "amount_minor": 500, "currency": "EUR"}
    return product, (await caller.post("/v1/prices", body)).json()["id"]


async def test_a_deleted_price_and_product_leave_the_lists_and_come_back(world):
    mine = world.mine
    product, price = await product_with_price(mine)

    early = await delete(mine, f"/v1/products/{product}")
    gone = await delete(mine, f"/v1/prices/{price}", reason="a mistake")
    again = await delete(mine, f"/v1/prices/{price}")
    last = await delete(mine, f"/v1/products/{product}")

    assert (early.status_code, early.json()["code"], early.json()["context"]) == (
        409,
        "product_has_prices",
        {"prices": 1},
    )
    assert [a.status_code for a in (gone, again, last)] == [200, 200, 200]
    assert again.json()["deleted_at"] == gone.json()["deleted_at"]
    assert price not in await ids_of(mine, "/v1/prices")
    assert price in await ids_of(mine, "/v1/prices", include_deleted="true")
    assert product not in await ids_of(mine, "/v1/products")
    assert (await mine.get(f"/v1/prices/{price}")).json()["deleted_at"]

    too_early = await mine.post(f"/v1/prices/{price}/restorations", {})
    await mine.post(f"/v1/products/{product}/restorations", {})
    back = await mine.post(f"/v1/prices/{price}/restorations", {"reason": "no mistake"})

    assert (too_early.status_code, too_early.json()["code"]) == (409, "product_deleted")
    assert (back.status_code, back.json()["deleted_at"]) == (201, None)
    assert price in await ids_of(mine, "/v1/prices")
    actions = await mine.data("/v1/audit-records", subject=price)
    assert [(r["action"], r["changes"].get("reason")) for r in actions] == [
        ("price.restored", "no mistake"),
        ("price.deleted", "a mistake"),
        ("price.added", None),
    ]
    assert actions[1]["changes"]["deleted_at"]["before"] is None
    assert actions[0]["changes"]["deleted_at"] == {
        "before": actions[1]["changes"]["deleted_at"]["after"],
        "after": None,
    }


async def test_nothing_new_is_sold_at_a_deleted_price_and_nothing_put_under_a_deleted_product(world):
    mine = world.mine
    product, price = await product_with_price(mine)
    await delete(mine, f"/v1/prices/{price}")
    await delete(mine, f"/v1/products/{product}")

    order = await mine.post("/v1/orders", {"lines": [{"price": "short"}]})
    new = await mine.post("/v1/prices", {"product": product, "amount_minor": 1, "currency": "EUR"})

    assert (order.status_code, order.json()["code"]) == (409, "price_deleted")
    assert (new.status_code, new.json()["code"]) == (409, "product_deleted")


async def test_a_price_that_is_being_bought_or_paid_every_month_is_not_deleted(lived_world):
    mine = lived_world.mine
    _, price = await product_with_price(mine)
    await mine.post("/v1/orders", {"lines": [{"price": price}]})
    paid = next(s["price"] for s in await mine.data("/v1/subscriptions") if s["status"] == "active")

    ordered = await delete(mine, f"/v1/prices/{price}")
    subscribed = await delete(mine, f"/v1/prices/{paid}")

    assert (ordered.status_code, ordered.json()["code"]) == (409, "price_has_orders")
    assert (subscribed.status_code, subscribed.json()["code"]) == (409, "price_has_subscriptions")
    assert (await mine.get(f"/v1/prices/{paid}")).json()["deleted_at"] is None


async def test_a_customer_with_credits_is_deleted_only_by_force_and_with_a_reason(lived_world):
    mine = lived_world.mine
    path = f"/v1/customers/{(await mine.one('/v1/customers', gateway_ref='cus_ann'))['id']}"

    refused = await delete(mine, path)
    silent = await delete(mine, path, force="true")
    done = await delete(mine, path, force="true", reason="asked us to")

    assert (refused.status_code, refused.json()["code"]) == (409, "customer_has_credits")
    assert refused.json()["context"]["credits"] > 0
    assert (silent.status_code, silent.json()["code"]) == (422, "force_needs_reason")
    assert (done.status_code, done.json()["paid_since_deleted"]) == (200, False)
    assert await mine.data("/v1/customers", gateway_ref="cus_ann") == []
    record = await mine.one("/v1/audit-records", action="customer.deleted")
    assert (record["changes"]["reason"], record["changes"]["forced"]) == ("asked us to", True)
    assert record["address"] == "127.0.0.1"
    assert record["user_agent"].startswith("python-httpx")
    assert record["correlation_id"]


async def test_a_deleted_customer_who_pays_is_there_again_and_what_was_paid_is_granted(world):
    mine = world.mine
    await mine.stage.tell(event("checkout.session.completed", session()), event("payment_intent.succeeded", intent()))
    before = await mine.one("/v1/customers", gateway_ref="cus_ann")
    await delete(mine, f"/v1/customers/{before['id']}", force="true", reason="moved away")
    await delete(mine, f"/v1/prices/{(await mine.one('/v1/prices', lookup_key=PACK))['id']}")
    await mine.post("/v1/gateway-event-replays", {"filter": {"type": "payment_intent.succeeded"}, "reason": "again"})
    await mine.stage.apply()
    hidden = await mine.data("/v1/customers", gateway_ref="cus_ann")
    granted_before = await mine.stage.value("select sum(granted) from credit_lot")

    later = {"created": 1_900_000_000}
    await mine.stage.tell(
        event("checkout.session.completed", session("2", **later)),
        event("payment_intent.succeeded", intent("2", **later)),
    )
    found = await mine.one("/v1/customers", gateway_ref="cus_ann")

    assert hidden == []
    assert (found["id"], found["paid_since_deleted"]) == (before["id"], True)
    assert found["deleted_at"]
    assert (granted_before, await mine.stage.value("select sum(granted) from credit_lot")) == (10, 20)


@pytest.mark.parametrize("table", ["customer", "product", "price"])
@pytest.mark.parametrize("how", ["delete from {}", "truncate {} cascade"])
async def test_not_even_the_owner_deletes_a_row(lived_world, admin_url, table, how):
    connection = await asyncpg.connect(admin_url)

    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(how.format(table))

    assert await connection.fetchval(f"select count(*) from {table}") > 0
    await connection.close()
