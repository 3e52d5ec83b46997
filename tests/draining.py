"""Jobs in tests: run what is due, at once and in this process."""

from collections.abc import Iterable
from typing import Any

from bursar.bootstrap import JOBS
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from stage import Stage, settings_of

_BRING_FORWARD = """
update job set state = 'ready', run_at = clock_timestamp(), worker = null where tenant_id = $1 and state = any($2::text[])
"""


async def drain(stage: Stage, kinds: Iterable[Kind] = JOBS, **settings: Any) -> int:
    """Run the jobs that are due until none is; return how many attempts were made."""
    resources = Resources(stage.db, settings_of(stage.url, **settings))
    return await Engine(resources, Kinds(kinds)).drain()


async def bring_forward(stage: Stage, *states: str) -> None:
    """Make due what waits for its time (`scheduled`); or what is leased (`running`), as if the lease had ended."""
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(_BRING_FORWARD, stage.tenant_id, list(states or ("scheduled",)))
