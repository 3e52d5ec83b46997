"""Takeover: how long until another worker goes on with what a killed, and a frozen, worker was inside of."""

import asyncio
import os
import signal
import time
from typing import Any

import asyncpg

from benchmarks.events import paid_events
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, file_bodies, ground

PROMISE = "a killed worker's events go on within 2 s, a frozen one's within 10 s, and nothing twice"
BUDGETS = (Budget("killed_s", at_most=2.0), Budget("frozen_s", at_most=10.0), Budget("twice", at_most=0))
NOTES = ("seconds from the signal until the other worker has applied an event",)

_LEFT = "select count(*) from gateway_event_queue"
_APPLIED = "select count(*) from gateway_event_outcome"
_TWICE = """
select (select count(*) from gateway_event_outcome where run > 0)
  + (select count(*) from (select source_id, price_id from fulfilment_grant group by 1, 2, position having count(*) > 1) t)
  + (select abs(count(*) - (select count(*) from gateway_event_outcome)) from audit_record where event_id is not null)
"""
_MARKED = "select worker from worker_bucket where cardinality(events) > 0"


async def _file(here: Ground, count: int, series: str) -> None:
    await file_bodies(here, list(paid_events(count, series)))


def measure(scale: Scale) -> Result:
    """Stop one of two workers in the middle of a backlog, in each of the two ways."""
    count = 400 if scale.quick else 8000
    runs = []
    with ground() as here:
        for number in range(scale.runs):
            found: dict[str, float] = {}
            for name, stop in (("killed_s", signal.SIGKILL), ("frozen_s", signal.SIGSTOP)):
                asyncio.run(_file(here, count, "abcdefghij"[number * 2 + (stop is signal.SIGSTOP)]))
                found[name] = asyncio.run(_takeover(here, stop))
            found["twice"] = float(here.program("psql", "-qXtAc", _TWICE))
            runs.append(found)
    return Result("takeover", PROMISE, BUDGETS, tuple(runs), NOTES)


async def _takeover(here: Ground, stop: signal.Signals) -> float:
    """Return the seconds until the other worker goes on. It is looked at over one connection: a new one each time would slow what is looked at."""
    looking = await asyncpg.connect(here.cluster.admin_url)
    try:
        with here.worker() as first:
            await _wait_until_inside(looking, first)
            with here.worker():
                await asyncio.sleep(1.0)
                os.kill(first.pid, stop)
                began, before = time.monotonic(), await looking.fetchval(_APPLIED)
                while await looking.fetchval(_LEFT) and await looking.fetchval(_APPLIED) == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                seconds = time.monotonic() - began
                while await looking.fetchval(_LEFT):  # noqa: ASYNC110 - another process makes it true
                    await asyncio.sleep(0.05)
    finally:
        await looking.close()
    return seconds


async def _wait_until_inside(looking: Any, worker: Process) -> None:
    async with asyncio.timeout(30):
        while not any(f":{worker.pid}" in row["worker"] for row in await looking.fetch(_MARKED)):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
