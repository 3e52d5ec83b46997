"""Routes of customers."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import DeletableFilters, Email, Input, Instant, Key, Name, Page, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.money.customers.adding import find_or_add
from bursar.money.customers.queries import Customer, customer, customers

_PHONE: Final = r"^\+?[0-9(][0-9 ()./-]{2,38}$"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["customers"])


class NewCustomer(Input):
    """Somebody whom no gateway has told of yet."""

    email: Email
    name: Name | None = None
    phone: Annotated[str, Field(pattern=_PHONE, examples=["+31 20 555 0100"])] | None = None
    gateway_account: AccountId | None = Field(
        default=None, description="Where he pays. Left out: where checkouts are paid, else the desk."
    )


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


@router.post("/customers", status_code=201)
@needs("customers:write")
async def add_customer(caller: CallerOf, new: NewCustomer) -> Customer:
    """Return the customer of an e-mail address, and add one where there is none. Who is there already stays as he is."""
    async with caller.transaction() as tx:
        found = await find_or_add(
            tx,
            tenant_id=caller.tenant_id,
            email=new.email,
            name=new.name,
            phone=new.phone,
            account_id=new.gateway_account,
            actor=caller.actor,
            now=caller.now(),
        )
        return await customer(tx, tenant_id=caller.tenant_id, customer_id=found.id)


@router.get("/customers/{customer}")
@needs("customers:read")
async def get_customer(caller: CallerOf, customer_id: Annotated[CustomerId, Path(alias="customer")]) -> Customer:
    """Return one customer."""
    async with caller.transaction() as tx:
        return await customer(tx, tenant_id=caller.tenant_id, customer_id=customer_id)
