"""Sends the letters that are due, a second after they were written at most. Any number of workers may do it."""

import asyncio
from collections.abc import Mapping
from typing import Final

import asyncpg
import structlog

from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.identity.letters import Composer, post_letters
from bursar.kernel.mail import Mailer
from bursar.kernel.pauses import pause

EVERY_S: Final = 1.0
_AGAIN_S: Final = 2.0

_log = structlog.get_logger("bursar.mail")


async def post_forever(
    url: str, mailer: Mailer, *, base_url: str, stopping: asyncio.Event, composers: Mapping[str, Composer]
) -> None:
    """Send letters until told to stop. A lost database is waited for."""
    while not stopping.is_set():
        try:
            db = await Database.open(url, size=2)
            try:
                while not stopping.is_set():
                    await post_letters(db, mailer, base_url=base_url, clock=utc_now, composers=composers)
                    await pause(stopping, EVERY_S)
            finally:
                await db.close()
        except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.warning("postman_failed", error=type(error).__name__, detail=str(error)[:200])
            await pause(stopping, _AGAIN_S)
