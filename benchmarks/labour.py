"""A worker process for `jobs.py`: holds the first attempt of a job, ends any other, and says which it began."""

import asyncio
import signal
import sys

import uvloop

from bursar.kernel import jobs
from bursar.kernel.db import Database
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from bursar.kernel.settings import Settings

HOLD = "benchmarks.hold"
LEASE_S = 5.0


async def hold(work: jobs.Work) -> None:
    print("began", work.job.key, work.job.attempt, flush=True)
    if work.job.attempt == 1:
        await asyncio.sleep(3600)


async def main(url: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    db = await Database.open(url, size=4)
    print("ready", flush=True)
    await Engine(Resources(db, Settings(database_url=url)), Kinds([Kind(HOLD, hold, lease_s=LEASE_S)])).run(
        stopping, grace_s=0
    )
    await db.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
