"""One job in a worker's hands: what its handler works with, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal

import structlog

from bursar.kernel import ids, tracing
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database, Transaction
from bursar.kernel.jobs import leasing
from bursar.kernel.jobs.models import Ambiguous, GivenUp, Job, Kind, LeaseLost, Postponed, Retry
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings

Outcome = Literal["done", "ended", "retried", "postponed", "unknown", "dead", "lost", "interrupted"]
"""`done`: and wrote nothing, so that its row is still to go. `ended`: its row went with what it wrote."""

LOST: Final = "its worker did not end it within the lease"

_log = structlog.get_logger("bursar.jobs")


@dataclass(frozen=True)
class Resources:
    """What handlers work with. now: this machine's clock; leases and due times follow the database's."""

    db: Database
    settings: Settings
    now: Callable[[], datetime] = utc_now

    @cached_property
    def seal(self) -> Seal:
        """The installation's seal. Raises SecretKeyWrong."""
        return Seal(self.settings.secret_key)


@dataclass(slots=True)
class Work:
    """A leased job and what its handler needs."""

    job: Job
    resources: Resources
    is_ended: bool = field(default=False, init=False)

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[Transaction]:
        """Open the tenant's transaction in which the job leaves; what is written in it stands or falls with that.

        Raises LeaseLost, before anything is written, when another worker has the job by now.
        """
        async with self.resources.db.tenant(self.job.tenant_id) as tx:
            await leasing.end(tx, self.job)
            yield tx
        self.is_ended = True


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one attempt. retry: how it is to be put off. reason: why it failed."""

    job: Job
    kind: Kind
    outcome: Outcome
    duration_s: float
    reason: str | None = None
    postponed: Postponed | None = None
    retry: Retry | None = None


async def attempt(work: Work, kind: Kind, *, claimed_at_s: float) -> Ended:
    """Run a handler until its deadline, and say what became of it. Raises nothing: whoever cancels it hears that it was interrupted.

    claimed_at_s: the event loop's time before the lease began.
    """
    job, loop = work.job, asyncio.get_running_loop()
    if job.attempt > kind.attempts_max:
        return Ended(job, kind, "dead", 0.0, f"{job.error or LOST}; no attempt is left of {kind.attempts_max}")
    begun = loop.time()
    named = {
        "job": ids.show(ids.JOB, job.id),
        "kind": kind.name,
        "tenant": ids.show(ids.TENANT, job.tenant_id),
        "attempt": job.attempt,
    }
    told = named if job.correlation_id is None else named | {"correlation_id": job.correlation_id}
    with structlog.contextvars.bound_contextvars(**told):
        try:
            with _span(job, kind):
                async with asyncio.timeout_at(claimed_at_s + kind.deadline_s):
                    await kind.handle(work)
        except BaseException as error:  # noqa: BLE001 - the edge: whatever it is becomes the attempt's outcome
            return _failed(work, kind, error, loop.time() - begun)
    return Ended(job, kind, "ended" if work.is_ended else "done", loop.time() - begun)


def _span(job: Job, kind: Kind) -> AbstractContextManager[Any]:
    parent = {"traceparent": job.traceparent} if job.traceparent else None
    attributes: tracing.Attributes = {
        "bursar.job": ids.show(ids.JOB, job.id),
        "bursar.job_kind": kind.name,
        "bursar.attempt": job.attempt,
        "bursar.correlation_id": job.correlation_id,
    }
    return tracing.span(f"job {kind.name}", attributes, parent=parent)


def _failed(work: Work, kind: Kind, error: BaseException, duration_s: float) -> Ended:
    job = work.job
    if work.is_ended:
        _log.error("job_failed_after_its_end", exc_info=error)
        return Ended(job, kind, "ended", duration_s)
    for said, outcome in _SAYINGS.items():
        if isinstance(error, said):
            reason = str(error) or type(error).__name__
            return Ended(job, kind, outcome, duration_s, reason, error if isinstance(error, Postponed) else None)
    if not isinstance(error, Exception):
        raise error
    retry = _retry_of(error, kind, duration_s)
    outcome = "dead" if job.attempt >= kind.attempts_max else "retried"
    return Ended(job, kind, outcome, duration_s, str(retry), retry=retry)


_SAYINGS: Final[dict[type[BaseException], Outcome]] = {
    LeaseLost: "lost",
    Postponed: "postponed",
    GivenUp: "dead",
    Ambiguous: "unknown",
    asyncio.CancelledError: "interrupted",
}


def _retry_of(error: Exception, kind: Kind, duration_s: float) -> Retry:
    if isinstance(error, Retry):
        return error
    if isinstance(error, TimeoutError) and duration_s >= kind.deadline_s * 0.99:
        return Retry(f"it took longer than {kind.deadline_s:g} s")
    _log.warning("job_failed", exc_info=error)
    tracing.report(error, kind=kind.name)
    return Retry(f"{type(error).__name__}: {error}")
