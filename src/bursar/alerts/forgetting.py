"""Forget resolved alerts with their history and notices, tests of channels, and old counts of requests."""

from datetime import datetime, timedelta
from typing import Final

from bursar.kernel.db import Database
from bursar.kernel.settings import Settings

BATCH_MAX: Final = 1000
_BATCHES_MAX: Final = 100
_TRAFFIC_KEPT: Final = timedelta(days=2)

_FORGET = f"""
delete from alert where (tenant_id, id) in (
  select tenant_id, id from alert where state = 'resolved' and resolved_at < $1 order by resolved_at limit {BATCH_MAX})
returning 1
"""
_FORGET_TESTS = "delete from alert_notice where alert_id is null and created_at < $1"
_FORGET_REQUESTS = "delete from request_tally where minute < $1"


async def forget(db: Database, settings: Settings, *, now: datetime) -> int:
    """Remove what is older than it is kept; return how many alerts went."""
    before, gone = now - timedelta(days=settings.alert_days), 0
    async with db.engine() as tx:
        await tx.execute(_FORGET_TESTS, before)
        await tx.execute(_FORGET_REQUESTS, now - _TRAFFIC_KEPT)
    for _ in range(_BATCHES_MAX):
        async with db.engine() as tx:
            batch = len(await tx.fetch(_FORGET, before))
        gone += batch
        if batch < BATCH_MAX:
            break
    return gone
