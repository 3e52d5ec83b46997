"""What a worker does once a minute: look whether the books still hold, and let expired credits expire.

Expiry is a policy, not a rule of spending (that is judged at the time of use): it is enough that it happens
soon. So the tenants are visited in turn, a slice of them each minute.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from bursar.bootstrap import registry
from bursar.kernel.db import Database
from bursar.money.fulfilment.spending import expire_lots
from bursar.operations.sweep import sweep

EVERY = timedelta(minutes=1)
SLICE = 200
LOTS_MAX = 1000
_NO_TENANT = UUID(int=0)

# Ids are in the order of creation, so a slice after the last one visited is the next in turn.
_NEXT_TENANTS = "select tenant_id from tenant where tenant_id > $1 order by tenant_id limit $2"

log = structlog.get_logger(__name__)


class Chores:
    """The chores of one worker, which remembers whom it visited last. Any number of workers may do them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._visited = _NO_TENANT

    async def run(self, *, now: datetime) -> None:
        """Do every chore once. Raises DatabaseUnavailable."""
        kinds = [kind for kind in registry().kinds if registry()[kind].is_standing]
        swept = await sweep(self._db, standing_kinds=kinds, now=now)
        expired = await self._expire(now=now)
        log.debug("worker.chores", swept=str(swept), lots_expired=expired)

    async def _expire(self, *, now: datetime) -> int:
        async with self._db.engine() as tx:
            rows = await tx.fetch(_NEXT_TENANTS, self._visited, SLICE)
        self._visited = rows[-1]["tenant_id"] if len(rows) == SLICE else _NO_TENANT
        expired = 0
        for row in rows:
            async with self._db.tenant(row["tenant_id"]) as tx:
                expired += await expire_lots(tx, tenant_id=row["tenant_id"], now=now, limit=LOTS_MAX)
        return expired
