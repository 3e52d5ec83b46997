"""The outbox: what happened, for whoever listens, written in the transaction that does it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction

_EMIT = """
insert into outbox (tenant_id, id, topic, subject, payload, event_id)
select $1, id, topic, subject, payload::jsonb, event_id
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[]) as new (id, topic, subject, payload, event_id)
"""
_RECORD_AND_EMIT = f"""
with recorded as ({audit.APPEND})
insert into outbox (tenant_id, id, topic, subject, payload, event_id)
select $1, id, topic, subject, payload::jsonb, event_id
from unnest($11::uuid[], $12::text[], $13::text[], $14::text[], $15::uuid[]) as new (id, topic, subject, payload, event_id)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened. topic: permanent. subject: public id. payload: plain values. event_id: the gateway's event that told of it."""

    topic: str
    subject: str
    payload: dict[str, Any]
    event_id: UUID | None = None


_gathered: ContextVar[tuple[Transaction, UUID, list[Told]] | None] = ContextVar("told", default=None)


async def emit(tx: Transaction, *, tenant_id: UUID, told: Sequence[Told]) -> None:
    """Tell of these, in this order, when the transaction commits."""
    if waiting := _gathered.get():
        assert waiting[:2] == (tx, tenant_id), "what is gathered is of one transaction"
        waiting[2].extend(told)
    elif told:
        await tx.execute(_EMIT, tenant_id, *_columns_of(told))


@asynccontextmanager
async def together(tx: Transaction, *, tenant_id: UUID) -> AsyncIterator[None]:
    """Write what is recorded in the audit trail and told within in one statement, at its end; nothing of what breaks off.

    For what holds a lock that others wait for: it asks the database less often. All of it is of this tenant and transaction.
    """
    told: list[Told] = []
    token = _gathered.set((tx, tenant_id, told))
    try:
        with audit.gathered(tx, tenant_id=tenant_id) as records:
            yield
    finally:
        _gathered.reset(token)
    if records and told:
        await tx.execute(_RECORD_AND_EMIT, tenant_id, *audit.columns_of(records), *_columns_of(told))
    elif records:
        await tx.execute(audit.APPEND, tenant_id, *audit.columns_of(records))
    else:
        await emit(tx, tenant_id=tenant_id, told=told)


def _columns_of(told: Sequence[Told]) -> list[Any]:
    return [
        [ids.new() for _ in told],
        [each.topic for each in told],
        [each.subject for each in told],
        [msgspec.json.encode(each.payload).decode() for each in told],
        [each.event_id for each in told],
    ]
