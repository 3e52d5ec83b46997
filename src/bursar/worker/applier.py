"""The applier: one session, one bucket at a time, batches first and single events where a batch fails."""

import os
import random
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel import ids, tracing
from bursar.kernel.db import tenant_transaction
from bursar.kernel.settings import Settings
from bursar.money.applying import EventInvalid, Pending, Translated, apply_batch, translate
from bursar.money.applying.batch import Account
from bursar.money.fulfilment import Registry
from bursar.money.intake import queue
from bursar.money.intake.queue import Failure, Lane, Queued

BATCH_MAX = 200
BATCHES_OF_A_BUCKET = 5
PLAN_ANEW_FIRST = 500
"""Events after which a new session plans its statements again, and then whenever it has applied four times as many."""
_SESSION_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
)
log = structlog.get_logger(__name__)

SESSION_SETTINGS = {
    "application_name": "bursar-worker",
    # A frozen worker must lose its session, and with it its bucket: the server ends a silent one.
    "idle_in_transaction_session_timeout": "5000",
    "idle_session_timeout": "8000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "2000",
    "statement_timeout": "30000",
    "lock_timeout": "5000",
    "jit": "off",
    # Every statement of a batch looks rows up by their keys. A plan made while a table was small, or before its first
    # analyze, would read all of a tenant instead, and be kept while the table grows; so would the checks of references.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}


class Applier:
    """Applies what is due. connection: the worker's own, never pooled; it holds the locks and does the writing."""

    def __init__(self, connection: Any, *, settings: Settings, registry: Registry) -> None:
        self._connection = connection
        self._settings = settings
        self._registry = registry
        self._grace = timedelta(days=settings.grace_days)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._applied = 0
        self._plan_anew_at = PLAN_ANEW_FIRST

    @classmethod
    async def open(cls, *, settings: Settings, registry: Registry) -> "Applier":
        """Connect past any pooler. Raises OSError, asyncpg.PostgresError."""
        url = settings.database_direct_url or settings.database_url
        connection = await asyncpg.connect(url, server_settings=SESSION_SETTINGS, timeout=5, command_timeout=40)
        await connection.execute("select set_config('role', 'bursar_engine', false)")
        tracing.watch(connection)
        return cls(connection, settings=settings, registry=registry)

    def terminate(self) -> None:
        """Drop the session: its locks are free and nothing of it can commit."""
        self._connection.terminate()

    async def work(self) -> int:
        """Apply what is due in one bucket; return how many events were finished (0: nothing was due)."""
        bucket = await queue.claim(self._connection)
        if bucket is None:
            return 0
        done = 0
        suspects: set[UUID] = set()
        if crashed := await queue.crashed_in(self._connection, bucket):
            suspects.update(crashed[1])
            log.warning("worker.crash_found", bucket=bucket, events=len(crashed[1]))
        for _ in range(BATCHES_OF_A_BUCKET):
            due = await queue.due_events(self._connection, bucket, limit=BATCH_MAX)
            if due is None:
                break
            done += await self._work_lane(*due, suspects)
        await queue.release(self._connection, bucket)
        await self._plan_anew(done)
        return done

    async def _plan_anew(self, done: int) -> None:
        """Forget plans that were made for much smaller tables, those of the checks of references among them."""
        self._applied += done
        if self._applied >= self._plan_anew_at:
            await self._connection.execute("discard plans")
            self._plan_anew_at = self._applied * 4

    async def _work_lane(self, lane: Lane, events: list[Queued], suspects: set[UUID]) -> int:
        worn = [e for e in events if e.crashes >= queue.CRASHES_MAX]
        if worn:
            await self._bury(lane, worn)
            events = [e for e in events if e.crashes < queue.CRASHES_MAX]
        alone = [e for e in events if e.id in suspects or e.crashes]
        together = [e for e in events if not (e.id in suspects or e.crashes)]
        done = len(worn)
        if together:
            done += await self._apply(lane, together)
        for event in alone:
            done += await self._apply(lane, [event])
        return done

    async def _apply(self, lane: Lane, events: Sequence[Queued]) -> int:
        """Apply events in one transaction; where that fails, one at a time, so that only the failing one waits."""
        await queue.mark(self._connection, lane, events=[e.id for e in events], worker=self._name)
        translated, failures = self._translate(lane, events)
        try:
            await self._commit(lane, translated, failures)
        except Exception as error:
            if self._is_lost(error):
                raise
            if len(events) > 1:
                log.warning("worker.batch_failed", error=type(error).__name__, events=len(events))
                return sum([await self._apply(lane, [event]) for event in events])
            # Told after it is written down: drawing a traceback takes longer than a silent session may.
            await self._commit(lane, [], [self._failure(events[0], f"{type(error).__name__}: {error}")])
            await self._tell(lane, events[0], error)
        return len(events)

    async def _tell(self, lane: Lane, event: Queued, error: Exception) -> None:
        """Log a failure with the id of the request that brought the event, so that one search finds both."""
        told_by = await queue.correlation_of(self._connection, lane, event.id)
        name = ids.show(ids.EVENT, event.id)
        log.error("worker.event_failed", gateway_event=name, type=event.type, correlation_id=told_by, exc_info=error)
        tracing.report(error, gateway_event=name, type=event.type, correlation_id=told_by)

    def _is_lost(self, error: Exception) -> bool:
        """True when it is the session that failed, not an event. A statement that took too long is the event's doing."""
        if isinstance(error, asyncpg.QueryCanceledError | asyncpg.DataError):
            return bool(self._connection.is_closed())
        return isinstance(error, _SESSION_LOST) or bool(self._connection.is_closed())

    async def _commit(self, lane: Lane, translated: Sequence[Translated], failures: Sequence[Failure]) -> None:
        told: tracing.Attributes = {
            "bursar.gateway": lane.gateway,
            "bursar.events": len(translated),
            "bursar.failures": len(failures),
        }
        with tracing.span("apply batch", told):
            await self._write(lane, translated, failures)

    async def _write(self, lane: Lane, translated: Sequence[Translated], failures: Sequence[Failure]) -> None:
        async with tenant_transaction(self._connection, lane.tenant_id):
            if translated:
                await apply_batch(
                    self._connection,
                    account=Account(lane.tenant_id, lane.account_id, lane.gateway),
                    events=translated,
                    registry=self._registry,
                    grace=self._grace,
                    now=datetime.now(UTC),
                )
                outcomes = {t.event.id: "ignored" if t.translation.is_ignored else "applied" for t in translated}
                await queue.finish(self._connection, lane, outcomes=outcomes)
            else:
                await queue.unmark(self._connection, lane.bucket)
            await queue.fail(self._connection, tenant_id=lane.tenant_id, failures=failures)

    def _translate(self, lane: Lane, events: Sequence[Queued]) -> tuple[list[Translated], list[Failure]]:
        translated: list[Translated] = []
        failures: list[Failure] = []
        for event in events:
            pending = Pending(event.id, event.type, event.origin, event.occurred_at, event.body)
            try:
                translated.append(translate(pending, gateway_name=lane.gateway))
            except EventInvalid as error:
                failures.append(self._failure(event, str(error)))
            except Exception as error:
                name = ids.show(ids.EVENT, event.id)
                log.exception("worker.event_untranslatable", gateway_event=name, type=event.type)
                tracing.report(error, gateway_event=name, type=event.type)
                failures.append(self._failure(event, f"{type(error).__name__}: {error}"))
        return translated, failures

    def _failure(self, event: Queued, error: str) -> Failure:
        if event.tries + 1 >= self._settings.retries_max:
            return Failure(event.id, error, None)
        wait = queue.retry_after(event.tries, spread=random.random())  # noqa: S311
        return Failure(event.id, error, datetime.now(UTC) + wait)

    async def _bury(self, lane: Lane, worn: Sequence[Queued]) -> None:
        error = f"a worker died {queue.CRASHES_MAX} times while applying this event"
        log.error("worker.event_buried", gateway_events=[ids.show(ids.EVENT, e.id) for e in worn])
        await self._commit(lane, [], [Failure(e.id, error, None, "crashed_worker") for e in worn])
