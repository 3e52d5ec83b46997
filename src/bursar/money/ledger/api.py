"""Routes of the books."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Instant, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import CustomerId
from bursar.money.customers import require_customer
from bursar.money.ledger.queries import LedgerTransaction, transactions

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["customers"])


class LedgerFilters(PageFilters):
    source_kind: Literal["payment", "refund", "dispute"] | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/customers/{customer}/ledger")
@needs("ledger:read")
async def list_ledger_of_customer(
    caller: CallerOf, customer: Annotated[CustomerId, Path()], filters: Annotated[LedgerFilters, Query()]
) -> Page[LedgerTransaction]:
    """List what the books say of one customer, newest first."""
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=customer)
        given = filters.given | {"customer": customer}
        return page_of(await transactions(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))
