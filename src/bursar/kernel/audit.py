"""The audit trail: who did what, written in the transaction that does it. Append-only."""

from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction

_APPEND = """
insert into audit_record (tenant_id, id, actor, action, event_id, subject, changes)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
"""


async def record(
    tx: Transaction,
    *,
    tenant_id: UUID,
    actor: str,
    action: str,
    subject: str | None,
    changes: dict[str, Any],
    event_id: UUID | None = None,
) -> None:
    """Append one record. actor: `key:key_…`, `operator`, `policy:…`. subject: public id of what changed most.

    changes: plain values; never a secret.
    """
    await tx.execute(
        _APPEND, tenant_id, ids.new(), actor, action, event_id, subject, msgspec.json.encode(changes).decode()
    )
