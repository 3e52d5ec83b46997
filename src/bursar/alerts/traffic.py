"""How the API answers, counted in memory and added to a table every few seconds: what the rules of errors and slowness look at.

Counting neither waits nor fails. A process that is killed loses at most those seconds of counts.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg
import structlog

from bursar.kernel.db import Database
from bursar.kernel.errors import DomainError

FLUSH_EVERY_S: Final = 5.0
SLOW_S: Final = 1.0
_ERRORS_FROM: Final = 500
_GATEWAY_REFUSED: Final = 502
"""What a gateway refuses is no error of ours."""
_APART: Final = ("/health", "/metrics", "/live")
"""Probes say how others are, and a live page is open for as long as somebody looks at it."""
_READS: Final = ("GET", "HEAD")
_DELIVERY: Final = "/v1/webhooks/"

_ADD = """
insert into request_tally as t (minute, requests, errors, slow) values (date_trunc('minute', clock_timestamp()), $1, $2, $3)
on conflict (minute) do update set requests = t.requests + excluded.requests, errors = t.errors + excluded.errors, slow = t.slow + excluded.slow
"""

_log = structlog.get_logger("bursar.alerts")


class Traffic:
    """What one process answered since the last time it was written down."""

    def __init__(self) -> None:
        self._requests = self._errors = self._slow = 0
        self._task: asyncio.Task[None] | None = None
        self._db: Database | None = None

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. Writes may wait for a gateway by design: only reads and deliveries can be slow."""
        if route.startswith(_APART):
            return
        self._requests += 1
        self._errors += status >= _ERRORS_FROM and status != _GATEWAY_REFUSED
        self._slow += seconds > SLOW_S and (method in _READS or route.startswith(_DELIVERY))

    def start(self, db: Database) -> None:
        """Begin to write what is counted."""
        self._db = db
        self._task = asyncio.create_task(self._write_forever(db))

    async def stop(self) -> None:
        """Write what is left and end."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._db is not None:
            await self._try_to_flush(self._db)

    async def flush(self, db: Database) -> None:
        """Write what was counted since the last time. Raises what the database raises; then nothing is lost."""
        counted = (self._requests, self._errors, self._slow)
        if not counted[0]:
            return
        self._requests = self._errors = self._slow = 0
        try:
            async with db.engine() as tx:
                await tx.execute(_ADD, *counted)
        except BaseException:
            self._requests += counted[0]
            self._errors += counted[1]
            self._slow += counted[2]
            raise

    async def _write_forever(self, db: Database) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self._try_to_flush(db)

    async def _try_to_flush(self, db: Database) -> None:
        try:
            await self.flush(db)
        except (DomainError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.warning("requests_not_counted", error=type(error).__name__)
