"""A business whose customers turn to their bank: bought in the sandbox, contested there, answered through the API."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.conftest import caller_of, running
from bursar.bootstrap import ASKERS
from bursar.kernel.db import Database
from bursar.money import calls
from bursar.money.gateways.calling import Credentials
from bursar.money.gateways.calls import CheckoutLine, CheckoutMode, CreateCheckout
from bursar.money.gateways.facts import Claim
from changing.conftest import CARD, DAY_S, Club
from sandboxing import sandbox_at
from serving import give_key
from stage import PACK, set_stage

DISPUTED = "4000000000000259"
INQUIRED = "4000000000001976"


@dataclass
class Clock:
    """The application's clock, which a test may put forward."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Shop(Club):
    """Sells packs of classes for 50.00 EUR."""

    clock: Clock = field(default_factory=Clock)

    async def contested(self, number: str = DISPUTED) -> str:
        """Let somebody have bought a pack, and turned against it; return the dispute."""
        order = (await self.mine.post("/v1/orders", {"lines": [{"price": PACK}]})).json()["id"]
        call = CreateCheckout(
            mode=CheckoutMode.payment,
            success_url="https://shop.example/done",
            lines=(CheckoutLine(amount_minor=5000, currency="EUR", name="Ten classes"),),
            claim=Claim(order=order),
        )
        opened = Credentials(self.sandbox.key, self.sandbox.url)
        adapter = self.app.callers.of("sandbox")
        session = (await adapter.execute(call, credentials=opened, idempotency_key=f"buy-{order}")).ref
        paid = await self.sandbox.http.post(f"/c/pay/{session}", data=CARD | {"number": number})
        assert paid.status_code in (200, 303), paid.text
        await self.sandbox.advance(DAY_S)
        await self.report()
        return str((await self.mine.data("/v1/disputes"))[0]["id"])

    async def there(self) -> dict[str, Any]:
        """Return the newest dispute as the gateway has it."""
        found: dict[str, Any] = (await self.sandbox.done("GET", "/v1/disputes"))["data"][0]
        return found

    async def uploads(self) -> int:
        """Return how many files lie at the gateway."""
        return len((await self.sandbox.done("GET", "/v1/files", {"limit": 100}))["data"])


@pytest.fixture
async def shop(db: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    clock = Clock()
    async with (
        sandbox_at(tmp_path) as sandbox,
        running(database_url, clock=clock, outcome_wait_s=10, public_url="http://bursar.test") as (app, http),
    ):
        stage = await set_stage(db, database_url, gateway="sandbox")
        await give_key(stage, sandbox.key, base_url=sandbox.url)
        theirs = await caller_of(await set_stage(db, database_url, name="Theirs"), http)
        kind = calls.execution(app.api.state.outside, ASKERS)
        yield Shop(stage, sandbox, app, await caller_of(stage, http), theirs, kind, clock=clock)
        with suppress(RuntimeError):
            await app.callers.close()
