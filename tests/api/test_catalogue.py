"""The catalogue: products, prices, what they grant, and the names that gateways know them by."""

import pytest

from stage import event, session

pytestmark = pytest.mark.anyio

GRANTS = [
    {"kind": "credits", "amount": 10, "expires_after": "P3M", "pool": "classes"},
    {"kind": "feature", "feature": "likes", "limit": 5, "per": "P1D"},
    {"kind": "licence", "course": "python", "activations": 3},
    {"kind": "quota", "meter": "messages", "amount": 1000},
]


@pytest.fixture
async def product(world) -> str:
    return (await world.mine.post("/v1/products", {"name": "Ten classes"})).json()["id"]


def price(product: str, **more) -> dict:
    return {"product": product, "amount_minor": 12000, "currency": "EUR"} | more


async def test_a_price_is_answered_as_it_was_given(world, product):
    account = (await world.mine.one("/v1/gateway-accounts"))["id"]
    refs = [{"gateway_account": account, "ref": "price_1New"}]

    made = await world.mine.post(
        "/v1/prices", price(product, lookup_key="ten", interval="month", grants=GRANTS, gateway_refs=refs)
    )

    assert made.status_code == 201, made.text
    told = made.json()
    assert told["grants"] == GRANTS
    assert told["gateway_refs"] == refs
    assert (told["lookup_key"], told["interval"], told["interval_count"]) == ("ten", "month", 1)
    assert (await world.mine.get(f"/v1/prices/{told['id']}")).json() == told
    assert await world.mine.one("/v1/prices", lookup_key="ten") == told
    assert await world.mine.one("/v1/prices", gateway_ref="price_1New") == told
    assert await world.mine.one("/v1/prices", product=product) == told


async def test_a_lookup_key_is_taken_once_for_each_tenant(world, product):
    theirs = (await world.theirs.post("/v1/products", {"name": "Ten"})).json()["id"]
    await world.mine.post("/v1/prices", price(product, lookup_key="ten"))

    again = await world.mine.post("/v1/prices", price(product, lookup_key="ten"))
    elsewhere = await world.theirs.post("/v1/prices", price(theirs, lookup_key="ten"))

    assert (again.status_code, again.json()["code"]) == (409, "price_lookup_key_taken")
    assert elsewhere.status_code == 201
    assert len(await world.mine.data("/v1/prices", product=product)) == 1


async def test_a_gateway_reference_names_one_price_of_its_account(world, product):
    account = (await world.mine.one("/v1/gateway-accounts"))["id"]
    ref = {"gateway_account": account, "ref": "price_1New"}
    first = (await world.mine.post("/v1/prices", price(product, gateway_refs=[ref]))).json()
    second = (await world.mine.post("/v1/prices", price(product))).json()

    twice = await world.mine.post("/v1/prices", price(product, gateway_refs=[ref | {"ref": "x"}, ref | {"ref": "x"}]))
    taken = await world.mine.post(f"/v1/prices/{second['id']}/gateway-refs", {"gateway_refs": [ref]})
    added = await world.mine.post(f"/v1/prices/{second['id']}/gateway-refs", {"gateway_refs": [ref | {"ref": "y"}]})

    assert (twice.status_code, twice.json()["code"]) == (409, "price_gateway_ref_taken")
    assert (taken.status_code, taken.json()["code"]) == (409, "price_gateway_ref_taken")
    assert taken.json()["context"] == {"ref": "price_1New", "gateway_account": account}
    assert [r["ref"] for r in added.json()["gateway_refs"]] == ["y"]
    assert [p["id"] for p in await world.mine.data("/v1/prices", product=product)] == [second["id"], first["id"]]


@pytest.mark.parametrize(
    ("grant", "field"),
    [
        ({"kind": "credit", "amount": 10}, "grants.0.kind"),
        ({"amount": 10}, "grants.0.kind"),
        ({"kind": "credits", "amount": 0}, "grants.0.amount"),
        ({"kind": "credits", "amount": 1.5}, "grants.0.amount"),
        ({"kind": "credits", "amount": True}, "grants.0.amount"),
        ({"kind": "credits", "amount": 1, "expires_after": "3 months"}, "grants.0.expires_after"),
        ({"kind": "credits", "amount": 1, "poll": "classes"}, "grants.0.poll"),
        ({"kind": "feature"}, "grants.0.feature"),
        ({"kind": "licence", "course": "x", "activations": -1}, "grants.0.activations"),
        ({"kind": "quota", "meter": "m"}, "grants.0.amount"),
    ],
)
async def test_a_grant_that_nobody_can_deliver_is_refused_and_named(world, product, grant, field):
    answer = await world.mine.post("/v1/prices", price(product, grants=[grant]))

    assert (answer.status_code, answer.json()["code"]) == (422, "grant_invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await world.mine.data("/v1/prices", product=product) == []


async def test_money_that_waited_for_a_price_is_matched_when_the_price_is_added(world, product):
    stage = world.mine.stage
    await stage.tell(event("checkout.session.completed", session(metadata={"bursar_price": "late"})))
    waiting = await world.mine.data("/v1/unmatched-payments")

    await world.mine.post(
        "/v1/prices", price(product, lookup_key="late", grants=[{"kind": "credits", "amount": 3, "pool": "late"}])
    )
    await stage.apply()

    assert [row["refs"] for row in waiting] == [["late"]]
    assert await world.mine.data("/v1/unmatched-payments") == []
    customer = (await world.mine.one("/v1/customers"))["id"]
    held = (await world.mine.get(f"/v1/customers/{customer}/credits")).json()
    assert held["pools"] == [{"pool": "late", "balance": 3, "suspended": 0, "shortfall": 0}]


async def test_money_that_waited_for_a_gateway_reference_is_matched_when_it_is_added(world, product):
    stage = world.mine.stage
    account = (await world.mine.one("/v1/gateway-accounts"))["id"]
    lines = {"data": [{"id": "li_1", "price": {"id": "price_1New"}, "quantity": 2, "amount_total": 5000}]}
    await stage.tell(event("checkout.session.completed", session(metadata={}, line_items=lines)))
    made = (await world.mine.post("/v1/prices", price(product, grants=[{"kind": "credits", "amount": 3}]))).json()
    await stage.apply()
    waiting = await world.mine.data("/v1/unmatched-payments")

    await world.mine.post(
        f"/v1/prices/{made['id']}/gateway-refs",
        {"gateway_refs": [{"gateway_account": account, "ref": "price_1New"}]},
    )
    await stage.apply()

    assert len(waiting) == 1
    assert await world.mine.data("/v1/unmatched-payments") == []
    assert await stage.value("select remaining from credit_lot") == 6


async def test_a_lookup_key_in_the_form_of_an_id_is_refused(world, product):
    made = (await world.mine.post("/v1/prices", price(product))).json()

    answer = await world.mine.post("/v1/prices", price(product, lookup_key=made["id"]))

    assert (answer.status_code, answer.json()["code"]) == (422, "price_lookup_key_invalid")


async def test_a_price_of_an_unknown_product_or_account_is_not_made(world, product):
    other = (await world.theirs.post("/v1/products", {"name": "Theirs"})).json()["id"]
    account = (await world.theirs.one("/v1/gateway-accounts"))["id"]
    before = len(await world.mine.data("/v1/prices"))

    unknown = await world.mine.post("/v1/prices", price(other))
    foreign = await world.mine.post(
        "/v1/prices", price(product, gateway_refs=[{"gateway_account": account, "ref": "price_pack"}])
    )

    assert (unknown.status_code, unknown.json()["code"]) == (404, "product_not_found")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "gateway_account_not_found")
    assert len(await world.mine.data("/v1/prices")) == before


async def test_an_order_names_its_prices_by_id_whatever_named_them(world, product):
    made = (await world.mine.post("/v1/prices", price(product, lookup_key="ten"))).json()

    placed = await world.mine.post("/v1/orders", {"lines": [{"price": "ten", "quantity": 2}]})
    unknown = await world.mine.post("/v1/orders", {"lines": [{"price": "eleven"}]})

    assert placed.status_code == 201, placed.text
    assert placed.json()["lines"] == [{"price": made["id"], "quantity": 2, "asks_minor": None}]
    assert await world.mine.one("/v1/orders") == placed.json()
    assert (unknown.status_code, unknown.json()["code"]) == (404, "price_not_found")


async def test_a_checkout_that_carries_an_order_grants_what_the_order_says(world):
    order = (await world.mine.post("/v1/orders", {"lines": [{"price": "pack-10", "quantity": 3}]})).json()["id"]

    await world.mine.stage.tell(
        event("checkout.session.completed", session(metadata={}, client_reference_id=order, amount_total=15000))
    )

    assert await world.mine.stage.value("select remaining from credit_lot") == 30
