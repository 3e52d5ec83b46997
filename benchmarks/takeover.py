"""Takeover: how long until another worker goes on with what a killed, and a frozen, worker was inside of."""

import asyncio
import os
import signal
import time

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
                found[name] = _takeover(here, stop)
            found["twice"] = float(here.program("psql", "-qXtAc", _TWICE))
            runs.append(found)
    return Result("takeover", PROMISE, BUDGETS, tuple(runs), NOTES)


def _takeover(here: Ground, stop: signal.Signals) -> float:
    with here.worker() as first:
        _wait_until_inside(here, first)
        with here.worker():
            time.sleep(1.0)
            os.kill(first.pid, stop)
            began, before = time.monotonic(), _number(here, _APPLIED)
            while _number(here, _LEFT) and _number(here, _APPLIED) == before:
                time.sleep(0.02)
            seconds = time.monotonic() - began
            while _number(here, _LEFT):
                time.sleep(0.05)
    return seconds


def _wait_until_inside(here: Ground, worker: Process) -> None:
    deadline = time.monotonic() + 30
    while f":{worker.pid}" not in here.program("psql", "-qXtAc", _MARKED):
        assert time.monotonic() < deadline, "the worker did not begin"
        time.sleep(0.005)


def _number(here: Ground, query: str) -> int:
    return int(here.program("psql", "-qXtAc", query))
