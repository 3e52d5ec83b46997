"""What a worker does once a minute: look whether the books still hold, let expired credits expire, forget old answers,
sessions, security events and jobs that were given up, go on with erasures.

Expiry is a policy, not a rule of use (that is judged at the time of use): it is enough that it happens
soon. So the tenants are visited in turn, a slice of them each minute.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from bursar.bootstrap import registry
from bursar.kernel import idempotency, jobs, security, tenancy
from bursar.kernel.db import Database
from bursar.kernel.identity import sessions
from bursar.money.applying.sweeping import sweep_bodies
from bursar.money.fulfilment.spending import expire_lots
from bursar.operations.sweep import sweep

EVERY = timedelta(minutes=1)
SLICE = 200
LOTS_MAX = 1000
ANSWER_BATCHES_MAX = 50

log = structlog.get_logger(__name__)


class Chores:
    """The chores of one worker, which remembers whom it visited last. Any number of workers may do them."""

    def __init__(self, db: Database, *, security_kept: timedelta, jobs_kept: timedelta) -> None:
        self._db = db
        self._security_kept = security_kept
        self._jobs_kept = jobs_kept
        self._visited: UUID | None = None

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
        found = await tenancy.tenants_after(self._db, self._visited, limit=SLICE)
        self._visited = found[-1] if len(found) == SLICE else None
        return found

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
