"""A business whose customer has saved ways to pay at a sandbox of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.conftest import Caller, caller_of, running
from bursar.bootstrap import ASKERS, composers
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.identity.letters import post_letters
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from bursar.kernel.mail import Message
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.web.app import Application
from sandboxing import Sandbox, sandbox_at
from serving import KEY, give_key
from stage import Stage, add_price, set_stage

VISA = "pm_card_visa"
ASKED_ALWAYS = "pm_card_authenticationRequired"
DECLINED_LATER = "pm_card_chargeCustomerFail"
BACK = "https://studio.example.org/paid"


class Kept:
    """A mailer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)


@dataclass
class Till:
    """Takes money with saved cards. `ask` asks while a worker works; `hear` brings what the gateway told."""

    stage: Stage
    sandbox: Sandbox
    app: Application
    mine: Caller
    theirs: Caller
    kind: Kind
    customer: str = ""
    told: set[str] = field(default_factory=set)

    @property
    def settings(self) -> Settings:
        return Settings(database_url=self.stage.url, secret_key=KEY)

    async def work(self) -> int:
        return await Engine(Resources(self.stage.db, self.settings), Kinds([self.kind])).drain()

    async def posted(self) -> list[Message]:
        """Send the letters that are due; return them."""
        mailer = Kept()
        written = composers(self.settings)
        await post_letters(self.stage.db, mailer, base_url="https://pay.example.org", clock=utc_now, composers=written)
        return mailer.messages

    async def hear(self) -> None:
        """Apply what was answered, and deliver every event that the sandbox has told and we have not heard, oldest first."""
        await self.stage.apply()
        page = await self.sandbox.done("GET", "/v1/events", {"limit": 100})
        fresh = [event for event in reversed(page["data"]) if event["id"] not in self.told]
        self.told |= {event["id"] for event in fresh}
        if fresh:
            await self.stage.tell(*fresh)

    async def saved(self, token: str = VISA, **card: int) -> str:
        """Let the customer have saved a card; return the method."""
        owner = await self.mine.get(f"/v1/customers/{self.customer}")
        form = {"customer": owner.json()["gateway_ref"]}
        ref = (await self.sandbox.done("POST", f"/v1/payment_methods/{token}/attach", form))["id"]
        if card:
            await self.sandbox.advance(2)  # Within one second nobody can tell which state was the later one.
            await self.sandbox.done("POST", f"/v1/payment_methods/{ref}", {"card": card})
        await self.hear()
        return await self.method(ref)

    async def method(self, ref: str) -> str:
        found = await self.stage.value("select id from payment_method where gateway_ref = $1", ref)
        return ids.show(ids.PAYMENT_METHOD, found)

    async def joined(self, email: str = "ann@example.com") -> str:
        """Let somebody be a customer of the gateway; return the customer."""
        ref = (await self.sandbox.done("POST", "/v1/customers", {"email": email, "name": "Ann"}))["id"]
        await self.hear()
        return str((await self.mine.one("/v1/customers", gateway_ref=ref))["id"])

    async def ask(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        """Ask for something, while a worker works. A little later than what was before: gateways tell time in seconds."""
        await self.sandbox.advance(2)
        asked = asyncio.create_task(self.mine.post(path, body, **more))
        while not asked.done():
            await self.work()
            await asyncio.sleep(0.01)
        await self.work()
        return await asked

    async def pay(self, method: str, **more: Any) -> httpx2.Response:
        once = more.pop("once", None)
        wanted = {"customer": self.customer, "payment_method": method, "price": "ten"} | more
        return await self.ask("/v1/payments", {k: v for k, v in wanted.items() if v is not None}, once=once)

    async def credits(self) -> list[int]:
        return [row["granted"] for row in await self.stage.rows("select granted from credit_lot order by id")]

    async def charges(self) -> list[tuple[str, int]]:
        """Return what the gateway tried to take, oldest first."""
        page = await self.sandbox.done("GET", "/v1/charges", {"limit": 100})
        return [(charge["status"], charge["amount"]) for charge in reversed(page["data"])]


@pytest.fixture
async def till(request: Any, db: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Till]:
    waits_s = getattr(request, "param", 30)
    async with sandbox_at(tmp_path) as sandbox, running(database_url, outcome_wait_s=waits_s) as (app, http):
        stage = await set_stage(db, database_url, gateway="sandbox")
        await add_price(stage, "ten", 4500, [{"kind": "credits", "amount": 10, "pool": "classes"}], refs=[])
        await give_key(stage, sandbox.key, base_url=sandbox.url)
        theirs = await caller_of(await set_stage(db, database_url, name="Theirs"), http)
        kind = calls.execution(app.api.state.outside, ASKERS)
        opened = Till(stage, sandbox, app, await caller_of(stage, http), theirs, kind)
        opened.customer = await opened.joined()
        yield opened
        with suppress(RuntimeError):
            await app.callers.close()
