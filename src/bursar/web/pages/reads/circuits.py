"""The circuits of a business, with the names of the accounts they stand for."""

from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.circuits.queries import CircuitView, circuits
from bursar.kernel.db import Transaction
from bursar.kernel.listing import Slice

_SHOWN = 50

_NAMES = "select id, left(name, 100) as name from gateway_account where tenant_id = $1 and id = any($2::uuid[])"


@dataclass(frozen=True, slots=True)
class CircuitRow:
    """name: of the gateway account, where the subject is one; else the subject itself."""

    id: str
    name: str
    circuit: CircuitView


async def circuit_list(
    tx: Transaction, *, tenant_id: UUID, after: UUID | None
) -> tuple[tuple[CircuitRow, ...], str | None]:
    """Return a page of circuits, newest first, and the id after which the next page begins."""
    found = await circuits(tx, tenant_id=tenant_id, page=Slice(_SHOWN, after), given={})
    accounts = [own for one in found.rows if (own := ids.parsed_or_none(ids.GATEWAY_ACCOUNT, one.subject))]
    named = await tx.fetch(_NAMES, tenant_id, accounts) if accounts else ()
    names = {ids.show(ids.GATEWAY_ACCOUNT, row["id"]): row["name"] for row in named}
    rows = tuple(
        CircuitRow(ids.show(ids.CIRCUIT, one.id), names.get(one.subject, one.subject), one) for one in found.rows
    )
    return rows, ids.show(ids.CIRCUIT, found.next_after) if found.next_after else None
