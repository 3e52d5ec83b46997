"""The outbox: what happened, for whoever listens, written in the transaction that does it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.gathering import gathered, gathering

_TELL = """
insert into outbox (tenant_id, id, topic, subject, payload, event_id)
select $1, id, topic, subject, payload::jsonb, event_id
from unnest(${}::uuid[], ${}::text[], ${}::text[], ${}::text[], ${}::uuid[]) as new (id, topic, subject, payload, event_id)
"""
_EMIT = _TELL.format(*range(2, 7))
_RECORD_AND_EMIT = f"with recorded as ({audit.APPEND}) {_TELL.format(*range(11, 16))}"


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened. topic: permanent. subject: public id. payload: plain values. event_id: the gateway's event that told of it."""

    topic: str
    subject: str
    payload: dict[str, Any]
    event_id: UUID | None = None


async def emit(tx: Transaction, *, tenant_id: UUID, told: Sequence[Told]) -> None:
    """Tell of these, in this order, when the transaction commits."""
    if kept := gathered(tx, tenant_id=tenant_id):
        kept.told.extend(told)
    elif told:
        await tx.execute(_EMIT, tenant_id, *_columns_of(told))


@asynccontextmanager
async def together(tx: Transaction, *, tenant_id: UUID) -> AsyncIterator[None]:
    """Write what is recorded in the audit trail and told within in one statement, at its end; nothing of what breaks off.

    For what holds a lock that others wait for: it asks the database less often. All of it is of this tenant and transaction.
    """
    with gathering(tx, tenant_id=tenant_id) as kept:
        yield
    if kept.records or kept.told:
        await tx.execute(_RECORD_AND_EMIT, tenant_id, *audit.columns_of(kept.records), *_columns_of(kept.told))


def _columns_of(told: Sequence[Told]) -> list[Any]:
    return [
        [ids.new() for _ in told],
        [each.topic for each in told],
        [each.subject for each in told],
        [msgspec.json.encode(each.payload).decode() for each in told],
        [each.event_id for each in told],
    ]
