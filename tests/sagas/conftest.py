"""The club of tests of changes, with a gateway that refuses, loses its answers, or outlives our workers, as it is told."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import asyncpg
import httpx2
import pytest

from bursar.bootstrap import ASKERS
from bursar.kernel.jobs import Engine, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.money.gateways.calling import Answer, GatewayRefused, OutcomeUnknown
from bursar.operations.verify import verify
from changing.conftest import Club, club
from serving import KEY

__all__ = ["Fortune", "Killed", "Scene", "club"]

_AGAIN = """
update job set state = 'ready', run_at = clock_timestamp(), worker = null
where tenant_id = $1 and kind = any($2::text[]) and state in ('scheduled', 'running')
"""


class Killed(BaseException):
    """As a signal that nobody catches."""


@dataclass
class Fortune:
    """Stands before the sandbox's own adapter. refused, lost, unsent, killed: operations that meet that, as often as they are named."""

    adapter: Any
    sandbox: Any
    refused: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.adapter, name)

    async def execute(self, call: Any, **how: Any) -> Answer:
        met = {name: _struck(getattr(self, name), call.operation) for name in ("refused", "lost", "unsent", "killed")}
        self.sent.append(call.operation)
        if met["refused"]:
            raise GatewayRefused("not today", code="no_reason", status=400)
        if met["unsent"]:
            raise OutcomeUnknown("the connection was lost")
        await self.sandbox.advance(2)  # gateways tell time in seconds, and within one nobody can tell the order
        answer: Answer = await self.adapter.execute(call, **how)
        if met["lost"]:
            raise OutcomeUnknown("the connection was lost")
        if met["killed"]:
            raise Killed
        return answer


def _struck(operations: list[str], operation: str) -> bool:
    if operation not in operations:
        return False
    operations.remove(operation)
    return True


@dataclass
class Scene:
    """A member of gold, 9000 a month, in the middle of the paid period; silver is 3000."""

    club: Club
    fortune: Fortune
    sub: str
    middle: str
    admin_url: str
    attempts_max: int = 12

    async def work(self) -> None:
        """Do what is due, and what waits for another attempt."""
        outside = calls.Outside(lambda _: self.fortune, clock=self.club.app.api.state.outside.now)
        kinds = [
            replace(calls.execution(outside, ASKERS), attempts_max=self.attempts_max),
            calls.lookup(outside, ASKERS),
        ]
        settings = Settings(database_url=self.club.stage.url, secret_key=KEY)
        with suppress(Killed, BaseExceptionGroup):
            await Engine(Resources(self.club.stage.db, settings), Kinds(kinds)).drain()

    async def again(self, kinds: Iterable[str] = (calls.EXECUTE,)) -> None:
        async with self.club.stage.db.tenant(self.club.stage.tenant_id) as tx:
            await tx.execute(_AGAIN, self.club.stage.tenant_id, list(kinds))

    async def ask(self, act: str, body: dict[str, Any], **more: Any) -> httpx2.Response:
        """Ask while workers work and die; then hear what the gateway told."""
        path = f"/v1/subscriptions/{self.sub}/{act}"
        asked = asyncio.create_task(self.club.mine.post(path, {"proration_at": self.middle} | body, **more))
        while not asked.done():
            await self.work()
            await self.again()
            await asyncio.sleep(0.01)
        await self.hear()
        return await asked

    async def look(self) -> None:
        """Let the time come at which unknown calls are looked for."""
        await self.again([calls.LOOK])
        await self.work()
        await self.hear()

    async def hear(self) -> None:
        await self.club.stage.apply()
        await self.club.report()

    async def saga(self) -> dict[str, Any]:
        return await self.club.mine.one("/v1/sagas")

    async def steps(self) -> list[tuple[str, str]]:
        return [(step["name"], step["state"]) for step in (await self.saga())["steps"]]

    async def refunds(self) -> list[int]:
        """Return what went back at the gateway, refund by refund."""
        return [refund["amount"] for refund in (await self.club.sandbox.done("GET", "/v1/refunds"))["data"]]

    async def broken(self) -> list[tuple[str, Any]]:
        connection = await asyncpg.connect(self.admin_url)
        try:
            verified = await verify(connection, self.club.stage.tenant_id, standing_kinds=["feature"])
        finally:
            await connection.close()
        return [(found.name, found.offending) for found in verified.invariants if not found.ok]


@pytest.fixture
async def scene(club: Club, admin_url: str) -> AsyncIterator[Scene]:
    gold = await club.price("gold", 9000, 30)
    await club.price("silver", 3000, 8)
    sub = await club.bought("gold", gold)
    told = await club.subscription()
    start, end = (datetime.fromisoformat(told[name]) for name in ("current_period_start", "current_period_end"))
    fortune = Fortune(club.app.callers.of("sandbox"), club.sandbox)
    yield Scene(club, fortune, sub, (start + (end - start) / 2).isoformat(), admin_url)
