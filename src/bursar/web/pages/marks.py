"""Live pages: a stream of *marks*, each saying only that something changed; the page then asks for its fragment again.

One poll for the whole process, twice a second while anybody watches: the newest event of each watched tenant, the
shape of its queue, and how much was told lately of what happened (a booking, a payment, a refund). No page has a queue of its own: a slow reader misses marks, which is all right, because the next
one says the same. Memory for a page is one stream, whatever happens meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from starlette.requests import Request

from bursar.kernel import ids
from bursar.kernel.errors import DomainError
from bursar.kernel.pauses import pause
from bursar.kernel.resources import Resources, resources_of

POLL_S = 0.5
PACE_S = 0.5
"""At most two marks a second for each page."""
FRAGMENTS_PER_S = 100
"""What all pages of the process may ask for together; with more pages than that, marks come less often."""
BEAT_S = 10.0
LIFE_S = 600.0
STREAMS_MAX = 4_000
_FAILED_S = 2.0
_TOLD_STEP_S = 30
"""What was told is counted from one or two such steps ago: who commits later than a younger one is seen by the count."""

MARK = b"event: changed\ndata: 1\n\n"
_OPENING = b"retry: 2000\n\n"
_BEAT = b": still here\n\n"

_SHAPES = """
select t.id as tenant_id,
  (select e.id from gateway_event e where e.tenant_id = t.id order by e.id desc limit 1) as newest,
  (select q.event_id from gateway_event_queue q where q.tenant_id = t.id order by q.event_id limit 1) as oldest_waiting,
  (select count(*) from (select from gateway_event_queue q where q.tenant_id = t.id limit 1000) w) as waiting,
  (select max(f.error_at) from (
     select q.error_at from gateway_event_queue q where q.tenant_id = t.id and q.tries > 0 limit 1000) f) as failed_at,
  (select count(*) from (select from gateway_event_dead d where d.tenant_id = t.id limit 1000) x) as dead,
  (select o.id from outbox o where o.tenant_id = t.id order by o.id desc limit 1) as newest_told,
  (select count(*) from (select from outbox o where o.tenant_id = t.id and o.id > $2 limit 1000) o) as told
from unnest($1::uuid[]) as t (id)
"""

_log = structlog.get_logger("bursar.pages")


class _Watched:
    """A tenant that somebody looks at. version: grows with every change."""

    __slots__ = ("changed", "pages", "shape", "version")

    def __init__(self) -> None:
        self.pages = 0
        self.version = 0
        self.shape: tuple[Any, ...] | None = None
        self.changed = asyncio.Event()

    def mark(self) -> None:
        """Wake every page, and let the next ones wait again."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()


class Marks:
    """All live pages of one process. stopping: set when the process is asked to stop. streams_max: how many at most."""

    def __init__(
        self, resources: Resources, *, stopping: asyncio.Event | None = None, streams_max: int | None = None
    ) -> None:
        self._resources = resources
        self._streams_max = streams_max
        self._stopping = stopping or asyncio.Event()
        self._watched: dict[UUID, _Watched] = {}
        self._pages = 0
        self._polling: asyncio.Task[None] | None = None

    @property
    def pages(self) -> int:
        """How many live pages are open."""
        return self._pages

    @property
    def is_full(self) -> bool:
        """True when no further page can be live."""
        return self._pages >= (STREAMS_MAX if self._streams_max is None else self._streams_max)

    async def stream(self, tenant_id: UUID, *, life_s: float = LIFE_S) -> AsyncIterator[bytes]:
        """Yield one page's event stream until it has lived its life, the client goes, or the process stops.

        It begins with a mark, for what happened between the page and its stream: at once where somebody watches this
        tenant already, else after the first look, so that nothing falls between the mark and what is compared with.
        """
        watched = self._enter(tenant_id)
        try:
            ends = time.monotonic() + min(life_s, LIFE_S)
            seen = watched.version
            yield _OPENING if watched.shape is None else _OPENING + MARK
            while time.monotonic() < ends and not self._stopping.is_set():
                if watched.version == seen:
                    await pause(watched.changed, min(BEAT_S, ends - time.monotonic()))
                if watched.version == seen:
                    yield _BEAT
                    continue
                seen = watched.version
                yield MARK
                await pause(self._stopping, max(PACE_S, self._pages / FRAGMENTS_PER_S))
        finally:
            self._leave(tenant_id, watched)

    async def close(self) -> None:
        """End every stream and the poll."""
        self._stopping.set()
        if self._polling:
            await asyncio.wait([self._polling], timeout=_FAILED_S)

    def _enter(self, tenant_id: UUID) -> _Watched:
        watched = self._watched.setdefault(tenant_id, _Watched())
        watched.pages += 1
        self._pages += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return watched

    def _leave(self, tenant_id: UUID, watched: _Watched) -> None:
        watched.pages -= 1
        self._pages -= 1
        if not watched.pages:
            self._watched.pop(tenant_id, None)

    async def _poll(self) -> None:
        while self._watched and not self._stopping.is_set():
            wait_s = POLL_S
            try:
                await self._look()
            except (DomainError, asyncpg.PostgresError, OSError) as failure:
                _log.warning("live_pages_blind", error=type(failure).__name__, detail=str(failure)[:200])
                wait_s = _FAILED_S
            await pause(self._stopping, wait_s)
        for watched in self._watched.values():
            watched.mark()  # whoever waits shall see that it is over

    async def _look(self) -> None:
        async with self._resources.db.engine() as tx:
            rows = await tx.fetch(_SHAPES, list(self._watched), _told_since())
        for row in rows:
            watched = self._watched.get(row["tenant_id"])
            if watched is None:
                continue
            shape = tuple(row.values())
            if watched.shape != shape:
                watched.shape = shape
                watched.mark()


def _told_since() -> UUID:
    """Return the least id of the step before this one, so that the count does not change while nothing happens."""
    step = int(time.time()) // _TOLD_STEP_S - 1
    return ids.least_at(datetime.fromtimestamp(step * _TOLD_STEP_S, UTC))


def marks_of(request: Request) -> Marks:
    """Return the process's live pages; made at their first use."""
    state = request.app.state
    if not hasattr(state, "pages_marks"):
        room = getattr(state, "connections_max", None)
        state.pages_marks = Marks(
            resources_of(request),
            stopping=getattr(state, "stopping", None),
            # Live pages must leave room for callers: a stream keeps its connection for minutes.
            streams_max=None if room is None else min(STREAMS_MAX, room // 2),
        )
    marks: Marks = state.pages_marks
    return marks
