"""The applier: one session, one bucket at a time, batches first and ever smaller ones where a batch fails.

While PostgreSQL writes one batch, the events of the next are translated: the two take turns on one event loop, and
the one that is being written goes first.
"""

import asyncio
import os
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel import ids, tracing
from bursar.kernel.db import tenant_transaction
from bursar.kernel.settings import Settings
from bursar.kernel.slow import SlowStatements
from bursar.money.applying import EventInvalid, Pending, Translated, apply_batch, translate
from bursar.money.applying.batch import Account
from bursar.money.fulfilment import Registry
from bursar.money.intake import queue
from bursar.money.intake.queue import Failure, Lane, Mark, Queued

BATCH_MAX = 500
BATCHES_OF_A_BUCKET = 4
"""A bucket is given back after so many, so that others have their turn."""
_AT_ONCE_AFTER_CRASHES = (BATCH_MAX, 25, 1)
_TRANSLATED_AT_ONCE = 8
"""Some half a millisecond: as long PostgreSQL's answer to another batch may have to wait."""
PLAN_ANEW_FIRST = 500
"""Events after which a new session plans its statements again, and then whenever it has applied twice as many."""
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


async def open_session(settings: Settings) -> Any:
    """Connect as an applier does, past any pooler. Raises OSError, asyncpg.PostgresError."""
    url = settings.database_direct_url or settings.database_url
    connection = await asyncpg.connect(url, server_settings=SESSION_SETTINGS, timeout=5, command_timeout=40)
    await connection.execute("select set_config('role', 'bursar_engine', false)")
    tracing.watch(connection)
    return connection


@dataclass(frozen=True, slots=True)
class _Batch:
    """Due events of one account. said: what each of them says, or why nobody can tell."""

    lane: Lane
    events: list[Queued]
    said: dict[UUID, Translated | Failure] = field(default_factory=dict)

    @property
    def ids(self) -> list[UUID]:
        return [event.id for event in self.events]


class Applier:
    """Applies what is due. connection: the worker's own, never pooled; it holds the locks and does the writing."""

    def __init__(self, connection: Any, *, settings: Settings, registry: Registry) -> None:
        self._connection = connection
        self._settings = settings
        self._registry = registry
        self._grace = timedelta(days=settings.grace_days)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._marked = queue.NOTHING
        self._applied = 0
        self._plan_anew_at = PLAN_ANEW_FIRST

    @classmethod
    async def open(cls, *, settings: Settings, registry: Registry, slow: SlowStatements | None = None) -> "Applier":
        """Begin with a session of its own. slow: notes what takes long on it. Raises OSError, asyncpg.PostgresError."""
        connection = await open_session(settings)
        if slow:
            slow.watch(connection)
        return cls(connection, settings=settings, registry=registry)

    def terminate(self) -> None:
        """Drop the session: its locks are free and nothing of it can commit."""
        self._connection.terminate()

    async def work(self) -> int:
        """Apply what is due in one bucket; return how many events were finished (0: nothing was due)."""
        bucket = await queue.claim(self._connection)
        if bucket is None:
            return 0
        self._marked = queue.NOTHING
        if crashed := await queue.crashed_in(self._connection, bucket):
            log.warning("worker.crash_found", bucket=bucket, events=len(crashed))
        done = await self._work_bucket(bucket)
        await queue.release(self._connection, bucket)
        await self._plan_anew(done)
        return done

    async def _work_bucket(self, bucket: int) -> int:
        done = 0
        batch = await self._read(bucket)
        for more in reversed(range(BATCHES_OF_A_BUCKET)):
            if batch is None:
                break
            ahead = await self._read(bucket, beyond=batch) if more else None
            translating = asyncio.create_task(self._translate(ahead)) if ahead else None
            try:
                await self._work_batch(batch, ahead)
            finally:
                if translating:
                    await translating
            done += len(batch.events)
            batch = ahead
        return done

    async def _read(self, bucket: int, *, beyond: _Batch | None = None) -> _Batch | None:
        known = beyond.ids if beyond else ()
        due = await queue.due_events(self._connection, bucket, limit=BATCH_MAX, beyond=known)
        return _Batch(*due) if due else None

    async def _plan_anew(self, done: int) -> None:
        """Forget plans that were made for much smaller tables, those of the checks of references among them."""
        self._applied += done
        if self._applied >= self._plan_anew_at:
            await self._connection.execute("discard plans")
            self._plan_anew_at = self._applied * 2

    async def _translate(self, batch: _Batch) -> None:
        for number, event in enumerate(batch.events):
            if event.id not in batch.said:
                batch.said[event.id] = self._translated(batch.lane, event)
                if number % _TRANSLATED_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _work_batch(self, batch: _Batch, ahead: _Batch | None) -> None:
        """Apply what killed nobody together; what was there when a worker died, a few at a time; after a second death, alone."""
        worn = [e for e in batch.events if _turn_of(e) is None]
        if worn:
            await self._bury(batch.lane, worn)
        await self._translate(batch)
        for crashes, at_once in enumerate(_AT_ONCE_AFTER_CRASHES):
            events = [e for e in batch.events if _turn_of(e) == crashes]
            for start in range(0, len(events), at_once):
                await self._apply(batch, events[start : start + at_once], ahead)

    async def _apply(self, batch: _Batch, events: Sequence[Queued], ahead: _Batch | None) -> None:
        """Apply events in one transaction; where that fails, each half on its own, so that only the failing one waits."""
        error = await self._failed(batch, events, ahead)
        if error is None:
            return
        if len(events) > 1:
            log.warning("worker.batch_failed", error=type(error).__name__, events=len(events))
            middle = len(events) // 2
            await self._apply(batch, events[:middle], ahead)
            await self._apply(batch, events[middle:], ahead)
            return
        # Told after it is written down, and while nothing is begun: drawing a traceback may take longer than a silent
        # session lives, and whatever is marked then would count it as a crash.
        await self._commit(batch.lane, [self._failure(events[0], f"{type(error).__name__}: {error}")], None)
        await self._tell(batch.lane, events[0], error)

    async def _failed(self, batch: _Batch, events: Sequence[Queued], ahead: _Batch | None) -> Exception | None:
        """Try to apply events; return why that failed. Raises what is no event's doing: the session was lost."""
        await self._mark(batch.lane, events)
        try:
            await self._commit(batch.lane, [batch.said[e.id] for e in events], ahead)
        except Exception as error:
            if self._is_lost(error):
                raise
            return error
        return None

    async def _mark(self, lane: Lane, events: Sequence[Queued]) -> None:
        """Write down what is begun, unless the transaction before it has done so."""
        begun = Mark(lane.tenant_id, [e.id for e in events], self._name)
        if self._marked != begun:
            await queue.mark(self._connection, lane.bucket, begun)
            self._marked = begun

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

    async def _commit(self, lane: Lane, said: Sequence[Translated | Failure], ahead: _Batch | None) -> None:
        translated = [s for s in said if isinstance(s, Translated)]
        failures = [s for s in said if isinstance(s, Failure)]
        outcomes = {t.event.id: "ignored" if t.translation.is_ignored else "applied" for t in translated}
        # Events that were there when a worker died are begun apart from others: marked together, all would count the next.
        is_sound = ahead is not None and not any(event.crashes for event in ahead.events)
        then = Mark(ahead.lane.tenant_id, ahead.ids, self._name) if ahead and is_sound else queue.NOTHING
        told: tracing.Attributes = {
            "bursar.gateway": lane.gateway,
            "bursar.events": len(translated),
            "bursar.failures": len(failures),
        }
        with tracing.span("apply batch", told):
            async with tenant_transaction(self._connection, lane.tenant_id):
                await self._write(lane, translated)
                await queue.finish(self._connection, lane, outcomes=outcomes, then=then)
                await queue.fail(self._connection, tenant_id=lane.tenant_id, failures=failures)
        self._marked = then

    async def _write(self, lane: Lane, translated: Sequence[Translated]) -> None:
        if translated:
            await apply_batch(
                self._connection,
                account=Account(lane.tenant_id, lane.account_id, lane.gateway),
                events=translated,
                registry=self._registry,
                grace=self._grace,
                now=datetime.now(UTC),
            )

    def _translated(self, lane: Lane, event: Queued) -> Translated | Failure:
        pending = Pending(event.id, event.type, event.origin, event.occurred_at, event.body, event.is_erased)
        try:
            return translate(pending, gateway_name=lane.gateway)
        except EventInvalid as error:
            return self._failure(event, str(error))
        except Exception as error:
            name = ids.show(ids.EVENT, event.id)
            log.exception("worker.event_untranslatable", gateway_event=name, type=event.type)
            tracing.report(error, gateway_event=name, type=event.type)
            return self._failure(event, f"{type(error).__name__}: {error}")

    def _failure(self, event: Queued, error: str) -> Failure:
        if event.tries + 1 >= self._settings.retries_max:
            return Failure(event.id, error, None)
        wait = queue.retry_after(event.tries, spread=random.random())  # noqa: S311
        return Failure(event.id, error, datetime.now(UTC) + wait)

    async def _bury(self, lane: Lane, worn: Sequence[Queued]) -> None:
        error = f"a worker died {queue.CRASHES_MAX} times while applying this event"
        log.error("worker.event_buried", gateway_events=[ids.show(ids.EVENT, e.id) for e in worn])
        await self._commit(lane, [Failure(e.id, error, None, "crashed_worker") for e in worn], None)


def _turn_of(event: Queued) -> int | None:
    """Return which of `_AT_ONCE_AFTER_CRASHES` an event is applied with; None: with none, it rests."""
    return min(event.crashes, len(_AT_ONCE_AFTER_CRASHES) - 1) if event.crashes < queue.CRASHES_MAX else None
