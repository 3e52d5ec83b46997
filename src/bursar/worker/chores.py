"""What a worker does once a minute: look whether the books still hold, let expired credits expire, forget old answers,
sessions, security events and jobs that were given up, go on with erasures.

Expiry is a policy, not a rule of use (that is judged at the time of use): it is enough that it happens
soon. So the tenants are visited in turn, a slice of them each minute.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from bursar.bootstrap import registry
from bursar.kernel import idempotency, jobs, security
from bursar.kernel.db import Database
from bursar.kernel.identity import sessions
from bursar.money.applying.sweeping import sweep_bodies
from bursar.money.fulfilment.spending import expire_lots
from bursar.operations.sweep import sweep

EVERY = timedelta(minutes=1)
SLICE = 200
LOTS_MAX = 1000
ANSWER_BATCHES_MAX = 50
_NO_TENANT = UUID(int=0)

# Ids are in the order of creation, so a slice after the last one visited is the next in turn.
_NEXT_TENANTS = "select tenant_id from tenant where tenant_id > $1 order by tenant_id limit $2"

log = structlog.get_logger(__name__)


class Chores:
    """The chores of one worker, which remembers whom it visited last. Any number of workers may do them."""

    def __init__(self, db: Database, *, security_kept: timedelta, jobs_kept: timedelta) -> None:
        self._db = db
        self._security_kept = security_kept
        self._jobs_kept = jobs_kept
        self._visited = _NO_TENANT

    async def run(self, *, now: datetime) -> None:
        """Do every chore once. Raises DatabaseUnavailable."""
        kinds = [kind for kind in registry().kinds if registry()[kind].is_standing]
        swept = await sweep(self._db, standing_kinds=kinds, now=now)
        expired = forgotten = erased = 0
        tenants = await self._next_tenants()
        await security.forget(self._db, tenants, before=now - self._security_kept)
        await jobs.forget(self._db, [jobs.INSTALLATION, *tenants], before=now - self._jobs_kept)
        for tenant_id in tenants:
            expired += await self._expire(tenant_id, now=now)
            forgotten += await self._forget(tenant_id, now=now)
            erased += await sweep_bodies(self._db, tenant_id=tenant_id, now=now)
        log.debug(
            "worker.chores", swept=str(swept), lots_expired=expired, answers_forgotten=forgotten, bodies_erased=erased
        )

    async def _next_tenants(self) -> list[UUID]:
        async with self._db.engine() as tx:
            rows = await tx.fetch(_NEXT_TENANTS, self._visited, SLICE)
        self._visited = rows[-1]["tenant_id"] if len(rows) == SLICE else _NO_TENANT
        return [row["tenant_id"] for row in rows]

    async def _expire(self, tenant_id: UUID, *, now: datetime) -> int:
        async with self._db.tenant(tenant_id) as tx:
            await sessions.tidy(tx, tenant_id=tenant_id, now=now)
            return await expire_lots(tx, tenant_id=tenant_id, now=now, limit=LOTS_MAX)

    async def _forget(self, tenant_id: UUID, *, now: datetime) -> int:
        """Remove answers to old idempotency keys: as many as come in a minute and more, but not without end."""
        forgotten = 0
        for _ in range(ANSWER_BATCHES_MAX):
            async with self._db.tenant(tenant_id) as tx:
                batch = await idempotency.clean(tx, tenant_id=tenant_id, now=now)
            forgotten += batch
            if batch < idempotency.CLEANED_MAX:
                break
        return forgotten
