"""File events: the statement that makes a delivery durable, and Bursar's own events."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways import own_events

BUCKETS = 64
"""How many lanes the queue is divided into. An account's events are one lane: they are applied by one worker at a time."""


class Filing(NamedTuple):
    """One event on its way into the store. dead_because: it cannot be read, and rests at once."""

    id: UUID
    tenant_id: UUID
    account_id: UUID
    event_id: str
    type: str
    origin: str
    occurred_at: datetime
    headers: dict[str, str]
    body: bytes
    dead_because: str | None


class Filed(NamedTuple):
    """Where an event went. id: of the stored event, which is an earlier one for a duplicate."""

    id: UUID
    is_duplicate: bool


_FILE = """
with item as materialized (
  select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::bytea[],
    $10::bytea[], $11::smallint[], $12::text[])
    with ordinality as t (id, tenant_id, account_id, event_id, type, origin, occurred_at, headers, body, sha, bucket, dead_because, ord)
), first as (
  -- Sorted, so that two batches with the same events lock them in the same order.
  select distinct on (tenant_id, account_id, event_id) * from item order by tenant_id, account_id, event_id, ord
), stored as (
  insert into gateway_event (tenant_id, id, gateway_account_id, gateway_event_id, type, origin, occurred_at, body_sha256)
  select tenant_id, id, account_id, event_id, type, origin, occurred_at, sha from first order by tenant_id, account_id, event_id
  on conflict (tenant_id, gateway_account_id, gateway_event_id) do nothing
  returning id, received_at
), raw as (
  insert into gateway_event_body (tenant_id, event_id, received_at, headers, body)
  select f.tenant_id, f.id, s.received_at, f.headers::jsonb, f.body from stored s join first f using (id)
), queued as (
  insert into gateway_event_queue (tenant_id, event_id, gateway_account_id, bucket)
  select f.tenant_id, f.id, f.account_id, f.bucket from stored s join first f using (id) where f.dead_because is null
), dead as (
  insert into gateway_event_dead (tenant_id, event_id, reason, error, attempts, crashes)
  select f.tenant_id, f.id, 'unparseable', f.dead_because, 0, 0 from stored s join first f using (id) where f.dead_because is not null
)
select id from stored
"""

_KNOWN = """
select g.tenant_id, g.gateway_account_id, g.gateway_event_id, g.id
from unnest($1::uuid[], $2::uuid[], $3::text[]) as k (tenant_id, account_id, event_id)
join gateway_event g on g.tenant_id = k.tenant_id and g.gateway_account_id = k.account_id and g.gateway_event_id = k.event_id
"""


def lane_bucket(account_id: UUID) -> int:
    """Return the lane of an account's events: 0 to 63, the same on every machine and release."""
    return hashlib.blake2b(account_id.bytes, digest_size=2).digest()[0] % BUCKETS


async def file_events(tx: Transaction, filings: Sequence[Filing]) -> list[Filed]:
    """Store events in one statement; return where each went, in order.

    tx: the engine's transaction, or a tenant's for events of that tenant.
    """
    columns = (
        [f.id for f in filings],
        [f.tenant_id for f in filings],
        [f.account_id for f in filings],
        [f.event_id for f in filings],
        [f.type for f in filings],
        [f.origin for f in filings],
        [f.occurred_at for f in filings],
        [json.dumps(f.headers) for f in filings],
        [f.body for f in filings],
        [hashlib.sha256(f.body).digest() for f in filings],
        [lane_bucket(f.account_id) for f in filings],
        [f.dead_because for f in filings],
    )
    stored = {row["id"] for row in await tx.fetch(_FILE, *columns)}
    repeated = [f for f in filings if f.id not in stored]
    known: dict[tuple[UUID, UUID, str], UUID] = {}
    if repeated:
        # A second statement, because the first one's snapshot is older than a neighbour's commit.
        rows = await tx.fetch(
            _KNOWN, [f.tenant_id for f in repeated], [f.account_id for f in repeated], [f.event_id for f in repeated]
        )
        known = {(row["tenant_id"], row["gateway_account_id"], row["gateway_event_id"]): row["id"] for row in rows}
    return [
        Filed(f.id, False) if f.id in stored else Filed(known[f.tenant_id, f.account_id, f.event_id], True)
        for f in filings
    ]


async def file_own_event(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    type: str,  # noqa: A002
    payload: dict[str, Any],
    occurred_at: datetime,
    event_id: str | None = None,
) -> UUID:
    """Store an event that Bursar itself (an operator, the desk, the catalogue) adds to an account's history.

    event_id: unique within the account; a repeated one changes nothing. Default: a fresh one.
    Returns the stored event. It is applied like any other, by a worker, and replays with the rest.
    """
    own = own_events.write(
        event_id=event_id or f"own:{ids.encode(ids.new())}", kind=type, occurred_at=occurred_at, data=payload
    )
    return await file_written(tx, tenant_id=tenant_id, account_id=account_id, event=own)


async def file_written(tx: Transaction, *, tenant_id: UUID, account_id: UUID, event: own_events.OwnEvent) -> UUID:
    """Store an event of our own that a builder in `gateways` wrote; return the stored event."""
    filing = Filing(
        id=ids.new(),
        tenant_id=tenant_id,
        account_id=account_id,
        event_id=event.event_id,
        type=event.type,
        origin="operator",
        occurred_at=event.occurred_at,
        headers={},
        body=event.body,
        dead_because=None,
    )
    return (await file_events(tx, [filing]))[0].id
