"""A link to the gateway's own page opens a customer's account there: it is told for minutes, and lies nowhere longer."""

from datetime import timedelta

import pytest

from bursar.bootstrap import JOBS
from bursar.kernel import ids
from disputing.conftest import Shop
from draining import bring_forward, drain
from serving import KEY

pytestmark = pytest.mark.anyio

BACK = "https://studio.example.org/account"


async def customer_of(shop: Shop) -> str:
    """Let somebody have bought whom the gateway knows; return the customer."""
    made = await shop.sandbox.done("POST", "/v1/customers", {"email": "ann@example.com"})
    await shop.report()
    return str((await shop.mine.one("/v1/customers", gateway_ref=made["id"]))["id"])


async def kept(shop: Shop, words: str) -> list[str]:
    """Return the tables in which words lie, in the clear."""
    tables = await shop.stage.rows(
        "select table_name as name from information_schema.columns where table_schema = 'public' and column_name = 'tenant_id'"
    )
    found = []
    for row in tables:
        told = await shop.stage.rows(f"select count(*) as n from {row['name']} t where strpos(t::text, $1) > 0", words)
        bytes_too = words.encode().hex()
        raw = await shop.stage.rows(
            f"select count(*) as n from {row['name']} t where strpos(t::text, $1) > 0", bytes_too
        )
        found += [row["name"]] if told[0]["n"] + raw[0]["n"] else []
    return found


async def test_a_link_leads_to_the_customer_s_page_and_is_told_for_minutes_only(shop: Shop):
    customer = await customer_of(shop)
    body = {"customer": customer, "return_url": BACK}

    made = await shop.ask("/v1/portal-sessions", body, once="k1")
    told = made.json()
    page = await shop.sandbox.http.get(told["url"])
    again = await shop.mine.post("/v1/portal-sessions", body, once="k1")
    read = await shop.mine.get(f"/v1/portal-sessions/{told['id']}")

    assert (made.status_code, told["status"], told["customer"]) == (201, "open", customer), made.text
    assert (page.status_code, BACK in page.text) == (200, True)
    assert (again.status_code, again.json()["url"], read.json()["url"]) == (201, told["url"], told["url"])
    assert await shop.stage.value("select status from idempotency_answer where key = 'k1'") == 202
    assert await kept(shop, told["url"].rpartition("/")[2]) == []

    shop.clock.ahead = timedelta(minutes=6)
    late = await shop.mine.get(f"/v1/portal-sessions/{told['id']}")
    repeated = await shop.mine.post("/v1/portal-sessions", body, once="k1")
    assert (late.json()["status"], late.json()["url"]) == ("expired", None)
    assert (repeated.status_code, repeated.json()["code"]) == (409, "portal_session_expired")
    assert await shop.stage.value("select count(*) from gateway_call") == 1


async def test_the_job_takes_the_link_out_of_its_call_when_it_is_no_longer_told(shop: Shop):
    made = await shop.ask("/v1/portal-sessions", {"customer": await customer_of(shop)})
    call_id = ids.parse(ids.GATEWAY_CALL, made.json()["id"])
    link = "select url is not null from gateway_call where id = $1"

    await bring_forward(shop.stage)
    await drain(shop.stage, JOBS, secret_key=KEY)
    is_there = await shop.stage.value(link, call_id)
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        await tx.execute("update gateway_call set ended_at = ended_at - interval '6 minutes' where id = $1", call_id)
    await bring_forward(shop.stage)
    await drain(shop.stage, JOBS, secret_key=KEY)

    assert (is_there, await shop.stage.value(link, call_id)) == (True, False)
    assert await shop.stage.value("select count(*) from job where kind = 'portal.forget_link'") == 0


async def test_whoever_the_gateway_does_not_know_and_whoever_is_another_s_gets_no_link(shop: Shop):
    await shop.contested()
    guest = (await shop.mine.data("/v1/customers"))[0]["id"]
    customer = await customer_of(shop)

    refused = await shop.mine.post("/v1/portal-sessions", {"customer": guest})
    crossing = await shop.theirs.post("/v1/portal-sessions", {"customer": customer})
    nowhere = await shop.mine.post("/v1/portal-sessions", {"customer": customer, "return_url": "javascript:alert(1)"})
    before = await shop.stage.value("select count(*) from gateway_call")
    made = (await shop.ask("/v1/portal-sessions", {"customer": customer})).json()["id"]
    foreign = await shop.theirs.get(f"/v1/portal-sessions/{made}")

    assert (refused.status_code, refused.json()["code"]) == (409, "customer_not_at_gateway"), refused.text
    assert (crossing.status_code, crossing.json()["code"]) == (404, "customer_not_found")
    assert (nowhere.status_code, before) == (422, 0)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "portal_session_not_found")


async def test_whoever_is_deleted_or_erased_gets_no_link_and_saves_nothing(shop: Shop):
    customer = await customer_of(shop)
    link = {"customer": customer}
    setup = {"customer": customer, "return_url": BACK}

    deleted = await shop.mine.send("DELETE", f"/v1/customers/{customer}")
    refused = [await shop.mine.post("/v1/portal-sessions", link), await shop.mine.post("/v1/payment-methods", setup)]
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        await tx.execute("update customer set deleted_at = null, deleted_by = null, erased_at = clock_timestamp()")
    refused += [await shop.mine.post("/v1/portal-sessions", link), await shop.mine.post("/v1/payment-methods", setup)]

    assert deleted.status_code in (200, 204), deleted.text
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "customer_not_at_gateway")] * 4
    assert await shop.stage.value("select count(*) from gateway_call") == 0
