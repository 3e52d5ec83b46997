"""Circuits as people and programs see them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.circuits.breaking import CircuitNotFound
from bursar.kernel.circuits.models import CircuitState
from bursar.kernel.db import Transaction
from bursar.kernel.http import PublicId, View
from bursar.kernel.listing import Listing, Part, Slice, part

CircuitId = Annotated[UUID, PublicId(ids.CIRCUIT)]


class CircuitView(View):
    """Whether calls go through to one place. Only places that have failed have a circuit."""

    id: CircuitId
    subject: str = Field(description="Whom we call.", examples=["gwa_01kapj5m6rfq1v5wx6h0b1a2c3"])
    operation: str = Field(examples=["create_refund"])
    state: CircuitState = Field(description="closed: calls go through. open: nobody calls. half_open: one probe does.")
    since: datetime
    failures_running: int = Field(description="Failures in a row.")
    failed_at: datetime | None
    failure: str | None = Field(description="What the last failure was.")
    not_before: datetime | None = Field(description="When the next probe may go out.")


_SELECT = """select c.id, c.subject, c.operation, c.state, c.since, c.failures_running, c.failed_at, c.failure,
  case when c.state = 'open' then c.not_before end as not_before
from circuit c"""

CIRCUITS = Listing(
    select=_SELECT,
    tenant="c.tenant_id",
    key="c.id",
    filters={"state": "c.state = {}", "subject": "c.subject = {}"},
)

_ONE = f"{_SELECT} where c.tenant_id = $1 and c.id = $2"


async def circuits(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[CircuitView]:
    """Return circuits, newest first. given: values by filter of `CIRCUITS`."""
    return await part(tx, CIRCUITS, tenant_id=tenant_id, given=given, page=page, view=CircuitView.of)


async def circuit(tx: Transaction, *, tenant_id: UUID, circuit_id: UUID) -> CircuitView:
    """Return one circuit. Raises CircuitNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, circuit_id)
    if row is None:
        raise CircuitNotFound(f"there is no circuit {ids.show(ids.CIRCUIT, circuit_id)}")
    return CircuitView.of(row)
