"""Does jobs: one engine on connections of its own. Any number of workers may do them."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.jobs import Engine, Kinds, Resources, Schedule
from bursar.kernel.settings import Settings
from bursar.kernel.slow import SlowStatements

POOL_SIZE: Final = 12
_AGAIN_S: Final = 0.5

_log = structlog.get_logger("bursar.jobs")


async def work_forever(
    settings: Settings,
    kinds: Kinds,
    stopping: asyncio.Event,
    schedules: Iterable[Schedule] = (),
    *,
    slow: SlowStatements,
) -> None:
    """Do jobs until told to stop; what is under way is ended or given back. A lost database is waited for."""
    while not stopping.is_set():
        try:
            db = await Database.open(settings.database_url, size=POOL_SIZE, watch=slow.watch)
        except DatabaseUnavailable as error:
            _log.warning("jobs_wait_for_database", detail=error.message)
            await asyncio.sleep(_AGAIN_S)
            continue
        try:
            await Engine(Resources(db, settings), kinds, schedules=schedules).run(stopping)
        finally:
            await db.close()
