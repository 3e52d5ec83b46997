"""Routes of customers."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import DeletableFilters, Instant, Key, Page, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.money.customers.queries import Customer, customer, customers

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["customers"])


class CustomerFilters(DeletableFilters):
    gateway_ref: Key | None = None
    email: Key | None = None
    gateway_account: AccountId | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/customers")
@needs("customers:read")
async def list_customers(caller: CallerOf, filters: Annotated[CustomerFilters, Query()]) -> Page[Customer]:
    """List customers, newest first."""
    async with caller.transaction() as tx:
        return page_of(await customers(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/customers/{customer}")
@needs("customers:read")
async def get_customer(caller: CallerOf, customer_id: Annotated[CustomerId, Path(alias="customer")]) -> Customer:
    """Return one customer."""
    async with caller.transaction() as tx:
        return await customer(tx, tenant_id=caller.tenant_id, customer_id=customer_id)
