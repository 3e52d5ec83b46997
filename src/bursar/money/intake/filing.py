"""File events: the statement that makes a delivery durable, and Bursar's own events."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.logs import correlation_id
from bursar.money.gateways import own_events

BUCKETS = 64
"""How many lanes the queue is divided into. An account's events are one lane: they are applied by one worker at a time."""


_json = msgspec.json.Encoder().encode


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
select file_gateway_events($1, $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[],
  $10::bytea[], $11::smallint[], $12::text[])
"""


@lru_cache(maxsize=10_000)
def lane_bucket(account_id: UUID) -> int:
    """Return the lane of an account's events: 0 to 63, the same on every machine and release."""
    return hashlib.blake2b(account_id.bytes, digest_size=2).digest()[0] % BUCKETS


async def file_deliveries(db: Database, filings: Sequence[Filing]) -> list[Filed]:
    """Store events of any tenants, in a transaction of their own and one round trip; return where each went, in order."""
    async with db.statement() as connection:
        return await _file(connection, filings, by_engine=True)


async def file_events(tx: Transaction, filings: Sequence[Filing]) -> list[Filed]:
    """Store events in one statement of an open transaction; return where each went, in order.

    tx: the engine's transaction, or a tenant's for events of that tenant.
    """
    return await _file(tx, filings, by_engine=False)


async def _file(tx: Transaction, filings: Sequence[Filing], *, by_engine: bool) -> list[Filed]:
    own, tenants, accounts, events, types, origins, occurred, headers, bodies, dead = zip(*filings, strict=True)
    earlier = await tx.fetchval(
        _FILE,
        *(by_engine, own, tenants, accounts, events, types, origins, occurred),
        *([_json(h).decode() for h in headers], bodies, [lane_bucket(a) for a in accounts], dead),
    )
    if earlier is None:
        return [Filed(event_id, False) for event_id in own]
    return [Filed(before or event_id, before is not None) for event_id, before in zip(own, earlier, strict=True)]


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
    return (await file_all_written(tx, tenant_id=tenant_id, account_id=account_id, events=[event]))[0]


async def file_all_written(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, events: Sequence[own_events.OwnEvent]
) -> list[UUID]:
    """Store events of our own in one statement; return the stored ones, in order."""
    if not events:
        return []
    headers = {"x-correlation-id": told_by} if (told_by := correlation_id()) else {}
    filings = [
        Filing(
            id=ids.new(),
            tenant_id=tenant_id,
            account_id=account_id,
            event_id=event.event_id,
            type=event.type,
            origin="operator",
            occurred_at=event.occurred_at,
            headers=headers,
            body=event.body,
            dead_because=None,
        )
        for event in events
    ]
    return [filed.id for filed in await file_events(tx, filings)]
