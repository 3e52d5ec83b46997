"""Forget jobs: those that were given up, with what they were to do, and the counts of how jobs ended, each after its time.

One whose outcome is unknown is never forgotten: somebody has yet to learn what it did.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Database

FORGOTTEN_MAX: Final = 1000
"""Jobs at most by one call, so that it does not keep others waiting."""

# Whoever rests since then was made before: the index is read no further than that.
_FORGET_DEAD = f"""
delete from job where (tenant_id, id) in (
  select tenant_id, id from job where tenant_id = any($1::uuid[]) and state = 'dead' and id < $2 and rested_at < $3
  limit {FORGOTTEN_MAX} for update skip locked)
returning 1
"""

_FORGET_COUNTS = "delete from job_tally where tenant_id = any($1::uuid[]) and day < $2"


async def forget(db: Database, tenants: Sequence[UUID], *, before: datetime) -> int:
    """Remove what these tenants' jobs left before a time; return how many jobs went."""
    async with db.engine() as tx:
        await tx.execute(_FORGET_COUNTS, list(tenants), before.date())
        return len(await tx.fetch(_FORGET_DEAD, list(tenants), ids.least_at(before), before))
