"""Circuits: where calls to the outside fail, since when, and the way to close one by hand."""

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.circuits import reset_circuit
from bursar.web.pages.paging import Before
from bursar.web.pages.reads.circuits import circuit_list
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

router = APIRouter(route_class=PageRoute)


@router.get("/circuits")
@needs("gateways:read")
async def circuits(
    visit: Visiting,
    done: Literal["", "reset"] = "",
    before_id: Before = None,
) -> Response:
    """Show the places where calls have failed, newest first."""
    after = ids.parse(ids.CIRCUIT, before_id) if before_id else None
    async with visit.open() as page:
        rows, next_after = await circuit_list(page.tx, tenant_id=visit.tenant_id, after=after)
        return page.answer("circuits.html", rows=rows, after=next_after, is_newest=before_id is None, done=done)


@router.post("/circuits/{circuit}/reset")
@needs("gateways:write")
async def reset(visit: Visiting, circuit: str) -> Response:
    """Close a circuit by hand."""
    circuit_id = ids.parse(ids.CIRCUIT, circuit)
    await visit.form()
    async with visit.open() as page:
        await reset_circuit(
            page.tx, tenant_id=visit.tenant_id, circuit_id=circuit_id, actor=visit.principal.actor, now=visit.now
        )
    return to("/circuits?done=reset")
