"""Lease jobs to a worker, and end, put off or lay to rest what it leased: each fenced, so that only its last holder writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from bursar.kernel.db import Database, Transaction, storable
from bursar.kernel.jobs.models import Job, Kind, LeaseLost

ERROR_LENGTH_MAX: Final = 2000

_CLAIM = """
select tenant_id, id, kind, key, request, idempotency_key, lane, attempts, crashes, fence, first_started_at, created_at, error,
  correlation_id, traceparent
from claim_jobs($1::text[], $2::integer[], $3, $4, $5)
"""

_FINISH = "select finish_jobs($1::uuid[], $2::uuid[], $3::integer[]) as id"

_RESCHEDULE = """
select reschedule_jobs($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::timestamptz[], $6::boolean[], $7::text[]) as id
"""

_END = """
delete from job where tenant_id = $1 and id = $2 and fence = $3 and state in ('running', 'ready') returning id
"""

_RELEASE_LANE = "select release_lane($1, $2)"

_REST = """
update job set state = $4, error = $5, error_at = clock_timestamp(), rested_at = clock_timestamp(), worker = null
where tenant_id = $1 and id = $2 and fence = $3 and state in ('running', 'ready') returning id
"""


@dataclass(frozen=True, slots=True)
class PutOff:
    """A job that is to be tried again: after a wait, or not before a moment. is_burned: an attempt was used."""

    job: Job
    wait_s: float
    until: datetime | None
    is_burned: bool
    error: str | None


async def claim(
    db: Database, kinds: Sequence[tuple[str, Kind]], *, at_most: int, after: UUID, worker: str
) -> list[Job]:
    """Lease jobs that are due, in a transaction of its own. kinds: by each of their names. after: the tenant served last."""
    names, leases = [name for name, _ in kinds], [int(kind.lease_s * 1000) for _, kind in kinds]
    async with db.statement() as connection:
        rows = await connection.fetch(_CLAIM, names, leases, at_most, after, worker)
    return [Job(*row) for row in rows]


async def finish(db: Database, jobs: Sequence[Job]) -> set[UUID]:
    """Take out jobs that were done and wrote nothing; return those that were still ours."""
    async with db.statement() as connection:
        rows = await connection.fetch(_FINISH, *_named(jobs))
    return {row["id"] for row in rows}


async def reschedule(db: Database, puts: Sequence[PutOff]) -> set[UUID]:
    """Put jobs off; return those that were still ours."""
    waits, untils = [round(put.wait_s * 1000) for put in puts], [put.until for put in puts]
    burned, errors = [put.is_burned for put in puts], [_text(put.error) for put in puts]
    async with db.statement() as connection:
        rows = await connection.fetch(_RESCHEDULE, *_named([put.job for put in puts]), waits, untils, burned, errors)
    return {row["id"] for row in rows}


async def end(tx: Transaction, job: Job) -> None:
    """Take a job out in the tenant's transaction that writes what it did. Raises LeaseLost."""
    await _fenced(tx, job, _END)


async def rest(tx: Transaction, job: Job, *, state: Literal["dead", "unknown"], error: str) -> None:
    """Let a job rest, in the tenant's transaction. Raises LeaseLost."""
    await _fenced(tx, job, _REST, state, _text(error))


async def _fenced(tx: Transaction, job: Job, statement: str, *more: Any) -> None:
    if await tx.fetchval(statement, job.tenant_id, job.id, job.fence, *more) is None:
        raise LeaseLost(f"{job.kind} {job.key}: another worker has it by now, or it is gone")
    if job.lane is not None:
        await tx.execute(_RELEASE_LANE, job.tenant_id, job.lane)


def _named(jobs: Sequence[Job]) -> tuple[list[UUID], list[UUID], list[int]]:
    return [job.tenant_id for job in jobs], [job.id for job in jobs], [job.fence for job in jobs]


def _text(error: str | None) -> str | None:
    return None if error is None else storable(error, length_max=ERROR_LENGTH_MAX)
