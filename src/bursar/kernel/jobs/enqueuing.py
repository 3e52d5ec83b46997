"""Enqueue: write down, in the transaction that causes it, what is to be done later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid
from bursar.kernel.logs import correlation_id
from bursar.kernel.tracing import traceparent

REQUEST_BYTES_MAX = 1024 * 1024
_KEY_LENGTH_MAX = 255

_ENQUEUE = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, lane, priority, state, run_at, correlation_id, traceparent)
select $1, n.id, n.kind, n.key, n.idempotency_key, n.request, n.lane, n.priority,
  case when n.lane is not null and exists (
    select from job o where o.tenant_id = $1 and o.lane = n.lane and o.state in ('ready', 'scheduled', 'running', 'held')
  ) then 'held' when n.run_at > clock_timestamp() then 'scheduled' else 'ready' end,
  coalesce(n.run_at, clock_timestamp()), $10, $11
from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bytea[], $7::text[], $8::smallint[], $9::timestamptz[]) with ordinality
  as n (id, kind, key, idempotency_key, request, lane, priority, run_at, place)
order by n.place
on conflict (tenant_id, kind, key) where state <> 'dead' do nothing
returning id
"""

_OPEN = """
select kind, key, id from job
where tenant_id = $1 and state <> 'dead' and (kind, key) in (select k.kind, k.key from unnest($2::text[], $3::text[]) as k (kind, key))
"""


class JobInvalid(Invalid):
    """What is to be enqueued is too long, or has no key."""

    code = "job_invalid"


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be done. key: one open job of a kind has it. request: what the handler is given, unchanged in every attempt.

    lane: those of one lane are done one at a time, in the order in which they were enqueued. run_at: not sooner.
    priority: smaller is sooner, among the tenant's own.
    """

    kind: str
    key: str
    request: bytes = b""
    lane: str | None = None
    run_at: datetime | None = None
    priority: int = 0


async def enqueue(
    tx: Transaction,
    *,
    tenant_id: UUID,
    kind: str,
    key: str,
    request: bytes = b"",
    lane: str | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
) -> UUID:
    """Enqueue one job in the caller's transaction; return it, or the open one of this kind and key.

    tx: the tenant's transaction, or the engine's. Raises JobInvalid.
    """
    new = NewJob(kind, key, request, lane, run_at, priority)
    return (await enqueue_all(tx, tenant_id=tenant_id, jobs=[new]))[0]


async def enqueue_all(tx: Transaction, *, tenant_id: UUID, jobs: Sequence[NewJob]) -> list[UUID]:
    """Enqueue jobs in one statement; return each, or the open one of its kind and key, in their order. Raises JobInvalid."""
    for job in jobs:
        _check(job)
    found: dict[tuple[str, str], UUID] = {}
    wanted = {(job.kind, job.key): job for job in reversed(jobs)}
    while missing := [wanted[name] for name in reversed(wanted) if name not in found]:
        made = {ids.new(): job for job in missing}
        stored = {row["id"] for row in await _insert(tx, tenant_id, made)}
        found |= {(job.kind, job.key): job_id for job_id, job in made.items() if job_id in stored}
        if len(stored) < len(missing):
            # A later statement, because the first one's snapshot is older than a neighbour's commit.
            kinds, keys = [job.kind for job in missing], [job.key for job in missing]
            found |= {(r["kind"], r["key"]): r["id"] for r in await tx.fetch(_OPEN, tenant_id, kinds, keys)}
    return [found[job.kind, job.key] for job in jobs]


async def _insert(tx: Transaction, tenant_id: UUID, made: dict[UUID, NewJob]) -> list[dict[str, UUID]]:
    jobs = made.values()
    rows: list[dict[str, UUID]] = await tx.fetch(
        _ENQUEUE,
        tenant_id,
        list(made),
        [job.kind for job in jobs],
        [job.key for job in jobs],
        [uuid5(job_id, f"{tenant_id}:{job.kind}:{job.key}") for job_id, job in made.items()],
        [job.request for job in jobs],
        [job.lane for job in jobs],
        [job.priority for job in jobs],
        [job.run_at for job in jobs],
        (correlation_id() or "")[:128] or None,
        traceparent(),
    )
    return rows


def _check(job: NewJob) -> None:
    if not 1 <= len(job.key) <= _KEY_LENGTH_MAX or len(job.request) > REQUEST_BYTES_MAX:
        raise JobInvalid(
            f"a job {job.kind} has a key of {len(job.key)} characters and a request of {len(job.request)} bytes",
            hint=f"A key has 1 to {_KEY_LENGTH_MAX} characters, a request at most {REQUEST_BYTES_MAX} bytes.",
        )
