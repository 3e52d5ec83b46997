"""Run a worker until it is told to stop: apply, do jobs, send letters, and once a minute the chores. A lost database is waited for."""

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from bursar.bootstrap import SCHEDULES, composers, kinds, registry
from bursar.kernel import garbage
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.mail import mailer_of
from bursar.kernel.pauses import pause
from bursar.kernel.settings import Settings
from bursar.kernel.slow import SlowStatements
from bursar.kernel.slow import forget as forget_slow
from bursar.money.trail.sealing import seal_all
from bursar.worker.applier import Applier
from bursar.worker.chores import EVERY, Chores
from bursar.worker.hands import work_forever
from bursar.worker.postman import post_forever

IDLE_S = 0.02
RECONNECT_S = 0.25
BEAT_S = 1.0
NO_PULSE = -1
SEAL_EVERY_S = 3.0
log = structlog.get_logger(__name__)


async def run(settings: Settings, *, pulse: int = NO_PULSE) -> None:
    """Work until SIGTERM or SIGINT; the batch under way is finished first. pulse: where the supervisor listens."""
    stopping = asyncio.Event()
    slow = SlowStatements(process="worker", over_ms=settings.slow_statement_ms, plan_over_ms=settings.slow_plan_ms)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    tasks = [
        asyncio.create_task(_apply_forever(settings, stopping, slow)),
        asyncio.create_task(work_forever(settings, kinds(), stopping, SCHEDULES, slow=slow)),
        asyncio.create_task(_chores_forever(settings, stopping, slow)),
        asyncio.create_task(
            post_forever(
                settings.database_url,
                mailer_of(settings),
                base_url=settings.public_url,
                stopping=stopping,
                composers=composers(settings),
            )
        ),
        asyncio.create_task(_seal_forever(settings, stopping)),
    ]
    log.info("worker.started")
    garbage.settle()
    if pulse != NO_PULSE:
        tasks.append(asyncio.create_task(_beat_forever(pulse, stopping)))
    await asyncio.gather(*tasks)
    log.info("worker.stopped")


async def _beat_forever(pulse: int, stopping: asyncio.Event) -> None:
    """Say once a second that the event loop turns. Nobody may be listening any more; then there is nobody to tell."""
    while not stopping.is_set():
        with contextlib.suppress(OSError):
            os.write(pulse, b".")
        await pause(stopping, BEAT_S)


async def _apply_forever(settings: Settings, stopping: asyncio.Event, slow: SlowStatements) -> None:
    applier: Applier | None = None
    while not stopping.is_set():
        try:
            applier = applier or await Applier.open(settings=settings, registry=registry(), slow=slow)
            if not await applier.work():
                await pause(stopping, IDLE_S)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            TimeoutError,
        ) as error:
            log.warning("worker.session_lost", error=type(error).__name__, detail=str(error)[:200])
            if applier:
                applier.terminate()
            applier = None
            await pause(stopping, RECONNECT_S)
    if applier:
        applier.terminate()


async def _chores_forever(settings: Settings, stopping: asyncio.Event, slow: SlowStatements) -> None:
    while not stopping.is_set():
        try:
            db = await Database.open(settings.database_url, size=2)
            slow.start(db)
            try:
                chores = Chores(
                    db,
                    security_kept=timedelta(days=settings.security_event_days),
                    jobs_kept=timedelta(days=settings.job_days),
                )
                while not stopping.is_set():
                    await chores.run(now=datetime.now(UTC))
                    await forget_slow(db, before=datetime.now(UTC) - timedelta(days=settings.slow_statement_days))
                    await pause(stopping, EVERY.total_seconds())
            finally:
                await slow.stop(db)
                await db.close()
        except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            log.warning("worker.chores_failed", error=type(error).__name__, detail=str(error)[:200])
            await pause(stopping, 2.0)


async def _seal_forever(settings: Settings, stopping: asyncio.Event) -> None:
    """Seal the audit trail every few seconds, and once more at the end."""
    db: Database | None = None
    while True:
        is_last = stopping.is_set()
        try:
            db = db or await Database.open(settings.database_url, size=1)
            await seal_all(db, now=datetime.now(UTC))
        except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            log.warning("worker.sealing_failed", error=type(error).__name__, detail=str(error)[:200])
        if is_last:
            break
        await pause(stopping, SEAL_EVERY_S)
    if db:
        await db.close()
