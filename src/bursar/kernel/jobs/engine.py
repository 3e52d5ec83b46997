"""A worker's hands: claims what is due and runs it side by side."""

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import structlog

from bursar.kernel.jobs import leasing
from bursar.kernel.jobs.models import INSTALLATION, Job, Kind, Kinds
from bursar.kernel.jobs.schedules import Schedule, Timetable
from bursar.kernel.jobs.working import Resources, Work, attempt
from bursar.kernel.jobs.writing import UNREACHABLE, Writer
from bursar.kernel.pauses import pause

AT_ONCE: Final = 100
"""Handlers that one worker runs side by side."""
IDLE_MIN_S: Final = 0.01
IDLE_MAX_S: Final = 0.1
_IDLE_GROWTH: Final = 1.2
_AGAIN_S: Final = 0.5
_LAST_WRITES_S: Final = 5.0
_TEND_EVERY_S: Final = 1.0
GRACE_S: Final = 20.0

_log = structlog.get_logger("bursar.jobs")


class Engine:
    """Works on jobs of the kinds it knows; others are left for workers that know them."""

    def __init__(
        self,
        resources: Resources,
        kinds: Kinds,
        *,
        schedules: Iterable[Schedule] = (),
        at_once: int = AT_ONCE,
        name: str | None = None,
    ) -> None:
        self._resources = resources
        self._kinds = kinds
        self._timetable = Timetable(schedules)
        self._at_once = at_once
        self._name = (name or f"{socket.gethostname()}:{os.getpid()}")[:200]
        self._after = INSTALLATION
        self._running: dict[asyncio.Task[None], str] = {}
        self._changed = asyncio.Event()
        self._writer = Writer(resources)

    async def run(self, stopping: asyncio.Event, *, grace_s: float = GRACE_S) -> None:
        """Work until told to stop; then end what is under way, and give back what takes longer than grace_s."""
        writing = asyncio.create_task(self._writer.run(wrote=self._changed))
        tending = asyncio.create_task(self._tend_forever(stopping))
        try:
            await self._claim_forever(stopping)
            await self._end_running(grace_s)
            await self._end_writing()
        finally:
            writing.cancel()
            tending.cancel()
            await asyncio.gather(writing, tending, return_exceptions=True)
        with contextlib.suppress(*UNREACHABLE):  # then the leases end what nobody wrote down
            await self._writer.write()
            await self._writer.write_tally()

    async def drain(self) -> int:
        """Run what is due until nothing is; return how many attempts were made. For tests."""
        attempts = 0
        while claimed := await self._claim(self._at_once):
            attempts += len(claimed)
            self._start(claimed)
            while self._running:
                await asyncio.gather(*self._running)
            await self._writer.write()
        await self._writer.write_tally()
        return attempts

    async def _claim_forever(self, stopping: asyncio.Event) -> None:
        idle_s = IDLE_MIN_S
        while not stopping.is_set():
            self._changed.clear()
            free = self._at_once - len(self._running)
            if free <= 0 or self._writer.unwritten > 2 * self._at_once:
                await self._changed.wait()
                continue
            try:
                claimed = await self._claim(free)
            except UNREACHABLE as error:
                _log.warning("jobs_not_claimed", error=type(error).__name__, detail=str(error)[:200])
                await pause(stopping, _AGAIN_S)
                continue
            self._start(claimed)
            idle_s = IDLE_MIN_S if claimed else min(idle_s * _IDLE_GROWTH, IDLE_MAX_S)
            if len(claimed) < free:
                await pause(stopping, idle_s)

    async def _tend_forever(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._timetable.tend(self._resources.db)
            except UNREACHABLE as error:
                _log.warning("jobs_not_tended", error=type(error).__name__, detail=str(error)[:200])
            except Exception:  # noqa: BLE001 - a schedule's fault must not end the others, or the worker
                _log.exception("jobs_not_tended")
            await pause(stopping, _TEND_EVERY_S)

    async def _claim(self, free: int) -> list[Job]:
        busy = Counter(self._running.values())
        kinds = [(name, kind) for name, kind in self._kinds.by_name.items() if busy[kind.name] < kind.at_once_max]
        if not kinds:
            return []
        self._claimed_at_s = asyncio.get_running_loop().time()
        claimed = await leasing.claim(self._resources.db, kinds, at_most=free, after=self._after, worker=self._name)
        if claimed:
            self._after = _last_served([job.tenant_id for job in claimed], self._after)
        return claimed

    def _start(self, claimed: Sequence[Job]) -> None:
        for job in claimed:
            kind = self._kinds[job.kind]
            task = asyncio.create_task(self._attempt(job, kind, self._claimed_at_s))
            self._running[task] = kind.name
            task.add_done_callback(self._let_go)

    async def _attempt(self, job: Job, kind: Kind, claimed_at_s: float) -> None:
        self._writer.add(await attempt(Work(job, self._resources), kind, claimed_at_s=claimed_at_s))

    def _let_go(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        self._changed.set()

    async def _end_running(self, grace_s: float) -> None:
        if self._running:
            await asyncio.wait(list(self._running), timeout=grace_s)
        given_back = list(self._running)
        for task in given_back:
            task.cancel()
        await asyncio.gather(*given_back, return_exceptions=True)

    async def _end_writing(self) -> None:
        """Wait until everything that ended is written, unless the database is away: then leases end it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITES_S):
                while self._writer.unwritten:
                    self._changed.clear()
                    await self._changed.wait()


def _last_served(tenants: Sequence[UUID], after: UUID) -> UUID:
    """Return the tenant after which the next turn begins. A lap goes up from `after`, and then from the lowest."""
    next_lap = [tenant for tenant in tenants if tenant <= after]
    return max(next_lap or tenants)
