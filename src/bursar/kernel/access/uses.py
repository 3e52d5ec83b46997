"""When each key was last used, and from where: noted in memory in the request, written by a task beside it.

A key's use is written within a second, and then at most once a minute, however often it is used and by however many
processes. What the database did not take is kept and tried again; at the stop everything is written. A process that is
killed loses the uses of its last minute, and no other.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel.db import Database
from bursar.kernel.errors import DomainError

GAP: Final = timedelta(minutes=1)
_LOOK_EVERY_S: Final = 1.0
_TURN_MAX: Final = 1000

# Returns those that were written, and those that have to wait because another process has just written them.
_WRITE = """
with used as (
  select u.id, u.at, nullif(u.address, '')::inet as address
  from unnest($2::uuid[], $3::timestamptz[], $4::text[]) as u (id, at, address)
), written as (
  update api_key k set last_used_at = used.at, last_used_address = used.address
  from used
  where k.tenant_id = $1 and k.id = used.id
    and (k.last_used_at is null or (k.last_used_at < used.at and k.last_used_at <= $5::timestamptz))
  returning k.id
)
select id, true as is_written from written
union all
select used.id, false from used join api_key k on k.tenant_id = $1 and k.id = used.id
where k.last_used_at < used.at and used.id not in (select id from written)
"""

_Key = tuple[UUID, UUID]
_Use = tuple[datetime, str]

_log = structlog.get_logger("bursar.keys")


class Uses:
    """What one process saw of keys being used. clock: what time it is."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._waiting: dict[_Key, _Use] = {}
        self._not_before: dict[_Key, float] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, *, tenant_id: UUID, key_id: UUID, address: str) -> None:
        """Remember that a key was used now. Neither waits nor fails."""
        self._waiting[tenant_id, key_id] = (self._clock(), address)

    def start(self, db: Database) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_forever(db))

    async def stop(self, db: Database) -> None:
        """Write what is left and end."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._not_before.clear()
        await self._try_to_flush(db, gap=timedelta())

    async def flush(self, db: Database, *, gap: timedelta = GAP) -> None:
        """Write what is due. Raises what the database raises; then nothing is lost."""
        moment = time.monotonic()
        self._not_before = {key: at for key, at in self._not_before.items() if at > moment}
        due = sorted(key for key in self._waiting if key not in self._not_before)[:_TURN_MAX]
        for tenant_id in dict.fromkeys(tenant_id for tenant_id, _ in due):
            await self._write(db, tenant_id, [key for key in due if key[0] == tenant_id], gap)

    async def _write(self, db: Database, tenant_id: UUID, keys: Sequence[_Key], gap: timedelta) -> None:
        uses = {key: self._waiting.pop(key) for key in keys}
        try:
            async with db.tenant(tenant_id) as tx:
                rows = await tx.fetch(
                    _WRITE,
                    tenant_id,
                    [key_id for _, key_id in uses],
                    [at for at, _ in uses.values()],
                    [address for _, address in uses.values()],
                    self._clock() - gap,
                )
        except BaseException:
            self._waiting = uses | self._waiting
            raise
        told = {(tenant_id, row["id"]): row["is_written"] for row in rows}
        self._waiting = {key: uses[key] for key, is_written in told.items() if not is_written} | self._waiting
        self._not_before |= dict.fromkeys(told, time.monotonic() + gap.total_seconds())

    async def _write_forever(self, db: Database) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self._try_to_flush(db)

    async def _try_to_flush(self, db: Database, *, gap: timedelta = GAP) -> None:
        try:
            await self.flush(db, gap=gap)
        except (DomainError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.warning("key_uses_not_written", error=type(error).__name__)
