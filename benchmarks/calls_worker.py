"""A worker that makes calls and nothing else, and may be killed: `python -m benchmarks.calls_worker URL KEY fixed|fresh`."""

import asyncio
import sys
from dataclasses import replace
from typing import Any
from uuid import uuid4

import uvloop

from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.jobs import Backoff, Engine, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money import calls, refunding
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import Answer, Caller

LEASE_S, DEADLINE_S = 4.0, 2.0


class FreshKeys:
    """The control: the caller of a gateway with another key for each attempt, as if there were none."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._caller, name)

    async def execute(self, call: Any, *, idempotency_key: str, **more: Any) -> Answer:
        del idempotency_key
        return await self._caller.execute(call, idempotency_key=str(uuid4()), **more)


async def _run(url: str, secret_key: str, keys: str) -> None:
    callers = Callers()
    fresh = {name: FreshKeys(callers.of(name)) for name in ("stripe",)}
    caller_of = callers.of if keys == "fixed" else fresh.__getitem__
    outside = calls.Outside(caller_of, clock=utc_now, deadline_s=DEADLINE_S)
    kind = replace(
        calls.execution(outside, [refunding.ASKER], lease_s=LEASE_S),
        backoff=Backoff(first_s=0.3, max_s=2.0),
        attempts_max=100,
        retries_per_minute=100_000,
    )
    db = await Database.open(url, size=10)
    await Engine(Resources(db, Settings(database_url=url, secret_key=secret_key)), Kinds([kind]), at_once=30).run(
        asyncio.Event()
    )


if __name__ == "__main__":
    uvloop.run(_run(*sys.argv[1:]))
