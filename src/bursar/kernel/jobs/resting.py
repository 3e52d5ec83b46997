"""Jobs that rest: once more by somebody's word, or settled by what was learnt meanwhile."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.kernel.jobs.models import INSTALLATION

REPLAYED_AT_ONCE: Final = 1000

_log = structlog.get_logger("bursar.jobs")


class JobNotResting(Conflict):
    """The job is under way or waits for its turn: there is nothing to replay."""

    code = "job_not_resting"


class JobOpenAlready(Conflict):
    """Another job of the same kind and key is open, and does the same."""

    code = "job_open_already"


_RESTING = """
select id from job where tenant_id = $1 and state = 'dead' and kind = $2 order by id limit $3
"""

# Of several dead ones with one key the newest is enough, and none where one is open.
_REPLAY = """
update job set state = 'ready', run_at = clock_timestamp(), attempts = 0, crashes = 0, rested_at = null
where tenant_id = $1 and id in (
  select distinct on (d.kind, d.key) d.id from job d
  where d.tenant_id = $1 and d.id = any($2::uuid[]) and d.state in ('unknown', 'dead') and not exists (
    select from job o where o.tenant_id = $1 and o.kind = d.kind and o.key = d.key and o.state <> 'dead' and o.id <> d.id)
  order by d.kind, d.key, d.number desc
)
returning id, kind
"""

_SETTLE = "delete from job where tenant_id = $1 and id = $2 and state = 'unknown' returning id"


async def replay(tx: Transaction, *, tenant_id: UUID, job_id: UUID, actor: str, reason: str) -> None:
    """Have a dead or unknown job done again: with its old key and request, and all its attempts.

    Whoever replays an unknown one accepts that it may be done twice where the other side does not know the key.
    actor: who asked, for the audit trail. Raises JobNotResting, JobOpenAlready.
    """
    if not await _replay(tx, tenant_id=tenant_id, job_ids=[job_id], actor=actor, reason=reason):
        raise JobNotResting("this job does not rest, or another of its key is open", hint="Look at its state first.")


async def replay_dead(tx: Transaction, *, tenant_id: UUID, kind: str, actor: str, reason: str) -> int:
    """Have the dead jobs of a kind done again, the oldest first, a thousand at most; return how many."""
    rows = await tx.fetch(_RESTING, tenant_id, kind, REPLAYED_AT_ONCE)
    return await _replay(tx, tenant_id=tenant_id, job_ids=[row["id"] for row in rows], actor=actor, reason=reason)


async def settle(tx: Transaction, *, tenant_id: UUID, job_id: UUID) -> bool:
    """Take an unknown job out, because it became known what it did; return whether it was there.

    Call it in the transaction that writes down what was learnt.
    """
    return await tx.fetchval(_SETTLE, tenant_id, job_id) is not None


async def _replay(tx: Transaction, *, tenant_id: UUID, job_ids: Sequence[UUID], actor: str, reason: str) -> int:
    try:
        rows = await tx.fetch(_REPLAY, tenant_id, job_ids)
    except asyncpg.UniqueViolationError as error:
        raise JobOpenAlready("a job of this kind and key was enqueued meanwhile", hint="It does the same.") from error
    for row in rows:
        await _record(tx, tenant_id=tenant_id, job_id=row["id"], kind=row["kind"], actor=actor, reason=reason)
    return len(rows)


async def _record(tx: Transaction, *, tenant_id: UUID, job_id: UUID, kind: str, actor: str, reason: str) -> None:
    changes = {"kind": kind, "reason": reason}
    subject = ids.show(ids.JOB, job_id)
    if tenant_id == INSTALLATION:  # whose acts are nobody's business but the operator's
        _log.warning("job_replayed", job=subject, actor=actor, **changes)
        return
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="jobs.replayed", subject=subject, changes=changes)
