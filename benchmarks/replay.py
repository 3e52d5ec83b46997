"""Replay: every event of a business once more; what it left must be what it was."""

import asyncio
import time

from benchmarks.events import mixed_events
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, file_bodies, ground
from bursar.money.intake import replay_matching
from bursar.operations.fingerprint import fingerprint
from bursar.operations.snapshots import reading

PROMISE = "a replay of all history leaves the state identical, at 5,000 events a second"
BUDGETS = (Budget("per_second", at_least=5000), Budget("differences", at_most=0))
NOTES = ("differences: tables whose canonical content changed",)


def measure(scale: Scale) -> Result:
    """Apply a business of mixed events, then replay it with one worker."""
    runs = []
    with ground() as here:
        events = mixed_events(20 if scale.quick else 500)
        asyncio.run(file_bodies(here, events))
        with here.worker():
            here.until_applied()
            for _ in range(scale.runs):
                before = asyncio.run(_state(here))
                count = asyncio.run(_replay(here))
                began = time.monotonic()
                here.until_applied()
                seconds = time.monotonic() - began
                after = asyncio.run(_state(here))
                changed = sum(before[table] != after.get(table) for table in before)
                runs.append({"per_second": count / seconds, "events": float(count), "differences": float(changed)})
    return Result("replay", PROMISE, BUDGETS, tuple(runs), NOTES)


async def _replay(here: Ground) -> int:
    async with here.database() as db, db.tenant(here.tenant_id) as tx:
        return await replay_matching(tx, tenant_id=here.tenant_id, filter={}, actor="benchmark", reason="benchmark")


async def _state(here: Ground) -> dict[str, str]:
    async with reading(here.settings.database_url) as connection:
        found = await fingerprint(connection, here.tenant_id)
    return {name: table.sha256 for name, table in found.tables.items()}
