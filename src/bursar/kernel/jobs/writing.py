"""Write down what became of attempts: together where they wrote nothing, each by itself where it rests."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final, Literal

import asyncpg
import structlog

from bursar.kernel import ids
from bursar.kernel.db import DatabaseUnavailable
from bursar.kernel.jobs import leasing
from bursar.kernel.jobs.backoff import Budget
from bursar.kernel.jobs.leasing import PutOff
from bursar.kernel.jobs.models import LeaseLost
from bursar.kernel.jobs.tallies import Tally
from bursar.kernel.jobs.working import Ended, Resources

UNREACHABLE: Final = (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_TALLY_EVERY_S: Final = 1.0
_AGAIN_S: Final = 0.5

_log = structlog.get_logger("bursar.jobs")


class Writer:
    """What has ended in one worker and is still to be written. Batches are natural: while one is written, the next gathers."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._ended: list[Ended] = []
        self._has_more = asyncio.Event()
        self._budget = Budget()
        self._tally = Tally()
        self._tallied_at_s = 0.0
        self.unwritten = 0

    def add(self, ended: Ended) -> None:
        """Take over what became of one attempt."""
        self._ended.append(ended)
        self.unwritten += 1
        self._has_more.set()

    async def run(self, *, wrote: asyncio.Event) -> None:
        """Write until cancelled. wrote: set after each batch. A lost database is waited for: leases bound how long it matters."""
        while True:
            await self._wait_for_more()
            try:
                await self.write()
                await self._write_tally_now_and_then()
            except UNREACHABLE as error:
                _log.warning("jobs_not_written", error=type(error).__name__, detail=str(error)[:200])
                await asyncio.sleep(_AGAIN_S)
            except Exception:  # noqa: BLE001 - a bug of ours must not end the writing of everybody's jobs: the leases end this batch
                _log.exception("jobs_not_written")
            wrote.set()

    async def write(self) -> None:
        """Write what has ended by now. What cannot be written is kept. Raises what UNREACHABLE lists."""
        batch, self._ended = self._ended, []
        self._has_more.clear()
        try:
            await self._write(batch)
        except (*UNREACHABLE, asyncio.CancelledError):
            # Whatever of it was committed is fenced off by then, and counts as lost.
            self._ended, batch = batch + self._ended, []
            self._has_more.set()
            raise
        finally:
            self.unwritten -= len(batch)

    async def write_tally(self) -> None:
        """Add what was counted to the table."""
        self._tallied_at_s = asyncio.get_running_loop().time()
        await self._tally.write(self._resources.db)

    async def _wait_for_more(self) -> None:
        try:
            async with asyncio.timeout(_TALLY_EVERY_S if self._tally else None):
                await self._has_more.wait()
        except TimeoutError:
            return

    async def _write_tally_now_and_then(self) -> None:
        if asyncio.get_running_loop().time() - self._tallied_at_s >= _TALLY_EVERY_S:
            await self.write_tally()

    async def _write(self, batch: Sequence[Ended]) -> None:
        done = [ended for ended in batch if ended.outcome == "done"]
        again = [ended for ended in batch if ended.outcome in ("retried", "postponed", "interrupted")]
        ours = await leasing.finish(self._resources.db, [ended.job for ended in done]) if done else set()
        if again:
            ours |= await leasing.reschedule(self._resources.db, [self._put_off(ended) for ended in again])
        for ended in batch:
            match ended.outcome:
                case "dead" | "unknown" as state:
                    self._count(ended, is_ours=await self._rest(ended, state))
                case "ended":
                    self._count(ended, is_ours=True)
                case _:
                    self._count(ended, is_ours=ended.job.id in ours)

    def _put_off(self, ended: Ended) -> PutOff:
        match ended.outcome:
            case "postponed":
                assert ended.postponed is not None
                after = ended.postponed.after
                wait_s = after.total_seconds() if after else 0.0
                return PutOff(ended.job, wait_s, ended.postponed.until, is_burned=False, error=ended.reason)
            case "retried":
                return PutOff(ended.job, self._retry_wait_s(ended), None, is_burned=True, error=ended.reason)
            case _:
                return PutOff(ended.job, 0.0, None, is_burned=False, error=None)

    def _retry_wait_s(self, ended: Ended) -> float:
        spread, asked = random.random(), ended.retry.after if ended.retry else None  # noqa: S311
        wanted_s = asked.total_seconds() if asked else ended.kind.backoff.after_s(ended.job.attempt, spread=spread)
        return self._budget.wait_s(
            ended.job.tenant_id,
            ended.kind.name,
            wanted_s=wanted_s,
            wait_max_s=ended.kind.backoff.max_s,
            per_minute=ended.kind.retries_per_minute,
            now_s=asyncio.get_running_loop().time(),
        )

    async def _rest(self, ended: Ended, state: Literal["dead", "unknown"]) -> bool:
        """Let a job rest; return whether it was still ours. A compensation that fails keeps the job open: it is told, and tried again."""
        job, on_dead = ended.job, ended.kind.on_dead
        try:
            async with self._resources.db.tenant(job.tenant_id) as tx:
                await leasing.rest(tx, job, state=state, error=ended.reason or "")
                if state == "dead" and on_dead is not None:
                    await on_dead(tx, job)
        except LeaseLost:
            return False
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 - a compensation is others' code
            _log.exception("job_not_laid_to_rest", job=ids.show(ids.JOB, job.id), kind=ended.kind.name)
            return True
        _log.error(f"job_{state}", job=ids.show(ids.JOB, job.id), kind=ended.kind.name, reason=ended.reason)
        return True

    def _count(self, ended: Ended, *, is_ours: bool) -> None:
        outcome = ("done" if ended.outcome == "ended" else ended.outcome) if is_ours else "lost"
        if outcome == "interrupted":
            return
        if outcome == "lost":
            _log.warning("job_lease_lost", job=ids.show(ids.JOB, ended.job.id), kind=ended.kind.name)
        self._tally.add(
            tenant_id=ended.job.tenant_id,
            kind=ended.kind.name,
            outcome=outcome,
            duration_s=ended.duration_s,
            error=ended.reason,
        )
