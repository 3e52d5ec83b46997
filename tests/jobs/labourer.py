"""A worker process with a few kinds of its own: killed, frozen and stopped by the tests. Says on standard output what it does.

Arguments: the database's address, and for how long a stop may take.
"""

import asyncio
import os
import signal
import sys

from bursar.kernel import ids, jobs
from bursar.kernel.db import Database
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from bursar.kernel.settings import Settings

LEASE_S = 2.0


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def make(work: jobs.Work) -> None:
    """Make one product, once this attempt is past its wait: the request says how long the first one waits."""
    tell("began", work.job.key, work.job.attempt)
    if work.job.attempt == 1:
        await asyncio.sleep(float(work.job.request or b"0"))
    async with work.finish() as tx:
        await tx.execute(
            "insert into product (tenant_id, id, name) values ($1, $2, $3)", work.job.tenant_id, ids.new(), work.job.key
        )
    tell("made", work.job.key, work.job.attempt)


async def die(work: jobs.Work) -> None:
    tell("began", work.job.key, work.job.attempt)
    os.kill(os.getpid(), signal.SIGKILL)


KINDS = (
    Kind("tests.make", make, lease_s=LEASE_S),
    Kind("tests.make_patiently", make, lease_s=60.0),
    Kind("tests.die", die, lease_s=1.0, attempts_max=2),
)


async def main(url: str, grace_s: float) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    db = await Database.open(url, size=4)
    tell("ready")
    await Engine(Resources(db, Settings(database_url=url)), Kinds(KINDS)).run(stopping, grace_s=grace_s)
    await db.close()
    tell("stopped")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
