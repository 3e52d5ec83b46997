"""Routes of persons: everything about one, and one erased."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import StreamingResponse

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input
from bursar.kernel.http.identifiers import CustomerId, ErasureId
from bursar.money.desk import erasing
from bursar.money.desk.erasing import Erasure, Ground
from bursar.money.desk.exporting import export_pieces

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["persons"])

_DOCUMENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "One document; it is whole where it ends with `is_complete`.",
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    }
}


class NewErasure(Input):
    ground: Ground = Field(
        description="`requested` by the person, `unneeded` for what it was collected for, `unlawful` to have, or the law `obliged` us."
    )


@router.post("/customers/{customer}/exports", response_class=StreamingResponse, responses=_DOCUMENT)
@needs("customers:read")
async def export_customer(
    caller: CallerOf, customer_id: Annotated[CustomerId, Path(alias="customer")]
) -> StreamingResponse:
    """Return everything that is kept about a person, at every gateway account, raw events included."""
    async with caller.transaction() as tx:
        customers = await erasing.same_person(tx, tenant_id=caller.tenant_id, customer_id=customer_id)
        await erasing.record_export(
            tx, tenant_id=caller.tenant_id, customer_id=customer_id, customers=customers, actor=caller.actor
        )
    pieces = export_pieces(caller.resources.db, tenant_id=caller.tenant_id, customers=customers, now=caller.now())
    headers = {"content-disposition": 'attachment; filename="person.json"'}
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


@router.post("/customers/{customer}/erasures", status_code=202)
@needs("customers:erase")
async def erase_customer(
    caller: CallerOf, customer_id: Annotated[CustomerId, Path(alias="customer")], wanted: NewErasure
) -> Erasure:
    """Erase a person at every gateway account. Amounts, books and grants stay; it cannot be undone."""
    async with caller.transaction() as tx:
        return await erasing.erase_customer(
            tx,
            tenant_id=caller.tenant_id,
            customer_id=customer_id,
            ground=wanted.ground,
            actor=caller.actor,
            now=caller.now(),
        )


@router.get("/erasures/{erasure}")
@needs("customers:read")
async def get_erasure(caller: CallerOf, erasure_id: Annotated[ErasureId, Path(alias="erasure")]) -> Erasure:
    """Return an erasure and how far it has come."""
    async with caller.transaction() as tx:
        return await erasing.erasure(tx, tenant_id=caller.tenant_id, erasure_id=erasure_id)
