"""Customers added by hand: found by their address, added once, and found again by what gateways tell later."""

import asyncio

import pytest

from api.conftest import World, caller_of
from bursar.kernel import ids, tenancy
from bursar.kernel.clock import utc_now
from bursar.money.customers import find_or_add
from bursar.money.fulfilment.spending import adjust
from stage import Stage, event, session

pytestmark = pytest.mark.anyio


async def test_a_customer_is_added_once_however_often_at_once_and_found_by_a_payment_that_names_only_the_address(
    world: World,
):
    new = {"email": "Zoe@Example.com", "name": "Zoe Zander", "phone": "+31 20 555 0100"}

    answers = await asyncio.gather(*(world.mine.post("/v1/customers", new) for _ in range(6)))
    again = await world.mine.post("/v1/customers", {"email": "ZOE@example.com", "name": "Somebody Else"})
    paid = session("z", customer=None, customer_details={"email": "zoe@example.com"})
    await world.mine.stage.tell(event("checkout.session.completed", paid))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (again.json()["id"], again.json()["name"]) == (answers[0].json()["id"], "Zoe Zander")
    customer = await world.mine.one("/v1/customers", email="zoe@example.com")
    assert (customer["gateway_ref"], customer["phone"]) == ("email:zoe@example.com", "+31 20 555 0100")
    held = (await world.mine.get(f"/v1/customers/{customer['id']}/credits")).json()
    assert held["pools"][0]["balance"] == 10
    added = await world.mine.data("/v1/audit-records", action="customer.added")
    assert len(added) == 1
    assert await world.theirs.data("/v1/customers", email="zoe@example.com") == []


async def test_of_several_with_one_address_who_has_usable_credits_is_meant(world: World):
    stage = world.mine.stage
    desk = (await world.mine.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})).json()["id"]
    old = (await world.mine.post("/v1/customers", {"email": "ann@example.com", "gateway_account": desk})).json()
    account = ids.show(ids.GATEWAY_ACCOUNT, stage.account_id)
    new = (await world.mine.post("/v1/customers", {"email": "ann@example.com", "gateway_account": account})).json()
    newest = (await world.mine.post("/v1/customers", {"email": "ann@example.com"})).json()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await adjust(
            tx,
            tenant_id=stage.tenant_id,
            customer_id=ids.parse(ids.CUSTOMER, old["id"]),
            pool="classes",
            amount=1,
            expires_at=None,
            reason="gift",
            actor="operator",
            now=utc_now(),
        )

    found = (await world.mine.post("/v1/customers", {"email": "ann@example.com"})).json()

    assert new["id"] != old["id"]
    assert newest["id"] == new["id"]
    assert found["id"] == old["id"]


async def test_a_deleted_customer_who_comes_back_is_restored_and_a_foreign_account_is_not_there(world: World):
    added = (await world.mine.post("/v1/customers", {"email": "ann@example.com"})).json()
    gone = await world.mine.send("DELETE", f"/v1/customers/{added['id']}")
    assert gone.status_code == 200, gone.text

    back = (await world.mine.post("/v1/customers", {"email": "ann@example.com"})).json()
    theirs = ids.show(ids.GATEWAY_ACCOUNT, world.theirs.stage.account_id)
    foreign = await world.mine.post("/v1/customers", {"email": "bob@example.com", "gateway_account": theirs})

    assert (back["id"], back["deleted_at"]) == (added["id"], None)
    assert len(await world.mine.data("/v1/audit-records", action="customer.restored")) == 1
    assert (foreign.status_code, foreign.json()["code"]) == (404, "gateway_account_not_found")
    assert await world.mine.data("/v1/customers", email="bob@example.com") == []


async def test_a_business_without_any_account_gets_one_desk(world: World, database_url: str):
    db = world.mine.stage.db
    stage = Stage(db, database_url, (await tenancy.create_tenant(db, name="Bare"))[0], ids.new())
    bare = await caller_of(stage, world.http)

    async def add(number: int) -> None:
        async with db.tenant(stage.tenant_id) as tx:
            email = f"p{number}@example.com"
            await find_or_add(tx, tenant_id=stage.tenant_id, email=email, name=None, actor="operator", now=utc_now())

    await asyncio.gather(*(add(number) for number in range(6)))

    assert [account["gateway"] for account in await bare.data("/v1/gateway-accounts")] == ["manual"]
    assert len(await bare.data("/v1/customers")) == 6
