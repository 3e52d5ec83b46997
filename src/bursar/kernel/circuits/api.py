"""Routes of circuits."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.circuits import CircuitState, reset_circuit
from bursar.kernel.circuits.queries import CircuitId, CircuitView, circuit, circuits
from bursar.kernel.http import Key, Page, PageFilters, page_of

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["circuits"])


class CircuitFilters(PageFilters):
    state: CircuitState | None = None
    subject: Key | None = Field(default=None, description="Whom we call.")


@router.get("/circuits")
@needs("gateways:read")
async def list_circuits(caller: CallerOf, filters: Annotated[CircuitFilters, Query()]) -> Page[CircuitView]:
    """List the places where calls to the outside have failed, newest first."""
    async with caller.transaction() as tx:
        return page_of(await circuits(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.post("/circuits/{circuit}/resets", status_code=201)
@needs("gateways:write")
async def reset(caller: CallerOf, circuit_id: Annotated[CircuitId, Path(alias="circuit")]) -> CircuitView:
    """Close a circuit by hand, because the fault is known to be over. Those who wait come at the times they were told."""
    async with caller.transaction() as tx:
        await reset_circuit(tx, tenant_id=caller.tenant_id, circuit_id=circuit_id, actor=caller.actor, now=caller.now())
        return await circuit(tx, tenant_id=caller.tenant_id, circuit_id=circuit_id)
