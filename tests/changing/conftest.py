"""A business whose gateway is a sandbox of its own: bought on its page, changed through the API, renewed by its clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.conftest import Caller, caller_of, running
from bursar.bootstrap import ASKERS
from bursar.kernel.db import Database
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.money.gateways.calling import Credentials
from bursar.money.gateways.calls import CheckoutLine, CheckoutMode, CreateCheckout
from bursar.money.gateways.facts import Claim
from bursar.web.app import Application
from sandboxing import Sandbox, sandbox_at
from serving import KEY, give_key
from stage import Stage, add_price, set_stage

DAY_S = 86_400
CARD = {"email": "ann@example.com", "number": "4242424242424242", "expiry": "12 / 34", "cvc": "123"}


@dataclass
class Club:
    """Sells memberships of the sandbox. `report` brings what the gateway told; `work` makes the calls that wait."""

    stage: Stage
    sandbox: Sandbox
    app: Application
    mine: Caller
    theirs: Caller
    kind: Kind
    told: set[str] = field(default_factory=set)

    async def work(self) -> int:
        settings = Settings(database_url=self.stage.url, secret_key=KEY)
        return await Engine(Resources(self.stage.db, settings), Kinds([self.kind])).drain()

    async def report(self) -> None:
        """Deliver every event that the sandbox has told and we have not heard, oldest first."""
        page = await self.sandbox.done("GET", "/v1/events", {"limit": 100})
        fresh = [event for event in reversed(page["data"]) if event["id"] not in self.told]
        self.told |= {event["id"] for event in fresh}
        if fresh:
            await self.stage.tell(*fresh)

    async def advance(self, days: int) -> None:
        await self.sandbox.advance(days * DAY_S)
        await self.report()

    async def price(self, key: str, amount: int, credits: int, *, is_here: bool = True) -> str:  # noqa: A002
        """Put a monthly price on sale at both sides; return the gateway's name of it."""
        form = {
            "currency": "eur",
            "unit_amount": amount,
            "recurring": {"interval": "month"},
            "product_data": {"name": key},
        }
        ref = str((await self.sandbox.done("POST", "/v1/prices", form))["id"])
        grants = [{"kind": "credits", "amount": credits, "pool": "classes"}]
        await add_price(self.stage, key, amount, grants, interval="month", refs=[ref] if is_here else [])
        return ref

    async def bought(self, key: str, ref: str, **more: Any) -> str:
        """Order and buy a membership on the hosted page; return the subscription."""
        order = (await self.mine.post("/v1/orders", {"lines": [{"price": key}]})).json()["id"]
        call = CreateCheckout(
            mode=CheckoutMode.subscription,
            success_url="https://shop.example/done",
            lines=(CheckoutLine(price=ref),),
            claim=Claim(order=order),
            **more,
        )
        adapter = self.app.callers.of("sandbox")
        opened = Credentials(self.sandbox.key, self.sandbox.url)
        session = (await adapter.execute(call, credentials=opened, idempotency_key=f"buy-{order}")).ref
        paid = await self.sandbox.http.post(f"/c/pay/{session}", data=CARD)
        assert paid.status_code in (200, 303), paid.text
        await self.report()
        return str((await self.mine.one("/v1/subscriptions"))["id"])

    async def ask(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        """Ask for a change, while a worker works; then hear what the gateway told.

        A little later than what was before: gateways tell time in seconds, and within one nobody can tell the order.
        """
        await self.sandbox.advance(2)
        asked = asyncio.create_task(self.mine.post(path, body, **more))
        while not asked.done():
            await self.work()
            await asyncio.sleep(0.01)
        await self.work()
        await self.stage.apply()
        await self.report()
        return await asked

    async def subscription(self) -> dict[str, Any]:
        return await self.mine.one("/v1/subscriptions")

    async def credits(self) -> list[int]:
        """Return what was granted, in the order of granting."""
        return [
            row["granted"] for row in await self.stage.rows("select granted from credit_lot order by effective_at, id")
        ]


@pytest.fixture
async def club(db: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Club]:
    async with sandbox_at(tmp_path) as sandbox, running(database_url, outcome_wait_s=10) as (app, http):
        stage = await set_stage(db, database_url, gateway="sandbox")
        await give_key(stage, sandbox.key, base_url=sandbox.url)
        theirs = await caller_of(await set_stage(db, database_url, name="Theirs"), http)
        kind = calls.execution(app.api.state.outside, ASKERS)
        yield Club(stage, sandbox, app, await caller_of(stage, http), theirs, kind)
        with suppress(RuntimeError):
            await app.callers.close()
