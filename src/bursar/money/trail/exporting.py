"""The sealed audit trail as lines of JSON that anybody can check with SHA-256, without this program and its database."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.trail.checking import seal_of
from bursar.money.trail.sealing import LINE, told

_SEALS = """select s.sequence, s.begins, s.ends, s.records, s.digests, s.previous, s.hash, s.sealed_at
from audit_seal s where s.tenant_id = $1 and s.sequence > $2
  and s.sealed_at >= coalesce($3, '-infinity'::timestamptz) and s.sealed_at < coalesce($4, 'infinity'::timestamptz)
order by s.sequence limit 20"""

_LINES = f"""select {LINE} as line from audit_record a
where a.tenant_id = $1 and a.written_in >= $2 and a.written_in < $3
order by a.written_in, a.id"""


async def export_lines(
    tx: Transaction, *, tenant_id: UUID, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[str]:
    """Yield whole seals, oldest first: the line of each record, then the seal's own. since, until: when it was sealed."""
    after = 0
    while rows := await tx.fetch(_SEALS, tenant_id, after, since, until):
        for row in rows:
            for record in await tx.fetch(_LINES, tenant_id, row["begins"], row["ends"]):
                yield record["line"]
            yield _seal_line(tenant_id, row)
        after = rows[-1]["sequence"]


def _seal_line(tenant_id: UUID, row: Any) -> str:
    seal = seal_of(row)
    return json.dumps(
        {
            "seal": seal.sequence,
            "tenant": ids.show(ids.TENANT, tenant_id),
            "previous": seal.previous.hex(),
            "begins": seal.begins,
            "ends": seal.ends,
            "records": len(seal.records),
            "sealed_at": told(seal.sealed_at),
            "sha256": row["hash"].hex(),
        }
    )
