"""Jobs: how many a worker does in a second, how many are enqueued, how soon one begins, and who goes on when a worker ends."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import uvloop

from benchmarks import cpu
from benchmarks.figures import Budget, Result, Scale, percentile
from benchmarks.ground import Ground, ground
from benchmarks.labour import HOLD, LEASE_S
from benchmarks.yardstick import pgbench
from bursar.kernel import ids, jobs
from bursar.kernel.db import Database
from bursar.kernel.jobs import Engine, Kind, Kinds, NewJob, Resources
from bursar.kernel.settings import Settings

PROMISE = "one worker does twice the jobs that eight connections do with a transaction for each, and what a worker held goes on when its lease ends"
BUDGETS = (
    Budget("ratio", at_least=2.0),
    Budget("start_p99_ms", at_most=150.0),
    Budget("killed_s", at_most=LEASE_S + 1),
    Budget("frozen_s", at_most=LEASE_S + 1),
    Budget("idle_cores", at_most=0.02),
)
NOTES = (
    "done_per_second: jobs whose handler does nothing, preloaded, one worker; python_us of its processor time for each",
    "pgbench_per_second: 8 clients, one transaction for each job that takes the oldest and deletes it",
    "start: from the commit that enqueued until the handler runs, 20 jobs a second, on an otherwise idle worker",
    f"killed, frozen: from the signal until another worker begins the job, whose lease is {LEASE_S:g} s",
    "idle_cores: of a worker process that has nothing to do; its part of the server is idle_server_cores",
)

_KIND = "benchmarks.nothing"
_AT_ONCE = 1000
_ONE_BY_ONE = """
delete from job where ctid = (
  select ctid from job where state = 'ready' and kind = 'benchmarks.nothing' order by tenant_id, priority, run_at
  limit 1 for update skip locked);
"""


def measure(scale: Scale) -> Result:
    runs = []
    with ground() as here:
        for _ in range(scale.runs):
            found = uvloop.run(_in_process(here, scale)) | _idle(here, scale)
            for name, stop in (("killed_s", signal.SIGKILL), ("frozen_s", signal.SIGSTOP)):
                found[name] = _takeover(here, stop)
            runs.append(found)
    return Result("jobs", PROMISE, BUDGETS, tuple(runs), NOTES)


async def _in_process(here: Ground, scale: Scale) -> dict[str, float]:
    count = 2_000 if scale.quick else 30_000
    async with _opened(here) as db:
        found = await _enqueuing(db, here.tenant_id, scale)
        await _emptied(here)
        await _preloaded(db, here, count)
        done, python_us = await _done(db, here.settings, count)
        await _preloaded(db, here, count)
        one_by_one = pgbench(here, _ONE_BY_ONE, clients=8, seconds=1 if scale.quick else 3)
        await _emptied(here)
        began = await _started(db, here, scale)
    return found | {
        "done_per_second": done,
        "python_us": python_us,
        "pgbench_per_second": one_by_one.per_second,
        "ratio": done / one_by_one.per_second,
        "start_p50_ms": percentile(began, 50),
        "start_p99_ms": percentile(began, 99),
    }


@asynccontextmanager
async def _opened(here: Ground) -> AsyncIterator[Database]:
    db = await Database.open(here.settings.database_url, size=20)
    try:
        yield db
    finally:
        await db.close()


async def _emptied(here: Ground) -> None:
    await asyncio.to_thread(here.admin, "delete from job", "vacuum analyze job")


async def _preloaded(db: Database, here: Ground, count: int) -> None:
    for start in range(0, count, _AT_ONCE):
        await _put(db, here.tenant_id, [f"{start + n}" for n in range(_AT_ONCE)])
    await asyncio.to_thread(here.admin, "vacuum analyze job")


async def _put(db: Database, tenant_id: UUID, keys: list[str], kind: str = _KIND) -> None:
    async with db.tenant(tenant_id) as tx:
        await jobs.enqueue_all(tx, tenant_id=tenant_id, jobs=[NewJob(kind, key, b"{}") for key in keys])


async def _enqueuing(db: Database, tenant_id: UUID, scale: Scale) -> dict[str, float]:
    seconds = 0.3 if scale.quick else min(scale.seconds, 5.0)
    figures = {}
    for name, hands, at_once in (("single", 1, 1), ("16", 16, 1), ("batches", 1, _AT_ONCE)):
        ends = time.monotonic() + seconds
        counts = await asyncio.gather(*(_enqueued_until(db, tenant_id, ends, at_once) for _ in range(hands)))
        figures[f"enqueued_{name}_per_second"] = sum(counts) / seconds
    return figures


async def _enqueued_until(db: Database, tenant_id: UUID, ends: float, at_once: int) -> int:
    count = 0
    while time.monotonic() < ends:
        await _put(db, tenant_id, [str(ids.new()) for _ in range(at_once)])
        count += at_once
    return count


async def _done(db: Database, settings: Settings, count: int) -> tuple[float, float]:
    """Let one worker do everything; return jobs a second, and microseconds of its processor for each."""
    stopping, left = asyncio.Event(), count

    async def nothing(_: jobs.Work) -> None:
        nonlocal left
        left -= 1
        if not left:
            stopping.set()

    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
    await Engine(Resources(db, settings), Kinds([Kind(_KIND, nothing)])).run(stopping)
    seconds = time.monotonic() - began
    return count / seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_utime - used) / count * 1e6


async def _started(db: Database, here: Ground, scale: Scale) -> list[float]:
    """Return the milliseconds from commit to start of jobs that come now and then, ascending."""
    stopping, committed, began = asyncio.Event(), dict[str, float](), dict[str, float]()
    count = 10 if scale.quick else round(20 * min(scale.seconds, 10.0))

    async def note(work: jobs.Work) -> None:
        began[work.job.key] = time.monotonic()
        if len(began) == count:
            stopping.set()

    engine = Engine(Resources(db, here.settings), Kinds([Kind(_KIND, note)]))
    working = asyncio.create_task(engine.run(stopping))
    for n in range(count):
        await _put(db, here.tenant_id, [f"light {n}"])
        committed[f"light {n}"] = time.monotonic()
        await asyncio.sleep(0.05)
    await working
    # A worker may begin before the commit's answer is here.
    return sorted(max(0.0, began[key] - at) * 1000 for key, at in committed.items())


@contextmanager
def _labour(here: Ground) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.labour", here.settings.database_url],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        _hear(process, "ready")
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def _hear(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return
    raise RuntimeError(f"the worker ended before it was {word}")


def _idle(here: Ground, scale: Scale) -> dict[str, float]:
    with _labour(here) as process:
        time.sleep(0.5 if scale.quick else 3)
        server = here.cluster.pid
        assert server is not None
        before = cpu.read({"worker": [process.pid], "server": [server]})
        time.sleep(1 if scale.quick else 8)
        used = cpu.shares(before, cpu.read({"worker": [process.pid], "server": [server]}))
    return {"idle_cores": used["worker"], "idle_server_cores": used["server"]}


def _takeover(here: Ground, stop: signal.Signals) -> float:
    key = str(ids.new())
    with _labour(here) as first:
        uvloop.run(_put_held(here, key))
        _hear(first, "began")
        with _labour(here) as other:
            time.sleep(1.0)
            first.send_signal(stop)
            began = time.monotonic()
            _hear(other, f"began {key} 2")
            return time.monotonic() - began


async def _put_held(here: Ground, key: str) -> None:
    async with here.database() as db:
        await _put(db, here.tenant_id, [key], HOLD)
