"""Checkouts: an order, the page on which it is paid, and what is granted for it; against the sandbox, with the official SDK."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.conftest import Caller, caller_of, running
from bursar.bootstrap import ASKERS
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.jobs import Engine, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.money.gateways.callers import Callers
from sandboxing import KEY as GATEWAY_KEY
from sandboxing import Sandbox, sandbox_at
from serving import KEY, give_key
from stage import Stage, add_price, set_stage

pytestmark = pytest.mark.anyio

CARD = {"email": "ann@example.com", "method": "card", "expiry": "12 / 34", "cvc": "123"}
BACK = {"success_url": "https://studio.example.org/thanks?c={CHECKOUT_SESSION_ID}"}


@dataclass
class Shop:
    """A business whose account is at a running sandbox, and somebody else beside it."""

    mine: Caller
    theirs: Caller
    sandbox: Sandbox
    kinds: Kinds

    @property
    def stage(self) -> Stage:
        return self.mine.stage

    async def work(self) -> None:
        """Do the jobs that are due."""
        await self._engine().drain()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Do jobs as they come, like a worker beside the API."""

        stopping = asyncio.Event()

        async def until_stopped() -> None:
            while not stopping.is_set():
                await self.work()
                await asyncio.sleep(0.02)

        task = asyncio.create_task(until_stopped())
        try:
            yield
        finally:
            stopping.set()
            await task

    def _engine(self) -> Engine:
        return Engine(Resources(self.stage.db, Settings(database_url=self.stage.url, secret_key=KEY)), self.kinds)

    async def pay(self, url: str, number: str = "4242424242424242") -> None:
        answer = await self.sandbox.http.post(url, data=CARD | {"number": number})
        assert answer.status_code in (200, 302, 303, 402), answer.text

    async def hear(self) -> None:
        """Deliver all that the gateway has to tell, and apply it."""
        page = await self.sandbox.done("GET", "/v1/events", {"limit": 100})
        await self.stage.tell(*reversed(page["data"]))


@pytest.fixture
async def shop(request, db, database_url, tmp_path: Path) -> AsyncIterator[Shop]:
    waits_s = getattr(request, "param", 30)
    async with sandbox_at(tmp_path) as sandbox, running(database_url, outcome_wait_s=waits_s) as (_, http):
        stage = await set_stage(db, database_url, gateway="sandbox")
        await add_price(stage, "ten", 4500, [{"kind": "credits", "amount": 10, "pool": "classes"}], refs=[])
        await give_key(stage, GATEWAY_KEY, base_url=sandbox.url)
        theirs = await caller_of(await set_stage(db, database_url, name="Theirs"), http)
        callers = Callers()
        kinds = Kinds([calls.execution(calls.Outside(callers.of, clock=utc_now), ASKERS)])
        yield Shop(await caller_of(stage, http), theirs, sandbox, kinds)
        await callers.close()


def wanted(**more: Any) -> dict[str, Any]:
    return {"lines": [{"price": "ten"}], **BACK, **more}


async def test_what_is_paid_on_the_page_is_granted_once_and_the_checkout_tells_it(shop):
    async with shop.working():
        answer = await shop.mine.post("/v1/checkouts", wanted(email="ann@example.com"), once="k")
        again = await shop.mine.post("/v1/checkouts", wanted(email="ann@example.com"), once="k")
    made = answer.json()
    await shop.pay(made["url"])
    await shop.hear()
    await shop.hear()

    assert (answer.status_code, made["status"], made["mode"]) == (201, "open", "payment")
    assert again.content == answer.content
    after = (await shop.mine.get(answer.headers["location"])).json()
    assert (after["status"], after["payment_status"], after["url"]) == ("complete", "paid", None)
    assert (after["amount_minor"], after["currency"]) == (4500, "EUR")
    payment = await shop.mine.one("/v1/payments")
    assert (payment["status"], payment["amount_minor"]) == ("succeeded", 4500)
    held = (await shop.mine.get(f"/v1/customers/{payment['customer']}/credits")).json()
    assert held["pools"] == [{"pool": "classes", "balance": 10, "suspended": 0, "shortfall": 0}]
    assert await shop.stage.value("select count(*) from checkout") == 1


@pytest.mark.parametrize("shop", [0.1], indirect=True)
async def test_without_a_worker_the_answer_is_202_and_the_same_key_tells_the_outcome_later(shop):
    first = await shop.mine.post("/v1/checkouts", wanted(), once="k")
    await shop.work()
    second = await shop.mine.post("/v1/checkouts", wanted(), once="k")

    assert (first.status_code, first.json()["status"], first.json()["url"]) == (202, "pending", None)
    assert (second.status_code, second.json()["id"]) == (201, first.json()["id"])
    assert second.json()["url"].startswith(shop.sandbox.url)
    assert await shop.stage.value("select count(*) from gateway_call") == 1


async def test_what_the_gateway_refuses_is_told_and_told_again(shop):
    past = wanted(expires_at=(datetime.now(UTC) - timedelta(days=1)).isoformat())
    async with shop.working():
        answers = [await shop.mine.post("/v1/checkouts", past, once="k") for _ in range(2)]

    assert [(a.status_code, a.json()["code"]) for a in answers] == [(422, "checkout_refused")] * 2
    refused = await shop.mine.one("/v1/checkouts")
    assert (refused["status"], refused["url"]) == ("refused", None)
    assert refused["failure"]


async def test_a_declined_card_leaves_the_page_open_and_grants_nothing(shop):
    async with shop.working():
        made = (await shop.mine.post("/v1/checkouts", wanted())).json()
    await shop.pay(made["url"], "4000000000000002")
    await shop.hear()

    after = (await shop.mine.get(f"/v1/checkouts/{made['id']}")).json()
    assert (after["status"], after["url"]) == ("open", made["url"])
    assert await shop.stage.value("select count(*) from fulfilment_grant") == 0


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"lines": [{"price": "nobody"}]}, 404, "price_not_found"),
        ({"lines": []}, 422, "invalid"),
        ({"success_url": "javascript:alert(1)"}, 422, "invalid"),
        ({"success_url": "https://user@evil.example/"}, 422, "invalid"),
        ({"gateway_account": ids.show(ids.GATEWAY_ACCOUNT, ids.new())}, 404, "gateway_account_not_found"),
        ({"customer": ids.show(ids.CUSTOMER, ids.new())}, 404, "customer_not_found"),
    ],
)
async def test_what_cannot_be_sold_is_refused_and_nothing_is_written(shop, change, status, code):
    answer = await shop.mine.post("/v1/checkouts", wanted() | change)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    for table in ("checkout", "customer_order", "gateway_call", "job"):
        assert await shop.stage.value(f"select count(*) from {table}") == 0, table


async def test_prices_of_several_currencies_are_not_mixed(shop):
    await add_price(shop.stage, "dollars", 900, [], refs=[], currency="USD")

    answer = await shop.mine.post("/v1/checkouts", wanted(lines=[{"price": "ten"}, {"price": "dollars"}]))

    assert (answer.status_code, answer.json()["code"]) == (422, "checkout_mixed")


async def test_several_recurring_prices_are_sold_together_only_where_a_renewal_can_name_them(shop):
    for key in ("gym", "sauna"):
        await add_price(shop.stage, key, 900, [], refs=[], interval="month")

    answer = await shop.mine.post("/v1/checkouts", wanted(lines=[{"price": "gym"}, {"price": "sauna"}]))

    assert (answer.status_code, answer.json()["code"]) == (422, "checkout_mixed")
    assert "gateway_refs" in answer.json()["hint"]
    assert await shop.stage.value("select count(*) from gateway_call") == 0


async def test_somebody_else_sees_no_checkout_and_uses_no_account(shop):
    async with shop.working():
        made = (await shop.mine.post("/v1/checkouts", wanted())).json()

    theirs = shop.theirs
    assert (await theirs.get(f"/v1/checkouts/{made['id']}")).status_code == 404
    assert await theirs.data("/v1/checkouts") == []
    crossing = await theirs.post(
        "/v1/checkouts", wanted() | {"lines": [{"price": "pack-10"}], "gateway_account": made["gateway_account"]}
    )
    assert (crossing.status_code, crossing.json()["code"]) == (404, "gateway_account_not_found")
    unready = await theirs.post("/v1/checkouts", {"lines": [{"price": "pack-10"}], **BACK})
    assert (unready.status_code, unready.json()["code"]) == (409, "gateway_account_missing")


async def test_whoever_may_only_read_does_not_see_the_link(shop):
    async with shop.working():
        made = (await shop.mine.post("/v1/checkouts", wanted())).json()
    key = await shop.mine.post("/v1/api-keys", {"name": "reader", "scopes": ["payments:read"]})
    reader = Caller(shop.stage, key.json()["key"], shop.mine.http)

    assert made["url"]
    assert (await reader.get(f"/v1/checkouts/{made['id']}")).json()["url"] is None
