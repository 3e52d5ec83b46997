"""The outbox: what happened, for whoever listens, written in the transaction that does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction

_EMIT = """
insert into outbox (tenant_id, id, topic, subject, payload, event_id)
select $1, id, topic, subject, payload::jsonb, event_id
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[]) as new (id, topic, subject, payload, event_id)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened. topic: permanent. subject: public id. payload: plain values. event_id: the gateway's event that told of it."""

    topic: str
    subject: str
    payload: dict[str, Any]
    event_id: UUID | None = None


async def emit(tx: Transaction, *, tenant_id: UUID, told: Sequence[Told]) -> None:
    """Tell of these, in this order, when the transaction commits."""
    if told:
        await tx.execute(
            _EMIT,
            tenant_id,
            [ids.new() for _ in told],
            [each.topic for each in told],
            [each.subject for each in told],
            [msgspec.json.encode(each.payload).decode() for each in told],
            [each.event_id for each in told],
        )
