"""Replay: put stored events back into the queue. Applying is idempotent, so a replay changes only what was wrong."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid
from bursar.money.intake.filing import lane_bucket

PRIORITY = 9
"""Behind live events, which have 0."""

REPLAY_MAX = 1_000_000


class ReplayFilterInvalid(Invalid):
    """The filter of a replay names something that events do not have."""

    code = "replay_filter_invalid"


_ACCOUNTS = "select id from gateway_account where tenant_id = $1"

_ENQUEUE = """
with wanted as (
  select e.id, e.gateway_account_id from gateway_event e
  left join gateway_event_dead d on d.tenant_id = e.tenant_id and d.event_id = e.id
  where e.tenant_id = $1 and e.type <> 'unparseable' and {condition}
    and exists (
      select from gateway_event_body b where b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at)
  order by e.id limit {limit}
), revived as (
  delete from gateway_event_dead d using wanted w where d.tenant_id = $1 and d.event_id = w.id
)
insert into gateway_event_queue (tenant_id, event_id, gateway_account_id, bucket, priority)
select $1, w.id, w.gateway_account_id, a.bucket, {priority}
from wanted w join unnest($2::uuid[], $3::smallint[]) as a (id, bucket) on a.id = w.gateway_account_id
on conflict (tenant_id, event_id) do update set run_at = clock_timestamp(), tries = 0, crashes = 0, error = null
returning event_id
"""

_RECORD = """
insert into gateway_event_replay (tenant_id, id, actor, reason, filter, events) values ($1, $2, $3, $4, $5::jsonb, $6)
"""

_STATUS = {
    "dead": "d.event_id is not null",
    "applied": "d.event_id is null and exists (select 1 from gateway_event_outcome o where o.tenant_id = e.tenant_id and o.event_id = e.id and o.outcome = 'applied')",
    "ignored": "d.event_id is null and exists (select 1 from gateway_event_outcome o where o.tenant_id = e.tenant_id and o.event_id = e.id and o.outcome = 'ignored')",
    "failed": "exists (select 1 from gateway_event_queue q where q.tenant_id = e.tenant_id and q.event_id = e.id and q.tries > 0)",
    "received": "exists (select 1 from gateway_event_queue q where q.tenant_id = e.tenant_id and q.event_id = e.id and q.tries = 0)",
}


async def replay_events(tx: Transaction, *, tenant_id: UUID, event_ids: Sequence[UUID], actor: str, reason: str) -> int:
    """Queue these events again; return how many were. Those that are unreadable, or whose body is past its retention, stay where they are.

    actor: who asked, for instance `key:key_…`. reason: why, in the operator's words.
    """
    return await _replay(
        tx,
        tenant_id=tenant_id,
        condition="e.id = any($4::uuid[])",
        values=[list(event_ids)],
        actor=actor,
        reason=reason,
        told={"events": [ids.show(ids.EVENT, e) for e in event_ids[:100]]},
    )


async def replay_matching(
    tx: Transaction,
    *,
    tenant_id: UUID,
    filter: Mapping[str, Any],  # noqa: A002 - the word of the API
    actor: str,
    reason: str,
) -> int:
    """Queue every event that matches; return how many.

    filter: any of `status` (a state), `type`, `gateway_account` (UUID), `since` and `until` (aware, of receipt).
    Raises ReplayFilterInvalid.
    """
    conditions, values = ["true"], []
    for name, value in filter.items():
        match name:
            case "status" if value in _STATUS:
                conditions.append(_STATUS[value])
                continue
            case "type":
                template = "e.type = ${}::text"
            case "gateway_account":
                template = "e.gateway_account_id = ${}::uuid"
            case "since":
                template = "e.received_at >= ${}::timestamptz"
            case "until":
                template = "e.received_at < ${}::timestamptz"
            case _:
                raise ReplayFilterInvalid(
                    f"{name}: {value!r} is no filter of events", hint="Use status, type, gateway_account, since, until."
                )
        values.append(value)
        conditions.append(template.format(3 + len(values)))
    told = {k: v.isoformat() if isinstance(v, datetime) else str(v) for k, v in filter.items()}
    return await _replay(
        tx,
        tenant_id=tenant_id,
        condition=" and ".join(conditions),
        values=values,
        actor=actor,
        reason=reason,
        told=told,
    )


async def _replay(
    tx: Transaction,
    *,
    tenant_id: UUID,
    condition: str,
    values: list[Any],
    actor: str,
    reason: str,
    told: dict[str, Any],
) -> int:
    accounts = [row["id"] for row in await tx.fetch(_ACCOUNTS, tenant_id)]
    statement = _ENQUEUE.format(condition=condition, limit=REPLAY_MAX, priority=PRIORITY)
    rows = await tx.fetch(statement, tenant_id, accounts, [lane_bucket(a) for a in accounts], *values)
    await tx.execute(_RECORD, tenant_id, ids.new(), actor, reason[:500], msgspec.json.encode(told).decode(), len(rows))
    return len(rows)
